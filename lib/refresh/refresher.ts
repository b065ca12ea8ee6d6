/**
 * Keeps access tokens current, each refresh token spent once however many callers, processes and machines ask.
 *
 * Within a process callers share one flight. Between processes a lease in the database, claimed by compare-and-set and
 * committed before the provider is called, makes the others wait; they poll and hold no connection. The answer is on disk
 * before it is in the database, and the save holds only for the generation and the attempt it belongs to. Nobody's abort
 * and no shutdown interrupts a refresh: its own deadline does, and then the outcome is unknown, with one policy per mode.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'

import type { VaultDb } from '../db/vault-db'
import { AppError, notFound } from '../errors'
import { brand, type ConnectionId, type TenantId } from '../ids'
import type { Log } from '../log'
import type { RefreshResult, TokenFailure } from '../providers/client'
import type { RefreshMode } from '../providers/definition'
import type { Secret } from '../secret'
import type { AnswerOf, Attempt, Conclusion, SaveResult, StoredTokens } from '../vault/attempt'
import type { Credentials, OpenCredential } from '../vault/credential'
import { shownOf, type Floor, type Mirror, type RefreshEvent } from '../vault/mirror'
import type { CredentialRow } from '../vault/row'
import type { Spool } from '../vault/spool'
import { isUsable, type ConnectionState } from '../vault/state'
import { judge, lostRotation, mayResend } from './policy'

/** What a refresh needs of a provider; `ProviderClient` has it. */
export interface RefreshingClient {
  readonly definition: { readonly refreshMode: RefreshMode }
  readonly app: { readonly key: string }
  refresh(
    refreshToken: Secret,
    options: { readonly signal?: AbortSignal; readonly subject?: string },
  ): Promise<RefreshResult>
}

export interface RefreshingProviders {
  get(name: string): RefreshingClient | undefined
}

/** What one request to a token endpoint came to, as far as the provider app is concerned. */
export type AttemptOutcome = 'issued' | 'permanent' | 'rejected' | 'weather' | 'app_fault' | 'unknown'

/** The provider apps as a whole: whether one may be asked at all, how fast, and whether a refusal is the app's own trouble. */
export interface ProviderApps {
  /** Before a lease is claimed. Closed: nothing is sent. */
  gate(
    provider: string,
    appKey: string,
  ): Promise<{ readonly open: true } | { readonly open: false; readonly reason: string; readonly retryAfterMs: number }>
  /** After the answer and before its verdict is written. `incident`: this refusal changes no connection. */
  report(input: {
    readonly provider: string
    readonly appKey: string
    readonly tenantId: TenantId
    readonly connectionId: ConnectionId
    readonly outcome: AttemptOutcome
    readonly code: string
    readonly retryAfterSeconds?: number
  }): Promise<{ readonly incident: boolean }>
  /** Resolves when a request may go, under the provider's concurrency and rate; `done` once it has come back. */
  turn(provider: string, appKey: string, signal: AbortSignal): Promise<{ done(): void }>
}

const ALL_OPEN: ProviderApps = {
  gate: () => Promise.resolve({ open: true }),
  report: () => Promise.resolve({ incident: false }),
  turn: () => Promise.resolve({ done: () => undefined }),
}

export interface AccessToken {
  readonly token: Secret
  readonly generation: number
  readonly grantedScopes: readonly string[]
}

/** What the provider's refusal of an access token said beyond its status. */
export interface Refusal {
  /** `expired`: refresh however young the token is. `revoked`: a documented statement that the grant is gone. */
  readonly documented?: 'expired' | 'revoked'
}

