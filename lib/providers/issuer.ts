/**
 * One OpenID Connect issuer, spoken to as one registered client, to learn who somebody is. No token is kept.
 *
 * The issuer is named by a workspace, so everything goes through the egress client and everything that comes back is
 * doubted: the document must name the very issuer it was asked of, its endpoints must be ones that may be asked, and the
 * ID token is checked for signature (asymmetric algorithms alone), issuer, audience, authorized party, nonce and times.
 * What is wrong is a value with a name, because a person who sets this up has to be told which of ten things it was.
 *
 * @see OpenID Connect Core 1.0 §3.1.3.7, Discovery 1.0 §4.3, RFC 7636, RFC 9207
 * @module
 */
import { LRUCache } from 'lru-cache'
import * as oc from 'openid-client'

import type { Clock } from '../clock'
import type { Egress } from '../egress/egress'
import type { Secret } from '../secret'
import { basicAuth } from './dialect'
import { isObject, parseObject, textAt, type Json } from './json'

/** What an issuer publishes of itself, as far as it is used. */
export interface IssuerDocument {
  /** Exactly as published: what every ID token has to name. */
  readonly issuer: string
  readonly authorization: string
  readonly token: string
  readonly jwks: string
  readonly userinfo: string | null
  readonly clientAuth: 'post' | 'basic'
  /** Of `ASYMMETRIC`, those it signs with. */
  readonly algorithms: readonly string[]
  /** Whether its callbacks name it (RFC 9207); then one that does not is refused. */
  readonly namesItself: boolean
}

export type IssuerProblem =
  /** No https address, or one with a query or fragment. */
  | 'issuer_invalid'
  /** An address for every directory at once, which can vouch for nobody in particular. */
  | 'issuer_shared'
  | 'issuer_unreachable'
  | 'discovery_missing'
  | 'discovery_unreadable'
  /** The document is of another issuer. */
  | 'issuer_mismatch'
  | 'endpoint_missing'
  /** An endpoint that is not https. */
  | 'endpoint_refused'
  | 'algorithms_refused'
  | 'client_auth_unsupported'
  | 'keys_unreadable'

export type ExchangeProblem =
  | IssuerProblem
  /** The issuer does not know this client or its secret. */
  | 'client_refused'
  | 'code_refused'
  | 'token_endpoint_failed'
  | 'callback_invalid'
  /** The callback or the ID token is of another issuer: a mix-up. */
  | 'wrong_issuer'
  | 'wrong_audience'
  | 'wrong_nonce'
  | 'signature_invalid'
  | 'id_token_missing'
  | 'id_token_expired'
  | 'id_token_invalid'
  | 'not_recent'
  | 'userinfo_failed'

export type Discovered =
  | { readonly kind: 'found'; readonly document: IssuerDocument }
  /** `detail` is text of the issuer's: for whoever sets it up, shown as text. */
  | { readonly kind: 'failed'; readonly problem: IssuerProblem; readonly detail?: string }

export type Vouched =
  | { readonly kind: 'vouched'; readonly claims: Json }
  /** The issuer sent the person back without a code. */
  | { readonly kind: 'declined'; readonly code: string }
  | { readonly kind: 'failed'; readonly problem: ExchangeProblem; readonly detail?: string }

export interface IssuerClient {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: Secret
}

export interface AuthorizationParameters {
  readonly redirectUri: string
  readonly state: string
  readonly nonce: string
  readonly codeVerifier: string
  /** The person has to prove themself now, whatever session they have there. */
  readonly renew: boolean
  readonly loginHint?: string
}

