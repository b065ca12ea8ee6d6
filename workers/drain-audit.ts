/**
 * Moves audit records out of outboxes and spool into the trail, every few seconds.
 *
 * @module
 */
import type { Audit } from '@/lib/audit/audit'
import type { Log } from '@/lib/log'

export function createDrainAudit(deps: { readonly audit: Pick<Audit, 'drain'>; readonly log: Log }) {
  return async (): Promise<void> => {
    const report = await deps.audit.drain()
    if (report.outbox + report.vaultOutbox + report.spoolFiles > 0)
      deps.log.debug({ ...report }, 'audit records were drained')
  }
}
