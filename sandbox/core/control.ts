/**
 * The hand that tests hold: faults to come, counts of what came, and the provider's own side of a revocation. The product
 * never sees any of it.
 *
 * @module
 */
import { gzipSync } from 'node:zlib'

import type { VirtualClock } from '@/sandbox/core/clock'
import type { Incoming, Reply } from '@/sandbox/core/http'
import { isRecord, json, JSON_TYPE, parseJson } from '@/sandbox/core/http'
import type { AccessState, Ledger, Provider, RotationMode, Token } from '@/sandbox/core/ledger'

export type FaultTarget = 'token' | 'api' | 'revoke'

/** What goes wrong. The first group strikes before anything is committed, the second after. */
export type FaultKind =
  | { readonly kind: 'error_500' }
  | { readonly kind: 'html_502' }
  | { readonly kind: 'rate_limited'; readonly retryAfterS: number }
  | { readonly kind: 'error'; readonly status: number; readonly body: unknown }
  | { readonly kind: 'reset_before' }
  | { readonly kind: 'reset_after' }
  | { readonly kind: 'delay'; readonly ms: number }
  /** Commits, then answers only when `release()` is called: the response that is lost or late. */
  | { readonly kind: 'hold' }
  | { readonly kind: 'expires_in'; readonly as: 'string' | 'missing' | 'zero' }
  | { readonly kind: 'refresh_token'; readonly as: 'missing' | 'null' }
  | { readonly kind: 'scope'; readonly value: string }
  | { readonly kind: 'form_encoded' }
  | { readonly kind: 'gzip_bomb'; readonly bytes: number }
  | { readonly kind: 'huge'; readonly bytes: number }
  | { readonly kind: 'drip'; readonly pauseMs: number }
  /** An API answer that gives the caller's bearer back. */
  | { readonly kind: 'echo_authorization'; readonly where: 'body' | 'header' | 'error' }

export interface Fault {
  readonly provider: Provider
  readonly target: FaultTarget
  /** How many requests it strikes; one when absent. */
  readonly times?: number
  readonly fault: FaultKind
}

export interface Counters {
  tokenCalls: number
  refreshCalls: number
  /** By refresh token, as presented. */
  refreshCallsByToken: Record<string, number>
  reuse: number
  tokenInflight: number
  tokenMaxInflight: number
  revokeCalls: number
  apiCalls: number
  apiCallsByToken: Record<AccessState | 'none', number>
  /** Calls answered with the provider's "no such or no good token". */
  apiUnauthorized: number
  apiMaxInflight: number
  apiInflight: number
}

const BEFORE = new Set(['error_500', 'html_502', 'rate_limited', 'error', 'reset_before'])
const MAX_COUNTED_TOKENS = 50_000

const zero = (): Counters => ({
  tokenCalls: 0,
  refreshCalls: 0,
  refreshCallsByToken: {},
  reuse: 0,
  tokenInflight: 0,
  tokenMaxInflight: 0,
  revokeCalls: 0,
  apiCalls: 0,
  apiCallsByToken: { valid: 0, expired: 0, revoked: 0, unknown: 0, none: 0 },
  apiUnauthorized: 0,
  apiMaxInflight: 0,
  apiInflight: 0,
})

export class Control {
  readonly clock: VirtualClock
  readonly ledgers: Readonly<Record<Provider, Ledger>>
  readonly #faults: { fault: Fault; left: number }[] = []
  readonly #counters: Record<Provider, Counters> = { google: zero(), github: zero(), slack: zero() }
  readonly #held: (() => void)[] = []
  readonly #arrivals: (() => void)[] = []
  /** What the callback's `iss` says: the provider's own, something else, or nothing. */
  readonly #iss = new Map<Provider, 'right' | 'wrong' | 'absent'>()

  constructor(clock: VirtualClock, ledgers: Readonly<Record<Provider, Ledger>>) {
    this.clock = clock
    this.ledgers = ledgers
  }

  advance(milliseconds: number): void {
    this.clock.advance(milliseconds)
  }

  setLifetimes(provider: Provider, lifetimes: { accessS?: number | null; refreshS?: number | null }): void {
    const { policy } = this.ledgers[provider]
    if (lifetimes.accessS !== undefined) policy.accessLifetimeS = lifetimes.accessS ?? undefined
    if (lifetimes.refreshS !== undefined) policy.refreshLifetimeS = lifetimes.refreshS ?? undefined
  }

  setRotation(provider: Provider, rotation: RotationMode): void {
    this.ledgers[provider].policy.rotation = rotation
  }

  setIss(provider: Provider, iss: 'right' | 'wrong' | 'absent'): void {
    this.#iss.set(provider, iss)
  }