export interface Issuers {
  discover(issuer: string): Promise<Discovered>
  /** Where to send the person, from a document that was discovered. */
  authorizationUrl(document: IssuerDocument, clientId: string, parameters: AuthorizationParameters): Promise<URL>
  /** Exchanges the code of a callback for what the issuer says about the person. */
  exchange(
    client: IssuerClient,
    input: {
      /** The query of the callback as the browser brought it. */
      readonly search: string
      readonly redirectUri: string
      readonly state: string
      readonly nonce: string
      readonly codeVerifier: string
      readonly renew: boolean
    },
  ): Promise<Vouched>
  /** Whether the signing keys can be read. */
  checkKeys(document: IssuerDocument): Promise<IssuerProblem | undefined>
  /** Whether the issuer knows this client: it is asked to exchange a code that cannot be one. */
  checkClient(document: IssuerDocument, client: IssuerClient, redirectUri: string): Promise<ExchangeProblem | undefined>
}

export const ASYMMETRIC: readonly string[] = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'Ed25519',
  'EdDSA',
]

const TIMEOUT_MS = 10_000
const MAX_BYTES = 256 * 1024
const KEEP_MS = 10 * 60_000
const MAX_KNOWN = 500
/** Between the issuer's clock and ours. */
const TOLERANCE_SECONDS = 30
/** How long ago somebody may have proven themself who was asked to do it now. */
const RENEWAL_SECONDS = 300
const GOOGLE = 'https://accounts.google.com'
/** Directories of Entra ID that are none: anybody's account, anywhere (see the `{tenantid}` in their issuer). */
const SHARED = /^https:\/\/login\.microsoftonline\.com\/(common|organizations|consumers)(\/|$)/i