export interface Refresher {
  /**
   * A token that is good for a call now.
   *
   * @throws AppError `connection.reauthorization_required`, `connection.already_revoked`, `connection.not_ready`,
   *   `provider.unavailable`, `provider.rejected`, `provider.misconfigured`, `vault.unreadable`, `vault.key_unavailable`,
   *   `service.unavailable`, `resource.not_found`
   */
  accessToken(
    tenantId: TenantId,
    connectionId: ConnectionId,
    options: { readonly minGeneration: number },
  ): Promise<AccessToken>
  /**
   * A newer token than the one a provider just refused: one that is there already, or one refresh.
   *
   * @throws AppError as `accessToken`; `provider.rejected` when the refused token is too young to be at fault
   */
  afterUnauthorized(
    tenantId: TenantId,
    connectionId: ConnectionId,
    usedGeneration: number,
    refusal?: Refusal,
  ): Promise<AccessToken>
  /**
   * Refreshes one connection now if it is still due (`due`), or due or not (`requested`), in the flight that others share.
   * Backoff, circuit and lease hold as for everybody.
   *
   * @throws AppError as `accessToken`; what it means for the connection is in its row by then
   */
  refreshOne(tenantId: TenantId, connectionId: ConnectionId, cause: 'due' | 'requested'): Promise<void>
  /** Refreshes up to `limit` connections that are due. @returns how many it looked at */
  refreshDue(limit: number): Promise<number>
  /**
   * Saves answers found in the spool, takes over attempts whose process is gone, and shows people the states that it left
   * unshown. For boot and for a schedule.
   */
  recoverAbandoned(limit?: number): Promise<{ replayed: number; recovered: number }>
  /** Resolves when no refresh is under way and what they left to do is done. */
  drain(): Promise<void>
}

export interface RefreshTiming {
  /** Deadline of one request to the provider. */
  readonly providerMs: number
  /** How long a lease holds without a sign of life. */
  readonly leaseMs: number
  readonly renewMs: number
  /** How long saving an answer is tried from memory. */
  readonly saveMs: number
  /** How long a caller waits for a refresh. The refresh itself goes on. */
  readonly callerMs: number
  /** How long one flight waits for another process. */
  readonly flightMs: number
  readonly pollMs: number
  readonly pollMaxMs: number
  /** Before the one resend that a strict provider gets after an answer was lost. */
  readonly breathMs: number
  /** A token is refreshed when less of its life is left; never more than a tenth of it. */
  readonly marginMs: number
  /** A younger token is not refreshed for being refused. */
  readonly youngMs: number
}

export const REFRESH_TIMING: RefreshTiming = {
  providerMs: 60_000,
  leaseMs: 20_000,
  renewMs: 6_000,
  saveMs: 90_000,
  callerMs: 30_000,
  flightMs: 90_000,
  pollMs: 20,
  pollMaxMs: 500,
  breathMs: 2_000,
  marginMs: 60_000,
  youngMs: 60_000,
}

const PARALLEL = 8
const BLOCKED_MS = 10 * 60_000
const TROUBLE_MS = 60_000
/** What is altered does not heal by itself; whoever repairs it need not wait long either. */
const ALTERED_MS = 15 * 60_000

export interface RefresherDeps {
  readonly credentials: Credentials
  readonly providers: RefreshingProviders
  readonly vaultDb: VaultDb
  readonly mirror: Mirror
  readonly journal: Spool
  readonly log: Log
  /** Circuit, pace and incidents of provider apps. Absent: everything is open. */
  readonly apps?: ProviderApps
  readonly timing?: Partial<RefreshTiming>
  readonly monotonicMs?: () => number
  readonly random?: () => number
}

/** The hold on an attempt: kept while it is under way. */
interface Lease {
  /** Whether the attempt is still this process's, so that nobody else has spent the token in its place. */
  isOurs(): Promise<boolean>
  stop(): void
}

type Cause = 'expiry' | 'due' | 'requested' | 'unauthorized' | 'recovery'