  /** The `iss` parameter of the next callbacks. */
  iss(provider: Provider, issuer: string): string | undefined {
    const mode = this.#iss.get(provider) ?? 'right'
    return mode === 'right' ? issuer : mode === 'wrong' ? 'https://attacker.example' : undefined
  }

  inject(fault: Fault): void {
    this.#faults.push({ fault, left: fault.times ?? 1 })
  }

  clearFaults(): void {
    this.#faults.length = 0
    this.release()
  }

  /** Lets every held answer go. */
  release(): number {
    const held = this.#held.splice(0)
    for (const go of held) go()
    return held.length
  }

  /** Resolves when `count` answers are held: the moment at which their effect is committed and nobody knows it yet. */
  async whenHeld(count = 1): Promise<void> {
    while (this.#held.length < count) {
      await new Promise<void>((resolve) => {
        this.#arrivals.push(resolve)
      })
    }
  }

  counters(provider: Provider): Counters {
    const counters = this.#counters[provider]
    counters.reuse = this.ledgers[provider].reuse
    return structuredClone(counters)
  }

  resetCounters(): void {
    for (const provider of ['google', 'github', 'slack'] as const) {
      const { tokenInflight, apiInflight } = this.#counters[provider]
      this.#counters[provider] = { ...zero(), tokenInflight, apiInflight }
      this.ledgers[provider].reuse = 0
    }
  }

  journal(provider: Provider): Token[] {
    return structuredClone(this.ledgers[provider].journal())
  }

  /** The person removes the app at the provider, or an administrator does. */
  revoke(provider: Provider, what: { token: string } | { userId: string }): boolean {
    const ledger = this.ledgers[provider]
    if ('token' in what) return ledger.revokeToken(what.token)
    const grant = ledger.liveGrant(what.userId)
    if (grant === undefined) return false
    ledger.revokeGrant(grant.id)
    return true
  }

  countRefresh(provider: Provider, refreshToken: string): void {
    const counters = this.#counters[provider]
    counters.refreshCalls += 1
    if (Object.keys(counters.refreshCallsByToken).length >= MAX_COUNTED_TOKENS) return
    counters.refreshCallsByToken[refreshToken] = (counters.refreshCallsByToken[refreshToken] ?? 0) + 1
  }

  countApiToken(provider: Provider, state: AccessState | 'none'): void {
    const counters = this.#counters[provider]
    counters.apiCallsByToken[state] += 1
    if (state !== 'valid') counters.apiUnauthorized += 1
  }

  /** Runs one request with its counts and the fault that is due, if one is. */
  async through(
    provider: Provider,
    target: FaultTarget,
    request: Incoming,
    handle: () => Promise<Reply>,
  ): Promise<Reply> {
    const counters = this.#counters[provider]
    this.#enter(counters, target)
    try {
      const fault = this.#take(provider, target)
      if (fault !== undefined && BEFORE.has(fault.kind)) return refuse(provider, target, fault)
      const reply = await handle()
      return fault === undefined ? reply : await this.#strike(fault, request, reply)
    } finally {
      const current = this.#counters[provider] // counters may have been reset meanwhile
      if (target === 'token') current.tokenInflight -= 1
      if (target === 'api') current.apiInflight -= 1
    }
  }

  #enter(counters: Counters, target: FaultTarget): void {
    if (target === 'token') {
      counters.tokenCalls += 1
      counters.tokenInflight += 1
      counters.tokenMaxInflight = Math.max(counters.tokenMaxInflight, counters.tokenInflight)
    } else if (target === 'api') {
      counters.apiCalls += 1
      counters.apiInflight += 1
      counters.apiMaxInflight = Math.max(counters.apiMaxInflight, counters.apiInflight)
    } else counters.revokeCalls += 1
  }

  #take(provider: Provider, target: FaultTarget): FaultKind | undefined {
    const due = this.#faults.find((f) => f.left > 0 && f.fault.provider === provider && f.fault.target === target)
    if (due === undefined) return undefined
    due.left -= 1
    if (due.left === 0) this.#faults.splice(this.#faults.indexOf(due), 1)
    return due.fault.fault
  }

  async #strike(fault: FaultKind, request: Incoming, reply: Reply): Promise<Reply> {
    switch (fault.kind) {
      case 'delay':
        await new Promise((resolve) => setTimeout(resolve, fault.ms))
        return reply
      case 'hold':
        await new Promise<void>((resolve) => {
          this.#held.push(resolve)
          for (const arrived of this.#arrivals.splice(0)) arrived()
        })
        return reply
      case 'reset_after':
        return { ...reply, delivery: { kind: 'reset' } }
      case 'drip':
        return { ...reply, delivery: { kind: 'drip', pauseMs: fault.pauseMs } }
      case 'huge':
        return { status: 200, headers: { 'content-type': JSON_TYPE }, body: `{"padding":"${'x'.repeat(fault.bytes)}"}` }
      case 'gzip_bomb':
        return {
          status: 200,
          headers: { 'content-type': JSON_TYPE, 'content-encoding': 'gzip' },
          body: gzipSync(`{"padding":"${'x'.repeat(fault.bytes)}"}`),
        }
      case 'form_encoded':
        return formEncoded(reply)
      case 'expires_in':
      case 'refresh_token':
      case 'scope':
        return altered(reply, fault)
      case 'echo_authorization':
        return echoed(reply, fault.where, request.headers.authorization ?? '')
      default:
        return reply
    }
  }
}

