/**
 * What people and workspaces need of the audit: an event that fails its caller, and one that is never refused.
 *
 * @module
 */
import type { AuditEvent } from '../audit/record'
import type { AppTx } from '../db/app-db'

export interface RecordsEvents {
  /** Inside the tenant's transaction; when it cannot be written nothing of the transaction happens. */
  event(tx: AppTx, event: AuditEvent): Promise<void>
  /** For what ends or narrows access. Never refuses. */
  never(tx: AppTx | null, event: AuditEvent): Promise<void>
}
