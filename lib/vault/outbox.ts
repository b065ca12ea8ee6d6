/**
 * Records of what happens to a credential, committed with it. They are never refused; the worker moves them into the
 * audit trail. They hold ids and codes only, so nothing in them needs a seal.
 *
 * @module
 */
import type { EventAction } from '../audit/actions'
import { toEventRecord, type AuditActor } from '../audit/record'
import type { Clock } from '../clock'
import type { VaultTx } from '../db/vault-db'
import { brand, newId, type TenantId } from '../ids'

export const SYSTEM: AuditActor = { kind: 'system' }

export async function recordEvent(
  tx: VaultTx,
  clock: Clock,
  event: {
    readonly tenantId: TenantId
    readonly connectionId: string
    readonly action: EventAction
    readonly actor: AuditActor
    /** A code: `a-z0-9_.:-`, at most 180 characters. */
    readonly reason: string
  },
): Promise<void> {
  const record = toEventRecord({ ...event, connectionId: brand<'connection'>(event.connectionId) }, null, clock)
  await tx.auditOutbox.create({ data: { tenantId: event.tenantId, id: newId('outbox', clock.now()), record } })
}
