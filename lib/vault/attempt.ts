/**
 * One attempt to refresh a credential, as the database sees it: claimed by compare-and-set under a lease in database time,
 * and ended by a write that holds only for the same generation and the same attempt. The lease keeps others waiting; the
 * fence is what makes a late or resumed process harmless. No function here holds a connection when it returns.
 *
 * @module
 */
import type { Clock } from '../clock'
import type { VaultDb, VaultTx } from '../db/vault-db'
import { newId, type ConnectionId, type Id, type TenantId } from '../ids'
import type { Secret } from '../secret'
import type { Integrity } from './integrity'
import { recordEvent, SYSTEM, toOutbox, type OutboxRow } from './outbox'
import { insertRevocation, type RevocationScope, type SealedRevocation } from './revocation'
import { lockRow, parseRow, readRow, ROW, type CredentialRow, type RowWire } from './row'
import { openField, sealFields, type CredentialPlace, type SealedColumns } from './sealing'
import { endsAttempts, isUsable, type ConnectionState } from './state'
import type { TenantKeys } from './tenant-keys'
import { changeState, type StateChange } from './transition'

/** What is stored of a token answer. */
export interface StoredTokens {
  readonly accessToken: Secret
  readonly refreshToken: Secret | null
  readonly accessExpiresAt: Date | null
  readonly refreshExpiresAt: Date | null
  /** Null: as they were. */
  readonly grantedScopes: readonly string[] | null
}

export interface Attempt {
  readonly tenantId: TenantId
  readonly connectionId: ConnectionId
  readonly id: Id<'attempt'>
  readonly owner: string
  readonly generation: number
  /** The row as it was claimed. */
  readonly row: CredentialRow
}

/** Where an answer belongs that may outlive its process. */
export interface AnswerOf {
  readonly tenantId: TenantId
  readonly connectionId: ConnectionId
  readonly attemptId: Id<'attempt'>
  readonly generation: number
}

export type SaveResult =
  /** This answer is what the vault holds now. */
  | { readonly kind: 'saved'; readonly generation: number; readonly row: CredentialRow }
  /** Somebody else's attempt is under way; ask again. */
  | { readonly kind: 'busy' }
  /** The credential went on or ended without this answer. */
  | { readonly kind: 'superseded'; readonly state: ConnectionState | undefined }

/** What a failed attempt leaves behind. Absent means unchanged. */
export interface Conclusion {
  readonly state?: { readonly to: ConnectionState; readonly reason: string }
  /** Queued with the change of state, or not at all. */
  readonly revoke?: RevocationScope
  readonly failures?: number
  readonly rejections?: number
  /** It was refused oddly, whether or not that counts against this credential. */
  readonly wasRejected?: true
  /** The provider failed, perhaps after the deed. */
  readonly maybeSpent?: true
  /** When to try again at the earliest. */
  readonly retryInMs?: number
}

export interface Attempts {
  /** Undefined when the generation moved, the state forbids it or somebody else holds the lease. */
  claim(row: CredentialRow, owner: string, leaseMs: number): Promise<Attempt | undefined>
  /** False when the lease is no longer this attempt's. */
  renew(attempt: Attempt, leaseMs: number): Promise<boolean>
  /** Writes down that an answer was lost, before anything is tried again. False when the attempt was superseded. */
  countUnknown(attempt: Attempt, unknownOutcomes: number, leaseMs: number): Promise<boolean>
  /**
   * Stores the answer of a finished attempt, whether its process is the one that asked or found it in the spool. Safe to repeat.
   *
   * @param claimed  the row as this attempt claimed it: as long as nobody changed it since, one statement is all it takes
   */
  save(
    answer: AnswerOf,
    tokens: StoredTokens,
    cause: 'refresh' | 'recovery',
    claimed?: CredentialRow,
  ): Promise<SaveResult>
  /** Clears a lease that ran out on a credential that is not to be refreshed; what its attempt came to stays unknown. */
  dropLease(row: CredentialRow): Promise<void>
  /**
   * Ends the attempt without new tokens. The row is read again under its lock: undefined when the attempt was superseded,
   * and then nothing changed.
   *
   * @returns the row as it is afterwards
   */
  conclude(attempt: Attempt, conclusion: Conclusion, cause: string): Promise<CredentialRow | undefined>
}