export function createIssuers(options: {
  readonly egress: Egress
  readonly clock: Clock
  /** Origins that may be plain http, as the egress client has it. */
  readonly httpOrigins?: readonly string[]
}): Issuers {
  const { egress, clock } = options
  const documents = new LRUCache<string, IssuerDocument>({ max: MAX_KNOWN, ttl: KEEP_MS })
  const keys = new LRUCache<string, oc.ExportedJWKSCache>({ max: MAX_KNOWN, ttl: KEEP_MS })
  const plainOrigins = new Set(
    (options.httpOrigins ?? []).filter((one) => URL.canParse(one)).map((one) => new URL(one).origin),
  )

  const isUsable = (text: string): boolean => {
    if (!URL.canParse(text)) return false
    const url = new URL(text)
    if (url.username !== '' || url.password !== '' || url.hash !== '') return false
    return url.protocol === 'https:' || (url.protocol === 'http:' && plainOrigins.has(url.origin))
  }

  const discover: Issuers['discover'] = async (issuer) => {
    const known = documents.get(issuer)
    if (known !== undefined) return { kind: 'found', document: known }
    if (!isUsable(issuer) || new URL(issuer).search !== '') return { kind: 'failed', problem: 'issuer_invalid' }
    if (SHARED.test(issuer)) return { kind: 'failed', problem: 'issuer_shared' }
    let answer
    try {
      // The slash that Auth0 ends its issuer with is not doubled (Discovery 1.0 §4.1).
      answer = await egress.request(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, {
        headers: { accept: 'application/json' },
        timeoutMs: TIMEOUT_MS,
        maxBytes: MAX_BYTES,
      })
    } catch {
      return { kind: 'failed', problem: 'issuer_unreachable' }
    }
    if (answer.status !== 200) return { kind: 'failed', problem: 'discovery_missing', detail: `HTTP ${answer.status}` }
    const body = parseObject(answer.body)
    if (body === undefined) return { kind: 'failed', problem: 'discovery_unreadable' }
    const read = readDocument(body, issuer, isUsable)
    if (read.kind === 'found') documents.set(issuer, read.document)
    return read
  }

  /** A configuration whose only network is the egress client, and only the endpoints of this document. */
  const configure = (
    document: IssuerDocument,
    client: IssuerClient,
    onToken: (answer: TokenAnswer) => void,
  ): oc.Configuration => {
    const config = new oc.Configuration(
      {
        issuer: document.issuer,
        authorization_endpoint: document.authorization,
        token_endpoint: document.token,
        jwks_uri: document.jwks,
        ...(document.userinfo === null ? {} : { userinfo_endpoint: document.userinfo }),
        id_token_signing_alg_values_supported: [...document.algorithms],
        authorization_response_iss_parameter_supported: document.namesItself,
      },
      client.clientId,
      {
        [oc.clockSkew]: Math.round((clock.now().getTime() - Date.now()) / 1000),
        [oc.clockTolerance]: TOLERANCE_SECONDS,
      },
      document.clientAuth === 'basic'
        ? (_server, _client, _body, headers) => {
            headers.set('authorization', basicAuth(client))
          }
        : oc.ClientSecretPost(client.clientSecret.reveal()),
    )
    const urls = [document.authorization, document.token, document.jwks, document.userinfo ?? '']
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- not deprecated but marked to be noticed; whether a plain address may be used is decided by egress, origin by origin
    if (urls.some((url) => url.startsWith('http:'))) oc.allowInsecureRequests(config)
    config.timeout = undefined
    oc.enableNonRepudiationChecks(config)
    const cached = keys.get(document.jwks)
    if (cached !== undefined) oc.setJwksCache(config, structuredClone(cached))
    config[oc.customFetch] = async (url, init) => {
      const isToken = url === document.token
      if (!isToken && url !== document.jwks && url !== document.userinfo)
        return Response.json({ error: 'unexpected_endpoint' }, { status: 400 })
      if (isToken) onToken('no_answer')
      const { status, headers, body } = await egress.request(url, {
        method: isToken ? 'POST' : 'GET',
        headers: Object.fromEntries(new Headers(init.headers)),
        ...(init.body instanceof URLSearchParams ? { body: init.body.toString() } : {}),
        timeoutMs: TIMEOUT_MS,
        maxBytes: MAX_BYTES,
        ...(isToken ? { fresh: true } : {}),
      })
      if (isToken) onToken({ status, body: parseObject(body) })
      const type = headers.get('content-type') ?? 'application/json'
      return new Response(new Uint8Array(body), { status, headers: { 'content-type': type } })
    }
    return config
  }

  return {
    discover,

    async authorizationUrl(document, clientId, parameters) {
      const challenge = await oc.calculatePKCECodeChallenge(parameters.codeVerifier)
      const url = new URL(document.authorization)
      const set = (name: string, value: string) => url.searchParams.set(name, value)
      set('client_id', clientId)
      set('response_type', 'code')
      set('redirect_uri', parameters.redirectUri)
      set('scope', 'openid email profile')
      set('state', parameters.state)
      set('nonce', parameters.nonce)
      set('code_challenge', challenge)
      set('code_challenge_method', 'S256')
      if (parameters.renew) {
        // Google knows no other way to be asked (its `prompt` takes none, consent and select_account).
        set('prompt', document.issuer === GOOGLE ? 'select_account' : 'login')
        set('max_age', '0')
      }
      if (parameters.loginHint !== undefined) set('login_hint', parameters.loginHint)
      return url
    },

    async exchange(client, input) {
      const found = await discover(client.issuer)
      if (found.kind === 'failed') return found
      const { document } = found
      const callback = new URL(input.redirectUri)
      callback.search = input.search
      // Who else answers here is somebody else (RFC 9207 §2.4): nothing is sent to anybody.
      const named = callback.searchParams.get('iss')
      if (named === null ? document.namesItself : named !== document.issuer)
        return { kind: 'failed', problem: 'wrong_issuer' }
      const seen: { token: TokenAnswer } = { token: 'not_asked' }
      const config = configure(document, client, (answer) => (seen.token = answer))
      try {
        const response = await oc.authorizationCodeGrant(config, callback, {
          expectedState: input.state,
          expectedNonce: input.nonce,
          pkceCodeVerifier: input.codeVerifier,
          idTokenExpected: true,
        })
        const claims: Json = { ...response.claims() }
        // Core §3.1.3.7 asks for the authorized party wherever it is named, not only among several audiences.
        if (claims['azp'] !== undefined && claims['azp'] !== client.clientId)
          return { kind: 'failed', problem: 'wrong_audience' }
        // An issuer that does not say when it asked (Google) has at least shown its page; one that does is taken at its word.
        const asked = claims['auth_time']
        const isOld = typeof asked === 'number' && asked < clock.now().getTime() / 1000 - RENEWAL_SECONDS
        if (input.renew && isOld) return { kind: 'failed', problem: 'not_recent' }
        return await withUserinfo(config, document, response.access_token, claims)
      } catch (error) {
        return failureOf(error, seen.token)
      } finally {
        // Whatever came of it: tokens that name a key nobody has make us ask for the keys once a minute, not each time.
        const cache = oc.getJwksCache(config)
        if (cache !== undefined) keys.set(document.jwks, cache)
      }
    },

    async checkKeys(document) {
      try {
        const { status, body } = await egress.request(document.jwks, {
          headers: { accept: 'application/json' },
          timeoutMs: TIMEOUT_MS,
          maxBytes: MAX_BYTES,
        })
        const set = status === 200 ? parseObject(body) : undefined
        const listed = set?.['keys']
        const isUsableSet =
          Array.isArray(listed) && listed.some((key: unknown) => isObject(key) && key['kty'] !== 'oct')
        return isUsableSet ? undefined : 'keys_unreadable'
      } catch {
        return 'keys_unreadable'
      }
    },

    async checkClient(document, client, redirectUri) {
      const form = new URLSearchParams({
        grant_type: 'authorization_code',
        code: 'portcullis-connection-test',
        redirect_uri: redirectUri,
        code_verifier: 'portcullis-connection-test-portcullis-connection-test',
      })
      const headers: Record<string, string> = {
        accept: 'application/json',
        'content-type': 'application/x-www-form-urlencoded',
      }
      if (document.clientAuth === 'basic') headers['authorization'] = basicAuth(client)
      else {
        form.set('client_id', client.clientId)
        form.set('client_secret', client.clientSecret.reveal())
      }
      try {
        const { status, body } = await egress.request(document.token, {
          method: 'POST',
          headers,
          body: form.toString(),
          timeoutMs: TIMEOUT_MS,
          maxBytes: MAX_BYTES,
          fresh: true,
        })
        const code = textAt(parseObject(body), 'error')
        if (code === 'invalid_client' || code === 'unauthorized_client' || status === 401) return 'client_refused'
        // Who looks at the code and finds it wrong has accepted the client.
        return code === undefined ? 'token_endpoint_failed' : undefined
      } catch {
        return 'token_endpoint_failed'
      }
    },
  }
}

