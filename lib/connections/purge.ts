/**
 * The end of a workspace whose grace is over. Its accounts are ended at their providers first, as when a person disconnects
 * them; then its rows go, and the keys of its credentials with them. What is left is the record of what happened, without
 * the names of the people in it, and a row that says that the workspace was there.
 *
 * Every step bears being repeated: a worker that dies on the way is followed by another that goes on.
 *
 * @module
 */
import { brand, type ConnectionId, type TenantId } from '../ids'
import type { ConnectionsDeps } from './deps'
import type { createDisconnect } from './disconnect'

/** Providers that do not answer are asked for so long; then their tokens end by themselves. */
export const REVOCATION_DAYS = 3
const BATCH = 2_000

/** Emptied, in this order. */
export const PURGED = [
  'webhook_event',
  'webhook_delivery',
  'webhook',
  'doctor_step',
  'refresh_event',
  'notification',
  'connection_episode',
  'connect_attempt',
  'oauth_artifact',
  'oauth_client',
  'agent_session',
  'profile_version',
  'agent',
  'connection',
  'sign_in_attempt',
  'person_identity',
  'sign_in_domain',
  'sign_in_config',
  'audit_stream',
  'audit_verification',
  'audit_arguments',
  'audit_identity',
  'api_key',
  'invitation',
  'membership',
] as const

/** Kept: the record itself, what proves it, and what has an end of its own. */
export const KEPT = [
  'audit_record',
  'audit_link',
  'audit_head',
  'audit_cut',
  'audit_erasure',
  'audit_checkpoint',
  'audit_outbox',
  'audit_export',
  'web_session',
] as const

export interface PurgeReport {
  readonly purged: number
  /** Still waiting for providers. */
  readonly waiting: number
}

export function createPurge(deps: ConnectionsDeps, { destroy }: Pick<ReturnType<typeof createDisconnect>, 'destroy'>) {
  const { appDb, vaultDb, audit, credentials, log } = deps

  /** From here on nobody takes it back. @returns false when somebody just did */
  const claim = async (tenantId: TenantId): Promise<boolean> =>
    appDb.tenant(tenantId, async (tx) => {
      const count = await tx.$executeRaw`
        UPDATE tenant SET purge_began_at = COALESCE(purge_began_at, now())
         WHERE id = ${tenantId} AND purge_at <= now() AND purged_at IS NULL`
      return count === 1
    })

  const endConnections = async (tenantId: TenantId): Promise<void> => {
    const rows = await appDb.tenant(tenantId, (tx) =>
      tx.connection.findMany({
        where: { tenantId, access: { not: 'deleted' } },
        select: { id: true, provider: true, providerApp: true, subject: true, accountLabel: true },
      }),
    )
    for (const row of rows) {
      const connectionId: ConnectionId = brand(row.id)
      // Blocked here first; what a crash leaves of the rest is the sweeper's, as with every disconnection.
      await appDb.tenant(tenantId, async (tx) => {
        const { count } = await tx.connection.updateMany({
          where: { tenantId, id: connectionId, access: { not: 'deleted' } },
          data: {
            access: 'deleted',
            accessReason: 'workspace_deleted',
            state: 'disconnected',
            stateReason: 'disconnected',
            stateAt: deps.clock.now(),
          },
        })
        if (count === 1)
          await audit.never(tx, {
            tenantId,
            action: 'connection.disconnected',
            actor: { kind: 'system' },
            connectionId,
            outcome: 'success',
            reason: 'workspace_deleted',
            detail: { provider: row.provider, account: row.accountLabel },
          })
      })
      credentials.evict(tenantId, connectionId)
      await destroy(tenantId, connectionId, row, { kind: 'system' })
    }
  }

  /** True while a provider has not been told, and has not had long enough. */
  const isWaiting = async (tenantId: TenantId): Promise<boolean> => {
    const [row] = await vaultDb.tenant(
      tenantId,
      (tx) => tx.$queryRaw<{ n: number }[]>`SELECT count(*)::int AS n FROM revocation WHERE tenant_id = ${tenantId}`,
    )
    if ((row?.n ?? 0) === 0) return false
    const [claimed] = await appDb.tenant(
      tenantId,
      (tx) => tx.$queryRaw<{ is_over: boolean }[]>`
        SELECT purge_began_at < now() - make_interval(days => ${REVOCATION_DAYS}::int) AS is_over FROM tenant WHERE id = ${tenantId}`,
    )
    return claimed?.is_over !== true
  }

  const emptyVault = async (tenantId: TenantId): Promise<void> => {
    const rows = await vaultDb.tenant(
      tenantId,
      (tx) => tx.$queryRaw<{ key_version: number }[]>`
        SELECT DISTINCT key_version FROM credential WHERE tenant_id = ${tenantId}
        UNION SELECT DISTINCT key_version FROM revocation WHERE tenant_id = ${tenantId} ORDER BY 1`,
    )
    // The keys first: rows that an old copy of the database still has then open no more.
    for (const { key_version: version } of rows) await deps.destroyVaultKey(tenantId, version)
    await vaultDb.tenant(tenantId, async (tx) => {
      await tx.$executeRaw`DELETE FROM revocation WHERE tenant_id = ${tenantId}`
      await tx.$executeRaw`DELETE FROM credential WHERE tenant_id = ${tenantId}`
    })
  }

  const emptyApp = async (tenantId: TenantId): Promise<void> => {
    for (const table of PURGED)
      for (;;) {
        // A name out of the list above, never anybody's text.
        const count = await appDb.tenant(tenantId, (tx) =>
          tx.$executeRawUnsafe(
            `DELETE FROM ${table} WHERE ctid IN (SELECT ctid FROM ${table} WHERE tenant_id = $1 LIMIT ${BATCH})`,
            tenantId,
          ),
        )
        if (count < BATCH) break
      }
    await appDb.tenant(tenantId, async (tx) => {
      await tx.$executeRaw`UPDATE web_session SET tenant_id = NULL WHERE tenant_id = ${tenantId}`
      const count = await tx.$executeRaw`
        UPDATE tenant SET purged_at = now(), name = 'Deleted workspace', slug = ${slugOfGone(tenantId)}
         WHERE id = ${tenantId} AND purged_at IS NULL`
      if (count === 1)
        await audit.never(tx, {
          tenantId,
          action: 'workspace.deleted',
          actor: { kind: 'system' },
          targetId: tenantId,
          outcome: 'success',
        })
    })
  }

  return {
    /** Destroys what is due. One workspace that cannot be does not hold up the others. */
    async purge(limit = 20): Promise<PurgeReport> {
      const due = await appDb.global.$queryRaw<{ tenant_id: string }[]>`
        SELECT tenant_id FROM tenants_to_purge(${limit}::int)`
      let purged = 0
      let waiting = 0
      for (const row of due) {
        const tenantId = brand<'tenant'>(row.tenant_id)
        try {
          if (!(await claim(tenantId))) continue
          await endConnections(tenantId)
          if (await isWaiting(tenantId)) {
            waiting += 1
            continue
          }
          await emptyVault(tenantId)
          await emptyApp(tenantId)
          purged += 1
        } catch (error) {
          waiting += 1
          log.error({ err: error, tenantId }, 'A deleted workspace could not be destroyed yet; it is tried again.')
        }
      }
      return { purged, waiting }
    },
  }
}

/** Frees the address, and cannot be taken by anybody. */
const slugOfGone = (tenantId: TenantId): string => `deleted-${tenantId.slice(4)}`
