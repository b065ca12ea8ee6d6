/**
 * The OAuth client of every provider: authorization URL, code exchange, refresh, revocation, identity.
 *
 * openid-client builds the requests and checks what must be checked (state, issuer, PKCE, ID token with nonce, audience
 * and signature); what an answer means is decided in `answer.ts` from the captured body. Token requests go over
 * a connection of their own, because one that may have arrived must not be taken for one that did not.
 *
 * @see RFC 6749, RFC 7009, RFC 7636, RFC 9207, OpenID Connect Core 1.0 §3.1.3
 * @module
 */
import * as oc from 'openid-client'

import type { Clock } from '../clock'
import { EgressError, type Egress, type EgressRequest } from '../egress/egress'
import { AppError } from '../errors'
import { Secret } from '../secret'
import { codeOf, parseAnswer, retryAfterSeconds, type ParsedAnswer, type TokenWire } from './answer'
import type {
  CodeExchange,
  ExchangeResult,
  IdentityResult,
  ProviderApp,
  ProviderClient,
  RefreshResult,
  RevokeResult,
  TokenFailure,
} from './client'
import type { ProviderDefinition } from './definition'
import { basicAuth } from './dialect'
import { claimsOf, isObject, parseObject, textAt, type Json } from './json'
import { canonicalScopes } from './scopes'
import type { TokenSet } from './token-set'

export interface OAuthClientOptions {
  /** With the endpoints of this installation. */
  readonly definition: ProviderDefinition
  /** True when the API base is not the provider's own, so that its further hosts do not apply. */
  readonly apiBaseIsOverridden: boolean
  readonly app: ProviderApp
  readonly clientSecret: Secret
  readonly egress: Egress
  readonly clock: Clock
  /** The whole token request, connecting included. Shorter than the lease that guards a refresh. */
  readonly tokenTimeoutMs?: number
}

const TOKEN_TIMEOUT_MS = 45_000
const TOKEN_MAX_BYTES = 64 * 1024
const API_TIMEOUT_MS = 15_000
const JWKS_MAX_AGE_MS = 5 * 60_000
const MAX_CLOCK_DISAGREEMENT_MS = 60 * 60_000
const YEAR_SECONDS = 365 * 86_400

/** What came back from the token endpoint in one grant, kept beside openid-client's own view. */
interface Capture {
  parsed?: ParsedAnswer
  observedAt?: Date
}

