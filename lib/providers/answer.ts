/**
 * What a token endpoint's answer means: read from the parsed body first, then from the status, never from prose.
 *
 * Only a code of the provider's documented list is permanent. What cannot be read never is: a captive portal, a firewall
 * page and a truncated answer say nothing about the grant. Pure.
 *
 * @see RFC 6749 §5.1 and §5.2
 * @module
 */
import type { ProviderDefinition } from './definition'
import type { TokenFailure } from './client'

/** An answer as it came, before anybody believed it. */
export interface RawAnswer {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
}

/** A successful answer in the words of RFC 6749, whatever the dialect. */
export interface TokenWire {
  readonly access_token: string
  readonly token_type: string
  readonly refresh_token?: string
  readonly expires_in?: number
  readonly refresh_token_expires_in?: number
  readonly scope?: string
  readonly id_token?: string
}

export type ParsedAnswer =
  | { readonly kind: 'issued'; readonly wire: TokenWire; readonly whole: Readonly<Record<string, unknown>> }
  | TokenFailure

const MAX_TOKEN_LENGTH = 16_384
const MAX_RETRY_AFTER_SECONDS = 3_600
const UTF8 = new TextDecoder('utf-8', { fatal: true }) // drops a byte order mark, refuses other charsets

export function parseAnswer(definition: ProviderDefinition, answer: RawAnswer, now: Date): ParsedAnswer {
  const { status, headers } = answer
  const retryAfter = retryAfterSeconds(headers.get('retry-after'), now)
  const later = retryAfter === undefined ? {} : { retryAfterSeconds: retryAfter }
  const weather = (code: string): TokenFailure => ({ kind: 'weather', code, ...later })
  const faulted = (code: string): TokenFailure => ({ kind: 'unknown_outcome', code, answered: true, ...later })
  const whole = parseObject(answer.body)
  // The provider says of itself that it did not serve the request; a body beside that says nothing more.
  if (status === 429) return weather('rate_limited')
  if (status === 503) return weather('http_503')
  if (status >= 500) return faulted(`http_${status}`)
  if (whole === undefined) {
    // A page in place of JSON is from somebody between us and the provider. A broken or empty success may be the real one.
    if (looksLikeHtml(answer)) return weather('html')
    if (status >= 200 && status < 300) return { kind: 'unknown_outcome', code: 'unreadable_answer' }
    return weather(`http_${status}`)
  }
  const error = errorCode(definition, whole)
  if (error !== undefined) {
    const { permanent, appFault, weather: passing, unknown } = definition.tokenErrors
    const subtype = typeof whole['error_subtype'] === 'string' ? codeOf(whole['error_subtype']) : undefined
    if (permanent.includes(error))
      return { kind: 'permanent', code: subtype !== undefined && permanent.includes(subtype) ? subtype : error }
    if (appFault.includes(error)) return { kind: 'app_fault', code: error }
    if (passing.includes(error)) return weather(error)
    if (unknown.includes(error)) return faulted(error)
    return { kind: 'rejected', code: error, status }
  }
  if (status < 200 || status >= 300) return { kind: 'rejected', code: `http_${status}`, status }
  const wire = readTokens(definition, whole)
  return wire === undefined ? { kind: 'unknown_outcome', code: 'no_token' } : { kind: 'issued', wire, whole }
}

/** The provider's own code when the body is a refusal in its dialect. */
function errorCode(definition: ProviderDefinition, whole: Readonly<Record<string, unknown>>): string | undefined {
  if (definition.dialect === 'slack') {
    if (whole['ok'] === true) return undefined
    return typeof whole['error'] === 'string'
      ? codeOf(whole['error'])
      : whole['ok'] === false
        ? 'unknown_error'
        : undefined
  }
  return typeof whole['error'] === 'string' ? codeOf(whole['error']) : undefined
}

/** A code is logged, stored and branched on, so it must be one. */
function codeOf(error: string): string {
  return /^[A-Za-z0-9_.-]{1,64}$/.test(error) ? error : 'unknown_error'
}

function readTokens(definition: ProviderDefinition, whole: Readonly<Record<string, unknown>>): TokenWire | undefined {
  const nested = whole['authed_user']
  const fields =
    definition.dialect === 'slack' && isObject(nested) && typeof nested['access_token'] === 'string' ? nested : whole
  const accessToken = token(fields['access_token'])
  if (accessToken === undefined) return undefined
  const type = typeof fields['token_type'] === 'string' ? fields['token_type'].toLowerCase() : undefined
  // Slack names the owner instead of the scheme. A bot's token would act as the app, not as the person who consented.
  const expected = definition.dialect === 'slack' ? ['user', 'bearer'] : ['bearer']
  if (type !== undefined && !expected.includes(type)) return undefined
  const refreshToken = token(fields['refresh_token'])
  const expiresIn = seconds(fields['expires_in'])
  const refreshExpiresIn = seconds(fields['refresh_token_expires_in'])
  const idToken = token(fields['id_token'])
  return {
    access_token: accessToken,
    token_type: 'bearer',
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    ...(expiresIn === undefined ? {} : { expires_in: expiresIn }),
    ...(refreshExpiresIn === undefined ? {} : { refresh_token_expires_in: refreshExpiresIn }),
    ...(typeof fields['scope'] === 'string' ? { scope: fields['scope'] } : {}),
    ...(idToken === undefined ? {} : { id_token: idToken }),
  }
}

/** Visible ASCII alone: it goes into a header one day (RFC 6750 §2.1). */
function token(value: unknown): string | undefined {
  return typeof value === 'string' && value.length <= MAX_TOKEN_LENGTH && /^[\x21-\x7e]+$/.test(value)
    ? value
    : undefined
}

/** Number or numeric string; undefined when it is neither or not positive, so that a default applies. */
function seconds(value: unknown): number | undefined {
  const number =
    typeof value === 'number' ? value : typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : NaN
  return Number.isFinite(number) && number > 0 ? Math.floor(number) : undefined
}

/** Seconds or a date, never in the past and never beyond an hour: a wrong header may not park a connection for years. */
export function retryAfterSeconds(value: string | null, now: Date): number | undefined {
  if (value === null) return undefined
  const text = value.trim()
  const wait = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : (Date.parse(text) - now.getTime()) / 1000
  if (Number.isNaN(wait)) return undefined
  return Math.min(Math.max(Math.ceil(wait), 1), MAX_RETRY_AFTER_SECONDS)
}

export function parseObject(body: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(UTF8.decode(body))
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function looksLikeHtml({ headers, body }: RawAnswer): boolean {
  const start = body
    .subarray(0, 256)
    .toString('latin1')
    .replace(/^[^\x21-\x7e]+/, '')
  return start.startsWith('<') || (headers.get('content-type') ?? '').toLowerCase().startsWith('text/html')
}
