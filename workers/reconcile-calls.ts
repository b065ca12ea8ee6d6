/**
 * Records as `unknown` the calls, and the tests of connections, whose process died. The last hour is looked through each time, a week at start and once
 * an hour, for what an outage left behind.
 *
 * @module
 */
import type { Audit } from '@/lib/audit/audit'
import type { Clock } from '@/lib/clock'

/** A call ends within a minute; its outcome is written within seconds. */
const OLDER_THAN_MS = 5 * 60_000
const HOUR_MS = 3_600_000
const WEEK_MS = 7 * 24 * HOUR_MS
const BATCH = 500
const MAX_ROUNDS = 20

export function createReconcileCalls(deps: {
  readonly audit: Pick<Audit, 'drain' | 'reconcile'>
  /** The same for what else begins and ends on record. */
  readonly checks: (options: Parameters<Audit['reconcile']>[0]) => Promise<number>
  readonly clock: Clock
}) {
  let lookedFarAt: number | undefined
  return async (): Promise<void> => {
    // What a call's own process managed to say comes first.
    await deps.audit.drain()
    const now = deps.clock.now().getTime()
    const isFar = lookedFarAt === undefined || Math.abs(now - lookedFarAt) >= HOUR_MS
    const options = { olderThanMs: OLDER_THAN_MS, windowMs: isFar ? WEEK_MS : HOUR_MS, limit: BATCH }
    for (const reconcile of [deps.audit.reconcile, deps.checks])
      for (let round = 0; round < MAX_ROUNDS; round += 1) if ((await reconcile(options)) < BATCH) break
    if (isFar) lookedFarAt = now
  }
}
