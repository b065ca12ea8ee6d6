/**
 * Ends the calls whose process died before it could say how they ended: their outcome is `unknown`.
 *
 * @module
 */
import type { Clock } from '../clock'
import type { AppDb } from '../db/app-db'
import { brand } from '../ids'
import type { Log } from '../log'
import type { Outcomes } from './outcomes'
import { toOutcomeRecord } from './record'

/**
 * @param options.olderThanMs  longer than any call may run, so that none is ended while it runs; by the database's clock
 * @param options.windowMs  how far back to look; the recent past often, all of it at start
 * @returns how many outcomes were written
 */
export async function reconcileCalls(
  deps: {
    readonly appDb: AppDb
    readonly outcomes: Pick<Outcomes, 'write'>
    readonly clock: Clock
    readonly log: Log
  },
  options: { readonly olderThanMs: number; readonly windowMs: number; readonly limit: number },
): Promise<number> {
  const calls = await deps.appDb.global.$queryRaw<{ tenant_id: string; call_id: string }[]>`
    SELECT tenant_id, call_id FROM unfinished_calls(
      now() - ${options.olderThanMs + options.windowMs} * interval '1 millisecond',
      now() - ${options.olderThanMs} * interval '1 millisecond', ${options.limit}::integer)`
  if (calls.length === 0) return 0
  const written = await deps.outcomes.write(
    calls.map((call) => ({
      ...toOutcomeRecord(
        {
          tenantId: brand<'tenant'>(call.tenant_id),
          callId: brand<'call'>(call.call_id),
          outcome: 'unknown',
          reason: 'process_lost',
          durationMs: 0,
        },
        null,
        deps.clock.now(),
      ),
      duration_ms: null,
    })),
  )
  deps.log.warn({ calls: calls.length, written }, 'calls without an outcome were recorded as unknown')
  return written
}