const YEAR_MS = 365 * 86_400_000
/** Tokens that live shorter are renewed when a call needs one: kept fresh, they would never rest. */
const SHORTEST_MS = 30_000

export function createAttempts(deps: {
  readonly vaultDb: VaultDb
  readonly keys: TenantKeys
  readonly clock: Clock
  readonly integrity: Integrity
  readonly random: () => number
  readonly revocationOf: (row: CredentialRow, scope: RevocationScope) => Promise<SealedRevocation | undefined>
  readonly onChange: (
    row: { readonly tenantId: TenantId; readonly connectionId: string },
    change: StateChange | null,
  ) => void
}): Attempts {
  const { vaultDb, keys, clock, integrity, random, revocationOf, onChange } = deps

  return {
    async claim(row, owner, leaseMs) {
      const id = newId('attempt', clock.now())
      const claimed = parseRow(
        row.tenantId,
        row.connectionId,
        await vaultDb.global.$queryRaw<RowWire[]>`
          SELECT ${ROW} FROM claim_credential(${row.tenantId}, ${row.connectionId}, ${row.generation}::integer, ${id}, ${owner}, ${leaseMs}::integer)`,
      )
      if (claimed === undefined) return undefined
      const { tenantId, connectionId, generation } = claimed
      return { tenantId, connectionId, id, owner, generation, row: claimed }
    },

    async renew({ tenantId, connectionId, id, generation }, leaseMs) {
      const [row] = await vaultDb.global.$queryRaw<{ renewed: boolean }[]>`
        SELECT renew_lease(${tenantId}, ${connectionId}, ${generation}::integer, ${id}, ${leaseMs}::integer) AS renewed`
      return row?.renewed === true
    },

    async countUnknown({ tenantId, connectionId, id, generation }, unknownOutcomes, leaseMs) {
      const count = await vaultDb.tenant(
        tenantId,
        (tx) => tx.$executeRaw`
          UPDATE credential SET unknown_outcomes = ${unknownOutcomes}, updated_at = clock_timestamp(),
              lease_until = clock_timestamp() + ${leaseMs} * interval '1 millisecond'
           WHERE tenant_id = ${tenantId} AND connection_id = ${connectionId} AND generation = ${generation} AND attempt_id = ${id}`,
      )
      return count === 1
    },

    async dropLease({ tenantId, connectionId, attemptId }) {
      await vaultDb.tenant(
        tenantId,
        (tx) => tx.$executeRaw`
          UPDATE credential SET lease_owner = NULL, lease_until = NULL, unknown_outcomes = unknown_outcomes + 1
           WHERE tenant_id = ${tenantId} AND connection_id = ${connectionId} AND attempt_id = ${attemptId}
             AND lease_until < clock_timestamp()`,
      )
    },

    async save(answer, tokens, cause, claimed) {
      const { tenantId, connectionId, generation } = answer
      const event = { ...answer, action: 'connection.refreshed', actor: SYSTEM, reason: cause } as const
      if (claimed?.state === 'active') {
        const place = { ...placeOf(claimed), generation: generation + 1 }
        const next = { ...place, ...(await sealTokens(keys, place, tokens)) }
        const fence = { attemptId: answer.attemptId, event: toOutbox(clock, event) }
        const row = await storeTokens(vaultDb.global, next, tokens, clock, random, fence)
        if (row !== undefined) {
          onChange(answer, null)
          return { kind: 'saved', generation: row.generation, row }
        }
      }
      // Sealing needs the key store, so it happens before the transaction; the place is checked inside.
      const before = await readRow(vaultDb.global, tenantId, connectionId)
      if (before === undefined) return { kind: 'superseded', state: undefined }
      if (before.generation > generation && (await holds(before, tokens)))
        return { kind: 'saved', generation: before.generation, row: before } // an earlier try was committed without our hearing of it
      if (before.generation !== generation || !mayTake(before, answer)) return refusal(before, answer)
      const place = { ...placeOf(before), generation: generation + 1 }
      const columns = await sealTokens(keys, place, tokens)
      const result = await vaultDb.tenant(tenantId, async (tx) => {
        const row = await lockRow(tx, tenantId, connectionId)
        if (row === undefined) return { saved: { kind: 'superseded', state: undefined } as const, change: null }
        if (row.generation !== generation || !mayTake(row, answer) || !isSamePlace(row, before))
          return { saved: refusal(row, answer), change: null }
        const state = row.state === 'suspended' ? 'suspended' : 'active'
        const stored = await storeTokens(tx, { ...place, ...columns }, tokens, clock, random)
        await recordEvent(tx, clock, event)
        const change =
          state === row.state
            ? null
            : await changeState(tx, clock, { ...row, generation: generation + 1 }, { to: state, reason: cause, cause })
        const after = change === null ? stored : await readRow(tx, tenantId, connectionId)
        return { saved: { kind: 'saved', generation: generation + 1, row: after ?? row } as const, change }
      })
      if (result.saved.kind === 'saved') onChange(answer, result.change)
      return result.saved
    },

    async conclude(attempt, conclusion, cause) {
      const { tenantId, connectionId, generation, id } = attempt
      const { state, failures, rejections, wasRejected, maybeSpent, retryInMs } = conclusion
      const revocation =
        conclusion.revoke === undefined ? undefined : await revocationOf(attempt.row, conclusion.revoke)
      const ended = await vaultDb.tenant(tenantId, async (tx) => {
        const row = await lockRow(tx, tenantId, connectionId)
        if (row?.generation !== generation || row.attemptId !== id) return undefined
        const counted = rejections !== undefined && rejections > 0
        await tx.$executeRaw`
          UPDATE credential SET lease_owner = NULL, lease_until = NULL, attempt_id = NULL, attempt_started_at = NULL,
              failures = ${failures ?? row.failures}, rejections = ${rejections ?? row.rejections},
              maybe_spent = maybe_spent OR ${maybeSpent === true},
              rejected_at = CASE WHEN ${wasRejected === true} THEN clock_timestamp() ELSE rejected_at END,
              first_rejection_at = CASE WHEN ${counted} THEN COALESCE(first_rejection_at, clock_timestamp()) ELSE first_rejection_at END,
              refresh_at = CASE WHEN ${retryInMs === undefined} THEN refresh_at
                                ELSE clock_timestamp() + ${retryInMs ?? 0} * interval '1 millisecond' END,
              updated_at = clock_timestamp()
           WHERE tenant_id = ${tenantId} AND connection_id = ${connectionId}`
        const change =
          state === undefined || state.to === row.state ? null : await changeState(tx, clock, row, { ...state, cause })
        if (change !== null && revocation !== undefined) await insertRevocation(tx, revocation)
        return { change, row: (await readRow(tx, tenantId, connectionId)) ?? row }
      })
      if (ended === undefined) return undefined
      onChange(attempt, ended.change)
      return ended.row
    },
  }

  /** Whether the vault holds exactly these tokens. */
  async function holds(row: CredentialRow, tokens: StoredTokens): Promise<boolean> {
    const { tenantId, connectionId, generation, keyVersion, dekWrapped, accessSealed } = row
    if (dekWrapped === null || accessSealed === null) return false
    const stored = await integrity.watch({ tenantId, connectionId, generation, field: 'access_token' }, () =>
      openField(keys, row, { keyVersion, dekWrapped, sealed: accessSealed }, 'access_token'),
    )
    const ours = Buffer.from(tokens.accessToken.reveal())
    const isSame = stored.equals(ours)
    stored.fill(0)
    ours.fill(0)
    return isSame
  }
}

