/**
 * Taking back a revocation that the engine pronounced: within its week, what was sealed is still there.
 *
 * The vault comes first and the block of the application last, with its record in the same commit: nothing may use the
 * credential before the trail says who allowed it again. Whatever is interrupted is done by asking once more.
 *
 * @module
 */
import { actorOf } from '../audit/record'
import { AppError, notFound } from '../errors'
import { isId } from '../ids'
import { checkPermission } from '../tenancy/permission'
import type { MemberPrincipal } from '../tenancy/principal'
import { isUsable } from '../vault/state'
import type { ConnectionsDeps } from './deps'
import { maySee } from './view'

export function createRestore(deps: Pick<ConnectionsDeps, 'appDb' | 'audit' | 'credentials'>) {
  const { appDb, audit, credentials } = deps

  /** @throws AppError `resource.not_found`, `auth.forbidden`, `resource.conflict` when there is nothing to restore */
  const restore = async (principal: MemberPrincipal, connectionId: string): Promise<{ readonly state: string }> => {
    if (!isId('connection', connectionId)) throw notFound()
    const { tenantId } = principal
    const shown = await appDb.tenant(tenantId, (tx) =>
      tx.connection.findFirst({ where: { tenantId, id: connectionId, access: { not: 'deleted' } } }),
    )
    if (shown === null || !maySee(principal, shown)) throw notFound()
    checkPermission(principal, 'connection.restore')
    const isRestored = await credentials.restore(tenantId, connectionId, actorOf(principal))
    const row = await credentials.read(tenantId, connectionId)
    const isHalfDone = shown.accessReason === 'revoked' && row !== undefined && isUsable(row.state)
    if (row === undefined || !(isRestored || isHalfDone))
      throw new AppError('resource.conflict', 'There is nothing to restore. Connect the account again.')
    await appDb.tenant(tenantId, async (tx) => {
      await tx.connection.updateMany({
        where: { tenantId, id: connectionId, access: 'blocked', accessReason: 'revoked' },
        data: { access: 'allowed', accessReason: null },
      })
      await audit.event(tx, {
        tenantId,
        action: 'connection.restored',
        actor: actorOf(principal),
        connectionId,
        outcome: 'success',
        detail: { provider: shown.provider, account: shown.accountLabel },
        network: principal.network,
      })
    })
    credentials.evict(tenantId, connectionId)
    return { state: row.state }
  }
  return { restore }
}
