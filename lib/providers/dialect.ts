/**
 * The parts that providers which follow the RFCs share: what a refusal looks like, who an ID token speaks of, how a token
 * is ended. Pure but for the requests that a revocation sends through what it is given.
 *
 * @see RFC 6749 §5, RFC 7009 §2, OpenID Connect Core 1.0 §5.1
 * @module
 */
import type { ProviderIdentity, RevokeResult } from './client'
import type { IdentityRules, RevocationRequest, ScopeRules, TokenDialect, TokenErrors, TokenFacts } from './definition'
import { label, textAt, type Json } from './json'

/** RFC 6749 §5: a string in `error` refuses, tokens stand at the top. */
export const standardDialect: TokenDialect = {
  refusal: (whole) => {
    const { error } = whole
    if (typeof error !== 'string' || error === '') return undefined
    const subtype = textAt(whole, 'error_subtype')
    return subtype === undefined ? { code: error } : { code: error, subtype }
  },
  tokens: (whole) => whole,
  tokenTypes: ['bearer'],
}

/** The words of RFC 6749 §5.2, for providers that add none of their own. */
export const standardErrors: TokenErrors = {
  permanent: ['invalid_grant'],
  appFault: ['invalid_client', 'unauthorized_client', 'unsupported_grant_type', 'redirect_uri_mismatch'],
  weather: ['temporarily_unavailable', 'slow_down', 'rate_limit_exceeded'],
  unknown: ['server_error'],
}

/** Scopes as most providers have them. */
export const standardScopes = {
  separator: ' ',
  areRequested: true,
  unnamedPrefixes: [],
  aliases: {},
  notReported: [],
} as const satisfies Partial<ScopeRules>

/** OpenID Connect Core §5.1: `sub` is who, an address or a name is shown. */
export function claimsIdentity(claims: Json): ProviderIdentity | null {
  const subject = textAt(claims, 'sub')
  if (subject === undefined) return null
  const email = textAt(claims, 'email')
  return { subject, label: label(email ?? textAt(claims, 'name') ?? subject), email: email ?? null }
}

export const openIdIdentity: IdentityRules = {
  isInIdToken: true,
  request: { method: 'GET' },
  read: claimsIdentity,
}

/** For providers whose tokens are all of one kind. */
export function oneVariant(words: string) {
  return { known: { standard: { words } }, prefixes: [], of: () => 'standard' } as const
}

/** For providers whose apps may be set to hand out tokens with an end and without. */
export function variantsByExpiry(expiring: string, lasting: string) {
  return {
    known: { expiring: { words: expiring }, lasting: { words: lasting } },
    prefixes: [],
    of: ({ accessExpires, hasRefreshToken }: TokenFacts) => (accessExpires || hasRefreshToken ? 'expiring' : 'lasting'),
  } as const
}

/**
 * RFC 7009: the refresh token first, because ending it ends what it could make.
 *
 * @param client   how the request says who we are
 * @param isDead   answers beside 200 which say that there is nothing left to end
 * @param isWhole  true where the first word ends everything, so that nothing is left to say
 */
export function revokeByRfc7009({
  client,
  isDead,
  isWhole = false,
}: {
  readonly client: 'none' | 'post' | 'basic'
  readonly isDead: (status: number, body: Json | undefined) => boolean
  readonly isWhole?: boolean
}) {
  return async (request: RevocationRequest): Promise<RevokeResult> => {
    const { refreshToken, accessToken } = request.tokens
    const all = [
      ...(refreshToken === undefined ? [] : [{ token: refreshToken, hint: 'refresh_token' }]),
      ...(accessToken === undefined ? [] : [{ token: accessToken, hint: 'access_token' }]),
    ]
    for (const { token, hint } of isWhole ? all.slice(0, 1) : all) {
      const form = new URLSearchParams({
        token: token.reveal(),
        ...(client === 'none' ? {} : { token_type_hint: hint }),
        ...(client === 'post' ? { client_id: request.clientId, client_secret: request.clientSecret.reveal() } : {}),
      })
      const result = await request.send(
        request.endpoint,
        {
          method: 'POST',
          headers: {
            'content-type': 'application/x-www-form-urlencoded',
            accept: 'application/json',
            ...(client === 'basic' ? { authorization: basicAuth(request) } : {}),
          },
          body: form.toString(),
        },
        (status, body) => status === 200 || isDead(status, body),
      )
      if (result.kind !== 'revoked') return result
    }
    return { kind: 'revoked' }
  }
}

/**
 * The app in the header (RFC 6749 §2.3.1). Form-encoded as the URL standard does it, which leaves `-`, `.` and `_` alone:
 * Notion's ids are UUIDs and it does not decode them.
 */
export function basicAuth({ clientId, clientSecret }: Pick<RevocationRequest, 'clientId' | 'clientSecret'>): string {
  const encoded = (text: string) => new URLSearchParams({ '': text }).toString().slice(1)
  return `Basic ${Buffer.from(`${encoded(clientId)}:${encoded(clientSecret.reveal())}`).toString('base64')}`
}
