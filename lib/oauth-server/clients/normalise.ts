/**
 * From what a client says about itself to what we hold it to: registrations and metadata documents of real clients list
 * several methods, grants we do not have, and leave out what the library behind us needs.
 *
 * Redirect URIs are judged after WHATWG parsing. Accepted: https anywhere, http on this machine alone, and private-use
 * schemes that name their owner (`com.example.app`) or belong to a known desktop client. Refused with the whole request:
 * whatever a browser would run or read (`javascript:`, `data:`, …), plain http elsewhere, user names, fragments. A
 * private-use scheme nobody knows is left out, the rest is kept.
 *
 * @see RFC 7591 §2, RFC 8252 §7, RFC 9700 §4.1; OAuth Client ID Metadata Document
 * @module
 */
import { createHash } from 'node:crypto'

import { canonicalJson } from '../../audit/canonical'
import { ASSERTION_ALGORITHMS } from '../metadata'

export type ClientSource = 'document' | 'registered' | 'manual'
export type AuthMethod = 'none' | 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt'

/** The metadata we use; everything else a client says is not kept. Members are named as on the wire. */
export interface ClientWire {
  readonly client_name: string
  readonly application_type: 'native' | 'web'
  readonly redirect_uris: readonly string[]
  readonly grant_types: readonly string[]
  readonly response_types: readonly 'code'[]
  readonly token_endpoint_auth_method: AuthMethod
  readonly token_endpoint_auth_signing_alg?: string
  readonly jwks?: { readonly keys: readonly Readonly<Record<string, unknown>>[] }
  readonly jwks_uri?: string
}

export type Normalised =
  | { readonly ok: true; readonly client: ClientWire }
  | {
      readonly ok: false
      readonly error: 'invalid_redirect_uri' | 'invalid_client_metadata'
      readonly description: string
    }

export const MAX_REDIRECTS = 10
const MAX_REDIRECT_LENGTH = 2_048
const MAX_NAME = 80
const MAX_KEYS = 10

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])
/** Desktop clients whose scheme has no dot. */
const KNOWN_SCHEMES = new Set(['cursor:', 'vscode:', 'vscode-insiders:', 'windsurf:', 'zed:', 'claude:'])
const DANGEROUS =
  /^(?:javascript|vbscript|data|blob|file|about|filesystem|view-source|ftp|ws|wss|chrome|resource|intent|mailto|tel|sms):$/

/** @param host  what to call a client that has no name */
export function normaliseClient(source: ClientSource, raw: unknown, host = ''): Normalised {
  if (!isRecord(raw)) return bad('the client metadata must be a JSON object')
  const name = displayText(raw['client_name'], MAX_NAME)
  if (source === 'document') {
    if (name === undefined) return bad('client_name is missing')
    if ('client_secret' in raw || 'client_secret_expires_at' in raw)
      return bad('a document must not hold a client secret')
  }

  const redirects = normaliseRedirects(raw['redirect_uris'])
  if (!redirects.ok) return redirects

  const responseTypes = raw['response_types'] ?? ['code']
  if (!isTexts(responseTypes) || !responseTypes.includes('code')) return bad('response_types must include code')
  const grants = raw['grant_types'] ?? ['authorization_code']
  if (!isTexts(grants) || !grants.includes('authorization_code'))
    return bad('grant_types must include authorization_code')

  const keys = readKeys(raw)
  if (typeof keys === 'string') return bad(keys)
  const method = chooseMethod(source, raw, Object.keys(keys).length > 0)
  if (method === undefined) return bad('token_endpoint_auth_method is not supported for this client')
  const algorithm = raw['token_endpoint_auth_signing_alg']
  if (method === 'private_key_jwt' && algorithm !== undefined && !isAlgorithm(algorithm))
    return bad('token_endpoint_auth_signing_alg is not supported')

  return {
    ok: true,
    client: {
      client_name: name ?? displayText(host, MAX_NAME) ?? 'A client without a name',
      application_type: redirects.isNative ? 'native' : 'web',
      redirect_uris: redirects.uris,
      grant_types: ['authorization_code', ...(grants.includes('refresh_token') ? ['refresh_token'] : [])],
      response_types: ['code'],
      token_endpoint_auth_method: method,
      ...(method === 'private_key_jwt' ? keys : {}),
      ...(method === 'private_key_jwt' && isAlgorithm(algorithm) ? { token_endpoint_auth_signing_alg: algorithm } : {}),
    },
  }
}