export function createOAuthClient(options: OAuthClientOptions): ProviderClient {
  const { definition, app, clientSecret, egress, clock } = options
  const { endpoints, scopes } = definition
  const isPlain = Object.values<string>({ ...endpoints }).some((url) => url.startsWith('http:'))
  let signingKeys: oc.ExportedJWKSCache | undefined

  const configure = (customFetch: oc.CustomFetch, issuer = endpoints.issuer): oc.Configuration => {
    const config = new oc.Configuration(
      {
        issuer,
        authorization_endpoint: endpoints.authorization,
        token_endpoint: endpoints.token,
        ...(endpoints.jwks === undefined ? {} : { jwks_uri: endpoints.jwks }),
        authorization_response_iss_parameter_supported: definition.callbackIssuer === 'required',
      },
      app.clientId,
      { [oc.clockSkew]: Math.round((clock.now().getTime() - Date.now()) / 1000) },
      definition.clientAuth === 'basic'
        ? (_server, _client, _body, headers) => {
            headers.set('authorization', basicAuth({ clientId: app.clientId, clientSecret }))
          }
        : oc.ClientSecretPost(clientSecret.reveal()),
    )
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- not deprecated but marked to be noticed; whether a plain address may be used is decided by egress, origin by origin
    if (isPlain) oc.allowInsecureRequests(config)
    config.timeout = undefined
    config[oc.customFetch] = customFetch
    return config
  }

  /** Sends one token request through egress and reads the answer before openid-client sees a cleaned form of it. */
  const captureTokens =
    (capture: Capture, form: 'exchange' | 'refresh', signal?: AbortSignal): oc.CustomFetch =>
    async (url, init) => {
      if (url !== endpoints.token) return fetchSigningKeys(url)
      const startedAt = clock.now()
      let answer
      try {
        answer = await egress.request(url, {
          method: 'POST',
          ...written(new Headers(init.headers), init.body instanceof URLSearchParams ? init.body : undefined),
          maxBytes: TOKEN_MAX_BYTES,
          timeoutMs: options.tokenTimeoutMs ?? TOKEN_TIMEOUT_MS,
          fresh: true,
          ...(signal === undefined ? {} : { signal }),
        })
      } catch (error) {
        capture.parsed = failureOf(error)
        throw error
      }
      const parsed = parseAnswer(definition, answer, clock.now())
      capture.parsed = parsed
      capture.observedAt = observedAt(startedAt, answer.headers)
      if (parsed.kind !== 'issued') return Response.json({ error: 'invalid_request' }, { status: 400 })
      // An ID token in a refresh proves nothing that is needed, and a fault in one may not cost the refresh.
      const { id_token: idToken, ...rest } = parsed.wire
      return Response.json({ ...rest, ...(form === 'exchange' && definition.idToken ? { id_token: idToken } : {}) })
    }

  /** The request as openid-client made it, in the encoding that this provider reads. */
  const written = (headers: Headers, form = new URLSearchParams()) => {
    const { encoding, headers: extra } = definition.tokenRequest
    for (const [name, value] of Object.entries(extra ?? {})) headers.set(name, value)
    if (encoding === 'json') headers.set('content-type', 'application/json')
    return {
      headers: Object.fromEntries(headers),
      body: encoding === 'json' ? JSON.stringify(Object.fromEntries(form)) : form.toString(),
    }
  }

  const fetchSigningKeys = async (url: string): Promise<Response> => {
    if (url !== endpoints.jwks) throw new AppError('internal', 'An unexpected endpoint was asked for.')
    const { status, body } = await egress.request(url, { headers: { accept: 'application/json' } })
    return new Response(new Uint8Array(body), { status, headers: { 'content-type': 'application/json' } })
  }

  /** Keys first: a code is not spent while nobody could check the answer. */
  const ensureSigningKeys = async (): Promise<TokenFailure | undefined> => {
    if (endpoints.jwks === undefined || !definition.idToken) return undefined
    const now = Math.floor(Date.now() / 1000)
    if (signingKeys !== undefined && (now - signingKeys.uat) * 1000 < JWKS_MAX_AGE_MS) return undefined
    try {
      const response = await fetchSigningKeys(endpoints.jwks)
      const keys: unknown = await response.json()
      if (!response.ok || !isObject(keys) || !Array.isArray(keys['keys']))
        return { kind: 'weather', code: 'signing_keys_unreadable' }
      signingKeys = { jwks: { keys: keys['keys'].filter(isObject) }, uat: now }
      return undefined
    } catch {
      return { kind: 'weather', code: 'signing_keys_unavailable' }
    }
  }

  const expiresAt = (base: Date, seconds: number, maxSeconds: number) =>
    new Date(base.getTime() + Math.min(seconds, maxSeconds) * 1000)

  const times = ({ wire, hasOddLifetime }: Issued, base: Date, isRefresh: boolean) => {
    const { accessSeconds, accessMayNotExpire } = definition.lifecycle
    // What can be renewed ends, whether or not the answer says when.
    const ends = isRefresh || wire.refresh_token !== undefined || hasOddLifetime || !accessMayNotExpire
    const expires = wire.expires_in ?? (ends ? accessSeconds : null)
    return {
      accessExpiresAt: expires === null ? null : expiresAt(base, expires, YEAR_SECONDS),
      refreshExpiresAt:
        wire.refresh_token_expires_in === undefined
          ? null
          : expiresAt(base, wire.refresh_token_expires_in, 10 * YEAR_SECONDS),
    }
  }

  /** Null when the answer says nothing about scopes. */
  const answeredScopes = (wire: TokenWire, isRefresh: boolean): string[] | null => {
    if (wire.scope === undefined) return null
    // An empty list is none at all (RFC 6749 §3.3): of a consent it says that nothing was granted, of a refresh nothing.
    if (wire.scope.trim() === '' && (isRefresh || scopes.unnamedPrefixes.some((p) => wire.access_token.startsWith(p))))
      return null
    return canonicalScopes(scopes, wire.scope)
  }

  const toTokenSet = ({ wire, ...issued }: Issued, base: Date, requested: readonly string[]): TokenSet => ({
    accessToken: new Secret(wire.access_token),
    refreshToken: wire.refresh_token === undefined ? null : new Secret(wire.refresh_token),
    ...times({ wire, ...issued }, base, false),
    // Unnamed means granted as asked (RFC 6749 §5.1).
    grantedScopes:
      answeredScopes(wire, false) ??
      canonicalScopes(scopes, requested).filter((scope) => !scopes.notReported.includes(scope)),
  })

  const exchangeCode = async (exchange: CodeExchange): Promise<ExchangeResult> => {
    const unready = await ensureSigningKeys()
    if (unready !== undefined) return unready
    const capture: Capture = {}
    const callback = new URL(exchange.redirectUri)
    callback.search = exchange.callbackUrl.search
    const grant = async (customFetch: oc.CustomFetch, issuer?: string) => {
      const config = configure(customFetch, issuer)
      if (definition.idToken) {
        oc.enableNonRepudiationChecks(config)
        if (signingKeys !== undefined) oc.setJwksCache(config, structuredClone(signingKeys))
      }
      const response = await oc.authorizationCodeGrant(config, callback, {
        expectedState: exchange.state.reveal(),
        ...(definition.pkce ? { pkceCodeVerifier: exchange.codeVerifier } : {}),
        ...(definition.idToken ? { expectedNonce: exchange.nonce, idTokenExpected: true } : {}),
      })
      signingKeys = oc.getJwksCache(config) ?? signingKeys
      return response
    }
    try {
      const ask = captureTokens(capture, 'exchange', exchange.signal)
      let response
      if (endpoints.issuer.includes(TENANT)) {
        // Which issuer to expect is in the answer, so the answer is had first and checked as a whole afterwards.
        let answer: Response | undefined
        await grant(async (url, init) => {
          answer = await ask(url, init)
          return new Response('{}', { status: 400 })
        }).catch((error: unknown) => {
          if (answer === undefined) throw error
        })
        const { parsed } = capture
        if (parsed === undefined || answer === undefined) return lost()
        if (parsed.kind !== 'issued') return parsed
        const kept = answer
        const tenant = textAt(claimsOf(parsed.wire.id_token), 'tid') ?? ''
        response = await grant(
          (url) => (url === endpoints.token ? Promise.resolve(kept) : fetchSigningKeys(url)),
          endpoints.issuer.replace(TENANT, /^[0-9A-Za-z-]{1,64}$/.test(tenant) ? tenant : '-'),
        )
      } else response = await grant(ask)
      const { parsed, observedAt: base } = capture
      if (parsed?.kind !== 'issued' || base === undefined) return { kind: 'unknown_outcome', code: 'no_token' }
      const claims = response.claims()
      return {
        kind: 'issued',
        tokens: toTokenSet(parsed, base, exchange.requestedScopes),
        identity: definition.identity.isInIdToken
          ? claims === undefined
            ? null
            : definition.identity.read({ ...claims })
          : (definition.identity.fromAnswer?.(parsed.whole) ?? null),
      }
    } catch (error) {
      const { parsed, observedAt: base } = capture
      if (parsed === undefined) return refusedCallback(error)
      if (parsed.kind !== 'issued') return parsed
      return {
        kind: 'untrusted',
        code: 'invalid_id_token',
        tokens: base === undefined ? null : toTokenSet(parsed, base, exchange.requestedScopes),
      }
    }
  }

  /** Whose tokens a refresh brought, where the answer says it (OpenID Connect Core §12.2). */
  const isOfAnother = ({ wire, whole }: Issued & { readonly whole: Json }, subject: string | undefined): boolean => {
    if (subject === undefined) return false
    const { isInIdToken, read, fromAnswer } = definition.identity
    const claims = isInIdToken ? claimsOf(wire.id_token) : undefined
    const named = claims === undefined ? fromAnswer?.(whole) : read(claims)
    return named !== null && named !== undefined && named.subject !== subject
  }

  const refresh: ProviderClient['refresh'] = async (refreshToken, { signal, subject }): Promise<RefreshResult> => {
    const capture: Capture = {}
    // What the endpoint said is in the capture; openid-client's opinion of it adds nothing.
    await oc
      .refreshTokenGrant(configure(captureTokens(capture, 'refresh', signal)), refreshToken.reveal())
      .catch(() => undefined)
    const { parsed, observedAt: base } = capture
    if (parsed === undefined) return { kind: 'weather', code: 'not_sent' }
    if (parsed.kind !== 'issued') return parsed
    const { wire } = parsed
    if (isOfAnother(parsed, subject)) return { kind: 'rejected', code: 'subject_mismatch', status: 200 }
    return {
      kind: 'issued',
      tokens: {
        accessToken: new Secret(wire.access_token),
        refreshToken: wire.refresh_token === undefined ? null : new Secret(wire.refresh_token),
        ...times(parsed, base ?? clock.now(), true),
        grantedScopes: answeredScopes(wire, true),
      },
    }
  }

  /** A call to the provider's API whose failures are values. */
  const call = async (url: URL | string, init: EgressRequest) => {
    try {
      return { answer: await egress.request(url, { timeoutMs: API_TIMEOUT_MS, maxBytes: TOKEN_MAX_BYTES, ...init }) }
    } catch (error) {
      return { failure: { kind: 'weather' as const, code: failureOf(error).code } }
    }
  }
  const passing = (answer: { readonly status: number; readonly headers: Headers }) => {
    const limited =
      answer.status === 429 ||
      (answer.status === 403 &&
        (answer.headers.get('x-ratelimit-remaining') === '0' || answer.headers.has('retry-after')))
    if (!limited && answer.status < 500) return undefined
    const wait = retryAfterSeconds(answer.headers.get('retry-after'), clock.now())
    return {
      kind: 'weather' as const,
      code: limited ? 'rate_limited' : `http_${answer.status}`,
      ...(wait === undefined ? {} : { retryAfterSeconds: wait }),
    }
  }

  const revokeOne = async (url: string | URL, init: EgressRequest, dead: Dead): Promise<RevokeResult> => {
    const { answer, failure } = await call(url, init)
    if (answer === undefined) return failure
    const body = parseObject(answer.body)
    const error = body === undefined ? undefined : definition.dialect.refusal(body, answer.status)?.code
    const weather = passing(answer)
    if (weather !== undefined) return weather
    if (dead(answer.status, body)) return { kind: 'revoked' }
    if (error !== undefined && definition.tokenErrors.weather.includes(error)) return { kind: 'weather', code: error }
    if (error !== undefined && definition.tokenErrors.unknown.includes(error)) return { kind: 'weather', code: error }
    if (
      answer.status === 401 ||
      answer.status === 403 ||
      (error !== undefined && definition.tokenErrors.appFault.includes(error))
    )
      return {
        kind: 'app_fault',
        code: error !== undefined && codeOf(error) !== 'unknown_error' ? error : `http_${answer.status}`,
      }
    return { kind: 'rejected', code: `http_${answer.status}`, status: answer.status }
  }

  const revoke: ProviderClient['revoke'] = async (tokens, scope, { signal } = {}) => {
    const withSignal = signal === undefined ? {} : { signal }
    const { revoke: ask, reach } = definition.revocation
    if (ask === undefined || endpoints.revocation === undefined || reach === 'none')
      return { kind: 'unsupported', code: 'not_supported' }
    return ask({
      tokens,
      scope,
      endpoint: endpoints.revocation.replace('{clientId}', encodeURIComponent(app.clientId)),
      clientId: app.clientId,
      clientSecret,
      apiUrl,
      send: (url, request, isDead) => revokeOne(url, { ...request, ...withSignal }, isDead),
      refresh: (token) => refresh(token, withSignal),
    })
  }

  const apiUrl = (path: string): URL => {
    const host = options.apiBaseIsOverridden
      ? undefined
      : Object.entries(definition.apiHosts).find(([prefix]) => path.startsWith(prefix))?.[1]
    return new URL((host ?? endpoints.apiBase) + path)
  }

  const identify: ProviderClient['identify'] = async (accessToken, { signal } = {}): Promise<IdentityResult> => {
    const { request, read } = definition.identity
    const url =
      request.path === undefined ? (endpoints.userinfo ?? apiUrl('/oauth2/v3/userinfo')) : apiUrl(request.path)
    const { answer, failure } = await call(url, {
      method: request.method,
      headers: { accept: 'application/json', ...request.headers, authorization: `Bearer ${accessToken.reveal()}` },
      ...(request.body === undefined ? {} : { body: request.body }),
      ...(signal === undefined ? {} : { signal }),
    })
    if (answer === undefined) return failure
    const weather = passing(answer)
    if (weather !== undefined) return weather
    const body = parseObject(answer.body)
    if (body === undefined) return { kind: 'weather', code: 'unreadable_answer' }
    const identity = read(body)
    if (answer.status !== 200 || identity === null) {
      const refusal = definition.dialect.refusal(body, answer.status)
      const code = refusal === undefined ? 'unknown_error' : codeOf(refusal.code)
      const { status, headers } = answer
      const verdict = definition.judgeApi({ status, headers, json: body }, clock.now())
      const documented = verdict.kind === 'unauthorized' ? verdict.documented : undefined
      return {
        kind: 'rejected',
        code: code === 'unknown_error' ? `http_${status}` : code,
        status,
        ...(verdict.kind === 'unauthorized' ? { refusedToken: documented === undefined ? {} : { documented } } : {}),
      }
    }
    const reported = answer.headers.get('x-oauth-scopes')
    return { kind: 'known', identity, grantedScopes: reported ? canonicalScopes(scopes, reported) : null }
  }

  return {
    definition,
    app,
    apiBaseUrl: endpoints.apiBase,
    apiUrl,
    async authorizationUrl(request) {
      const config = configure(() => Promise.reject(new AppError('internal', 'No request belongs here.')))
      return oc.buildAuthorizationUrl(config, {
        ...definition.authorizationParameters,
        redirect_uri: request.redirectUri,
        ...(scopes.areRequested ? { scope: request.scopes.join(scopes.separator) } : {}),
        state: request.state.reveal(),
        ...(definition.pkce
          ? {
              code_challenge: await oc.calculatePKCECodeChallenge(request.codeVerifier),
              code_challenge_method: 'S256',
            }
          : {}),
        ...(definition.idToken ? { nonce: request.nonce } : {}),
        ...(request.loginHint !== undefined && definition.loginHintParameter !== undefined
          ? { [definition.loginHintParameter]: request.loginHint }
          : {}),
      })
    },
    exchangeCode,
    refresh,
    revoke,
    identify,
  }
}

