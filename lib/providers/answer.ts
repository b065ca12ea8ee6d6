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
import { parseObject, type Json } from './json'

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
  | {
      readonly kind: 'issued'
      readonly wire: TokenWire
      /** A lifetime was named, and it makes no sense. */
      readonly hasOddLifetime: boolean
      readonly whole: Json
    }
  | TokenFailure

const MAX_TOKEN_LENGTH = 16_384
const MAX_RETRY_AFTER_SECONDS = 3_600

export function parseAnswer(definition: ProviderDefinition, answer: RawAnswer, now: Date): ParsedAnswer {
  const { status, headers } = answer
  const retryAfter = retryAfterSeconds(headers.get('retry-after'), now)
  const later = retryAfter === undefined ? {} : { retryAfterSeconds: retryAfter }
  const weather = (code: string): TokenFailure => ({ kind: 'weather', code, ...later })
  // Somebody answered, but it is open what was done.
  const faulted = (code: string): TokenFailure => ({ kind: 'unknown_outcome', code, answered: true, ...later })
  const whole = parseObject(answer.body)

  // The provider says of itself that it did not serve the request; a body beside that says nothing more.
  if (status === 429) return weather('rate_limited')
  if (status === 503 || status === 408 || status === 425) return weather(`http_${status}`)
  if (status >= 500) return faulted(`http_${status}`)
  // A token endpoint does not redirect; whoever does is not it, or not any more.
  if (status >= 300 && status < 400) return weather(`http_${status}`)

  if (whole === undefined) {
    // A page in place of JSON is from somebody between us and the provider. A broken or empty success may be the real one.
    if (looksLikeHtml(answer)) return weather('html')
    if (status >= 200 && status < 300) return faulted('unreadable_answer')
    return weather(`http_${status}`)
  }

  const refusal = definition.dialect.refusal(whole, status)
  const issued = readTokens(definition, whole)
  if (refusal !== undefined) {
    // Both a refusal and a token: one of them is wrong, and neither may be acted on.
    if (issued !== undefined && status >= 200 && status < 300) return faulted('contradictory_answer')
    const { permanent, appFault, weather: passing, unknown } = definition.tokenErrors
    const { code, subtype } = refusal
    if (permanent.includes(code))
      return { kind: 'permanent', code: subtype !== undefined && permanent.includes(subtype) ? subtype : code }
    if (appFault.includes(code)) return { kind: 'app_fault', code }
    if (passing.includes(code)) return weather(code)
    if (unknown.includes(code)) return faulted(code)
    return { kind: 'rejected', code: codeOf(code), status }
  }
  if (status < 200 || status >= 300) return { kind: 'rejected', code: `http_${status}`, status }
  return issued === undefined
    ? faulted('no_token')
    : { kind: 'issued', wire: issued.wire, hasOddLifetime: issued.hasOddLifetime, whole }
}

/** An undocumented word is logged, stored and branched on, so it must be one: not a sentence and not a token. */
export function codeOf(error: string): string {
  const isWord = error.length <= 48 && /^[A-Za-z]+(_[A-Za-z0-9]+)*$/.test(error)
  return isWord && (error.match(/\d/g) ?? []).length <= 4 ? error : 'unknown_error'
}

function readTokens(
  definition: ProviderDefinition,
  whole: Json,
): { readonly wire: TokenWire; readonly hasOddLifetime: boolean } | undefined {
  const { dialect } = definition
  const fields = dialect.tokens(whole)
  const accessToken = matching(fields['access_token'], BEARER)
  if (accessToken === undefined) return undefined
  const type = typeof fields['token_type'] === 'string' ? fields['token_type'].trim().toLowerCase() : undefined
  // A token of a scheme that we do not speak may not be sent as if it were a bearer (RFC 6749 §7.1).
  if (type !== undefined && type !== '' && !dialect.tokenTypes.includes(type)) return undefined
  const refreshToken = matching(fields['refresh_token'], VISIBLE)
  const expiresIn = seconds(fields['expires_in'])
  const refreshExpiresIn = seconds(fields['refresh_token_expires_in'])
  const idToken = matching(fields['id_token'], BEARER)
  const scope = scopeText(fields['scope'])
  return {
    wire: {
      access_token: accessToken,
      token_type: 'bearer',
      ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
      ...(expiresIn === undefined ? {} : { expires_in: expiresIn }),
      ...(refreshExpiresIn === undefined ? {} : { refresh_token_expires_in: refreshExpiresIn }),
      ...(scope === undefined ? {} : { scope }),
      ...(idToken === undefined ? {} : { id_token: idToken }),
    },
    hasOddLifetime: expiresIn === undefined && fields['expires_in'] !== undefined && fields['expires_in'] !== null,
  }
}

/** What goes into a header one day (RFC 6750 §2.1), and what goes into a form (RFC 6749 appendix A.17). */
const BEARER = /^[\x21-\x7e]+$/
const VISIBLE = /^[\x20-\x7e]+$/

function matching(value: unknown, allowed: RegExp): string | undefined {
  return typeof value === 'string' && value.length <= MAX_TOKEN_LENGTH && allowed.test(value) ? value : undefined
}

/** Text, or the list that some providers make of it. */
function scopeText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return Array.isArray(value) && value.every((one) => typeof one === 'string') ? value.join(' ') : undefined
}

/** Number or numeric string; undefined when it is neither or less than a second, so that a default applies. */
function seconds(value: unknown): number | undefined {
  const number =
    typeof value === 'number'
      ? value
      : typeof value === 'string' && /^\d{1,15}(\.\d{1,9})?$/.test(value.trim())
        ? Number(value)
        : NaN
  return Number.isFinite(number) && number >= 1 ? Math.floor(number) : undefined
}

/** Seconds or a date, never in the past and never beyond an hour: a wrong header may not park a connection for years. */
export function retryAfterSeconds(value: string | null, now: Date): number | undefined {
  if (value === null) return undefined
  const text = value.trim()
  const wait = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : (Date.parse(text) - now.getTime()) / 1000
  if (Number.isNaN(wait)) return undefined
  return Math.min(Math.max(Math.ceil(wait), 1), MAX_RETRY_AFTER_SECONDS)
}

function looksLikeHtml({ headers, body }: RawAnswer): boolean {
  const start = body
    .subarray(0, 256)
    .toString('latin1')
    .replace(/^[^\x21-\x7e]+/, '')
  return start.startsWith('<') || (headers.get('content-type') ?? '').toLowerCase().startsWith('text/html')
}
