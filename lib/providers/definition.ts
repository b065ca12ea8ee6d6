/**
 * A provider as data: where its endpoints are, how it deviates from the RFCs, what its tokens live through, and which of
 * its answers mean what.
 *
 * Nothing here decides; `oauth.ts`, the refresh engine and the pages read it. A new provider is a new folder in `catalog/`:
 * this data, and beside it the few functions that read a dialect of its own.
 *
 * @module
 */
import type { JudgeApi } from './api-answer'
import type { ProviderIdentity, RefreshResult, RevokeResult } from './client'
import type { Egress } from '../egress/egress'
import type { Secret } from '../secret'
import type { Json } from './json'

/**
 * What happens to a refresh token when it is used, and so what may be tried after an answer was lost:
 * `static`, it stays valid, repeat freely; `grace`, the old one works for a short while, repeat at once;
 * `strict`, it is spent, one more try and then ask the person; `family_revoke`, a second use kills the grant, never repeat.
 */
export type RefreshMode = 'static' | 'grace' | 'strict' | 'family_revoke'

export interface ProviderEndpoints {
  readonly authorization: string
  readonly token: string
  /** Absent where nothing can be ended from outside. */
  readonly revocation?: string
  readonly apiBase: string
  /**
   * Compared with `iss` as an exact string (RFC 9207 §2.4, OpenID Connect Core §3.1.3.7). `{tenantid}` in it stands for
   * the `tid` of the ID token that is being checked.
   */
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
  /** False where the person chooses at the provider and the request names none. */
  readonly areRequested: boolean
  /**
   * Prefixes of access tokens that carry permissions of another kind and name no scope at all: the API's own answers
   * decide. An empty prefix means every token.
   */
  readonly unnamedPrefixes: readonly string[]
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

/** What the provider's tokens live through, in seconds. Null: no such end, or none that is known. */
export interface Lifecycle {
  /** Of an access token whose answer names no lifetime although it is renewed. Null: it ends when it is refused. */
  readonly accessSeconds: number | null
  /** True when an answer without a lifetime and without a refresh token means a token without an end. */
  readonly accessMayNotExpire: boolean
  /** A refresh token that nobody uses for so long is dead. */
  readonly refreshIdleSeconds: number | null
  /** A refresh token is dead after so long, used or not. */
  readonly refreshAbsoluteSeconds: number | null
  /** Whether a refresh brings a new refresh token. */
  readonly rotates: 'never' | 'always' | 'sometimes'
  /** How long a used refresh token is still answered. Null: for a while nobody has written down, or not at all. */
  readonly graceSeconds: number | null
  readonly oldAccessTokenDiesOnRefresh: boolean
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

/** How the provider's token endpoint differs from RFC 6749 §5 in what it answers. Pure. */
export interface TokenDialect {
  /**
   * The word of a refusal; an empty one when the body refuses without a word; undefined when it refuses nothing.
   *
   * @param status  of the answer, for providers whose words mean different things under different ones
   */
  refusal(whole: Json, status: number): { readonly code: string; readonly subtype?: string } | undefined
  /** The object that holds the tokens. */
  tokens(whole: Json): Json
  /** The `token_type`s, in lower case, of tokens that are sent as bearer (RFC 6750). */
  readonly tokenTypes: readonly string[]
}

export interface IdentityRules {
  /** The ID token of the exchange says it all, checked; nobody else is asked. */
  readonly isInIdToken: boolean
  /** What the token answer itself says; the API may add names to it. */
  readonly fromAnswer?: (whole: Json) => ProviderIdentity | null
  /** Asked with the access token. Without a path: the userinfo endpoint. */
  readonly request: {
    readonly method: 'GET' | 'POST'
    readonly path?: string
    readonly headers?: Readonly<Record<string, string>>
    readonly body?: string
  }
  /** Null when the answer names nobody. */
  readonly read: (body: Json) => ProviderIdentity | null
}

/** What a provider is told, and by which means, to end an access. */
export interface RevocationRequest {
  readonly tokens: { readonly accessToken?: Secret; readonly refreshToken?: Secret }
  /** `grant` ends everything the person allowed our app; `token` ends these tokens. */
  readonly scope: 'grant' | 'token'
  /** With `{clientId}` filled in. */
  readonly endpoint: string
  readonly clientId: string
  readonly clientSecret: Secret
  readonly apiUrl: (path: string) => URL
  /** One request. `isDead` says which answers confirm that the token is of no use any more. */
  readonly send: (
    url: string | URL,
    request: Parameters<Egress['request']>[1],
    isDead: (status: number, body: Json | undefined) => boolean,
  ) => Promise<RevokeResult>
  readonly refresh: (refreshToken: Secret) => Promise<RefreshResult>
}

export interface RevocationRules {
  /** What can be ended from outside: one token, everything the person granted to our app, either as we choose, or nothing. */
  readonly reach: 'token' | 'grant' | 'both' | 'none'
  /** True when a new consent leaves the tokens of the one before alive, and ending those spares the new ones. */
  readonly endsReplacedTokens: boolean
  /** Where the person can see and end it. */
  readonly byHand: string | null
  readonly revoke?: (request: RevocationRequest) => Promise<RevokeResult>
}

/** One of the kinds of token a provider hands out, told apart by the answer itself. */
export interface Variant {
  /** What it is, for the account's page. */
  readonly words: string
}

/** What is known of a fresh or stored token, for finding its kind and its traps. Never the token itself. */
export interface TokenFacts {
  /** The documented prefix of the access token, as far as the definition asked for it. */
  readonly prefix: string
  readonly hasRefreshToken: boolean
  readonly accessExpires: boolean
  /** Of the refresh token, from its issue. Null: the provider named no end. */
  readonly refreshLifetimeSeconds: number | null
}

/** Something about a provider that surprises people, said on the account's page when it applies. */
export interface Trap {
  readonly id: string
  /** In a few words. Without: that it is about the app at this provider. */
  readonly title?: string
  readonly words: string
  readonly severity: 'note' | 'warning'
  /** Each condition that is present must hold. */
  readonly when: {
    readonly variants?: readonly string[]
    readonly hasRefreshToken?: boolean
    readonly accessExpires?: boolean
    readonly refreshLifetimeAtMostSeconds?: number
  }
}

export interface ProviderDefinition {
  /** In addresses, environment variables and rows: `^[a-z][a-z0-9-]{0,30}$`. */
  readonly name: string
  readonly displayName: string
  readonly endpoints: ProviderEndpoints
  /** API paths that live on a host of their own: path prefix → origin. Ignored when the API base is overridden. */
  readonly apiHosts: Readonly<Record<string, string>>
  readonly clientAuth: 'post' | 'basic'
  /** How token requests are written, and what they carry beside the standard. */
  readonly tokenRequest: { readonly encoding: 'form' | 'json'; readonly headers?: Readonly<Record<string, string>> }
  readonly dialect: TokenDialect
  /** False only for a provider that does not know RFC 7636. */
  readonly pkce: boolean
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
  readonly lifecycle: Lifecycle
  readonly tokenErrors: TokenErrors
  readonly identity: IdentityRules
  readonly revocation: RevocationRules
  /** Kinds of token, by name, and which one an answer holds. */
  readonly variants: {
    readonly known: Readonly<Record<string, Variant>>
    /** Prefixes of access tokens that tell kinds apart, longest first. */
    readonly prefixes: readonly string[]
    of(facts: TokenFacts): string
  }
  readonly traps: readonly Trap[]
  /** What an answer of the API means. */
  readonly judgeApi: JudgeApi
}
