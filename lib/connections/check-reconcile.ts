/**
 * Ends the tests whose process died before it could say how they ended: their outcome is `unknown`. Each test that was
 * begun so has exactly one end on record.
 *
 * @module
 */
import type { Audit } from '../audit/audit'
import type { AppDb } from '../db/app-db'
import { brand } from '../ids'
import type { Log } from '../log'

/**
 * @param options.olderThanMs  longer than any test may run, so that none is ended while it runs; by the database's clock
 * @param options.windowMs  how far back to look
 * @returns how many ends were written
 */
export async function reconcileChecks(
  deps: { readonly appDb: AppDb; readonly audit: Pick<Audit, 'event'>; readonly log: Log },
  options: { readonly olderThanMs: number; readonly windowMs: number; readonly limit: number },
): Promise<number> {
  const { appDb, audit, log } = deps
  const lost = await appDb.global.$queryRaw<{ tenant_id: string; record_id: string }[]>`
    SELECT tenant_id, record_id FROM unfinished_connection_tests(
      now() - ${options.olderThanMs + options.windowMs} * interval '1 millisecond',
      now() - ${options.olderThanMs} * interval '1 millisecond', ${options.limit}::integer)`
  let written = 0
  for (const { tenant_id, record_id } of lost) {
    const tenantId = brand<'tenant'>(tenant_id)
    const isWritten = await appDb.tenant(tenantId, async (tx) => {
      // Another worker that found it too waits here, and then sees what was written.
      await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('end of test ' || ${record_id}, 0))`
      const begun = await tx.auditRecord.findFirst({ where: { tenantId, id: record_id } })
      if (begun?.targetId === undefined || begun.targetId === null) return false
      const { connectionId, targetId } = begun
      if ((await tx.auditRecord.count({ where: { tenantId, action: 'connection.tested', targetId } })) > 0) return false
      await audit.event(tx, {
        tenantId,
        action: 'connection.tested',
        actor: { kind: 'system' },
        targetId,
        outcome: 'unknown',
        reason: 'process_lost',
        ...(connectionId === null ? {} : { connectionId: brand<'connection'>(connectionId) }),
      })
      return true
    })
    if (isWritten) written += 1
  }
  if (written > 0) log.warn({ tests: written }, 'tests of connections without an end were recorded as unknown')
  return written
}