/** Some issuers (Okta's own server for one) leave the address out of the ID token and answer it when asked. */
async function withUserinfo(
  config: oc.Configuration,
  document: IssuerDocument,
  accessToken: string,
  claims: Json,
): Promise<Vouched> {
  const subject = textAt(claims, 'sub')
  if (claims['email'] !== undefined || document.userinfo === null || subject === undefined)
    return { kind: 'vouched', claims }
  try {
    // The subject must be the ID token's (Core §5.3.2), and nothing that the token said is replaced.
    const more = await oc.fetchUserInfo(config, accessToken, subject)
    return { kind: 'vouched', claims: { ...more, ...claims } }
  } catch {
    return { kind: 'failed', problem: 'userinfo_failed' }
  }
}

function readDocument(body: Json, asked: string, isUsable: (url: string) => boolean): Discovered {
  const issuer = textAt(body, 'issuer')
  if (issuer === undefined) return { kind: 'failed', problem: 'discovery_unreadable' }
  if (issuer.includes('{')) return { kind: 'failed', problem: 'issuer_shared' }
  // Whoever answers for another issuer answers for none (Discovery 1.0 §4.3).
  if (issuer !== asked) return { kind: 'failed', problem: 'issuer_mismatch', detail: issuer.slice(0, 300) }
  const authorization = textAt(body, 'authorization_endpoint')
  const token = textAt(body, 'token_endpoint')
  const jwks = textAt(body, 'jwks_uri')
  const userinfo = textAt(body, 'userinfo_endpoint') ?? null
  if (authorization === undefined || token === undefined || jwks === undefined)
    return { kind: 'failed', problem: 'endpoint_missing' }
  for (const url of [authorization, token, jwks, ...(userinfo === null ? [] : [userinfo])])
    if (!isUsable(url)) return { kind: 'failed', problem: 'endpoint_refused' }
  // Unnamed means RS256 (Core §15.1) and basic (Discovery 1.0 §3).
  const algorithms = textsAt(body, 'id_token_signing_alg_values_supported') ?? ['RS256']
  const signing = ASYMMETRIC.filter((name) => algorithms.includes(name))
  if (signing.length === 0) return { kind: 'failed', problem: 'algorithms_refused' }
  const methods = textsAt(body, 'token_endpoint_auth_methods_supported') ?? ['client_secret_basic']
  const clientAuth = methods.includes('client_secret_post')
    ? 'post'
    : methods.includes('client_secret_basic')
      ? 'basic'
      : undefined
  if (clientAuth === undefined) return { kind: 'failed', problem: 'client_auth_unsupported' }
  return {
    kind: 'found',
    document: {
      issuer,
      authorization,
      token,
      jwks,
      userinfo,
      clientAuth,
      algorithms: signing,
      namesItself: body['authorization_response_iss_parameter_supported'] === true,
    },
  }
}

