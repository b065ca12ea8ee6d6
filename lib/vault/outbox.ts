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

export interface CredentialEvent {
  readonly tenantId: TenantId
  readonly connectionId: string
  readonly action: EventAction
  readonly actor: AuditActor
  /** A code: `a-z0-9_.:-`, at most 180 characters. */
  readonly reason: string
}

export interface OutboxRow {
  readonly tenantId: TenantId
  readonly id: string
  readonly record: ReturnType<typeof toEventRecord>
}

export function toOutbox(clock: Clock, event: CredentialEvent): OutboxRow {
  const record = toEventRecord({ ...event, connectionId: brand<'connection'>(event.connectionId) }, null, clock)
  return { tenantId: event.tenantId, id: newId('outbox', clock.now()), record }
}

export async function recordEvent(tx: VaultTx, clock: Clock, event: CredentialEvent): Promise<void> {
  await tx.auditOutbox.create({ data: toOutbox(clock, event) })
}
