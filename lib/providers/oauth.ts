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
import { isObject, parseAnswer, parseObject, retryAfterSeconds, type ParsedAnswer, type TokenWire } from './answer'
import type {
  CodeExchange,
  ExchangeResult,
  IdentityResult,
  ProviderApp,
  ProviderClient,
  ProviderIdentity,
  RefreshResult,
  RevokeResult,
  TokenFailure,
} from './client'
import type { ProviderDefinition } from './definition'
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

  const configure = (customFetch: oc.CustomFetch): oc.Configuration => {
    const config = new oc.Configuration(
      {
        issuer: endpoints.issuer,
        authorization_endpoint: endpoints.authorization,
        token_endpoint: endpoints.token,
        ...(endpoints.jwks === undefined ? {} : { jwks_uri: endpoints.jwks }),
        authorization_response_iss_parameter_supported: definition.callbackIssuer === 'required',
      },
      app.clientId,
      { [oc.clockSkew]: Math.round((clock.now().getTime() - Date.now()) / 1000) },
      definition.clientAuth === 'basic'
        ? oc.ClientSecretBasic(clientSecret.reveal())
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
          headers: Object.fromEntries(new Headers(init.headers)),
          body: init.body instanceof URLSearchParams ? init.body.toString() : '',
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

  const times = (wire: TokenWire, base: Date, isRefresh: boolean) => {
    const expires =
      isRefresh || wire.refresh_token !== undefined || definition.refreshMode === 'static'
        ? (wire.expires_in ?? definition.defaultAccessLifetimeSeconds)
        : (wire.expires_in ?? null)
    return {
      accessExpiresAt: expires === null ? null : expiresAt(base, expires, YEAR_SECONDS),
      refreshExpiresAt:
        wire.refresh_token_expires_in === undefined
          ? null
          : expiresAt(base, wire.refresh_token_expires_in, 10 * YEAR_SECONDS),
    }
  }

  /** Null when the answer says nothing about scopes. A GitHub App's user token has permissions instead and answers "". */
  const answeredScopes = (wire: TokenWire): string[] | null => {
    if (wire.scope === undefined) return null
    if (definition.dialect === 'github' && wire.scope === '' && wire.access_token.startsWith('ghu_')) return null
    return canonicalScopes(scopes, wire.scope)
  }

  const toTokenSet = (wire: TokenWire, base: Date, requested: readonly string[]): TokenSet => ({
    accessToken: new Secret(wire.access_token),
    refreshToken: wire.refresh_token === undefined ? null : new Secret(wire.refresh_token),
    ...times(wire, base, false),
    // Unnamed means granted as asked (RFC 6749 §5.1).
    grantedScopes:
      answeredScopes(wire) ?? canonicalScopes(scopes, requested).filter((scope) => !scopes.notReported.includes(scope)),
  })

  const exchangeCode = async (exchange: CodeExchange): Promise<ExchangeResult> => {
    const unready = await ensureSigningKeys()
    if (unready !== undefined) return unready
    const capture: Capture = {}
    const config = configure(captureTokens(capture, 'exchange', exchange.signal))
    if (definition.idToken) {
      oc.enableNonRepudiationChecks(config)
      if (signingKeys !== undefined) oc.setJwksCache(config, structuredClone(signingKeys))
    }
    const callback = new URL(exchange.redirectUri)
    callback.search = exchange.callbackUrl.search
    try {
      const response = await oc.authorizationCodeGrant(config, callback, {
        expectedState: exchange.state.reveal(),
        pkceCodeVerifier: exchange.codeVerifier,
        ...(definition.idToken ? { expectedNonce: exchange.nonce, idTokenExpected: true } : {}),
      })
      signingKeys = oc.getJwksCache(config) ?? signingKeys
      const { parsed, observedAt: base } = capture
      if (parsed?.kind !== 'issued' || base === undefined) return { kind: 'unknown_outcome', code: 'no_token' }
      return {
        kind: 'issued',
        tokens: toTokenSet(parsed.wire, base, exchange.requestedScopes),
        identity: definition.identity === 'id_token' ? fromClaims(response.claims()) : slackIdentity(parsed.whole),
      }
    } catch (error) {
      const { parsed, observedAt: base } = capture
      if (parsed === undefined) return refusedCallback(error)
      if (parsed.kind !== 'issued') return parsed
      return {
        kind: 'untrusted',
        code: 'invalid_id_token',
        tokens: base === undefined ? null : toTokenSet(parsed.wire, base, exchange.requestedScopes),
      }
    }
  }

  const refresh: ProviderClient['refresh'] = async (refreshToken, { signal }): Promise<RefreshResult> => {
    const capture: Capture = {}
    // What the endpoint said is in the capture; openid-client's opinion of it adds nothing.
    await oc
      .refreshTokenGrant(configure(captureTokens(capture, 'refresh', signal)), refreshToken.reveal())
      .catch(() => undefined)
    const { parsed, observedAt: base } = capture
    if (parsed === undefined) return { kind: 'weather', code: 'not_sent' }
    if (parsed.kind !== 'issued') return parsed
    const { wire } = parsed
    return {
      kind: 'issued',
      tokens: {
        accessToken: new Secret(wire.access_token),
        refreshToken: wire.refresh_token === undefined ? null : new Secret(wire.refresh_token),
        ...times(wire, base ?? clock.now(), true),
        grantedScopes: answeredScopes(wire),
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
    const error = isObject(body) && typeof body['error'] === 'string' ? body['error'] : undefined
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
        code: error !== undefined && /^[\w.-]{1,64}$/.test(error) ? error : `http_${answer.status}`,
      }
    return { kind: 'rejected', code: `http_${answer.status}`, status: answer.status }
  }

  const revoke: ProviderClient['revoke'] = async (tokens, scope, { signal } = {}) => {
    const withSignal = signal === undefined ? {} : { signal }
    const { accessToken, refreshToken } = tokens
    switch (definition.revocation.style) {
      case 'rfc7009': {
        const token = refreshToken ?? accessToken
        if (token === undefined) return { kind: 'revoked' }
        const body = new URLSearchParams({ token: token.reveal() }).toString()
        return revokeOne(
          endpoints.revocation,
          { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body, ...withSignal },
          (status, answer) => status === 200 || (status === 400 && answer?.['error'] === 'invalid_token'),
        )
      }
      case 'github': {
        const credentials = Buffer.from(`${app.clientId}:${clientSecret.reveal()}`).toString('base64')
        const remove = async (token: Secret) => {
          let missing = false
          const result = await revokeOne(
            `${endpoints.revocation.replace('{clientId}', encodeURIComponent(app.clientId))}/${scope}`,
            {
              method: 'DELETE',
              headers: {
                authorization: `Basic ${credentials}`,
                accept: 'application/vnd.github+json',
                'content-type': 'application/json',
              },
              body: JSON.stringify({ access_token: token.reveal() }),
              ...withSignal,
            },
            (status) => {
              missing = status === 404 || status === 422
              return status === 204 || missing
            },
          )
          return { result, missing }
        }
        const first = accessToken === undefined ? undefined : await remove(accessToken)
        if (scope === 'token') {
          // Deleting an access token leaves its refresh token alive. That one is given up as a leaked one would be, which
          // asks for no credentials and spares every other token. Servers without this call have no refresh tokens.
          if ((first !== undefined && first.result.kind !== 'revoked') || refreshToken === undefined)
            return first?.result ?? { kind: 'revoked' }
          return revokeOne(
            apiUrl('/credentials/revoke'),
            {
              method: 'POST',
              headers: { accept: 'application/vnd.github+json', 'content-type': 'application/json' },
              body: JSON.stringify({ credentials: [refreshToken.reveal()] }),
              ...withSignal,
            },
            (status) => status === 202 || status === 404 || status === 422,
          )
        }
        if (first !== undefined && !first.missing) return first.result
        // The call names the grant by a living access token. When that one is dead, the refresh token makes another.
        if (refreshToken === undefined) return { kind: 'revoked' }
        const renewed = await refresh(refreshToken, withSignal)
        switch (renewed.kind) {
          case 'issued':
            return (await remove(renewed.tokens.accessToken)).result
          case 'permanent':
            return { kind: 'revoked' }
          case 'unknown_outcome':
            return { kind: 'weather', code: renewed.code }
          default:
            return renewed
        }
      }
      case 'slack': {
        for (const token of [accessToken, refreshToken]) {
          if (token === undefined) continue
          const result = await revokeOne(
            endpoints.revocation,
            { method: 'POST', headers: { authorization: `Bearer ${token.reveal()}` }, ...withSignal },
            (_status, answer) =>
              answer?.['ok'] === true ||
              (typeof answer?.['error'] === 'string' && SLACK_DEAD.includes(answer['error'])),
          )
          if (result.kind !== 'revoked') return result
        }
        return { kind: 'revoked' }
      }
    }
  }

  const apiUrl = (path: string): URL => {
    const host = options.apiBaseIsOverridden
      ? undefined
      : Object.entries(definition.apiHosts).find(([prefix]) => path.startsWith(prefix))?.[1]
    return new URL((host ?? endpoints.apiBase) + path)
  }

  const identify: ProviderClient['identify'] = async (accessToken, { signal } = {}): Promise<IdentityResult> => {
    const authorization = `Bearer ${accessToken.reveal()}`
    const url =
      definition.identity === 'github_user'
        ? apiUrl('/user')
        : definition.identity === 'slack_token'
          ? apiUrl('/auth.test')
          : (endpoints.userinfo ?? apiUrl('/oauth2/v3/userinfo'))
    const { answer, failure } = await call(url, {
      method: definition.identity === 'slack_token' ? 'POST' : 'GET',
      headers: { authorization, accept: 'application/json' },
      ...(signal === undefined ? {} : { signal }),
    })
    if (answer === undefined) return failure
    const weather = passing(answer)
    if (weather !== undefined) return weather
    const body = parseObject(answer.body)
    if (body === undefined) return { kind: 'weather', code: 'unreadable_answer' }
    const identity =
      definition.identity === 'github_user'
        ? githubIdentity(body)
        : definition.identity === 'slack_token'
          ? slackTestIdentity(body)
          : fromClaims(body)
    if (answer.status !== 200 || identity === null) {
      const error = body['error']
      const code = typeof error === 'string' && /^[\w.-]{1,64}$/.test(error) ? error : `http_${answer.status}`
      return { kind: 'rejected', code, status: answer.status }
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
        scope: request.scopes.join(scopes.separator),
        state: request.state.reveal(),
        code_challenge: await oc.calculatePKCECodeChallenge(request.codeVerifier),
        code_challenge_method: 'S256',
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

type Dead = (status: number, body: Readonly<Record<string, unknown>> | undefined) => boolean

/** Slack's words for a token that is of no use to anybody any more. */
const SLACK_DEAD: readonly string[] = [
  'token_revoked',
  'token_expired',
  'invalid_auth',
  'account_inactive',
  'not_authed',
]

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
  return error.sent ? { kind: 'unknown_outcome', code } : { kind: 'weather', code }
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

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)

/** Shown to people beside other accounts, so without line breaks and direction marks. */
function label(value: string): string {
  return value
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '')
    .trim()
    .slice(0, 120)
}

function fromClaims(claims: Readonly<Record<string, unknown>> | undefined): ProviderIdentity | null {
  const subject = text(claims?.['sub'])
  if (subject === undefined) return null
  const email = text(claims?.['email'])
  return { subject, label: label(email ?? text(claims?.['name']) ?? subject), email: email ?? null }
}

function githubIdentity(user: Readonly<Record<string, unknown>>): ProviderIdentity | null {
  const { id } = user
  const login = text(user['login'])
  if (typeof id !== 'number' || !Number.isSafeInteger(id) || login === undefined) return null
  return { subject: String(id), label: label(login), email: text(user['email']) ?? null }
}

/** From a token answer. User ids are unique per workspace, in an Enterprise organisation per organisation. */
function slackIdentity(whole: Readonly<Record<string, unknown>>): ProviderIdentity | null {
  const { team, enterprise, authed_user: user } = whole
  const place =
    (isObject(enterprise) ? text(enterprise['id']) : undefined) ?? (isObject(team) ? text(team['id']) : undefined)
  const id = isObject(user) ? text(user['id']) : text(whole['user_id'])
  if (place === undefined || id === undefined) return null
  const name = (isObject(team) ? text(team['name']) : undefined) ?? place
  return { subject: `${place}:${id}`, label: label(`${name} · ${id}`), email: null }
}

function slackTestIdentity(body: Readonly<Record<string, unknown>>): ProviderIdentity | null {
  const place = text(body['enterprise_id']) ?? text(body['team_id'])
  const id = text(body['user_id'])
  if (body['ok'] !== true || place === undefined || id === undefined) return null
  return {
    subject: `${place}:${id}`,
    label: label(`${text(body['user']) ?? id} · ${text(body['team']) ?? place}`),
    email: null,
  }
}
