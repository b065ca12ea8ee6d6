/**
 * Connections that nobody uses: their tokens are left to expire, because a token that is kept fresh for nobody is only
 * worth something to a thief. The state stays what it is; the next call refreshes and puts it into the schedule again.
 *
 * Where the provider's grant itself ends if it is not renewed, people are shown so beforehand, and when it has ended the
 * connection says that it needs them.
 *
 * @module
 */
import type { Clock } from '../clock'
import type { AppDb } from '../db/app-db'
import type { VaultDb } from '../db/vault-db'
import { brand, type ConnectionId, type TenantId } from '../ids'
import type { Log } from '../log'
import type { Credentials } from '../vault/credential'
import { recordEvent, SYSTEM } from '../vault/outbox'

export const IDLE_DAYS = 30
/** So long before the end of its grant an unused connection says that it ends. */
export const ENDING_DAYS = 14

export interface Idle {
  /** Takes a connection out of the schedule, unless it was used meanwhile or is being refreshed. */
  rest(tenantId: TenantId, connectionId: ConnectionId): Promise<void>
  /** Shows which unused connections lose their grant soon, and which have. For a schedule. */
  showEndings(limit?: number): Promise<{ readonly ending: number; readonly ended: number }>
}

export function createIdle(deps: {
  readonly vaultDb: VaultDb
  readonly appDb: AppDb
  readonly credentials: Pick<Credentials, 'read' | 'setState' | 'evict'>
  readonly clock: Clock
  readonly log: Log
}): Idle {
  const { vaultDb, appDb, credentials, clock, log } = deps

  /** A mark that people see; the reason only ever becomes graver. */
  const show = (tenantId: TenantId, connectionId: string, reason: 'unused' | 'grant_ending') =>
    appDb.tenant(
      tenantId,
      (tx) => tx.$executeRaw`
        UPDATE connection SET idle_since = COALESCE(idle_since, clock_timestamp()), idle_reason = ${reason}, next_refresh_at = NULL
         WHERE tenant_id = ${tenantId} AND id = ${connectionId} AND idle_reason IS DISTINCT FROM ${reason}`,
    )
  const unshow = (tenantId: TenantId, connectionId: string) =>
    appDb.tenant(
      tenantId,
      (tx) => tx.$executeRaw`
        UPDATE connection SET idle_since = NULL, idle_reason = NULL WHERE tenant_id = ${tenantId} AND id = ${connectionId}`,
    )

  return {
    async rest(tenantId, connectionId) {
      // Shown first: whoever dies in between leaves it in the schedule, where it is found and shown again.
      await show(tenantId, connectionId, 'unused')
      const isResting = await vaultDb.tenant(tenantId, async (tx) => {
        const count = await tx.$executeRaw`
          UPDATE credential SET idle_since = clock_timestamp(), refresh_at = NULL, updated_at = clock_timestamp()
           WHERE tenant_id = ${tenantId} AND connection_id = ${connectionId} AND refresh_at IS NOT NULL AND lease_owner IS NULL
             AND state IN ('active', 'degraded')
             AND GREATEST(last_used_at, created_at) < clock_timestamp() - ${IDLE_DAYS} * interval '1 day'`
        if (count === 1)
          await recordEvent(tx, clock, {
            tenantId,
            connectionId,
            action: 'connection.idle',
            actor: SYSTEM,
            reason: 'unused',
          })
        return count === 1
      })
      if (!isResting) await unshow(tenantId, connectionId)
      credentials.evict(tenantId, connectionId)
    },

    async showEndings(limit = 200) {
      const found = await vaultDb.global.$queryRaw<{ tenant_id: string; connection_id: string }[]>`
        SELECT tenant_id, connection_id FROM idle_ending(${ENDING_DAYS}::integer, ${limit}::integer)`
      let [ending, ended] = [0, 0]
      for (const wire of found) {
        const [tenantId, connectionId] = [brand<'tenant'>(wire.tenant_id), brand<'connection'>(wire.connection_id)]
        try {
          const [row] = await vaultDb.tenant(
            tenantId,
            (tx) => tx.$queryRaw<{ is_over: boolean }[]>`
              SELECT refresh_expires_at <= clock_timestamp() AND access_expires_at <= clock_timestamp() AS is_over FROM credential
               WHERE tenant_id = ${tenantId} AND connection_id = ${connectionId} AND idle_since IS NOT NULL AND lease_owner IS NULL`,
          )
          if (row === undefined) continue
          if (row.is_over) {
            const reason = 'refresh_token_expired'
            const { changed } = await credentials.setState(tenantId, connectionId, 'reauthorization_required', {
              reason,
              cause: 'expiry',
            })
            if (changed) ended += 1
          } else ending += await show(tenantId, connectionId, 'grant_ending')
        } catch (error) {
          log.warn({ err: error, connectionId }, 'The end of an unused connection could not be shown yet.')
        }
      }
      return { ending, ended }
    },
  }
}
