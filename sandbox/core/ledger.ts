/**
 * What each provider remembers of consent: grants, one-time codes, access and refresh tokens. One implementation for the
 * three, because the differences (who rotates, what dies when) are settings; how each is *said* is the fronts' business.
 *
 * Expired is decided by the clock at the moment of use; an expiry instant is already expired.
 *
 * @module
 */
import { createHash, randomBytes } from 'node:crypto'

import type { VirtualClock } from '@/sandbox/core/clock'
import type { Store } from '@/sandbox/core/store'

export type Provider = 'google' | 'github' | 'slack'

export interface Grant {
  readonly id: string
  readonly provider: Provider
  readonly userId: string
  scopes: string[]
  revoked: boolean
}

export interface Code {
  readonly value: string
  readonly provider: Provider
  readonly grantId: string
  readonly redirectUri: string
  readonly challenge: string | undefined
  readonly nonce: string | undefined
  readonly offline: boolean
  readonly scopes: readonly string[]
  readonly expiresAt: number
  readonly flow: string
  used: boolean
}

export interface Token {
  readonly value: string
  readonly kind: 'access' | 'refresh'
  readonly provider: Provider
  readonly grantId: string
  /** Access tokens of one consent share the family: replay can kill it whole. */
  readonly family: string
  readonly scopes: readonly string[]
  readonly issuedAt: number
  expiresAt: number | undefined
  /** For a refresh token: the access token issued beside it. */
  readonly sibling: string | undefined
  readonly flow: string
  state: 'live' | 'rotated' | 'revoked'
  /** A rotated refresh token still answers until then. */
  graceUntil?: number
}

export type RotationMode =
  | { readonly mode: 'static' }
  | { readonly mode: 'grace'; readonly graceMs: number }
  | { readonly mode: 'strict' }
  | { readonly mode: 'family_revoke' }

export interface TokenPolicy {
  accessLifetimeS: number | undefined
  refreshLifetimeS: number | undefined
  rotation: RotationMode
  /** GitHub: the access token issued beside a refresh token dies when that refresh token is spent. */
  readonly oldAccessDies: boolean
  /** Slack: at most two live access tokens; the oldest goes first. */
  readonly liveAccessCap: number | undefined
  /** How many consents of one person with the same scopes live at once. */
  liveConsentCap: number
  readonly accessPrefix: (flow: string) => string
  readonly refreshPrefix: string
}

export type AccessState = 'valid' | 'expired' | 'revoked' | 'unknown'
export type CodeFailure = 'unknown' | 'used' | 'expired' | 'redirect' | 'verifier'

const CODE_LIFETIME_MS = 10 * 60_000

export interface Issued {
  readonly access: Token
  readonly refresh: Token | undefined
  readonly grant: Grant
  readonly expiresInS: number | undefined
}

export class Ledger {
  readonly provider: Provider
  readonly policy: TokenPolicy
  readonly #clock: VirtualClock
  readonly #store: Store
  /** Tokens by the consent they came from: what a refresh touches must not grow with everything ever issued. */
  readonly #families = new Map<string, Token[]>()
  /** Refresh tokens presented after they were spent and past any grace. */
  reuse = 0

  constructor(provider: Provider, policy: TokenPolicy, clock: VirtualClock, store: Store) {
    this.provider = provider
    this.policy = policy
    this.#clock = clock
    this.#store = store
    for (const token of this.journal()) this.#remember(token)
  }

