/**
 * What a crash between two databases left behind, made whole. Three kinds:
 *
 *   an answer on disk whose connection was not finished      it is finished, or ended at the provider
 *   a credential that no connection shows, or a deleted one   it is destroyed and ended at the provider
 *   a connection without a credential                        it is blocked and says that it must be connected again
 *
 * And what was revoked a week ago and not restored is destroyed.
 *
 * @module
 */
import type { AuditEvent } from '../audit/record'
import { brand, type ConnectionId, type TenantId } from '../ids'
import { isPermitted } from '../tenancy/permission'
import type { Role } from '../tenancy/principal'
import { attemptOfSpool, spoolId, type ConnectAttempt } from './attempt'
import type { Complete } from './complete'
import type { ConnectionsDeps } from './deps'
import type { createDisconnect } from './disconnect'

export interface SweepReport {
  readonly finished: number
  readonly discarded: number
  readonly destroyed: number
  readonly blocked: number
  readonly forgotten: number
  readonly shredded: number
}

export interface SweepOptions {
  /** Younger half-states belong to a process that is still at work. */
  readonly minAgeMs?: number
  readonly pageSize?: number
}

const SHRED_AT_ONCE = 500
const MIN_AGE_MS = 5 * 60_000
const MAX_RESUME_MS = 24 * 60 * 60_000