/** What each provider says when it is asked too often; at their token endpoints they say it in OAuth's shape. */
function tooMany(provider: Provider, target: FaultTarget): unknown {
  if (target === 'token')
    return provider === 'slack' ? { ok: false, error: 'ratelimited' } : { error: 'rate_limit_exceeded' }
  const message = 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.'
  if (provider === 'github')
    return { message, documentation_url: 'https://docs.github.com/rest/rate-limit', status: '429' }
  if (provider === 'slack') return { ok: false, error: 'ratelimited' }
  const errors = [{ message: 'Rate Limit Exceeded', domain: 'usageLimits', reason: 'rateLimitExceeded' }]
  return {
    error: {
      code: 429,
      message: 'Resource has been exhausted (e.g. check quota).',
      errors,
      status: 'RESOURCE_EXHAUSTED',
    },
  }
}

function refuse(provider: Provider, target: FaultTarget, fault: FaultKind): Reply {
  switch (fault.kind) {
    case 'error':
      return json(fault.status, fault.body)
    case 'html_502':
      return {
        status: 502,
        headers: { 'content-type': 'text/html' },
        body: '<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>',
      }
    case 'rate_limited':
      return json(429, tooMany(provider, target), { 'retry-after': String(fault.retryAfterS) })
    case 'reset_before':
      return { status: 500, delivery: { kind: 'reset' } }
    default:
      return json(500, { error: 'internal_failure' })
  }
}

/** Changes a field wherever the three dialects put it: at the top, and in Slack's `authed_user`. */
function altered(reply: Reply, fault: FaultKind): Reply {
  const body = parseJson(reply.body ?? '')
  if (!isRecord(body)) return reply
  const alter = (set: Record<string, unknown>): void => {
    if (!('access_token' in set)) return
    if (fault.kind === 'expires_in') {
      if (fault.as === 'missing') delete set['expires_in']
      else set['expires_in'] = fault.as === 'zero' ? 0 : String(set['expires_in'])
    } else if (fault.kind === 'refresh_token') {
      if (fault.as === 'missing') delete set['refresh_token']
      else set['refresh_token'] = null
    } else if (fault.kind === 'scope') set['scope'] = fault.value
  }
  alter(body)
  if (isRecord(body['authed_user'])) alter(body['authed_user'])
  return { ...reply, body: JSON.stringify(body) }
}

function formEncoded(reply: Reply): Reply {
  const body = parseJson(reply.body ?? '')
  if (!isRecord(body)) return reply
  const fields = Object.entries(body).map(([key, value]): [string, string] => [key, String(value)])
  return {
    ...reply,
    headers: { ...reply.headers, 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
    body: new URLSearchParams(fields).toString(),
  }
}

const PROSE = new Set(['description', 'body', 'text', 'snippet', 'summary', 'title', 'name', 'message', 'bio'])

/** @param authorization the whole header value; the bearer alone is put into prose, as a careless API would. */
export function echoed(reply: Reply, where: 'body' | 'header' | 'error', authorization: string): Reply {
  const bearer = authorization.replace(/^\S+\s+/, '')
  if (where === 'header') return { ...reply, headers: { ...reply.headers, 'x-request-authorization': authorization } }
  if (where === 'error') {
    return json(400, {
      ok: false,
      error: `rejected ${bearer}`,
      message: `Invalid request: Authorization ${authorization}`,
    })
  }
  const body = parseJson(reply.body ?? '')
  const put = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(put)
    if (!isRecord(value)) return value
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [
        key,
        PROSE.has(key) && (typeof item === 'string' || item === null) ? `${item ?? ''} ${bearer}` : put(item),
      ]),
    )
  }
  return body === undefined ? reply : { ...reply, body: JSON.stringify(put(body)) }
}
