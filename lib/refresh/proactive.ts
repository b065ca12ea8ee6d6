/**
 * Refreshes what is due before anybody needs it.
 *
 * The database says what is due; a lost queue loses nothing. Each provider app has a lane of its own: work is claimed in
 * small batches, so that two workers never have the same row; within a lane workspaces take turns, so that a large one
 * does not stand in the way of a small one; the lane runs as wide as the provider allows and pauses with its circuit.
 * Told to stop, it claims no more, gives back what it has not begun, and lets refreshes under way finish.
 *
 * @module
 */
import { LRUCache } from 'lru-cache'

import type { VaultDb } from '../db/vault-db'
import { AppError } from '../errors'
import { brand, type ConnectionId, type TenantId } from '../ids'
import type { Log } from '../log'
import { IDLE_DAYS, type Idle } from './idle'
import type { ProviderApps } from './provider-apps'
import type { Refresher } from './refresher'

export interface DueReport {
  readonly refreshed: number
  readonly failed: number
  readonly rested: number
}

export interface Proactive {
  /**
   * Refreshes what is due until nothing is. Safe to run in several processes at once, and again while it runs: an app
   * whose provider hangs keeps nobody from the others.
   */
  run(): Promise<DueReport>
  /** As `run`, and waits for no more than a moment; what takes longer goes on. */
  start(): Promise<void>
  /** As `start`, if nothing has asked for it in the last `ms`: for when the queue is silent. */
  startIfSilent(ms: number): Promise<void>
  /** From now on nothing new is begun. Resolves when what is under way has ended. */
  stop(): Promise<void>
}

export interface ProactiveLimits {
  /** How long a claim keeps other workers off. The lease of the credential itself is what protects its token. */
  readonly holdMs: number
  /** Of what is longest due, so much is looked at for giving each workspace its turn. */
  readonly window: number
  readonly batch: number
  /** How long `start` waits. */
  readonly startMs: number
}

const LIMITS: ProactiveLimits = { startMs: 10_000, holdMs: 60_000, window: 20_000, batch: 200 }

interface Claimed {
  readonly tenantId: TenantId
  readonly connectionId: ConnectionId
  readonly isIdle: boolean
}