/** Whether this answer may become the next generation of the row, which still has the generation it was asked with. */
function mayTake(row: CredentialRow, answer: AnswerOf): boolean {
  if (row.attemptId === answer.attemptId) return !endsAttempts(row.state)
  // The lease ran out, or somebody else tried in vain since: the answer is still the newest there is.
  if (row.leaseOwner !== null && (row.leaseLeftMs ?? 0) > 0) return false
  if (row.state === 'reauthorization_required') return row.stateReason === 'lost_rotation'
  return isUsable(row.state) || row.state === 'suspended'
}

function refusal(row: CredentialRow, answer: AnswerOf): SaveResult {
  const mayWait = row.generation === answer.generation && isUsable(row.state) && row.leaseOwner !== null
  return mayWait ? { kind: 'busy' } : { kind: 'superseded', state: row.state }
}

export const placeOf = ({ tenantId, connectionId, provider, providerApp, subject, generation }: CredentialRow) => ({
  tenantId,
  connectionId,
  provider,
  providerApp,
  subject,
  generation,
})

const isSamePlace = (a: CredentialPlace, b: CredentialPlace) =>
  a.provider === b.provider && a.providerApp === b.providerApp && a.subject === b.subject

export interface SealedTokens extends Pick<SealedColumns, 'keyVersion' | 'dekWrapped'> {
  readonly accessSealed: Uint8Array<ArrayBuffer>
  readonly refreshSealed: Uint8Array<ArrayBuffer> | null
}