  #remember(token: Token): void {
    const family = this.#families.get(token.family) ?? []
    family.push(token)
    this.#families.set(token.family, family)
  }

  /** The live grant of this user to our one client, widened by these scopes or made anew. */
  authorize(userId: string, scopes: readonly string[], accumulate: boolean): Grant {
    const found = this.liveGrant(userId)
    if (found === undefined) {
      const grant = { id: random('grant_', 12), provider: this.provider, userId, scopes: [...scopes], revoked: false }
      this.#save('grant', grant.id, grant)
      return grant
    }
    found.scopes = accumulate ? [...new Set([...found.scopes, ...scopes])] : [...scopes]
    this.#save('grant', found.id, found)
    return found
  }

  liveGrant(userId: string): Grant | undefined {
    return this.#all('grant').find((grant) => grant.userId === userId && !grant.revoked)
  }

  grant(id: string): Grant | undefined {
    return this.#find('grant', id)
  }

  issueCode(code: Omit<Code, 'value' | 'provider' | 'expiresAt' | 'used'>): Code {
    const value = this.provider === 'google' ? random('4/0A', 40) : random('', 20, 'hex')
    const issued = {
      ...code,
      value,
      provider: this.provider,
      expiresAt: this.#clock.nowMs() + CODE_LIFETIME_MS,
      used: false,
    }
    this.#save('code', value, issued)
    return issued
  }

  /**
   * Spends a code. A second use also revokes what the first one obtained: whoever replays it is not who got it.
   *
   * @see RFC 6749 §4.1.2, RFC 7636 §4.6
   */
  redeem(
    value: string,
    redirectUri: string | undefined,
    verifier: string | undefined,
    redirectRequired: boolean,
  ): Code | CodeFailure {
    const code = this.#find('code', value)
    if (code === undefined) return 'unknown'
    if (code.used) {
      this.revokeFamily(code.value)
      return 'used'
    }
    if (code.expiresAt <= this.#clock.nowMs()) return 'expired'
    if ((redirectUri !== undefined || redirectRequired) && redirectUri !== code.redirectUri) return 'redirect'
    code.used = true // a wrong verifier spends it too: there is no second guess
    this.#save('code', value, code)
    if (code.challenge === undefined ? verifier !== undefined : !verifies(verifier, code.challenge)) return 'verifier'
    return code
  }

  issue(
    from: { grantId: string; family: string; scopes: readonly string[]; flow: string },
    withRefresh: boolean,
  ): Issued {
    const grant = this.grant(from.grantId)
    if (grant === undefined) throw new Error('tokens are issued under a grant')
    const { accessLifetimeS, refreshLifetimeS, accessPrefix, refreshPrefix, liveAccessCap } = this.policy
    const now = this.#clock.nowMs()
    const { grantId, family, scopes, flow } = from
    const base = { provider: this.provider, issuedAt: now, grantId, family, scopes, flow, state: 'live' as const }
    const access: Token = {
      ...base,
      value: random(accessPrefix(flow), 30),
      kind: 'access',
      expiresAt: accessLifetimeS === undefined ? undefined : now + accessLifetimeS * 1000,
      sibling: undefined,
    }
    this.#save('token', access.value, access)
    this.#remember(access)
    let refresh: Token | undefined
    if (withRefresh) {
      refresh = {
        ...base,
        value: random(refreshPrefix, 40),
        kind: 'refresh',
        expiresAt: refreshLifetimeS === undefined ? undefined : now + refreshLifetimeS * 1000,
        sibling: access.value,
      }
      this.#save('token', refresh.value, refresh)
      this.#remember(refresh)
    }
    if (liveAccessCap !== undefined) this.#enforceCap(from.family, liveAccessCap)
    return { access, refresh, grant, expiresInS: accessLifetimeS }
  }

  /**
   * One refresh, by the rotation in force. In `grace` the spent token answers again, with a new pair, until the grace
   * ends; in `strict` never; in `family_revoke` its reuse kills everything that came from the same consent.
   *
   * @returns undefined when the provider refuses the token
   */
  refresh(value: string): Issued | undefined {
    const token = this.#find('token', value)
    const now = this.#clock.nowMs()
    if (token?.kind !== 'refresh' || token.provider !== this.provider || token.state === 'revoked') return undefined
    if (token.expiresAt !== undefined && token.expiresAt <= now) return undefined
    const { rotation, oldAccessDies } = this.policy
    if (token.state === 'rotated' && (token.graceUntil ?? 0) <= now) {
      this.reuse += 1
      if (rotation.mode === 'family_revoke') this.revokeFamily(token.family)
      return undefined
    }
    if (this.grant(token.grantId)?.revoked !== false) return undefined
    if (rotation.mode === 'static') return { ...this.issue(token, false), refresh: token }
    if (token.state === 'live') {
      token.state = 'rotated'
      token.graceUntil = rotation.mode === 'grace' ? now + rotation.graceMs : now
      this.#save('token', token.value, token)
    }
    const old = token.sibling === undefined ? undefined : this.#find('token', token.sibling)
    if (oldAccessDies && old !== undefined) this.#kill(old)
    return this.issue(token, true)
  }

  token(value: string): Token | undefined {
    const token = this.#find('token', value)
    return token?.provider === this.provider ? token : undefined
  }

  /** Why this bearer is or is not good now. */
  inspect(value: string): { state: AccessState; token: Token | undefined; grant: Grant | undefined } {
    const token = this.token(value)
    if (token?.kind !== 'access') return { state: 'unknown', token: undefined, grant: undefined }
    const grant = this.grant(token.grantId)
    const dead = token.state !== 'live' || grant?.revoked !== false
    const expired = token.expiresAt !== undefined && token.expiresAt <= this.#clock.nowMs()
    return { state: dead ? 'revoked' : expired ? 'expired' : 'valid', token, grant }
  }

  revokeToken(value: string): boolean {
    const token = this.token(value)
    if (token === undefined || token.state === 'revoked') return false
    this.#kill(token)
    return true
  }

  revokeGrant(id: string): void {
    const grant = this.grant(id)
    if (grant === undefined) return
    grant.revoked = true
    this.#save('grant', id, grant)
    for (const token of this.journal()) if (token.grantId === id) this.#kill(token)
  }

  /** Makes one token expired now, whatever its lifetime was. */
  expire(value: string): boolean {
    const token = this.token(value)
    if (token === undefined) return false
    token.expiresAt = this.#clock.nowMs()
    this.#save('token', value, token)
    return true
  }

  /** Every token ever issued and not yet forgotten, oldest first. */
  journal(): Token[] {
    return this.#all('token').filter((token) => token.provider === this.provider)
  }

  /** Kills every token that came from the same consent. */
  revokeFamily(family: string): void {
    for (const token of this.#families.get(family) ?? []) this.#kill(token)
  }

  /** Providers keep only so many consents per person and set of scopes alive: the oldest dies silently. */
  capConsents(grantId: string, scopes: readonly string[]): void {
    const cap = this.policy.liveConsentCap
    const same = JSON.stringify(scopes)
    const families = new Set<string>()
    for (const token of this.journal()) {
      if (token.grantId !== grantId || token.state !== 'live' || JSON.stringify(token.scopes) !== same) continue
      families.add(token.family)
    }
    for (const family of [...families].slice(0, Math.max(0, families.size - cap))) this.revokeFamily(family)
  }

  #enforceCap(family: string, cap: number): void {
    const live = (this.#families.get(family) ?? []).filter((t) => t.kind === 'access' && t.state === 'live')
    for (const token of live.slice(0, Math.max(0, live.length - cap))) this.#kill(token)
  }

  #kill(token: Token): void {
    if (token.state === 'revoked') return
    token.state = 'revoked'
    this.#save('token', token.value, token)
  }

  #find(kind: 'grant', key: string): Grant | undefined
  #find(kind: 'code', key: string): Code | undefined
  #find(kind: 'token', key: string): Token | undefined
  #find(kind: string, key: string): unknown {
    return this.#store.get(`${this.provider}.${kind}`, key)
  }

  #all(kind: 'grant'): Grant[]
  #all(kind: 'token'): Token[]
  #all(kind: string): unknown[] {
    return this.#store.all(`${this.provider}.${kind}`)
  }

  #save(kind: string, key: string, value: unknown): void {
    this.#store.put(`${this.provider}.${kind}`, key, value)
  }
}

export const random = (prefix: string, bytes: number, encoding: 'hex' | 'base64url' = 'base64url'): string =>
  prefix + randomBytes(bytes).toString(encoding)

/** S256 alone: `plain` proves nothing to whoever saw the authorization request. */
function verifies(verifier: string | undefined, challenge: string): boolean {
  if (verifier === undefined || !/^[A-Za-z0-9._~-]{43,128}$/.test(verifier)) return false
  return createHash('sha256').update(verifier).digest('base64url') === challenge
}

/** The shape of an S256 challenge: 32 bytes, base64url, no padding. */
export const isChallenge = (value: string): boolean => /^[A-Za-z0-9_-]{43}$/.test(value)
