/**
 * The credential store: the one way to a provider token.
 *
 * A credential opens only when its row is at least as new as the application database says, when every sealed value is
 * the one that was sealed in exactly this place, and when its state allows a call. Everything else fails closed, before
 * anything is sent anywhere. Making one writes the vault first and the application database after; ending one blocks
 * there first and comes here after.
 *
 * @module
 */
import type { AuditActor } from '../audit/record'
import type { Clock } from '../clock'
import type { VaultDb } from '../db/vault-db'
import { AppError, notFound } from '../errors'
import { brand, type ConnectionId, type TenantId } from '../ids'
import type { Log } from '../log'
import { Secret } from '../secret'
import {
  createAttempts,
  placeOf,
  sealTokens,
  storeTokens,
  lifetimes,
  type Attempts,
  type StoredTokens,
} from './attempt'
import { createCredentialCache } from './cache'
import { createIntegrity, refuseRollback, type OnIntegrityAlarm } from './integrity'
import { shownOf, type Mirror } from './mirror'
import { recordEvent, SYSTEM } from './outbox'
import { lockRow, readRow, type CredentialRow } from './row'
import {
  createRevocations,
  insertRevocation,
  sealRevocation,
  type RevocableTokens,
  type Revocations,
  type RevocationScope,
  type SealedRevocation,
} from './revocation'
import { openField } from './sealing'
import { isUsable, mayChange, type ConnectionState } from './state'
import type { TenantKeys } from './tenant-keys'
import { changeState, type StateChange } from './transition'
import type { Usage } from './usage'

export interface OpenCredential {
  readonly state: ConnectionState
  readonly stateReason: string | null
  readonly generation: number
  readonly provider: string
  readonly providerApp: string
  /** Absent unless the state allows a call. */
  readonly accessToken?: Secret
  readonly accessExpiresAt: Date | null
  /** Until the access token expires, by the database's clock. Null: it does not expire. */
  readonly accessLeftMs: number | null
  readonly accessLifetimeMs: number | null
  readonly hasRefreshToken: boolean
  readonly grantedScopes: readonly string[]
}

export interface NewCredential {
  readonly tenantId: TenantId
  readonly connectionId: ConnectionId
  readonly provider: string
  readonly providerApp: string
  readonly subject: string
  readonly tokens: StoredTokens
}

export interface Credentials {
  /** Stores a new connection's tokens. The application row follows, with this generation as its floor. */
  create(credential: NewCredential): Promise<{ generation: number }>
  /**
   * Stores the tokens of a new consent over the old ones and makes the connection active again.
   *
   * @param minGeneration  the application database's floor; the new generation is above it even if the vault was restored
   */
  replace(
    credential: NewCredential,
    options: { readonly minGeneration: number; readonly actor?: AuditActor },
  ): Promise<{ generation: number }>
  /**
   * The credential as a call may use it, at most 1.5 s old.
   *
   * @throws AppError `resource.not_found`; `vault.unreadable` when the row is older than `minGeneration` or was altered;
   *   `vault.key_unavailable`
   */
  open(
    tenantId: TenantId,
    connectionId: ConnectionId,
    options: { readonly minGeneration: number },
  ): Promise<OpenCredential>
  /** The row as it is now, past every cache. */
  read(tenantId: TenantId, connectionId: ConnectionId): Promise<CredentialRow | undefined>
  /** The refresh token of this very row. @throws AppError `vault.unreadable`, `vault.key_unavailable` */
  openRefreshToken(row: CredentialRow): Promise<Secret>
  /** Fails when the row is older than the floor. @throws AppError `vault.unreadable` */
  refuseRollback(row: CredentialRow, minGeneration: number): void
  /** @returns the state afterwards, and whether this changed it; an illegal change changes nothing */
  setState(
    tenantId: TenantId,
    connectionId: ConnectionId,
    to: ConnectionState,
    cause: {
      readonly reason: string
      readonly cause?: string
      readonly actor?: AuditActor
      readonly revoke?: RevocationScope
    },
  ): Promise<{ changed: boolean; state: ConnectionState | undefined }>
  /**
   * Takes a revocation back within its week: active again, due for a refresh, its counters at nought, and what was still to
   * be said to the provider is not said. The application's own block is lifted by the caller.
   *
   * @returns false when it is not revoked, or when nothing is left to restore
   */
  restore(tenantId: TenantId, connectionId: ConnectionId, actor: AuditActor): Promise<boolean>
  /** Destroys what revoked credentials held when their week is over. @returns how many */
  shredDue(limit: number): Promise<number>
  /** Shows people the states they were not shown yet. @returns how many */
  showPending(limit: number): Promise<number>
  /** Shows people, in the background, what the vault holds now: for a connection that was just made. */
  show(tenantId: TenantId, connectionId: ConnectionId): void
  /**
   * Deletes the sealed tokens and their key; the row stays as the evidence. With `revoke`, the tokens move into the
   * revocation queue in the same transaction; if they cannot be read any more, the deletion goes on without.
   */
  destroy(
    tenantId: TenantId,
    connectionId: ConnectionId,
    cause: { readonly reason: string; readonly actor?: AuditActor; readonly revoke?: RevocationScope },
  ): Promise<{ revocationId: string | undefined }>
  /** Queues the revocation of the given tokens, or of those stored. Undefined when there is nothing to revoke. */
  queueRevocation(
    tenantId: TenantId,
    connectionId: ConnectionId,
    scope: RevocationScope,
    tokens?: RevocableTokens,
  ): Promise<string | undefined>
  /** Puts off the next scheduled refresh. */
  postponeRefresh(tenantId: TenantId, connectionId: ConnectionId, delayMs: number): Promise<void>
  /** Forgets what this process remembers of the connection: call it when it is blocked or revoked. */
  evict(tenantId: TenantId, connectionId: ConnectionId): void
  /** Notes that a call uses the credential. Costs nothing now; written later, with others. */
  touch(tenantId: TenantId, connectionId: ConnectionId): void
  readonly attempts: Attempts
  readonly revocations: Revocations
  /** Resolves when what follows commits in the background (copies in the application database) is done. */
  settled(): Promise<void>
}

