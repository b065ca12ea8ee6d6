/**
 * A provider as data: where its endpoints are, how it deviates from the RFCs, and which of its answers mean what.
 *
 * Nothing here decides; `oauth.ts`, the refresh engine and the pages read it. A new provider is a new file in `catalog/`.
 *
 * @module
 */
import type { ProviderName } from '../config'

/**
 * What happens to a refresh token when it is used, and so what may be tried after an answer was lost:
 * `static`, it stays valid, repeat freely; `grace`, the old one works for a short while, repeat at once;
 * `strict`, it is spent, one more try and then ask the person; `family_revoke`, a second use kills the grant, never repeat.
 */
export type RefreshMode = 'static' | 'grace' | 'strict' | 'family_revoke'

export interface ProviderEndpoints {
  readonly authorization: string
  readonly token: string
  readonly revocation: string
  readonly apiBase: string
  /** Compared with `iss` as an exact string (RFC 9207 §2.4, OpenID Connect Core §3.1.3.7). */
  readonly issuer: string
  readonly jwks?: string
  readonly userinfo?: string
}

export interface ScopeInfo {
  /** Plain words for the consent preview. */
  readonly words: string
  readonly access: 'read' | 'write' | 'destructive'
  /** Scopes this one covers. */
  readonly includes?: readonly string[]
}

export interface ScopeRules {
  readonly separator: ' ' | ','
  /** Asked for at every connect: they name the account, and keep it refreshable. */
  readonly identity: readonly string[]
  /** Asked for when the caller names none: what the tools of the catalogue need. */
  readonly defaults: readonly string[]
  /** Spellings the provider answers with, to the one we store. */
  readonly aliases: Readonly<Record<string, string>>
  readonly known: Readonly<Record<string, ScopeInfo>>
  /** Never shown as missing: they ask for a behaviour and are not answered as granted. */
  readonly notReported: readonly string[]
}

/** The provider's documented words at its token endpoint. What is in none of these lists is a rejection of unknown meaning. */
export interface TokenErrors {
  /** The grant is gone for good: ask the person. An allow-list; no other answer ever means this. */
  readonly permanent: readonly string[]
  /** Our registration at the provider is wrong: alarm the operator, touch no connection. */
  readonly appFault: readonly string[]
  /** The provider says that it did nothing and may later. */
  readonly weather: readonly string[]
  /** The provider says that it failed half-way: the request may have been carried out. */
  readonly unknown: readonly string[]
}

export interface ProviderDefinition {
  readonly name: ProviderName
  readonly displayName: string
  readonly endpoints: ProviderEndpoints
  /** API paths that live on a host of their own: path prefix → origin. Ignored when the API base is overridden. */
  readonly apiHosts: Readonly<Record<string, string>>
  readonly clientAuth: 'post' | 'basic'
  readonly dialect: 'standard' | 'github' | 'slack'
  /** Extra parameters of the authorization request. */
  readonly authorizationParameters: Readonly<Record<string, string>>
  /** Which parameter carries a hint of the account to choose, if any. */
  readonly loginHintParameter?: string
  /** A wrong `iss` is always refused. `required` also refuses its absence (RFC 9207 §2.4). */
  readonly callbackIssuer: 'required' | 'optional'
  /** True when the code exchange must bring an ID token, checked against nonce, audience and the JWKS. */
  readonly idToken: boolean
  readonly scopes: ScopeRules
  readonly refreshMode: RefreshMode
  readonly oldAccessTokenDiesOnRefresh: boolean
  /** Used when `expires_in` is absent although a refresh token came. Null: the token does not expire. */
  readonly defaultAccessLifetimeSeconds: number | null
  readonly tokenErrors: TokenErrors
  readonly identity: 'id_token' | 'github_user' | 'slack_token'
  readonly revocation: {
    readonly style: 'rfc7009' | 'github' | 'slack'
    /** What can be ended: one token, everything the person granted to our app, or either as we choose. */
    readonly reach: 'token' | 'grant' | 'both'
  }
}
