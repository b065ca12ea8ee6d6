/**
 * From an authorization request that was found valid to a redirect that answers it: choose an account, see what is asked,
 * allow or refuse. A request lives ten minutes and ends with its first decision.
 *
 * @module
 */
import type { Control } from '@/sandbox/core/control'
import { html, type Incoming, redirect, type Reply } from '@/sandbox/core/http'
import { type Ledger, type Provider, random } from '@/sandbox/core/ledger'
import { accountPage, consentPage, type Person, problemPage, type ScopeLine } from '@/sandbox/core/pages'

export interface AuthorizationRequest {
  readonly redirectUri: string
  readonly state: string | undefined
  readonly scopes: readonly string[]
  readonly challenge: string | undefined
  readonly nonce?: string | undefined
  /** A refresh token is wanted. */
  readonly offline: boolean
  readonly flow: string
  /** Preselects an account and skips the chooser. */
  readonly account?: string | undefined
}

export interface ConsentRules {
  readonly provider: Provider
  readonly appName: string
  readonly issuer: string | undefined
  readonly people: readonly Person[]
  readonly describe: (scope: string) => { words: string; optional: boolean }
  /** Has this person allowed exactly this before, so that the page is skipped? */
  readonly isKnown: (userId: string, request: AuthorizationRequest) => boolean
  readonly accumulateScopes: boolean
  /** The error parameters of a refusal, in this provider's words. */
  readonly refusal: Readonly<Record<string, string>>
  /** Further callback parameters of a success. */
  readonly success: (userId: string, scopes: readonly string[]) => Readonly<Record<string, string | undefined>>
}

const REQUEST_LIFETIME_MS = 10 * 60_000
const MAX_PENDING = 10_000

interface Pending {
  readonly request: AuthorizationRequest
  readonly expiresAt: number
  accountId: string | undefined
}

export class ConsentDesk {
  readonly #rules: ConsentRules
  readonly #ledger: Ledger
  readonly #control: Control
  readonly #pending = new Map<string, Pending>()

  constructor(rules: ConsentRules, ledger: Ledger, control: Control) {
    this.#rules = rules
    this.#ledger = ledger
    this.#control = control
  }

  /** The first page for a valid request. */
  open(request: AuthorizationRequest): Reply {
    const id = random('', 24)
    if (this.#pending.size >= MAX_PENDING) this.#pending.clear()
    const expiresAt = this.#control.clock.nowMs() + REQUEST_LIFETIME_MS
    this.#pending.set(id, { request, expiresAt, accountId: undefined })
    const { provider, appName, people } = this.#rules
    if (people.some((person) => person.id === request.account)) return this.#choose(id, request.account ?? '')
    return html(200, accountPage(provider, appName, id, people))
  }

  /** The forms of the pages. Undefined when the path is not one of them. */
  handle(request: Incoming): Reply | undefined {
    if (request.path !== '/sandbox/account' && request.path !== '/sandbox/decision') return undefined
    if (request.method !== 'POST') return { status: 405, headers: { allow: 'POST' }, body: 'Method Not Allowed' }
    const fields = new URLSearchParams(request.body.toString('utf8'))
    const id = fields.get('request') ?? ''
    if (request.path === '/sandbox/account') return this.#choose(id, fields.get('account') ?? '')
    return this.#decide(id, fields.get('decision'), fields.getAll('scope'))
  }

  #choose(id: string, accountId: string): Reply {
    const pending = this.#find(id)
    const person = this.#rules.people.find((candidate) => candidate.id === accountId)
    if (pending === undefined || person === undefined) return this.#gone()
    pending.accountId = person.id
    const { provider, appName, describe, isKnown } = this.#rules
    const { request } = pending
    if (isKnown(person.id, request)) return this.#allow(id, pending, person.id, request.scopes)
    const lines: ScopeLine[] = request.scopes.map((scope) => ({ scope, ...describe(scope) }))
    return html(200, consentPage(provider, appName, id, person, lines, new URL(request.redirectUri).host))
  }

  #decide(id: string, decision: string | null, ticked: readonly string[]): Reply {
    const pending = this.#find(id)
    if (pending?.accountId === undefined) return this.#gone()
    const { request } = pending
    if (decision !== 'allow') {
      this.#pending.delete(id)
      return redirect(request.redirectUri, { ...this.#rules.refusal, state: request.state, iss: this.#iss() })
    }
    const { describe } = this.#rules
    const scopes = request.scopes.filter((scope) => !describe(scope).optional || ticked.includes(scope))
    return this.#allow(id, pending, pending.accountId, scopes)
  }

  #allow(id: string, { request }: Pending, userId: string, scopes: readonly string[]): Reply {
    this.#pending.delete(id)
    const grant = this.#ledger.authorize(userId, scopes, this.#rules.accumulateScopes)
    const { redirectUri, challenge, nonce, offline, flow, state } = request
    const code = this.#ledger.issueCode({ grantId: grant.id, redirectUri, challenge, nonce, offline, scopes, flow })
    return redirect(redirectUri, { code: code.value, state, ...this.#rules.success(userId, scopes), iss: this.#iss() })
  }

  #iss(): string | undefined {
    return this.#rules.issuer === undefined ? undefined : this.#control.iss(this.#rules.provider, this.#rules.issuer)
  }

  #find(id: string): Pending | undefined {
    const pending = this.#pending.get(id)
    return pending !== undefined && pending.expiresAt > this.#control.clock.nowMs() ? pending : undefined
  }

  #gone(): Reply {
    return html(
      400,
      problemPage(this.#rules.provider, 'expired_request', 'This request has ended. Start again in the app.'),
    )
  }
}