export function createRefresher(deps: RefresherDeps): Refresher {
  const { credentials, providers, vaultDb, mirror, journal, log, apps = ALL_OPEN } = deps
  const { monotonicMs = () => performance.now(), random = Math.random } = deps
  const timing = { ...REFRESH_TIMING, ...deps.timing }
  const owner = `${hostname().slice(0, 40)}:${process.pid}:${randomBytes(6).toString('hex')}`
  const flights = new Map<string, Promise<void>>()
  const looks = new Map<string, Promise<CredentialRow>>()
  const background = new Set<Promise<void>>()
  /** Attempts of this process: their spooled answers are being saved already. */
  const ownAttempts = new Set<string>()
  const floorSeen = new Map<string, number>()

  return {
    async accessToken(tenantId, connectionId, { minGeneration }) {
      const opened = await credentials.open(tenantId, connectionId, { minGeneration })
      // Only what was opened is known to have the generation that its row claims.
      if (opened.generation > minGeneration && opened.accessToken !== undefined)
        raiseFloor(tenantId, connectionId, opened)
      credentials.touch(tenantId, connectionId)
      if (!isExpiring(opened, timing)) return usable(opened)
      try {
        await shared(tenantId, connectionId, { after: opened.generation, minGeneration, cause: 'expiry' })
      } catch (error) {
        // Near its end the token still works, and a provider that is unwell need not stop the call.
        const isOver =
          !(error instanceof AppError) || error.retry === 'after_reconnect' || error.code.startsWith('vault.')
        const now = isOver ? opened : await credentials.open(tenantId, connectionId, { minGeneration })
        if (isOver || now.accessLeftMs === null || now.accessLeftMs <= 0) throw error
        return usable(now)
      }
      return usable(await credentials.open(tenantId, connectionId, { minGeneration: opened.generation }))
    },

    async afterUnauthorized(tenantId, connectionId, usedGeneration, refusal = {}) {
      const row = await lookAgain(tenantId, connectionId, usedGeneration)
      if (row.generation <= usedGeneration) {
        refuseState(row.state)
        if (row.refreshSealed === null) return refusedForGood(row, refusal)
        if (row.accessAgeMs < timing.youngMs && refusal.documented === undefined)
          throw new AppError('provider.rejected', 'The provider refuses a token that it issued just now.')
        await shared(tenantId, connectionId, {
          after: usedGeneration,
          minGeneration: usedGeneration,
          cause: 'unauthorized',
        })
      }
      const opened = await credentials.open(tenantId, connectionId, { minGeneration: row.generation })
      if (opened.generation <= usedGeneration) throw superseded()
      return usable(opened)
    },

    refreshOne,

    async refreshDue(limit) {
      const due = await vaultDb.global.$queryRaw<
        DueWire[]
      >`SELECT tenant_id, connection_id FROM due_refreshes(${limit}::integer)`
      await inParallel(due.map(idsOf), ({ tenantId, connectionId }) => refreshOne(tenantId, connectionId, 'due'))
      return due.length
    },

    async recoverAbandoned(limit = 200) {
      let replayed = 0
      for (const attemptId of (await journal.list()).slice(0, limit)) {
        if (ownAttempts.has(attemptId)) continue
        if (await replay(attemptId).catch(logFailure)) replayed += 1
      }
      const abandoned = await vaultDb.global.$queryRaw<
        DueWire[]
      >`SELECT tenant_id, connection_id FROM abandoned_attempts(${limit}::integer)`
      await inParallel(abandoned.map(idsOf), async ({ tenantId, connectionId }) => {
        const row = await credentials.read(tenantId, connectionId)
        if (row === undefined || row.leaseOwner === null || (row.leaseLeftMs ?? 0) > 0) return
        if (!isUsable(row.state)) return credentials.attempts.dropLease(row)
        await flight(tenantId, connectionId, { after: row.generation, minGeneration: 0, cause: 'recovery' })
      })
      await credentials.showPending(limit)
      return { replayed, recovered: abandoned.length }
    },

    async drain() {
      while (flights.size + background.size > 0) await Promise.allSettled([...flights.values(), ...background])
      await credentials.settled()
    },
  }

  async function refreshOne(tenantId: TenantId, connectionId: ConnectionId, cause: 'due' | 'requested'): Promise<void> {
    const floor = await mirror.floor(tenantId, connectionId)
    // Nobody may use it, so its grant is not kept fresh either.
    if (floor !== undefined && floor.access !== 'allowed')
      return credentials.postponeRefresh(tenantId, connectionId, BLOCKED_MS)
    const row = await credentials.read(tenantId, connectionId)
    if (row === undefined) throw notFound()
    if (cause === 'due' && (row.refreshInMs === null || row.refreshInMs > 0 || !isUsable(row.state))) return
    const wanted = { after: row.generation, minGeneration: 0, cause, seen: { floor, row } }
    await flight(tenantId, connectionId, wanted).catch(async (error: unknown) => {
      // Whatever it is, one connection's trouble must not hold the head of the queue.
      await credentials.postponeRefresh(tenantId, connectionId, TROUBLE_MS)
      throw error
    })
  }

  // ------------------------------------------------------------------------------------------------ single flight

  interface Wanted {
    /** The generation that is no longer good enough. */
    readonly after: number
    readonly minGeneration: number
    readonly cause: Cause
    /** What the caller has just read; the claim compares it with what is there. */
    readonly seen?: { readonly floor: Floor | undefined; readonly row: CredentialRow }
  }

  /** Waits for the flight of this connection, but not for ever: the flight has its own time, the caller another. */
  async function shared(tenantId: TenantId, connectionId: ConnectionId, wanted: Wanted): Promise<void> {
    const late = new AppError('provider.unavailable', 'Refreshing the access took too long. Try again shortly.', {
      retryAfterSeconds: 5,
    })
    await withDeadline(flight(tenantId, connectionId, wanted), timing.callerMs, () => {
      throw late
    })
  }

  function flight(tenantId: TenantId, connectionId: ConnectionId, wanted: Wanted): Promise<void> {
    const name = `${tenantId}/${connectionId}`
    const underWay = flights.get(name)
    if (underWay !== undefined) return underWay
    const started = fly(tenantId, connectionId, wanted).finally(() => {
      flights.delete(name)
      // The work may have been another process's: what is remembered here is old.
      credentials.evict(tenantId, connectionId)
    })
    started.catch(() => undefined) // callers may have left; each of them hears of a failure by itself
    flights.set(name, started)
    return started
  }

  async function fly(tenantId: TenantId, connectionId: ConnectionId, wanted: Wanted): Promise<void> {
    const { floor, row: seen } = wanted.seen ?? { floor: await mirror.floor(tenantId, connectionId), row: undefined }
    const minGeneration = Math.max(wanted.minGeneration, floor?.generation ?? 0)
    const until = monotonicMs() + timing.flightMs
    for (let poll = 0; monotonicMs() < until; poll += 1) {
      const row = await load(tenantId, connectionId, minGeneration, poll === 0 ? seen : undefined)
      if (row.generation > wanted.after) return
      refuseState(row.state)
      if (row.refreshSealed === null) return expireForGood(row)
      refuseBackoff(row, wanted.cause)
      if (row.leaseOwner === null || (row.leaseLeftMs ?? 0) <= 0) {
        // Its process died after the answer came: on this machine the answer is still there.
        if (row.attemptId !== null && (await replay(row.attemptId))) continue
        const gate = await apps.gate(row.provider, row.providerApp)
        if (!gate.open) {
          // Not an attempt any more, and found by its date again.
          if (row.leaseOwner !== null) await credentials.attempts.dropLease(row)
          throw new AppError(
            'provider.unavailable',
            'The provider does not renew access at the moment. Try again later.',
            {
              retryAfterSeconds: Math.ceil(gate.retryAfterMs / 1_000),
              internal: { reason: gate.reason },
            },
          )
        }
        // The turn comes before the lease: whoever dies while queueing leaves nothing behind.
        const turn = await turnOf(row, until)
        try {
          const askedAt = monotonicMs()
          const attempt = await credentials.attempts.claim(row, owner, timing.leaseMs)
          if (attempt !== undefined) {
            await refresh(attempt, askedAt, wanted.cause, turn)
            continue // the row, not this process's memory, says what came of it
          }
        } finally {
          turn.done()
        }
      }
      await pause(Math.min(timing.pollMs * 2 ** Math.min(poll, 10), timing.pollMaxMs) * (0.5 + random()))
    }
    throw new AppError('provider.unavailable', 'Another process is refreshing this access. Try again shortly.')
  }

  /** A place in the queue to the provider; given back once, as soon as the provider has answered. */
  async function turnOf(row: CredentialRow, until: number): Promise<{ done(): void }> {
    const signal = AbortSignal.timeout(Math.max(1, Math.floor(until - monotonicMs())))
    try {
      const turn = await apps.turn(row.provider, row.providerApp, signal)
      let isDone = false
      return {
        done() {
          if (isDone) return
          isDone = true
          turn.done()
        },
      }
    } catch (error) {
      throw new AppError(
        'provider.unavailable',
        'Too many accounts are being refreshed at this moment. Try again shortly.',
        {
          cause: error,
          retryAfterSeconds: 5,
        },
      )
    }
  }

  async function load(
    tenantId: TenantId,
    connectionId: ConnectionId,
    minGeneration: number,
    seen?: CredentialRow,
  ): Promise<CredentialRow> {
    const row = seen ?? (await credentials.read(tenantId, connectionId))
    if (row === undefined) throw notFound()
    credentials.refuseRollback(row, minGeneration)
    return row
  }

  /** As `load`, once for all who were refused with the same token: what it just misses, the flight will see. */
  function lookAgain(tenantId: TenantId, connectionId: ConnectionId, used: number): Promise<CredentialRow> {
    const name = `${tenantId}/${connectionId}/${used}`
    const underWay = looks.get(name)
    if (underWay !== undefined) return underWay
    const started = load(tenantId, connectionId, used).finally(() => looks.delete(name))
    looks.set(name, started)
    return started
  }

  // ---------------------------------------------------------------------------------------------------- one attempt

  async function refresh(attempt: Attempt, claimedAt: number, cause: Cause, turn: { done(): void }): Promise<void> {
    const lease = keepLease(attempt, claimedAt)
    ownAttempts.add(attempt.id)
    try {
      await spend(attempt, lease, cause, turn)
    } finally {
      lease.stop()
      ownAttempts.delete(attempt.id)
    }
  }

  async function spend(attempt: Attempt, lease: Lease, cause: Cause, turn: { done(): void }): Promise<void> {
    const { row } = attempt
    const untried = { cause, outcome: 'not_tried', latencyMs: null } as const
    const client = providers.get(row.provider)
    if (client === undefined || client.app.key !== row.providerApp) {
      await conclude(attempt, { retryInMs: TROUBLE_MS }, { ...untried, code: 'app_missing' })
      throw new AppError('provider.misconfigured', 'The provider app of this connection is not set up here.')
    }
    const mode = client.definition.refreshMode
    if (!mayResend(mode, row.unknownOutcomes)) {
      await conclude(attempt, lostRotation.conclusion, { ...untried, code: 'lost_rotation' })
      throw reconnect()
    }
    const refreshToken = await ready(attempt, untried)
    let { unknownOutcomes } = row
    const startedAt = monotonicMs()
    for (let lost = 0; ;) {
      // Whoever slept past its lease may be about to send a token that another process has spent since.
      if (!(await lease.isOurs())) return
      const result = await ask(client, refreshToken, attempt, cause)
      const latencyMs = monotonicMs() - startedAt
      if (result.kind === 'issued') {
        turn.done()
        inBackground(async () => {
          await tell(attempt, 'issued', 'issued')
        })
        await keep(attempt, merge(row, refreshToken, result.tokens), { cause, latencyMs })
        return
      }
      if (result.kind === 'unknown_outcome') {
        lost += 1
        if (result.answered !== true) {
          unknownOutcomes += 1
          const counted = await credentials.attempts.countUnknown(attempt, unknownOutcomes, timing.leaseMs)
          if (!counted) return
        }
      }
      const incident = await tell(attempt, outcomeOf(result), result.code, retryAfterOf(result))
      const verdict = judge(result, mode, { ...row, unknownOutcomes }, { lost, incident }, random)
      if (verdict.kind === 'retry') {
        if (verdict.when === 'soon') await pause(timing.breathMs * (0.5 + random()))
        continue
      }
      turn.done()
      log.warn({ connectionId: row.connectionId, kind: result.kind, failure: result.code }, 'A refresh failed.')
      const event = { cause, outcome: result.kind, code: result.code, latencyMs }
      // When somebody else was first, theirs is what counts: the caller reads the row again.
      if (!(await conclude(attempt, verdict.conclusion, event))) return
      throw failureOf(result, verdict.conclusion)
    }
  }

  /** What the app as a whole learns of an answer. @returns whether a rejection is to be held against the connection */
  async function tell(
    { tenantId, connectionId, row }: Attempt,
    outcome: AttemptOutcome,
    code: string,
    retryAfterSeconds?: number,
  ): Promise<boolean> {
    try {
      const { incident } = await apps.report({
        provider: row.provider,
        appKey: row.providerApp,
        tenantId,
        connectionId,
        outcome,
        code,
        ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
      })
      return incident
    } catch (error) {
      logFailure(error)
      return true // when nobody can say whose trouble it is, it is not the connection's
    }
  }

  /** Everything that can fail without the provider fails here, before a token is spent. */
  async function ready(attempt: Attempt, untried: Omit<Tried, 'code'>): Promise<Secret> {
    try {
      await journal.prepare(answerOf(attempt))
      return await credentials.openRefreshToken(attempt.row)
    } catch (error) {
      const code = error instanceof AppError ? error.code : 'internal'
      const retryInMs = code === 'vault.unreadable' ? ALTERED_MS : TROUBLE_MS
      await conclude(attempt, { retryInMs }, { ...untried, code }).catch(logFailure)
      throw error
    }
  }

  async function ask(
    client: RefreshingClient,
    refreshToken: Secret,
    attempt: Attempt,
    cause: Cause,
  ): Promise<RefreshResult> {
    const lost = { kind: 'unknown_outcome', code: 'deadline' } as const
    const answer = client
      .refresh(refreshToken, { signal: AbortSignal.timeout(timing.providerMs), subject: attempt.row.subject })
      .catch((error: unknown) => {
        log.error({ err: error, connectionId: attempt.connectionId }, 'A provider client failed while refreshing.')
        return { kind: 'unknown_outcome', code: 'client_failed' } as const
      })
    const result = await withDeadline<RefreshResult>(answer, timing.providerMs * 1.1, () => lost)
    if (result === lost)
      inBackground(async () => {
        // Should it come after all, it is the newest token there is.
        const late = await answer
        if (late.kind === 'issued')
          await keep(attempt, merge(attempt.row, refreshToken, late.tokens), { cause, latencyMs: null })
      })
    return result.kind === 'issued' && result.tokens.accessToken.reveal() === ''
      ? { kind: 'unknown_outcome', code: 'empty_access_token' }
      : result
  }

  /** Journal, save, and only then is the token anybody's. */
  async function keep(
    attempt: Attempt,
    tokens: StoredTokens,
    event: { readonly cause: Cause; readonly latencyMs: number | null },
  ): Promise<void> {
    const answer = answerOf(attempt)
    await journal.write(answer, tokens).catch((error: unknown) => {
      log.error(
        { err: error, connectionId: answer.connectionId },
        'An answer could not be spooled; saving it all the same.',
      )
    })
    const saved = await save(answer, tokens, attempt.row)
    if (saved.kind === 'saved')
      report(saved.row, { ...event, outcome: 'issued', code: null }, tokens.grantedScopes ?? attempt.row.grantedScopes)
    else await discard(answer, tokens, saved)
    await journal.remove(answer.attemptId).catch(logFailure)
  }

  async function save(answer: AnswerOf, tokens: StoredTokens, claimed: CredentialRow): Promise<SaveResult> {
    const until = monotonicMs() + timing.saveMs
    for (let attempt = 0; ; attempt += 1) {
      try {
        const result = await credentials.attempts.save(answer, tokens, 'refresh', claimed)
        if (result.kind !== 'busy' || monotonicMs() >= until) return result
      } catch (error) {
        log.error({ err: error, connectionId: answer.connectionId, attempt }, 'An answer could not be saved yet.')
        if (monotonicMs() >= until)
          throw new AppError('service.unavailable', 'The refreshed access could not be stored. Try again shortly.', {
            cause: error,
          })
      }
      await pause(Math.min(50 * 2 ** Math.min(attempt, 6), 2_000) * (0.5 + random()))
    }
  }

  /** An answer that came too late. After a disconnect or a revocation it is a grant that nobody would end: end it. */
  async function discard(answer: AnswerOf, tokens: StoredTokens, result: SaveResult): Promise<void> {
    const { tenantId, connectionId } = answer
    const state = result.kind === 'superseded' ? result.state : undefined
    log.warn(
      { connectionId, kind: result.kind, state: state ?? 'none' },
      'A refreshed token came too late and is dropped.',
    )
    if (state !== 'disconnected' && state !== 'revoked') return
    const { accessToken, refreshToken } = tokens
    await credentials.queueRevocation(tenantId, connectionId, 'grant', {
      accessToken,
      ...(refreshToken === null ? {} : { refreshToken }),
    })
  }

  /** @returns true when the answer is what the vault holds now */
  async function replay(attemptId: string): Promise<boolean> {
    const found = await journal.find(attemptId)
    if (found === undefined) return false
    const { answer, tokens } = found
    const result = await credentials.attempts.save(answer, tokens, 'recovery')
    if (result.kind === 'busy') return false
    if (result.kind === 'superseded') await discard(answer, tokens, result)
    else report(result.row, { cause: 'recovery', outcome: 'issued', code: null, latencyMs: null }, tokens.grantedScopes)
    await journal.remove(answer.attemptId)
    credentials.evict(answer.tenantId, answer.connectionId)
    return result.kind === 'saved'
  }

  /** @returns false when the attempt was superseded */
  async function conclude(attempt: Attempt, conclusion: Conclusion, tried: Tried): Promise<boolean> {
    const row = await credentials.attempts.conclude(attempt, conclusion, tried.cause)
    if (row !== undefined) report(row, tried)
    return row !== undefined
  }

  /** What people see of it. The vault has committed; nobody waits for this and nobody fails by it. */
  function report(row: CredentialRow, tried: Tried, grantedScopes?: readonly string[] | null): void {
    const { tenantId, connectionId, generation } = row
    const floor = grantedScopes === undefined ? undefined : { generation, grantedScopes }
    // Before the state that it led to, also in a list whose instants are milliseconds.
    const event: RefreshEvent = { ...tried, at: new Date(row.updatedAt.getTime() - 1), generation }
    inBackground(async () => {
      try {
        await mirror.report(tenantId, connectionId, {
          shown: shownOf(row),
          event,
          ...(floor === undefined ? {} : { floor }),
        })
        if (floor !== undefined) rememberFloor(`${tenantId}/${connectionId}`, generation)
      } catch (error) {
        if (floor !== undefined) raiseFloor(tenantId, connectionId, floor) // what guards must not fail with what is shown
        throw error
      }
    })
  }

  // ------------------------------------------------------------------------------------------- tokens without refresh

  /** A token that cannot be refreshed and was refused. One refusal may be weather; a documented one is not. */
  async function refusedForGood(row: CredentialRow, refusal: Refusal): Promise<never> {
    if (refusal.documented !== undefined || (row.accessLeftMs !== null && row.accessLeftMs <= 0))
      await credentials.setState(row.tenantId, row.connectionId, 'reauthorization_required', {
        reason: `token_${refusal.documented ?? 'expired'}`,
        cause: 'unauthorized',
      })
    throw reconnect()
  }

  async function expireForGood(row: CredentialRow): Promise<void> {
    // Within the margin of its end it is still good for this call.
    if (row.accessLeftMs === null || row.accessLeftMs > 0) return
    await credentials.setState(row.tenantId, row.connectionId, 'reauthorization_required', {
      reason: 'token_expired',
      cause: 'expiry',
    })
    throw reconnect()
  }

  // ---------------------------------------------------------------------------------------------------------- helpers

  /** @param claimedAt  when the claim was asked for: the lease began then or later */
  function keepLease(attempt: Attempt, claimedAt: number): Lease {
    let heldUntil = claimedAt + timing.leaseMs
    const renew = async (): Promise<boolean> => {
      const askedAt = monotonicMs()
      const isOurs = await credentials.attempts.renew(attempt, timing.leaseMs)
      if (isOurs) heldUntil = askedAt + timing.leaseMs
      return isOurs
    }
    const timer = setInterval(() => {
      // A lease that is lost cannot be won back; the fence decides what the answer is worth.
      void renew().catch(logFailure)
    }, timing.renewMs)
    return {
      async isOurs() {
        // By a clock that goes on while a process is stopped; no question to the database as long as it is early.
        while (monotonicMs() >= heldUntil) if (!(await renew())) return false
        return true
      },
      stop: () => clearInterval(timer),
    }
  }

  /** In the background, and again by the next caller that notices: the floor only ever rises. */
  function raiseFloor(
    tenantId: TenantId,
    connectionId: ConnectionId,
    to: { readonly generation: number; readonly grantedScopes: readonly string[] | null },
  ): void {
    const name = `${tenantId}/${connectionId}`
    if ((floorSeen.get(name) ?? 0) >= to.generation) return
    rememberFloor(name, to.generation)
    inBackground(async () => {
      try {
        await mirror.raiseFloor(tenantId, connectionId, to.generation, to.grantedScopes)
      } catch (error) {
        floorSeen.delete(name)
        throw error
      }
    })
  }

  function rememberFloor(name: string, generation: number): void {
    if (floorSeen.size >= 50_000) floorSeen.clear()
    floorSeen.set(name, generation)
  }

  function inBackground(work: () => Promise<void>): void {
    const task = work()
      .catch(logFailure)
      .then(() => undefined)
      .finally(() => background.delete(task))
    background.add(task)
  }

  function logFailure(error: unknown): undefined {
    log.error({ err: error }, 'Work of the refresh engine failed; it will be tried again.')
  }

  async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
    const queue = [...items]
    const worker = async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift())
        await work(item).catch((error: unknown) => {
          // What a connection's own failure means is in its row already.
          if (!(error instanceof AppError)) logFailure(error)
        })
    }
    await Promise.all(Array.from({ length: Math.min(PARALLEL, items.length) }, worker))
  }
}

