/**
 * One provider, spoken to as one registered app. Every network result is a value: what a provider answers is an expected
 * outcome, whatever it is, and each kind names what its caller may do next.
 *
 * @module
 */
import type { Secret } from '../secret'
import type { ProviderDefinition } from './definition'
import type { RefreshedTokens, TokenSet } from './token-set'

export interface ProviderApp {
  /** Stable name of this registration, derived from its client id; stored as `provider_app`. */
  readonly key: string
  readonly clientId: string
  /** Credentials of the local sandbox, labelled wherever they are shown. */
  readonly sandbox: boolean
}

/** Who the account belongs to. `subject` is stable and never an e-mail address. */
export interface ProviderIdentity {
  readonly subject: string
  readonly label: string
  readonly email: string | null
}

export interface AuthorizationRequest {
  readonly redirectUri: string
  readonly state: Secret
  readonly nonce: string
  readonly codeVerifier: string
  readonly scopes: readonly string[]
  /** The account a reconnect expects; a hint only, the subject is compared afterwards. */
  readonly loginHint?: string
}

export interface CodeExchange {
  /** The callback as the browser asked for it, with the public origin. */
  readonly callbackUrl: URL
  readonly redirectUri: string
  readonly state: Secret
  readonly nonce: string
  readonly codeVerifier: string
  readonly requestedScopes: readonly string[]
  readonly signal?: AbortSignal
}

/**
 * A failure at the token endpoint.
 *
 * `permanent`: a documented answer that the grant is gone. `rejected`: a parsed refusal we do not know.
 * `weather`: nothing was decided, try later. `app_fault`: our registration is wrong. `unknown_outcome`: the request may
 * have been carried out, and its answer was lost or, with `answered`, was a fault of the provider's own (a 502, a word that
 * it failed half-way): as uncertain, but weather.
 */
export type TokenFailure =
  | { readonly kind: 'permanent'; readonly code: string }
  | { readonly kind: 'rejected'; readonly code: string; readonly status: number }
  | { readonly kind: 'weather'; readonly code: string; readonly retryAfterSeconds?: number }
  | { readonly kind: 'app_fault'; readonly code: string }
  | {
      readonly kind: 'unknown_outcome'
      readonly code: string
      readonly answered?: true
      readonly retryAfterSeconds?: number
    }

export type RefreshResult = { readonly kind: 'issued'; readonly tokens: RefreshedTokens } | TokenFailure

export type ExchangeResult =
  | { readonly kind: 'issued'; readonly tokens: TokenSet; readonly identity: ProviderIdentity | null }
  /** The callback itself said no: the person refused, or the provider could not go on. No code was spent. */
  | { readonly kind: 'declined'; readonly code: string }
  /** The answer was not for this browser, this app or this provider. Tokens that came along are handed back to be revoked. */
  | { readonly kind: 'untrusted'; readonly code: string; readonly tokens: TokenSet | null }
  | TokenFailure

export type IdentityResult =
  | { readonly kind: 'known'; readonly identity: ProviderIdentity; readonly grantedScopes: string[] | null }
  | {
      readonly kind: 'rejected'
      readonly code: string
      readonly status: number
      /** Present when it was the token that was refused, as the provider's own rules read the answer. */
      readonly refusedToken?: { readonly documented?: 'expired' | 'revoked' }
    }
  | { readonly kind: 'weather'; readonly code: string; readonly retryAfterSeconds?: number }

export type RevokeResult =
  /** The provider confirms that it is dead, now or before. */
  | { readonly kind: 'revoked' }
  | { readonly kind: 'weather'; readonly code: string; readonly retryAfterSeconds?: number }
  | { readonly kind: 'app_fault'; readonly code: string }
  | { readonly kind: 'rejected'; readonly code: string; readonly status: number }
  /** There is no call that ends it; the person can, at the provider. */
  | { readonly kind: 'unsupported'; readonly code: string }

export interface ProviderClient {
  readonly definition: ProviderDefinition
  readonly app: ProviderApp
  /** Where API paths are appended, without a trailing slash. Prefer `apiUrl`. */
  readonly apiBaseUrl: string
  /** The URL of an API path that starts with `/`, on the host that serves it. */
  apiUrl(path: string): URL
  authorizationUrl(request: AuthorizationRequest): Promise<URL>
  exchangeCode(exchange: CodeExchange): Promise<ExchangeResult>
  /** @param options.subject  whose access it is; tokens that the answer itself calls somebody else's are refused */
  refresh(
    refreshToken: Secret,
    options: { readonly signal?: AbortSignal; readonly subject?: string },
  ): Promise<RefreshResult>
  /** @param scope  `grant` ends everything the person allowed our app; `token` ends these tokens, sparing sibling connections where the provider can */
  revoke(
    tokens: { readonly accessToken?: Secret; readonly refreshToken?: Secret },
    scope: 'grant' | 'token',
    options?: { readonly signal?: AbortSignal },
  ): Promise<RevokeResult>
  identify(accessToken: Secret, options?: { readonly signal?: AbortSignal }): Promise<IdentityResult>
}

export interface ProviderInfo {
  readonly name: string
  readonly displayName: string
  /** False when no app of this provider is set in the environment. */
  readonly configured: boolean
  readonly sandbox: boolean
  readonly scopes: readonly {
    readonly name: string
    readonly words: string
    readonly access: string
    /** Asked for at every connect, whatever else is. */
    readonly required: boolean
  }[]
}

export interface Providers {
  list(): ProviderInfo[]
  get(name: string): ProviderClient | undefined
}
