/**
 * The one application registered at each provider, and the settings a start may change.
 *
 * @module
 */
export interface RegisteredApp {
  readonly clientId: string
  readonly clientSecret: string
  readonly name: string
  /** Compared as exact strings. */
  readonly redirectUris: Set<string>
}

export const isClient = (app: RegisteredApp, id: string | undefined, secret: string | undefined): boolean =>
  id === app.clientId && secret === app.clientSecret