/** How an attempt ended, for the history. */
type Tried = Pick<RefreshEvent, 'outcome' | 'code' | 'latencyMs'> & { readonly cause: Cause }

function outcomeOf(failure: TokenFailure): AttemptOutcome {
  if (failure.kind !== 'unknown_outcome') return failure.kind
  return failure.answered === true ? 'weather' : 'unknown'
}

const retryAfterOf = (failure: TokenFailure): number | undefined =>
  failure.kind === 'weather' || failure.kind === 'unknown_outcome' ? failure.retryAfterSeconds : undefined

interface DueWire {
  readonly tenant_id: string
  readonly connection_id: string
}

const idsOf = (wire: DueWire) => ({
  tenantId: brand<'tenant'>(wire.tenant_id),
  connectionId: brand<'connection'>(wire.connection_id),
})

/** True when the access token will not outlast a call. A token without an end never does this. */
export function isExpiring(
  credential: Pick<OpenCredential, 'accessLeftMs' | 'accessLifetimeMs' | 'state'>,
  { marginMs }: Pick<RefreshTiming, 'marginMs'>,
): boolean {
  if (credential.accessLeftMs === null || !isUsable(credential.state)) return false
  return credential.accessLeftMs <= Math.min(marginMs, (credential.accessLifetimeMs ?? 0) * 0.1)
}