export function createProactive(deps: {
  readonly vaultDb: VaultDb
  readonly refresher: Pick<Refresher, 'refreshOne'>
  readonly apps: Pick<ProviderApps, 'look' | 'limits'>
  readonly idle: Pick<Idle, 'rest'>
  /** Whether this installation has the app: without it there is nobody to ask. */
  readonly isConfigured: (provider: string, appKey: string) => boolean
  readonly log: Log
  readonly limits?: Partial<ProactiveLimits>
  readonly monotonicMs?: () => number
}): Proactive {
  const { vaultDb, refresher, apps, idle, isConfigured, log, monotonicMs = () => performance.now() } = deps
  const limits = { ...LIMITS, ...deps.limits }
  const unknownApps = new Set<string>()
  const lanes = new Map<string, Promise<void>>()
  let isStopping = false
  let askedAt = monotonicMs()

  return {
    run,
    start,
    async startIfSilent(ms) {
      if (isStopping || monotonicMs() - askedAt < ms) return
      log.warn({}, 'The queue is silent. What is due is refreshed without it.')
      await start()
    },
    async stop() {
      isStopping = true
      await Promise.allSettled(lanes.values())
    },
  }

  async function run(): Promise<DueReport> {
    askedAt = monotonicMs()
    const total = { refreshed: 0, failed: 0, rested: 0 }
    if (isStopping) return total
    const due = await vaultDb.global.$queryRaw<{ provider: string; provider_app: string }[]>`
      SELECT provider, provider_app FROM due_apps()`
    const started: Promise<void>[] = []
    for (const { provider, provider_app: appKey } of due) {
      const name = `${provider}/${appKey}`
      if (lanes.has(name)) continue
      const running = lane(provider, appKey, total).finally(() => lanes.delete(name))
      lanes.set(name, running)
      started.push(running)
    }
    await Promise.all(started)
    return total
  }

  async function start(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const moment = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limits.startMs)
    })
    const running = run()
    running.catch((error: unknown) =>
      log.warn({ err: error }, 'What is due could not be refreshed; it is tried again.'),
    )
    try {
      await Promise.race([running, moment])
    } finally {
      clearTimeout(timer)
    }
  }

  async function lane(
    provider: string,
    appKey: string,
    total: { refreshed: number; failed: number; rested: number },
  ): Promise<void> {
    if (!isConfigured(provider, appKey)) {
      const name = `${provider}/${appKey}`
      if (!unknownApps.has(name))
        log.warn({ provider, appKey }, 'Connections belong to a provider app that is not set up here.')
      unknownApps.add(name)
      return
    }
    const { concurrency, perSecond } = apps.limits(provider)
    const batch = Math.max(1, Math.min(limits.batch, Math.ceil(perSecond * 2)))
    const underWay = new Set<Promise<void>>()
    // What is due again at once does not get better by being asked again at once: its claim holds it back.
    const begun = new LRUCache<string, true>({ max: limits.window, ttl: limits.holdMs, perf: { now: monotonicMs } })
    let waiting: Claimed[] = []
    let refreshed: string[] = []
    let isMore = true
    try {
      while (!isStopping) {
        const gate = await apps.look(provider, appKey)
        if (gate.open === false) break
        if (isMore && waiting.length <= batch / 2) {
          await release(refreshed.splice(0))
          // One goes to see whether the provider is well again; the others wait for what it meets.
          const count = gate.open === 'probing' ? 1 : batch
          const claimed = await claim(provider, appKey, count)
          isMore = claimed.length === count
          waiting.push(...claimed.filter(({ connectionId }) => !begun.has(connectionId)))
        }
        if (waiting.length === 0 && underWay.size === 0 && !isMore) break
        while (waiting.length > 0 && underWay.size < concurrency) {
          const next = waiting.shift()
          if (next === undefined) break
          begun.set(next.connectionId, true)
          const task: Promise<void> = work(next, total)
            .then((isDone) => {
              // What failed keeps its claim, which is its pause.
              if (isDone) refreshed.push(next.connectionId)
            })
            .finally(() => underWay.delete(task))
          underWay.add(task)
        }
        if (underWay.size > 0) await Promise.race(underWay)
      }
    } finally {
      await release(waiting.map(({ connectionId }) => connectionId))
      waiting = []
      await Promise.all(underWay)
      await release(refreshed)
      refreshed = []
    }
  }

  async function work(
    claimed: Claimed,
    total: { refreshed: number; failed: number; rested: number },
  ): Promise<boolean> {
    const { tenantId, connectionId, isIdle } = claimed
    try {
      if (isIdle) {
        await idle.rest(tenantId, connectionId)
        total.rested += 1
        return true
      }
      await refresher.refreshOne(tenantId, connectionId, 'due')
      total.refreshed += 1
      return true
    } catch (error) {
      total.failed += 1
      // What a connection's own failure means is in its row already.
      if (!(error instanceof AppError))
        log.error({ err: error, connectionId }, 'A due refresh failed; it will be tried again.')
      return false
    }
  }

  async function claim(provider: string, appKey: string, count: number): Promise<Claimed[]> {
    const rows = await vaultDb.global.$queryRaw<{ tenant_id: string; connection_id: string; is_idle: boolean }[]>`
      SELECT tenant_id, connection_id, is_idle FROM claim_due(${provider}, ${appKey}, ${count}::integer, ${limits.window}::integer,
        ${limits.holdMs}::integer, ${IDLE_DAYS}::integer)`
    return rows.map((row) => ({
      tenantId: brand<'tenant'>(row.tenant_id),
      connectionId: brand<'connection'>(row.connection_id),
      isIdle: row.is_idle,
    }))
  }

  /** Failing to is no harm: a claim ends by itself. */
  async function release(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return
    await vaultDb.global.$executeRaw`DELETE FROM refresh_claim WHERE connection_id = ANY(${[...ids]}::text[])`.catch(
      (error: unknown) => log.warn({ err: error }, 'Claims on due refreshes end later.'),
    )
  }
}