/** The digest of what a person approved: when it changes they are asked again. */
export function clientDigest(client: ClientWire): Buffer {
  const { client_name, application_type, redirect_uris, token_endpoint_auth_method, jwks, jwks_uri } = client
  const material = {
    client_name,
    application_type,
    redirect_uris: redirect_uris.toSorted(),
    token_endpoint_auth_method,
    jwks,
    jwks_uri,
  }
  return createHash('sha256').update(canonicalJson(material), 'utf8').digest()
}

/** True when every way back to the client leads to the person's own machine, where any program can listen. */
export function isLocalOnly(redirectUris: readonly string[]): boolean {
  return redirectUris.every((uri) => URL.canParse(uri) && new URL(uri).protocol !== 'https:')
}

/**
 * Text of a stranger as it may be shown: one line, no control, zero-width or direction characters, cut to a length.
 *
 * @returns undefined when nothing is left
 * @see Unicode Technical Report 36 §3.1
 */
export function displayText(value: unknown, maxLength: number): string | undefined {
  if (typeof value !== 'string') return undefined
  const text = value
    .slice(0, 4_096)
    .normalize('NFKC')
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .replace(/[\p{Cf}\p{Co}\p{Cs}\p{Cn}]/gu, '')
    // A pile of combining marks reaches over what stands beside it.
    .replace(/(\p{M}{3})\p{M}+/gu, '$1')
    .trim()
  const cut = Array.from(text).slice(0, maxLength).join('').trim()
  return cut === '' ? undefined : cut
}

type Redirects =
  | { readonly ok: true; readonly uris: readonly string[]; readonly isNative: boolean }
  | Extract<Normalised, { ok: false }>

function normaliseRedirects(value: unknown): Redirects {
  if (!isTexts(value) || value.length === 0) return badRedirect('redirect_uris must be a list of URIs')
  if (value.length > MAX_REDIRECTS) return badRedirect(`at most ${MAX_REDIRECTS} redirect URIs are taken`)
  const web: string[] = []
  const native: string[] = []
  for (const uri of value) {
    const judged = judgeRedirect(uri)
    if (judged.kind === 'refused') return badRedirect(judged.reason)
    if (judged.kind === 'web') web.push(uri)
    if (judged.kind === 'private') native.push(uri)
    // A loopback address without a path and one with a bare slash are the same to those who send them.
    if (judged.kind === 'loopback') native.push(uri, ...(judged.hasNoPath ? [`${uri}/`] : []))
  }
  const uris = [...new Set([...native, ...web])]
  if (uris.length === 0) return badRedirect('none of the redirect URIs can be used')
  return { ok: true, uris, isNative: native.length > 0 }
}

type Judged =
  | { readonly kind: 'web' | 'private' | 'unknown' }
  | { readonly kind: 'loopback'; readonly hasNoPath: boolean }
  | { readonly kind: 'refused'; readonly reason: string }