export async function sealTokens(
  keys: TenantKeys,
  place: CredentialPlace,
  tokens: StoredTokens,
): Promise<SealedTokens> {
  const fields = [{ field: 'access_token', value: tokens.accessToken.reveal() }]
  if (tokens.refreshToken !== null) fields.push({ field: 'refresh_token', value: tokens.refreshToken.reveal() })
  const { keyVersion, dekWrapped, sealed } = await sealFields(keys, place, fields)
  const [accessSealed, refreshSealed] = sealed
  if (accessSealed === undefined) throw new TypeError('sealFields lost a field')
  return { keyVersion, dekWrapped, accessSealed, refreshSealed: refreshSealed ?? null }
}

/**
 * Writes sealed tokens over a row and ends whatever attempt was under way.
 *
 * @param fence  it holds only while this attempt has the active row, and then the event is committed with it
 * @returns the row as it is afterwards; undefined when there is none or the fence does not hold, and nothing changed
 */
export async function storeTokens(
  db: Pick<VaultTx, '$queryRaw'>,
  next: CredentialPlace & SealedTokens,
  tokens: StoredTokens,
  clock: Clock,
  random: () => number,
  fence?: { readonly attemptId: string; readonly event: OutboxRow },
): Promise<CredentialRow | undefined> {
  const { tenantId, connectionId, provider, providerApp, subject, generation } = next
  const { accessMs, refreshMs, dueMs } = lifetimes(tokens, clock, random)
  const scopes = tokens.grantedScopes === null ? null : [...tokens.grantedScopes]
  const stored = await db.$queryRaw<RowWire[]>`
    SELECT ${ROW} FROM store_tokens(${tenantId}, ${connectionId}, ${provider}, ${providerApp}, ${subject}, ${generation}::integer,
      ${next.keyVersion}::integer, ${next.dekWrapped}, ${next.accessSealed}, ${next.refreshSealed}::bytea,
      ${accessMs}::float8, ${refreshMs}::float8, ${dueMs}::float8, ${scopes}::text[],
      ${fence?.attemptId ?? null}::text, ${fence?.event.id ?? null}::text, ${fence === undefined ? null : JSON.stringify(fence.event.record)}::jsonb)`
  return parseRow(tenantId, connectionId, stored)
}

/**
 * What is left of the tokens' lives, so that the database can write the instants by its own clock: a process whose clock
 * is wrong is wrong in both readings, and the error cancels.
 */
export function lifetimes(
  tokens: Pick<StoredTokens, 'accessExpiresAt' | 'refreshExpiresAt' | 'refreshToken'>,
  clock: Clock,
  random: () => number,
): { readonly accessMs: number | null; readonly refreshMs: number | null; readonly dueMs: number | null } {
  const left = (at: Date | null) => {
    if (at === null) return null
    const ms = at.getTime() - clock.now().getTime()
    return Number.isNaN(ms) ? 0 : Math.min(Math.max(ms, 0), YEAR_MS)
  }
  const accessMs = left(tokens.accessExpiresAt)
  const refreshMs = left(tokens.refreshExpiresAt)
  if (accessMs === null || tokens.refreshToken === null) return { accessMs, refreshMs, dueMs: null }
  // What can be renewed no more after its refresh token's end is renewed before it.
  const lifeMs = refreshMs !== null && refreshMs >= SHORTEST_MS ? Math.min(accessMs, refreshMs) : accessMs
  return {
    accessMs,
    refreshMs,
    // Half to four fifths of a lifetime, so that tokens made together are not refreshed together.
    dueMs: lifeMs < SHORTEST_MS ? null : lifeMs * (0.5 + 0.3 * random()),
  }
}
