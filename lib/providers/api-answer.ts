/**
 * What an answer of a provider's API means, and what to tell the agent. The body itself is never passed on: it may
 * quote the request, and it was not written for whoever reads it here. Codes that providers document are.
 *
 * @module
 */
export interface ApiAnswer {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  /** Undefined when the body is not JSON. */
  readonly json: unknown
}

export type ApiVerdict =
  /** `status` is the provider's own, or the one its body amounts to. */
  | { readonly kind: 'ok' }
  /** The access token was not accepted; nothing was done. */
  | { readonly kind: 'unauthorized'; readonly code: string; readonly documented?: 'expired' | 'revoked' }
  /** The grant does not cover this. `needed` when the provider says what would. */
  | { readonly kind: 'scope'; readonly code: string; readonly needed: readonly string[] }
  | { readonly kind: 'rate_limited'; readonly code: string; readonly retryAfterSeconds: number }
  | { readonly kind: 'refused'; readonly code: string; readonly status: number; readonly text: string }
  /** The provider is unwell. Whether a write was carried out is unknown. */
  | { readonly kind: 'unavailable'; readonly code: string }

export type JudgeApi = (answer: ApiAnswer, now: Date) => ApiVerdict

export const OK: ApiVerdict = { kind: 'ok' }

export const isSuccess = (status: number) => status >= 200 && status < 300

export const unexpected = (): ApiVerdict => ({ kind: 'unavailable', code: 'unexpected_answer' })

export function refused(code: string, status: number, text: string): ApiVerdict {
  return { kind: 'refused', code, status, text }
}

/** What is left when a status says it all. */
export function fallback(name: string, status: number): ApiVerdict {
  if (status >= 500 || status === 408) return { kind: 'unavailable', code: `http_${status}` }
  return refused(`http_${status}`, status, `${name} refused this (HTTP ${status}).`)
}

/** Reads statuses as RFC 9110 and RFC 6750 §3.1 mean them, for providers without words of their own that matter. */
export function judgeByStatus(name: string): JudgeApi {
  return ({ status, headers, json }, now) => {
    if (isSuccess(status)) return status === 204 || json !== undefined ? OK : unexpected()
    if (status === 401) return { kind: 'unauthorized', code: 'unauthenticated' }
    if (status === 429)
      return {
        kind: 'rate_limited',
        code: 'rate_limit',
        retryAfterSeconds: waitSeconds(headers.get('retry-after'), now) ?? 30,
      }
    if (status === 403 && /\berror="?insufficient_scope\b/.test(headers.get('www-authenticate') ?? ''))
      return { kind: 'scope', code: 'insufficient_scope', needed: [] }
    if (status === 403) return refused('forbidden', status, `${name} does not allow the connected account to do this.`)
    if (status === 404)
      return refused('not_found', status, `${name} has nothing there, or the connected account cannot see it.`)
    return fallback(name, status)
  }
}

/** A documented code is one short word; anything else is not repeated. */
export function word(value: string | undefined): string {
  return value !== undefined && /^[A-Za-z][A-Za-z_]{1,39}$/.test(value) ? value : ''
}

export function scopeList(value: string | null): string[] {
  return (value ?? '').split(/[\s,]+/).filter((name) => /^[a-z][a-z0-9_:.-]{0,63}$/.test(name))
}

const MAX_WAIT_SECONDS = 3_600

/** Seconds or an HTTP date (RFC 9110 §10.2.3). */
export function waitSeconds(value: string | null, now: Date): number | undefined {
  if (value === null) return undefined
  const seconds = /^\d{1,7}$/.test(value) ? Number(value) : (Date.parse(value) - now.getTime()) / 1_000
  return Number.isFinite(seconds) ? Math.min(Math.max(1, Math.ceil(seconds)), MAX_WAIT_SECONDS) : undefined
}

export function untilReset(headers: ApiAnswer['headers'], now: Date): number | undefined {
  const reset = headers.get('x-ratelimit-reset')
  if (reset === null || !/^\d{1,12}$/.test(reset)) return undefined
  return Math.min(Math.max(1, Number(reset) - Math.floor(now.getTime() / 1_000)), MAX_WAIT_SECONDS)
}