export function judgeRedirect(uri: string): Judged {
  if (uri.length > MAX_REDIRECT_LENGTH) return refused('a redirect URI is too long')
  // A browser drops tabs and newlines and turns backslashes round: what is compared would not be where it goes.
  if (/[^\x21-\x7e]|\\/.test(uri) || !URL.canParse(uri)) return refused('a redirect URI is not a URI')
  const { protocol, hostname, username, password, pathname } = new URL(uri)
  if (DANGEROUS.test(protocol)) return refused('a redirect URI has a scheme that is not allowed')
  if (uri.includes('#')) return refused('a redirect URI must not have a fragment')
  const authority = /^[^:]+:\/\/([^/?]*)/.exec(uri)?.[1] ?? ''
  if (username !== '' || password !== '' || authority.includes('@'))
    return refused('a redirect URI must not have a user name')
  if (authority.includes('*')) return refused('a redirect URI must not have a wildcard')
  if (protocol === 'https:') {
    // Nobody can hold a certificate for it, and a client that means this machine says http.
    return LOOPBACK.has(hostname) ? { kind: 'unknown' } : { kind: 'web' }
  }
  if (protocol === 'http:') {
    if (!LOOPBACK.has(hostname)) return refused('http is allowed for redirect URIs on this machine alone')
    return { kind: 'loopback', hasNoPath: pathname === '/' && /^http:\/\/[^/?]+$/i.test(uri) }
  }
  return KNOWN_SCHEMES.has(protocol) || protocol.includes('.') ? { kind: 'private' } : { kind: 'unknown' }
}

/** The declared method when it is one we have; else the strongest of those it lists; else what the source implies. */
function chooseMethod(
  source: ClientSource,
  raw: Readonly<Record<string, unknown>>,
  hasKeys: boolean,
): AuthMethod | undefined {
  const usable = (method: unknown): method is AuthMethod => {
    switch (method) {
      case 'none':
        return true
      case 'private_key_jwt':
        return hasKeys
      case 'client_secret_basic':
      case 'client_secret_post':
        return source !== 'document' // a secret that anybody can read is none
      default:
        return false
    }
  }
  const declared = raw['token_endpoint_auth_method']
  if (declared !== undefined) {
    if (usable(declared)) return declared
    if (source === 'document' && typeof declared === 'string' && declared.startsWith('client_secret')) return undefined
  }
  const listed = raw['token_endpoint_auth_methods_supported']
  if (isTexts(listed)) {
    for (const method of ['private_key_jwt', 'client_secret_basic', 'client_secret_post', 'none'] as const)
      if (listed.includes(method) && usable(method)) return method
    return undefined
  }
  if (declared !== undefined) return undefined
  return source === 'document' ? 'none' : 'client_secret_basic' // RFC 7591 §2
}

function readKeys(raw: Readonly<Record<string, unknown>>): Pick<ClientWire, 'jwks' | 'jwks_uri'> | string {
  const { jwks, jwks_uri: uri } = raw
  if (jwks !== undefined && uri !== undefined) return 'jwks and jwks_uri exclude each other'
  if (uri !== undefined) {
    if (typeof uri !== 'string' || uri.length > MAX_REDIRECT_LENGTH || !URL.canParse(uri))
      return 'jwks_uri is not a URL'
    const { protocol, username, password } = new URL(uri)
    return protocol === 'https:' && username === '' && password === '' ? { jwks_uri: uri } : 'jwks_uri must be https'
  }
  if (jwks === undefined) return {}
  if (!isRecord(jwks) || !Array.isArray(jwks['keys']) || jwks['keys'].length > MAX_KEYS) return 'jwks is not a key set'
  const keys: unknown[] = jwks['keys']
  return keys.every((key): key is Record<string, unknown> => isRecord(key) && !('d' in key) && key['kty'] !== 'oct')
    ? { jwks: { keys } }
    : 'jwks must hold public keys alone'
}

const isAlgorithm = (value: unknown): value is string => ASSERTION_ALGORITHMS.some((one) => one === value)
const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.length <= 64 && value.every((one) => typeof one === 'string')
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const refused = (reason: string): Judged => ({ kind: 'refused', reason })
const bad = (description: string): Extract<Normalised, { ok: false }> => ({
  ok: false,
  error: 'invalid_client_metadata',
  description,
})
const badRedirect = (description: string): Extract<Normalised, { ok: false }> => ({
  ok: false,
  error: 'invalid_redirect_uri',
  description,
})
