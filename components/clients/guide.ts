/**
 * How one MCP client is connected to one agent, as data: the agent's page and docs/clients.md are both made of it, so they
 * cannot say different things.
 *
 * No guide holds a session key. Where one is needed, it is read from the environment or asked for, so that copying,
 * pasting and committing a configuration leaks nothing.
 *
 * @module
 */
export interface ClientTarget {
  readonly mcpUrl: string
  /** What the server is called in the client's settings. */
  readonly serverName: string
}

export interface Snippet {
  /** File or place the text belongs to. */
  readonly title: string
  readonly language: 'bash' | 'text' | 'json' | 'toml' | 'ts'
  readonly code: string
}

export interface Step {
  readonly text: string
  readonly snippet?: Snippet
}

/** Where the words come from: our own test run, or the vendor's pages, which may change without telling us. */
export type Proof =
  | {
      readonly kind: 'run'
      /** npm packages with the exact versions that were run. */
      readonly packages: readonly string[]
      /** The test of this repository that runs them this way. */
      readonly test: string
    }
  | { readonly kind: 'documented'; readonly url: string }

export const WAYS = { sign_in: 'Sign in', session_key: 'With a session key' } as const

export interface Way {
  readonly kind: keyof typeof WAYS
  /** `vendor`: calls come from the vendor's servers, which must be able to reach the URL. */
  readonly callsFrom: 'device' | 'vendor'
  readonly proof: Proof
  readonly steps: readonly Step[]
}

export interface ClientGuide {
  readonly id: string
  readonly name: string
  /** Signing in first, where the client can. */
  readonly ways: readonly Way[]
  readonly notes: readonly string[]
}

export type GuideOf = (target: ClientTarget) => ClientGuide

/** The environment variable that every snippet reads the session key from. */
export const sessionKeyVariable = 'PORTCULLIS_SESSION_KEY'

/** A name that every client accepts as a server name, made from the agent's. */
export function serverName(agentName: string): string {
  const slug = agentName
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 32)
    .replace(/-+$/, '')
  return slug === '' ? 'portcullis' : `portcullis-${slug}`
}

/** False for an address that only this machine or this network knows: a vendor's servers cannot call it. */
export function isPublic(mcpUrl: string): boolean {
  const { protocol, hostname } = new URL(mcpUrl)
  return protocol === 'https:' && !PRIVATE.test(hostname)
}
const PRIVATE =
  /^(?:localhost|.*\.(?:localhost|local|internal|lan|test)|127\..*|10\..*|192\.168\..*|172\.(?:1[6-9]|2\d|3[01])\..*|169\.254\..*|0\.0\.0\.0|\[.*\])$/

export const json = (title: string, value: unknown): Snippet => ({
  title,
  language: 'json',
  code: JSON.stringify(value, null, 2),
})
export const terminal = (code: string): Snippet => ({ title: 'Terminal', language: 'bash', code })