const FENCE_TRIES = 8

export function createCredentials(deps: {
  readonly vaultDb: VaultDb
  readonly keys: TenantKeys
  readonly mirror: Mirror
  readonly clock: Clock
  readonly log: Log
  readonly onIntegrityAlarm: OnIntegrityAlarm
  readonly usage?: Usage
  readonly monotonicMs?: () => number
  readonly random?: () => number
}): Credentials {
  const { vaultDb, keys, mirror, clock, log, monotonicMs = () => performance.now(), random = Math.random } = deps
  const integrity = createIntegrity(deps)
  const cache = createCredentialCache(monotonicMs)
  const background = new Set<Promise<void>>()
  const nameOf = (tenantId: TenantId, connectionId: string) => `${tenantId}/${connectionId}`
  const evict: Credentials['evict'] = (tenantId, connectionId) => cache.forget(nameOf(tenantId, connectionId))

  const inBackground = (work: () => Promise<void>): void => {
    const task = work()
      .catch((error: unknown) => log.warn({ err: error }, 'A copy in the application database is late.'))
      .finally(() => background.delete(task))
    background.add(task)
  }
  /** A state is owed until it is copied: whoever dies in between, the next scan finds it. */
  const copyState = async (tenantId: TenantId, connectionId: string, change: Omit<StateChange, 'from'>) => {
    await mirror.copyState(tenantId, connectionId, change)
    await vaultDb.tenant(
      tenantId,
      (tx) => tx.$executeRaw`
        UPDATE credential SET state_shown = true
         WHERE tenant_id = ${tenantId} AND connection_id = ${connectionId} AND date_trunc('milliseconds', state_at) = ${change.at}`,
    )
  }
  const onChange = (at: { readonly tenantId: TenantId; readonly connectionId: string }, change: StateChange | null) => {
    cache.forget(nameOf(at.tenantId, at.connectionId))
    if (change !== null) inBackground(() => copyState(at.tenantId, at.connectionId, change))
  }
  const show = (tenantId: TenantId, connectionId: string) =>
    inBackground(async () => {
      const row = await readRow(vaultDb.global, tenantId, connectionId)
      if (row !== undefined) await mirror.report(tenantId, connectionId, { shown: shownOf(row) })
    })

  const revocations = createRevocations({ vaultDb, keys, integrity })

  const read: Credentials['read'] = (tenantId, connectionId) => readRow(vaultDb.global, tenantId, connectionId)

  const openToken = async (row: CredentialRow, field: 'access_token' | 'refresh_token'): Promise<Buffer> => {
    const { tenantId, connectionId, generation, keyVersion, dekWrapped } = row
    const sealed = field === 'access_token' ? row.accessSealed : row.refreshSealed
    return integrity.watch({ tenantId, connectionId, generation, field }, async () => {
      if (dekWrapped === null || sealed === null)
        throw new AppError('vault.unreadable', 'The stored credential could not be read.', {
          internal: { connectionId, field },
        })
      return openField(keys, row, { keyVersion, dekWrapped, sealed }, field)
    })
  }
  const openSecret = async (row: CredentialRow, field: 'access_token' | 'refresh_token'): Promise<Secret> => {
    const bytes = await openToken(row, field)
    try {
      return new Secret(bytes.toString('utf8'))
    } finally {
      bytes.fill(0)
    }
  }

  /** What a row holds, moved into a revocation; undefined when it holds nothing that opens. */
  const revocationOf = async (row: CredentialRow, scope: RevocationScope): Promise<SealedRevocation | undefined> => {
    if (row.dekWrapped === null || row.accessSealed === null) return undefined
    try {
      const accessToken = await openSecret(row, 'access_token')
      const refreshToken = row.refreshSealed === null ? undefined : await openSecret(row, 'refresh_token')
      const tokens = { accessToken, ...(refreshToken === undefined ? {} : { refreshToken }) }
      return await sealRevocation(keys, clock, placeOf(row), tokens, scope)
    } catch (error) {
      // Ending access is never refused. Whoever reads the alarm revokes by hand at the provider.
      if (!(error instanceof AppError)) throw error
      log.error(
        { err: error, connectionId: row.connectionId },
        'Tokens that cannot be read cannot be revoked at the provider.',
      )
      return undefined
    }
  }

  const attempts = createAttempts({ vaultDb, keys, clock, integrity, random, revocationOf, onChange })

  /** Reads, prepares outside of any transaction, then writes only if the row is still what was read. */
  const fenced = async <P, R>(
    tenantId: TenantId,
    connectionId: ConnectionId,
    prepare: (row: CredentialRow | undefined) => Promise<P>,
    write: (
      tx: Parameters<Parameters<VaultDb['tenant']>[1]>[0],
      row: CredentialRow | undefined,
      prepared: P,
    ) => Promise<R>,
  ): Promise<R> => {
    for (let attempt = 1; attempt <= FENCE_TRIES; attempt += 1) {
      const before = await read(tenantId, connectionId)
      const prepared = await prepare(before)
      const written = await vaultDb.tenant(tenantId, async (tx) => {
        const row = await lockRow(tx, tenantId, connectionId)
        if (row?.generation !== before?.generation || row?.state !== before?.state) return undefined
        return { result: await write(tx, row, prepared) }
      })
      if (written !== undefined) return written.result
    }
    throw new AppError('resource.conflict', 'This connection is changing at this moment. Try again.')
  }

  return {
    attempts,
    revocations,
    read,
    evict,

    async create({ tenantId, connectionId, provider, providerApp, subject, tokens }) {
      const generation = 1
      const place = { tenantId, connectionId, provider, providerApp, subject, generation }
      const sealed = await sealTokens(keys, place, tokens)
      const { dueMs, accessMs, refreshMs } = lifetimes(tokens, clock, random)
      const scopes = [...(tokens.grantedScopes ?? [])]
      const inserted = await vaultDb.tenant(
        tenantId,
        (tx) => tx.$executeRaw`
          INSERT INTO credential (tenant_id, connection_id, provider, provider_app, subject, state, generation, key_version,
              dek_wrapped, access_sealed, refresh_sealed, granted_scopes, access_expires_at, refresh_expires_at, refresh_at)
          VALUES (${tenantId}, ${connectionId}, ${provider}, ${providerApp}, ${subject}, 'active', ${generation}, ${sealed.keyVersion},
              ${sealed.dekWrapped}, ${sealed.accessSealed}, ${sealed.refreshSealed}, ${scopes},
              now() + ${accessMs}::float8 * interval '1 millisecond', now() + ${refreshMs}::float8 * interval '1 millisecond',
              now() + ${dueMs}::float8 * interval '1 millisecond')
          ON CONFLICT DO NOTHING`,
      )
      if (inserted !== 1) throw new AppError('resource.conflict', 'This connection exists already.')
      cache.forget(nameOf(tenantId, connectionId))
      return { generation }
    },

    async replace({ tokens, ...to }, { minGeneration, actor = SYSTEM }) {
      const { tenantId, connectionId } = to
      const { generation, change } = await fenced(
        tenantId,
        connectionId,
        async (row) => {
          if (row === undefined) throw notFound()
          if (row.state === 'disconnected') throw new AppError('resource.conflict', 'This connection was disconnected.')
          const place = { ...to, generation: Math.max(row.generation, minGeneration) + 1 }
          return { place, sealed: await sealTokens(keys, place, tokens) }
        },
        async (tx, row, { place, sealed }) => {
          if (row === undefined) throw notFound()
          await storeTokens(tx, { ...place, ...sealed }, tokens, clock, random)
          const change =
            row.state === 'active'
              ? null
              : await changeState(
                  tx,
                  clock,
                  { ...row, generation: place.generation },
                  { to: 'active', reason: 'reconnected', cause: 'consent', actor },
                )
          return { generation: place.generation, change }
        },
      )
      onChange(to, change)
      deps.usage?.touch(to.tenantId, to.connectionId) // whoever connects it again means to use it
      return { generation }
    },

    async open(tenantId, connectionId, { minGeneration }) {
      const name = nameOf(tenantId, connectionId)
      const entered = cache.mark()
      let found = await cache.row(name, undefined, () => read(tenantId, connectionId))
      // What is remembered may be older than what the caller knows; what is read now may not.
      if (found.row === undefined || found.row.generation < minGeneration)
        found = await cache.row(name, entered, () => read(tenantId, connectionId))
      const { row } = found
      if (row === undefined) throw notFound()
      refuseRollback(integrity, row, minGeneration)
      const elapsedMs = monotonicMs() - found.readAt
      const facts = {
        state: row.state,
        stateReason: row.stateReason,
        generation: row.generation,
        provider: row.provider,
        providerApp: row.providerApp,
        accessExpiresAt: row.accessExpiresAt,
        accessLeftMs: row.accessLeftMs === null ? null : row.accessLeftMs - elapsedMs,
        accessLifetimeMs: row.accessLifetimeMs,
        hasRefreshToken: row.refreshSealed !== null,
        grantedScopes: row.grantedScopes,
      }
      if (!isUsable(row.state)) {
        evict(tenantId, connectionId)
        return facts
      }
      const known = cache.token(name, row.generation)
      if (known !== undefined) return { ...facts, accessToken: known }
      const bytes = await openToken(row, 'access_token')
      const accessToken = new Secret(bytes.toString('utf8'))
      cache.keepToken(name, row.generation, bytes)
      return { ...facts, accessToken }
    },

    async openRefreshToken(row) {
      // A row is whole or it is refused: a refresh would send the provider a request and wipe the traces away.
      if (row.accessSealed !== null) (await openToken(row, 'access_token')).fill(0)
      return openSecret(row, 'refresh_token')
    },
    refuseRollback: (row, minGeneration) => refuseRollback(integrity, row, minGeneration),

    async setState(tenantId, connectionId, to, { reason, cause = 'request', actor = SYSTEM, revoke }) {
      const { row, change } = await fenced(
        tenantId,
        connectionId,
        async (row) =>
          row === undefined || revoke === undefined || !mayChange(row.state, to)
            ? undefined
            : revocationOf(row, revoke),
        async (tx, row, revocation) => {
          const change = row === undefined ? null : await changeState(tx, clock, row, { to, reason, cause, actor })
          if (change !== null && revocation !== undefined) await insertRevocation(tx, revocation)
          return { row, change }
        },
      )
      onChange({ tenantId, connectionId }, change)
      return { changed: change !== null, state: change?.state ?? row?.state }
    },

    async destroy(tenantId, connectionId, { reason, actor = SYSTEM, revoke }) {
      const { revocationId, change } = await fenced(
        tenantId,
        connectionId,
        async (row) => (row === undefined || revoke === undefined ? undefined : revocationOf(row, revoke)),
        async (tx, row, revocation) => {
          if (row === undefined) return { revocationId: undefined, change: null }
          const change = await changeState(tx, clock, row, { to: 'disconnected', reason, cause: 'request', actor })
          await tx.$executeRaw`
            UPDATE credential SET dek_wrapped = NULL, access_sealed = NULL, refresh_sealed = NULL, refresh_at = NULL,
                lease_owner = NULL, lease_until = NULL, attempt_id = NULL, attempt_started_at = NULL, shred_at = NULL,
                updated_at = clock_timestamp()
             WHERE tenant_id = ${tenantId} AND connection_id = ${connectionId}`
          if (revocation !== undefined) await insertRevocation(tx, revocation)
          return { revocationId: revocation?.id, change }
        },
      )
      onChange({ tenantId, connectionId }, change)
      return { revocationId }
    },

    async restore(tenantId, connectionId, actor) {
      const change = await vaultDb.tenant(tenantId, async (tx) => {
        const row = await lockRow(tx, tenantId, connectionId)
        if (row?.state !== 'revoked' || row.dekWrapped === null || row.accessSealed === null) return null
        const restored = await changeState(tx, clock, row, {
          to: 'active',
          reason: 'restored',
          cause: 'operator',
          actor,
        })
        await tx.$executeRaw`
          UPDATE credential SET failures = 0, rejections = 0, first_rejection_at = NULL, rejected_at = NULL,
              refresh_at = CASE WHEN refresh_sealed IS NULL THEN NULL ELSE clock_timestamp() END, updated_at = clock_timestamp()
           WHERE tenant_id = ${tenantId} AND connection_id = ${connectionId}`
        await tx.revocation.deleteMany({ where: { tenantId, connectionId } })
        return restored
      })
      if (change === null) return false
      onChange({ tenantId, connectionId }, null)
      // Waited for: a late copy of the revocation must not come after the block was lifted.
      await copyState(tenantId, connectionId, change)
      show(tenantId, connectionId)
      return true
    },

    async shredDue(limit) {
      const due = await vaultDb.global.$queryRaw<{ tenant_id: string; connection_id: string }[]>`
        SELECT tenant_id, connection_id FROM due_shreds(${limit}::integer)`
      let shredded = 0
      for (const { tenant_id, connection_id } of due) {
        const tenantId = brand<'tenant'>(tenant_id)
        const isDone = await vaultDb.tenant(tenantId, async (tx) => {
          const count = await tx.$executeRaw`
            UPDATE credential SET dek_wrapped = NULL, access_sealed = NULL, refresh_sealed = NULL, refresh_at = NULL, shred_at = NULL,
                updated_at = clock_timestamp()
             WHERE tenant_id = ${tenantId} AND connection_id = ${connection_id} AND state = 'revoked' AND shred_at <= clock_timestamp()`
          if (count === 1)
            await recordEvent(tx, clock, {
              tenantId,
              connectionId: connection_id,
              action: 'connection.shredded',
              actor: SYSTEM,
              reason: 'revoked',
            })
          return count === 1
        })
        if (!isDone) continue
        shredded += 1
        onChange({ tenantId, connectionId: connection_id }, null)
        show(tenantId, connection_id)
      }
      return shredded
    },

    async showPending(limit) {
      const pending = await vaultDb.global.$queryRaw<{ tenant_id: string; connection_id: string }[]>`
        SELECT tenant_id, connection_id FROM unshown_states(${limit}::integer)`
      for (const { tenant_id, connection_id } of pending) {
        const tenantId = brand<'tenant'>(tenant_id)
        try {
          const row = await read(tenantId, brand<'connection'>(connection_id))
          if (row === undefined) continue
          const { state, stateReason, stateAt: at, generation } = row
          const reason = stateReason ?? 'unknown'
          await copyState(tenantId, connection_id, { state, reason, cause: 'repair', at, generation })
          await mirror.report(tenantId, connection_id, { shown: shownOf(row) })
        } catch (error) {
          log.warn({ err: error, connectionId: connection_id }, 'A state is shown later.')
        }
      }
      return pending.length
    },

    show: (tenantId, connectionId) => show(tenantId, connectionId),
    touch: (tenantId, connectionId) => deps.usage?.touch(tenantId, connectionId),

    async queueRevocation(tenantId, connectionId, scope, tokens) {
      const row = await read(tenantId, connectionId)
      if (row === undefined) return undefined
      const revocation =
        tokens === undefined
          ? await revocationOf(row, scope)
          : await sealRevocation(keys, clock, placeOf(row), tokens, scope)
      if (revocation === undefined) return undefined
      await vaultDb.tenant(tenantId, (tx) => insertRevocation(tx, revocation))
      return revocation.id
    },

    async postponeRefresh(tenantId, connectionId, delayMs) {
      await vaultDb.tenant(
        tenantId,
        (tx) => tx.$executeRaw`
          UPDATE credential SET refresh_at = clock_timestamp() + ${delayMs}::float8 * interval '1 millisecond'
           WHERE tenant_id = ${tenantId} AND connection_id = ${connectionId} AND refresh_at < clock_timestamp()`,
      )
    },

    async settled() {
      await deps.usage?.flush()
      while (background.size > 0) await Promise.all(background)
    },
  }
}
