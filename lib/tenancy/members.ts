/**
 * Who belongs to a workspace, in which role. Nobody gives or takes a role above their own, and a workspace always keeps
 * an owner: every change of its owners waits for the one before, on the workspace's row.
 *
 * Records name whom they are about in their sealed part, so that the trail shows people by pseudonym alone.
 *
 * @module
 */
import { actorOf } from '../audit/record'
import type { AppDb, AppTx } from '../db/app-db'
import { isUniqueViolation } from '../db/retry'
import { AppError, notFound } from '../errors'
import { brand, type PersonId, type TenantId } from '../ids'
import { actingRole, checkReach, forbidden } from './acting'
import type { RecordsEvents } from './events'
import { checkPermission, isPermitted } from './permission'
import { holdQuota } from './quotas'
import type { MemberPrincipal, Role } from './principal'
import { parseRole } from './role'

export interface Member {
  readonly personId: PersonId
  readonly email: string
  readonly name: string
  readonly role: Role
  readonly joinedAt: Date
}

export interface Members {
  list(principal: MemberPrincipal): Promise<readonly Member[]>
  /** @throws AppError `resource.conflict` when the person is a member already */
  add(principal: MemberPrincipal, personId: PersonId, role: Role): Promise<Member>
  /** @throws AppError `resource.conflict` when the workspace would be left without an owner */
  changeRole(principal: MemberPrincipal, personId: PersonId, role: Role): Promise<Member>
  /** Ends the membership, and what the person held or gave through it: API keys, agent sessions, shared accounts. Oneself may always leave. */
  remove(principal: MemberPrincipal, personId: PersonId): Promise<void>
}

export function createMembers(deps: { readonly appDb: AppDb; readonly events: RecordsEvents }): Members {
  const { appDb, events } = deps

  async function load(tx: AppTx, tenantId: TenantId, personId: PersonId): Promise<Member> {
    const row = await tx.membership.findUnique({ where: { tenantId_personId: { tenantId, personId } } })
    const person = row === null ? null : await tx.person.findUnique({ where: { id: personId } })
    if (row === null || person === null) throw notFound()
    return { personId, email: person.email, name: person.name, role: parseRole(row.role), joinedAt: row.createdAt }
  }

  return {
    list: async (principal) => {
      checkPermission(principal, 'member.read')
      return appDb.tenant(principal.tenantId, async (tx) => {
        const rows = await tx.membership.findMany({
          where: { tenantId: principal.tenantId },
          orderBy: [{ createdAt: 'asc' }, { personId: 'asc' }],
          take: 1_000,
        })
        const people = await tx.person.findMany({ where: { id: { in: rows.map((row) => row.personId) } } })
        const byId = new Map(people.map((person) => [person.id, person]))
        return rows.flatMap((row) => {
          const person = byId.get(row.personId)
          return person === undefined
            ? []
            : [
                {
                  personId: brand<'person'>(row.personId),
                  email: person.email,
                  name: person.name,
                  role: parseRole(row.role),
                  joinedAt: row.createdAt,
                },
              ]
        })
      })
    },

    add: async (principal, personId, role) => {
      checkPermission(principal, 'member.manage')
      return appDb.tenant(principal.tenantId, async (tx) => {
        await lockOwners(tx, principal.tenantId)
        checkReach(await managingRole(tx, principal), role)
        await holdQuota(tx, principal.tenantId, 'members')
        if ((await tx.person.findUnique({ where: { id: personId } })) === null) throw notFound()
        try {
          await tx.membership.create({ data: { tenantId: principal.tenantId, personId, role } })
        } catch (error) {
          if (isUniqueViolation(error))
            throw new AppError('resource.conflict', 'This person is a member already.', { cause: error })
          throw error
        }
        await events.event(tx, {
          tenantId: principal.tenantId,
          action: 'member.added',
          actor: actorOf(principal),
          detail: { personId, role },
          network: principal.network,
        })
        return load(tx, principal.tenantId, personId)
      })
    },

    changeRole: async (principal, personId, role) => {
      checkPermission(principal, 'member.manage')
      return appDb.tenant(principal.tenantId, async (tx) => {
        await lockOwners(tx, principal.tenantId)
        const own = await managingRole(tx, principal)
        checkReach(own, role)
        const member = await load(tx, principal.tenantId, personId)
        checkReach(own, member.role)
        if (member.role === role) return member
        if (member.role === 'owner') await checkAnotherOwner(tx, principal.tenantId, personId)
        await tx.membership.updateMany({ where: { tenantId: principal.tenantId, personId }, data: { role } })
        await events.event(tx, {
          tenantId: principal.tenantId,
          action: 'member.role_changed',
          actor: actorOf(principal),
          detail: { personId, from: member.role, to: role },
          network: principal.network,
        })
        return { ...member, role }
      })
    },

    remove: async (principal, personId) => {
      const isSelf = principal.kind === 'person' && principal.personId === personId
      if (!isSelf) checkPermission(principal, 'member.manage')
      return appDb.tenant(principal.tenantId, async (tx) => {
        await lockOwners(tx, principal.tenantId)
        const own = isSelf ? undefined : await managingRole(tx, principal)
        const member = await load(tx, principal.tenantId, personId)
        if (own !== undefined) checkReach(own, member.role)
        if (member.role === 'owner') await checkAnotherOwner(tx, principal.tenantId, personId)
        await tx.membership.deleteMany({ where: { tenantId: principal.tenantId, personId } })
        const now = new Date()
        await tx.apiKey.updateMany({
          where: { tenantId: principal.tenantId, personId, revokedAt: null },
          data: { revokedAt: now, revokedReason: 'member_removed' },
        })
        await tx.agentSession.updateMany({
          where: { tenantId: principal.tenantId, personId, endedAt: null },
          data: { endedAt: now, endedReason: 'member_removed' },
        })
        // An account that somebody shared was theirs to share.
        await tx.connection.updateMany({
          where: { tenantId: principal.tenantId, ownerPersonId: personId, sharing: 'workspace' },
          data: { sharing: 'personal' },
        })
        await events.never(tx, {
          tenantId: principal.tenantId,
          action: 'member.removed',
          actor: actorOf(principal),
          detail: { personId },
          network: principal.network,
        })
      })
    },
  }
}

/** From here to the end of the transaction nobody else changes the owners of this workspace. */
async function lockOwners(tx: AppTx, tenantId: TenantId): Promise<void> {
  await tx.$queryRaw`SELECT id FROM tenant WHERE id = ${tenantId} FOR NO KEY UPDATE`
}

async function checkAnotherOwner(tx: AppTx, tenantId: TenantId, personId: PersonId): Promise<void> {
  const others = await tx.membership.count({ where: { tenantId, role: 'owner', personId: { not: personId } } })
  if (others === 0)
    throw new AppError('resource.conflict', 'A workspace needs an owner. Make somebody else an owner first.')
}

/** The role by which they manage members now, which may be less than when they signed in. */
async function managingRole(tx: AppTx, principal: MemberPrincipal): Promise<Role> {
  const role = await actingRole(tx, principal)
  if (!isPermitted(role, 'member.manage')) throw forbidden()
  return role
}
