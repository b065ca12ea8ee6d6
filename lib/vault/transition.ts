/**
 * The one write of a state. Every change of every credential goes through here: it is legal by the table of `state.ts`, it
 * is recorded with what it was before, why and by which cause, in the same commit, and the application database is owed a
 * copy until it has one.
 *
 * @module
 */
import type { AuditActor } from '../audit/record'
import type { Clock } from '../clock'
import type { VaultTx } from '../db/vault-db'
import { recordEvent, SYSTEM } from './outbox'
import type { CredentialRow } from './row'
import { endsAttempts, mayChange, type ConnectionState } from './state'

/** A revoked value stays sealed and unusable for so long; an operator may restore it. */
export const RESTORABLE_DAYS = 7

export interface StateOrder {
  readonly to: ConnectionState
  /** A code: why. */
  readonly reason: string
  /** A code: what was going on. */
  readonly cause: string
  readonly actor?: AuditActor
}

export interface StateChange {
  readonly from: ConnectionState
  readonly state: ConnectionState
  readonly reason: string
  readonly cause: string
  /** By the vault's clock. */
  readonly at: Date
  readonly generation: number
}

/**
 * Changes the state, or does nothing and says so when it may not be.
 *
 * @param row  read under a lock that the caller's transaction holds
 */
export async function changeState(
  tx: VaultTx,
  clock: Clock,
  row: CredentialRow,
  { to, reason, cause, actor = SYSTEM }: StateOrder,
): Promise<StateChange | null> {
  const { tenantId, connectionId, state: from, generation } = row
  if (!mayChange(from, to)) return null
  const isEnd = endsAttempts(to)
  const rows = await tx.$queryRaw<{ state_at: Date }[]>`
    UPDATE credential SET state = ${to}, state_reason = ${reason}, state_at = clock_timestamp(), updated_at = clock_timestamp(),
        state_shown = false,
        shred_at = CASE WHEN ${to === 'revoked'} THEN clock_timestamp() + ${RESTORABLE_DAYS} * interval '1 day' END,
        lease_owner = CASE WHEN ${isEnd} THEN NULL ELSE lease_owner END, lease_until = CASE WHEN ${isEnd} THEN NULL ELSE lease_until END,
        attempt_id = CASE WHEN ${isEnd} THEN NULL ELSE attempt_id END,
        attempt_started_at = CASE WHEN ${isEnd} THEN NULL ELSE attempt_started_at END
     WHERE tenant_id = ${tenantId} AND connection_id = ${connectionId} RETURNING state_at`
  await recordEvent(tx, clock, {
    tenantId,
    connectionId,
    action: 'connection.state_changed',
    actor,
    reason: [from, to, reason, cause].map(word).join(':'),
  })
  return { from, state: to, reason, cause, at: rows[0]?.state_at ?? clock.now(), generation }
}

/** Codes of providers come in all shapes. */
const word = (code: string) =>
  code
    .toLowerCase()
    .replaceAll(/[^a-z0-9_.-]/g, '_')
    .slice(0, 64)
