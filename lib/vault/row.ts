/**
 * A credential's row as the vault reads it. Whatever is compared with now is compared by the database's clock, which all
 * processes share, and arrives here as milliseconds from now.
 *
 * @module
 */
import { sql, type Sql, type VaultTx } from '../db/vault-db'
import { AppError } from '../errors'
import { brand, type ConnectionId, type TenantId } from '../ids'
import type { CredentialPlace } from './sealing'
import { isConnectionState, type ConnectionState } from './state'

export interface CredentialRow extends CredentialPlace {
  readonly connectionId: ConnectionId
  readonly state: ConnectionState
  readonly stateReason: string | null
  readonly stateAt: Date
  readonly keyVersion: number
  readonly dekWrapped: Uint8Array | null
  readonly accessSealed: Uint8Array | null
  readonly refreshSealed: Uint8Array | null
  readonly accessExpiresAt: Date | null
  readonly refreshExpiresAt: Date | null
  /** Until the access token expires. Negative: it has. Null: it does not expire. */
  readonly accessLeftMs: number | null
  /** Whole lifetime of the access token. */
  readonly accessLifetimeMs: number | null
  /** Since the access token was received. */
  readonly accessAgeMs: number
  readonly issuedAt: Date
  readonly refreshAt: Date | null
  readonly updatedAt: Date
  /** Until the next refresh is due, or may be tried again. */
  readonly refreshInMs: number | null
  readonly grantedScopes: readonly string[]
  readonly leaseOwner: string | null
  /** Until the lease ends. Negative: it has, and its attempt was abandoned. */
  readonly leaseLeftMs: number | null
  readonly attemptId: string | null
  /** Consecutive attempts on this generation whose answer was lost. */
  readonly unknownOutcomes: number
  /** An error that may have come after the deed: the refresh token may be spent. */
  readonly maybeSpent: boolean
  readonly failures: number
  readonly rejections: number
  readonly firstRejectionAgeMs: number | null
  /** Revoked: when the sealed values are destroyed. */
  readonly shredAt: Date | null
}

export interface RowWire {
  readonly provider: string
  readonly provider_app: string
  readonly subject: string
  readonly state: string
  readonly state_reason: string | null
  readonly state_at: Date
  readonly generation: number
  readonly key_version: number
  readonly dek_wrapped: Uint8Array | null
  readonly access_sealed: Uint8Array | null
  readonly refresh_sealed: Uint8Array | null
  readonly access_expires_at: Date | null
  readonly refresh_expires_at: Date | null
  readonly access_left: number | null
  readonly access_lifetime: number | null
  readonly access_age: number
  readonly issued_at: Date
  readonly refresh_at: Date | null
  readonly updated_at: Date
  readonly refresh_in: number | null
  readonly granted_scopes: string[]
  readonly lease_owner: string | null
  readonly lease_left: number | null
  readonly attempt_id: string | null
  readonly unknown_outcomes: number
  readonly maybe_spent: boolean
  readonly failures: number
  readonly rejections: number
  readonly first_rejection_age: number | null
  readonly shred_at: Date | null
}

/** For `SELECT` and `RETURNING`; `parseRow` reads it. */
export const ROW: Sql = sql`provider, provider_app, subject, state, state_reason, state_at, generation, key_version,
  dek_wrapped, access_sealed, refresh_sealed, access_expires_at, refresh_expires_at,
  extract(epoch FROM access_expires_at - clock_timestamp())::float8 AS access_left,
  extract(epoch FROM access_expires_at - issued_at)::float8 AS access_lifetime,
  extract(epoch FROM clock_timestamp() - issued_at)::float8 AS access_age,
  extract(epoch FROM refresh_at - clock_timestamp())::float8 AS refresh_in,
  issued_at, refresh_at, updated_at, granted_scopes, lease_owner, extract(epoch FROM lease_until - clock_timestamp())::float8 AS lease_left,
  attempt_id, unknown_outcomes, maybe_spent, failures, rejections,
  extract(epoch FROM clock_timestamp() - first_rejection_at)::float8 AS first_rejection_age, shred_at`

type Query = Pick<VaultTx, '$queryRaw'>
type RowOf = (db: Query, tenantId: TenantId, connectionId: string) => Promise<CredentialRow | undefined>

/** The row as it is now: in a transaction of this tenant, or as one by itself. */
export const readRow: RowOf = async (db, tenantId, connectionId) =>
  parseRow(
    tenantId,
    connectionId,
    await db.$queryRaw<RowWire[]>`SELECT ${ROW} FROM credential_of(${tenantId}, ${connectionId})`,
  )

/** As `readRow`, and nobody else changes the row until the transaction ends. */
export const lockRow: RowOf = async (tx, tenantId, connectionId) =>
  parseRow(
    tenantId,
    connectionId,
    await tx.$queryRaw<RowWire[]>`SELECT ${ROW} FROM locked_credential(${tenantId}, ${connectionId})`,
  )

export function parseRow(
  tenantId: TenantId,
  connectionId: string,
  [row]: readonly RowWire[],
): CredentialRow | undefined {
  if (row === undefined) return undefined
  if (!isConnectionState(row.state)) throw new AppError('internal', 'A credential has a state nobody knows.')
  return {
    tenantId,
    connectionId: brand<'connection'>(connectionId),
    provider: row.provider,
    providerApp: row.provider_app,
    subject: row.subject,
    state: row.state,
    stateReason: row.state_reason,
    stateAt: row.state_at,
    generation: row.generation,
    keyVersion: row.key_version,
    dekWrapped: row.dek_wrapped,
    accessSealed: row.access_sealed,
    refreshSealed: row.refresh_sealed,
    accessExpiresAt: row.access_expires_at,
    refreshExpiresAt: row.refresh_expires_at,
    accessLeftMs: milliseconds(row.access_left),
    accessLifetimeMs: milliseconds(row.access_lifetime),
    accessAgeMs: row.access_age * 1_000,
    issuedAt: row.issued_at,
    refreshAt: row.refresh_at,
    updatedAt: row.updated_at,
    refreshInMs: milliseconds(row.refresh_in),
    grantedScopes: row.granted_scopes,
    leaseOwner: row.lease_owner,
    leaseLeftMs: milliseconds(row.lease_left),
    attemptId: row.attempt_id,
    unknownOutcomes: row.unknown_outcomes,
    maybeSpent: row.maybe_spent,
    failures: row.failures,
    rejections: row.rejections,
    firstRejectionAgeMs: milliseconds(row.first_rejection_age),
    shredAt: row.shred_at,
  }
}

const milliseconds = (seconds: number | null): number | null => (seconds === null ? null : seconds * 1_000)