export function createSweep(
  deps: ConnectionsDeps,
  { complete, discard }: { readonly [K in keyof Complete]: Complete[K] },
  { destroy }: Pick<ReturnType<typeof createDisconnect>, 'destroy'>,
) {
  const { appDb, audit, log, providers, spool, vaultDb } = deps

  const repaired = (tenantId: TenantId, connectionId: ConnectionId, reason: string): AuditEvent => ({
    tenantId,
    action: 'connection.repaired',
    actor: { kind: 'system' },
    connectionId,
    reason,
    outcome: 'success',
  })

  /** Consents whose process died between the provider's answer and the end. */
  const resume = async (minAgeMs: number): Promise<{ finished: number; discarded: number }> => {
    let finished = 0
    let discarded = 0
    for (const fileId of await spool.list()) {
      try {
        const id = attemptOfSpool(fileId)
        const kept = await spool.find(fileId)
        if (id === undefined || kept === undefined) continue
        const { tenantId, connectionId } = kept.answer
        const found = await appDb.tenant(tenantId, async (tx) => {
          const rows = await tx.$queryRaw<{ age: number | null }[]>`
            SELECT EXTRACT(EPOCH FROM now() - used_at)::float8 * 1000 AS age FROM connect_attempt WHERE tenant_id = ${tenantId} AND id = ${id}`
          const row = await tx.connectAttempt.findFirst({ where: { tenantId, id } })
          const member =
            row === null ? null : await tx.membership.findFirst({ where: { tenantId, personId: row.personId } })
          return { row, age: rows[0]?.age ?? null, role: member?.role }
        })
        const { row, age, role } = found
        if (row !== null && age !== null && age < minAgeMs) continue
        const client = row === null ? undefined : providers.get(row.provider)
        const tokens = { ...kept.tokens, grantedScopes: [...(kept.tokens.grantedScopes ?? [])] }
        // Without its row nobody can say which app the answer came from.
        if (row === null || client?.app.key !== row.providerApp) {
          log.error({ attemptId: fileId }, 'An answer of a provider belongs to no consent that is known here.')
          continue
        }
        const attempt: ConnectAttempt = {
          tenantId,
          id,
          personId: brand(row.personId),
          provider: row.provider,
          providerApp: row.providerApp,
          requestedScopes: row.requestedScopes,
          connectionId: row.connectionId === null ? null : brand(row.connectionId),
          expectedSubject: row.expectedSubject,
          codeVerifier: '',
          nonce: '',
          webSessionId: null,
          network: null,
        }
        if (row.outcome === 'connected' || row.outcome === 'partial') {
          await spool.remove(spoolId(id)) // only its file was left
          continue
        }
        const mayFinish =
          row.outcome === null &&
          age !== null &&
          age < MAX_RESUME_MS &&
          role !== undefined &&
          isPermitted(role as Role, 'connection.connect') // the column's CHECK lists the roles
        if (mayFinish) {
          await complete({ attempt, client, tokens, identity: null, newConnectionId: connectionId })
          finished += 1
          continue
        }
        const who = await client.identify(tokens.accessToken)
        if (await discard(client, tokens, who.kind === 'known' ? who.identity.subject : undefined)) {
          await spool.remove(spoolId(id))
          discarded += 1
        }
      } catch (error) {
        log.warn({ err: error, attemptId: fileId }, 'An interrupted consent could not be finished yet.')
      }
    }
    return { finished, discarded }
  }

  /** Credentials that no living connection shows. */
  const destroyOrphans = async (minAgeMs: number, pageSize: number): Promise<number> => {
    const pending = new Set<string>()
    for (const fileId of await spool.list()) {
      const kept = await spool.find(fileId).catch(() => undefined)
      if (kept !== undefined) pending.add(kept.answer.connectionId)
    }
    let destroyed = 0
    let after = ''
    for (;;) {
      const page = await vaultDb.global.$queryRaw<{ tenant_id: string; connection_id: string }[]>`
        SELECT tenant_id, connection_id FROM credential_ids(${after}, ${pageSize}::integer)`
      const byTenant = new Map<TenantId, ConnectionId[]>()
      for (const row of page) {
        const ids = byTenant.get(brand(row.tenant_id)) ?? []
        ids.push(brand(row.connection_id))
        byTenant.set(brand(row.tenant_id), ids)
      }
      for (const [tenantId, ids] of byTenant) {
        const living = await appDb.tenant(tenantId, (tx) =>
          tx.connection.findMany({
            where: { tenantId, id: { in: ids }, access: { not: 'deleted' } },
            select: { id: true },
          }),
        )
        const known = new Set(living.map(({ id }) => id))
        const candidates = ids.filter((id) => !known.has(id) && !pending.has(id))
        if (candidates.length === 0) continue
        const held = await vaultDb.tenant(
          tenantId,
          (tx) => tx.$queryRaw<{ connection_id: string; provider: string; provider_app: string; subject: string }[]>`
            SELECT connection_id, provider, provider_app, subject FROM credential
             WHERE tenant_id = ${tenantId} AND connection_id = ANY(${candidates}) AND dek_wrapped IS NOT NULL
               AND created_at < now() - ${minAgeMs}::float8 * interval '1 millisecond'`,
        )
        for (const row of held) {
          const connectionId = brand<'connection'>(row.connection_id)
          const account = { provider: row.provider, providerApp: row.provider_app, subject: row.subject }
          await destroy(tenantId, connectionId, account, { kind: 'system' })
          await audit.never(null, repaired(tenantId, connectionId, 'credential_without_connection'))
          destroyed += 1
        }
      }
      after = page.at(-1)?.connection_id ?? ''
      if (page.length < pageSize) return destroyed
    }
  }

  /** Connections that promise an access nobody holds. */
  const blockEmpty = async (minAgeMs: number): Promise<number> => {
    let blocked = 0
    const tenants = await appDb.global.$queryRaw<{ tenant_id: string }[]>`SELECT tenant_id FROM tenant_ids()`
    for (const { tenant_id } of tenants) {
      const tenantId = brand<'tenant'>(tenant_id)
      const shown = await appDb.tenant(
        tenantId,
        (tx) => tx.$queryRaw<{ id: string }[]>`
          SELECT id FROM connection WHERE tenant_id = ${tenantId} AND access = 'allowed'
             AND COALESCE(authorized_at, created_at) < now() - ${minAgeMs}::float8 * interval '1 millisecond'`,
      )
      if (shown.length === 0) continue
      const held = await vaultDb.tenant(tenantId, (tx) =>
        tx.credential.findMany({
          where: { tenantId, connectionId: { in: shown.map(({ id }) => id) }, state: { not: 'disconnected' } },
          select: { connectionId: true },
        }),
      )
      const present = new Set(held.map(({ connectionId }) => connectionId))
      for (const { id } of shown.filter((row) => !present.has(row.id)))
        await appDb.tenant(tenantId, async (tx) => {
          const { count } = await tx.connection.updateMany({
            where: { tenantId, id, access: 'allowed' },
            data: {
              access: 'blocked',
              accessReason: 'credential_missing',
              state: 'reauthorization_required',
              stateReason: 'credential_missing',
              stateAt: deps.clock.now(),
            },
          })
          if (count !== 1) return
          blocked += 1
          await audit.never(tx, repaired(tenantId, brand(id), 'connection_without_credential'))
        })
    }
    return blocked
  }

  /** Old consents leave the table, so that it stays small. */
  const forget = async (): Promise<number> => {
    let forgotten = 0
    const tenants = await appDb.global.$queryRaw<{ tenant_id: string }[]>`
      SELECT tenant_id FROM expired_attempt_tenants()`
    for (const { tenant_id } of tenants)
      forgotten += await appDb.tenant(
        brand(tenant_id),
        (tx) => tx.$executeRaw`
          DELETE FROM connect_attempt WHERE tenant_id = ${tenant_id} AND expires_at < now() - interval '7 days'`,
      )
    return forgotten
  }

  const sweep = async ({ minAgeMs = MIN_AGE_MS, pageSize = 500 }: SweepOptions = {}): Promise<SweepReport> => {
    const { finished, discarded } = await resume(minAgeMs)
    const destroyed = await destroyOrphans(minAgeMs, pageSize)
    const blocked = await blockEmpty(minAgeMs)
    const shredded = await deps.credentials.shredDue(SHRED_AT_ONCE)
    return { finished, discarded, destroyed, blocked, forgotten: await forget(), shredded }
  }
  return { sweep, resume }
}