function usable(opened: OpenCredential): AccessToken {
  refuseState(opened.state)
  if (opened.accessToken === undefined) throw notReady()
  return { token: opened.accessToken, generation: opened.generation, grantedScopes: opened.grantedScopes }
}

/** What a token answer and the row make together: a refresh token that is not named stays (RFC 6749 §6). */
function merge(row: CredentialRow, refreshToken: Secret, tokens: StoredTokens): StoredTokens {
  const isKept = tokens.refreshToken === null || tokens.refreshToken.reveal() === ''
  return {
    ...tokens,
    refreshToken: isKept ? refreshToken : tokens.refreshToken,
    refreshExpiresAt: isKept ? (tokens.refreshExpiresAt ?? row.refreshExpiresAt) : tokens.refreshExpiresAt,
  }
}

function answerOf({ tenantId, connectionId, id, generation }: Attempt): AnswerOf {
  return { tenantId, connectionId, attemptId: id, generation }
}

function refuseState(state: ConnectionState): void {
  switch (state) {
    case 'active':
    case 'degraded':
    case 'refreshing':
      return
    case 'reauthorization_required':
      throw reconnect()
    case 'revoked':
    case 'disconnected':
      throw new AppError('connection.already_revoked', 'Access to this account has ended. Connect it again.')
    case 'connecting':
    case 'suspended':
      throw notReady()
  }
}

