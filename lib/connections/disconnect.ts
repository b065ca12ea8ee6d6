/**
 * The end of a connection: blocked here first, so that no call begins after the answer; then the tokens move into the
 * revocation queue and the ciphertext is destroyed. Whatever is interrupted after the block is done again by the sweeper.
 *
 * @module
 */
import { actorOf, type AuditActor } from '../audit/record'
import { AppError, notFound } from '../errors'
import { isId, type ConnectionId, type TenantId } from '../ids'
import { checkPermission } from '../tenancy/permission'
import type { MemberPrincipal } from '../tenancy/principal'
import { revocableScope, siblingsOf, type Account, type ConnectionsDeps } from './deps'
import { mayManage, maySee } from './view'

export interface Disconnected {
  /**
   * What happens at the provider: `queued`, asked to end it; `shared`, left alone because another connection of the same
   * account lives on the same grant; `none`, nothing to end; `later`, the vault is away and the sweeper goes on.
   */
  readonly provider: 'queued' | 'shared' | 'none' | 'later'
}

export function createDisconnect(deps: ConnectionsDeps) {
  const { appDb, audit, credentials, log, providers } = deps

  /** Destroys what the vault holds and queues what must be said to the provider. Safe to repeat. */
  const destroy = async (
    tenantId: TenantId,
    connectionId: ConnectionId,
    account: Account,
    actor: AuditActor,
  ): Promise<Disconnected['provider']> => {
    const reach = providers.get(account.provider)?.definition.revocation.reach
    const siblings = await siblingsOf(appDb, account, connectionId)
    const scope = reach === undefined ? undefined : revocableScope(reach, siblings)
    const { revocationId } = await credentials.destroy(tenantId, connectionId, {
      reason: 'disconnected',
      actor,
      ...(scope === undefined ? {} : { revoke: scope }),
    })
    if (revocationId === undefined) return scope === undefined && siblings > 0 ? 'shared' : 'none'
    await deps.onRevocation(tenantId, revocationId).catch(() => undefined)
    return 'queued'
  }

  /** @throws AppError `resource.not_found`, `auth.forbidden` */
  const disconnect = async (principal: MemberPrincipal, connectionId: string): Promise<Disconnected> => {
    if (!isId('connection', connectionId)) throw notFound()
    const { tenantId } = principal
    const row = await appDb.tenant(tenantId, async (tx) => {
      const found = await tx.connection.findFirst({ where: { tenantId, id: connectionId, access: { not: 'deleted' } } })
      if (found === null || !maySee(principal, found)) throw notFound()
      checkPermission(principal, 'connection.disconnect')
      if (!mayManage(principal, found.ownerPersonId))
        throw new AppError('auth.forbidden', 'Only its owner or an administrator can disconnect this account.')
      const { count } = await tx.connection.updateMany({
        where: { tenantId, id: connectionId, access: { not: 'deleted' } },
        data: {
          access: 'deleted',
          accessReason: 'disconnected',
          state: 'disconnected',
          stateReason: 'disconnected',
          stateAt: deps.clock.now(),
        },
      })
      if (count === 1)
        await audit.never(tx, {
          tenantId,
          action: 'connection.disconnected',
          actor: actorOf(principal),
          connectionId,
          outcome: 'success',
          detail: { provider: found.provider, account: found.accountLabel },
          network: principal.network,
        })
      return found
    })
    credentials.evict(tenantId, connectionId)
    try {
      return { provider: await destroy(tenantId, connectionId, row, actorOf(principal)) }
    } catch (error) {
      log.error({ err: error, connectionId }, 'Blocked; the vault is cleaned up later.')
      return { provider: 'later' }
    }
  }

  return { disconnect, destroy }
}