type Dead = (status: number, body: Json | undefined) => boolean
type Issued = Extract<ParsedAnswer, { readonly kind: 'issued' }>

/** In an issuer: the directory that the ID token itself names. */
const TENANT = '{tenantid}'

const lost = (): TokenFailure => ({ kind: 'unknown_outcome', code: 'no_answer' })

/** A request without an answer: lost for sure when it never left, of unknown outcome when it may have. */
function failureOf(error: unknown): TokenFailure {
  if (!(error instanceof EgressError)) return lost()
  const code = error.aborted
    ? 'aborted'
    : error.code === 'egress.timeout'
      ? 'timeout'
      : error.code === 'egress.too_large'
        ? 'too_large'
        : error.sent
          ? 'connection_lost'
          : 'unreachable'
  if (!error.sent) return { kind: 'weather', code }
  // Too much, or what nobody can unpack, is an answer of somebody; what is missing may have been one.
  if (error.internal['phase'] === 'encoding')
    return { kind: 'unknown_outcome', code: 'unreadable_answer', answered: true }
  return code === 'too_large' ? { kind: 'unknown_outcome', code, answered: true } : { kind: 'unknown_outcome', code }
}

/** The callback did not pass its checks, so nothing was sent. */
function refusedCallback(error: unknown): ExchangeResult {
  if (error instanceof oc.AuthorizationResponseError)
    return { kind: 'declined', code: DECLINED.includes(error.error) ? error.error : 'provider_error' }
  return { kind: 'untrusted', code: 'invalid_callback', tokens: null }
}

/** RFC 6749 §4.1.2.1 and OpenID Connect Core §3.1.2.6. Other words are not repeated. */
const DECLINED: readonly string[] = [
  'access_denied',
  'invalid_request',
  'invalid_scope',
  'unauthorized_client',
  'unsupported_response_type',
  'server_error',
  'temporarily_unavailable',
  'interaction_required',
  'consent_required',
  'login_required',
  'account_selection_required',
]

/** When the answer was made: the provider's clock when it is believable, else ours at the start, so that expiry is never late. */
function observedAt(startedAt: Date, headers: Headers): Date {
  const theirs = Date.parse(headers.get('date') ?? '')
  return Math.abs(theirs - startedAt.getTime()) < MAX_CLOCK_DISAGREEMENT_MS ? new Date(theirs) : startedAt
}
