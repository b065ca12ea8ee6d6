/**
 * Whose agents may use an account: its owner's alone, or everybody's in the workspace. Sharing is the owner's to give,
 * since it is their account at the provider; taking it back is theirs and any administrator's. It counts from the next
 * intent on, and calls under way are ended.
 *
 * @module
 */
import { actorOf } from '../audit/record'
import { AppError, notFound } from '../errors'
import { isId } from '../ids'
import { requireRecent } from '../identity/step-up'
import { checkPermission } from '../tenancy/permission'
import type { MemberPrincipal } from '../tenancy/principal'
import type { ConnectionsDeps } from './deps'
import { isOwner, mayManage, maySee } from './view'

export type Sharing = 'personal' | 'workspace'

export function createShare({ appDb, audit }: Pick<ConnectionsDeps, 'appDb' | 'audit'>) {
  return {
    /** The same again changes nothing. @throws AppError `resource.not_found`, `auth.forbidden`, `auth.step_up_required` */
    async share(principal: MemberPrincipal, connectionId: string, sharing: Sharing): Promise<void> {
      if (!isId('connection', connectionId)) throw notFound()
      const { tenantId } = principal
      await appDb.tenant(tenantId, async (tx) => {
        const where = { tenantId, id: connectionId, access: { not: 'deleted' } }
        const row = await tx.connection.findFirst({ where })
        if (row === null || !maySee(principal, row)) throw notFound()
        checkPermission(principal, 'connection.share')
        if (sharing === 'workspace') {
          if (!isOwner(principal, row.ownerPersonId))
            throw new AppError('auth.forbidden', 'Only the person who connected this account can share it.')
          requireRecent(principal)
        } else if (!mayManage(principal, row.ownerPersonId))
          throw new AppError('auth.forbidden', 'Only its owner or an administrator can stop sharing this account.')
        const { count } = await tx.connection.updateMany({
          where: { ...where, sharing: { not: sharing } },
          data: { sharing },
        })
        if (count === 0) return
        const record = { tenantId, actor: actorOf(principal), connectionId, network: principal.network }
        if (sharing === 'workspace') await audit.event(tx, { ...record, action: 'connection.shared' })
        else await audit.never(tx, { ...record, action: 'connection.unshared' })
      })
    },
  }
}