function textsAt(body: Json, name: string): string[] | undefined {
  const value = body[name]
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : undefined
}

/** What is known of the request to the token endpoint. */
type TokenAnswer = 'not_asked' | 'no_answer' | { readonly status: number; readonly body: Json | undefined }

/** Which of the checks failed. Decided by codes and names of claims, never by words. */
function failureOf(error: unknown, token: TokenAnswer): Vouched {
  if (error instanceof oc.AuthorizationResponseError)
    return { kind: 'declined', code: /^[a-z_]{1,40}$/.test(error.error) ? error.error : 'provider_error' }
  const failed = (problem: ExchangeProblem): Vouched => ({ kind: 'failed', problem })
  const claim = claimOf(error)
  if (token === 'not_asked') return failed('callback_invalid')
  if (token === 'no_answer') return failed('token_endpoint_failed')
  if (token.status !== 200) {
    const code = textAt(token.body, 'error')
    if (code === 'invalid_client' || code === 'unauthorized_client' || token.status === 401)
      return failed('client_refused')
    return failed(code === 'invalid_grant' ? 'code_refused' : 'token_endpoint_failed')
  }
  if (textAt(token.body, 'id_token') === undefined) return failed('id_token_missing')
  switch (claim) {
    case 'iss':
      return failed('wrong_issuer')
    case 'aud':
    case 'azp':
      return failed('wrong_audience')
    case 'nonce':
      return failed('wrong_nonce')
    case 'exp':
      return failed('id_token_expired')
    default: {
      const code = codeOf(error)
      if (
        code === 'OAUTH_INVALID_SIGNATURE' ||
        code === 'OAUTH_KEY_SELECTION_FAILED' ||
        code === 'OAUTH_UNSUPPORTED_OPERATION'
      )
        return failed('signature_invalid')
      return failed('id_token_invalid')
    }
  }
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** The claim that oauth4webapi names as the cause. */
function claimOf(error: unknown): string | undefined {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 4; at = at.cause, depth += 1) {
    const { cause } = at
    if (isObject(cause) && typeof cause['claim'] === 'string') return cause['claim']
  }
  return undefined
}