/** After a failure the row says when the next try is due; until then the provider is left alone. */
function refuseBackoff(row: CredentialRow, cause: Cause): void {
  if (cause === 'recovery' || row.refreshInMs === null || row.refreshInMs <= 0) return
  // A healthy token is due long before its end, so near its end a later date is a pause. A refused token may be healthy.
  const isExpired = row.accessLeftMs !== null && row.accessLeftMs <= 0
  if (cause !== 'expiry' && row.failures === 0 && row.rejections === 0 && !isExpired) return
  throw new AppError('provider.unavailable', 'The provider did not refresh this access. Try again later.', {
    retryAfterSeconds: Math.ceil(row.refreshInMs / 1_000),
  })
}

function failureOf(failure: TokenFailure, { state, retryInMs }: Conclusion): AppError {
  const later = retryInMs === undefined ? {} : { retryAfterSeconds: Math.ceil(retryInMs / 1_000) }
  if (state?.to === 'reauthorization_required') return reconnect()
  if (state?.to === 'revoked')
    return new AppError('connection.already_revoked', 'Access to this account has ended. Connect it again.')
  switch (failure.kind) {
    case 'app_fault':
      return new AppError(
        'provider.misconfigured',
        'The provider refuses our registration. An operator was told.',
        later,
      )
    case 'rejected':
      return new AppError('provider.rejected', 'The provider refused to refresh this access.', later)
    default:
      return new AppError('provider.unavailable', 'The provider did not refresh this access. Try again later.', later)
  }
}

const reconnect = () => new AppError('connection.reauthorization_required', 'Reconnect this account to continue.')
const notReady = () => new AppError('connection.not_ready', 'This account cannot be used at the moment.')
const superseded = () => new AppError('provider.unavailable', 'Another process refreshed this access. Try again.')

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** The work goes on; only the waiting ends. */
async function withDeadline<T>(work: Promise<T>, ms: number, otherwise: () => T): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  try {
    return await Promise.race([work, deadline.then(otherwise)])
  } finally {
    clearTimeout(timer)
  }
}
