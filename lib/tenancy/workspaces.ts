/**
 * A person's own workspaces: making another one, taking leave of one, taking it back.
 *
 * Deleting has a grace. At once nobody enters, no key and no agent of it works, and nothing of it is called; after the
 * grace a worker destroys what it held. Until then an owner may take it back, as it was.
 *
 * @module
 */
import { actorOf } from '../audit/record'
import type { AppDb, AppTx } from '../db/app-db'
import { enterTenant, tenantsOf } from '../db/enter-tenant'
import { AppError, notFound } from '../errors'
import { brand, isId, type Id, type PersonId, type TenantId } from '../ids'
import { actingRole, forbidden } from './acting'
import type { RecordsEvents } from './events'
import { checkPermission, isPermitted } from './permission'
import type { MemberPrincipal, PersonPrincipal } from './principal'
import { MAX_OWN_WORKSPACES } from './quotas'
import { insertTenant } from './tenants'

export const GRACE_DAYS = 7

export interface DeletedWorkspace {
  readonly id: TenantId
  readonly name: string
  /** From when on it cannot be taken back. */
  readonly purgeAt: Date
}

export interface Workspaces {
  /** The person becomes its owner. @throws AppError `resource.limit_exceeded` */
  create(principal: PersonPrincipal, name: string): Promise<TenantId>
  /** @param confirmation  the workspace's name, typed. @throws AppError `request.invalid` when it is not that */
  remove(principal: MemberPrincipal, confirmation: string): Promise<DeletedWorkspace>
  /** What this person, an owner, may take back still. */
  restorable(personId: PersonId): Promise<readonly DeletedWorkspace[]>
  /** @throws AppError `resource.not_found` when there is nothing of theirs to take back */
  restore(
    who: { readonly personId: PersonId; readonly webSessionId: Id<'webSession'>; readonly network: string },
    tenantId: string,
  ): Promise<void>
}

export function createWorkspaces(deps: {
  readonly appDb: AppDb
  readonly events: RecordsEvents
  /** A clean display name. @throws AppError `request.invalid` */
  readonly parseName: (input: string, field: string) => string
}): Workspaces {
  const { appDb, events, parseName } = deps

  const restorableIds = async (tx: Pick<AppTx, '$queryRaw'>, personId: PersonId): Promise<TenantId[]> => {
    const rows = await tx.$queryRaw<{ tenant_id: string }[]>`SELECT tenant_id FROM restorable_tenants_of(${personId})`
    return rows.map((row) => brand<'tenant'>(row.tenant_id))
  }

  async function countOwned(tx: AppTx, personId: PersonId): Promise<number> {
    let owned = (await restorableIds(tx, personId)).length
    for (const tenantId of await tenantsOf(tx, personId)) {
      await enterTenant(tx, tenantId)
      owned += await tx.membership.count({ where: { tenantId, personId, role: 'owner' } })
    }
    return owned
  }

  return {
    async create(principal, given) {
      checkPermission(principal, 'workspace.create')
      const name = parseName(given, 'name')
      const { personId } = principal
      return appDb.tenant(principal.tenantId, async (tx) => {
        if (!isPermitted(await actingRole(tx, principal), 'workspace.create')) throw forbidden()
        await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`own-workspaces:${personId}`}, 0))`
        if ((await countOwned(tx, personId)) >= MAX_OWN_WORKSPACES)
          throw new AppError(
            'resource.limit_exceeded',
            `A person owns at most ${MAX_OWN_WORKSPACES} workspaces. Delete one first.`,
          )
        const { id } = await insertTenant(tx, events, {
          name,
          owner: personId,
          actor: actorOf(principal),
          network: principal.network,
        })
        return id
      })
    },

    async remove(principal, confirmation) {
      checkPermission(principal, 'workspace.delete')
      const { tenantId } = principal
      return appDb.tenant(tenantId, async (tx) => {
        if (!isPermitted(await actingRole(tx, principal), 'workspace.delete')) throw forbidden()
        const [before] = await tx.$queryRaw<{ name: string }[]>`
          SELECT name FROM tenant WHERE id = ${tenantId} AND disabled_at IS NULL FOR NO KEY UPDATE`
        if (before === undefined) throw notFound()
        if (confirmation.normalize('NFC').trim() !== before.name)
          throw new AppError('request.invalid', 'Type the name of the workspace to delete it.', {
            field: 'confirmation',
          })
        const [row] = await tx.$queryRaw<{ name: string; purge_at: Date }[]>`
          UPDATE tenant SET disabled_at = now(), purge_at = now() + make_interval(days => ${GRACE_DAYS}::int)
           WHERE id = ${tenantId} RETURNING name, purge_at`
        if (row === undefined) throw notFound()
        await events.never(tx, {
          tenantId,
          action: 'workspace.deletion_began',
          actor: actorOf(principal),
          targetId: tenantId,
          detail: { purgeAt: row.purge_at.toISOString() },
          network: principal.network,
        })
        return { id: tenantId, name: row.name, purgeAt: row.purge_at }
      })
    },

    async restorable(personId) {
      const found: DeletedWorkspace[] = []
      for (const id of await restorableIds(appDb.global, personId)) {
        const row = await appDb.tenant(id, (tx) => tx.tenant.findUnique({ where: { id } }))
        if (row?.purgeAt != null) found.push({ id, name: row.name, purgeAt: row.purgeAt })
      }
      return found
    },

    async restore({ personId, webSessionId, network }, tenantId) {
      if (!isId('tenant', tenantId)) throw notFound()
      await appDb.tenant(tenantId, async (tx) => {
        const [owner] = await tx.$queryRaw<unknown[]>`
          SELECT 1 FROM membership WHERE tenant_id = ${tenantId} AND person_id = ${personId} AND role = 'owner' FOR SHARE`
        if (owner === undefined) throw notFound()
        // The worker that destroys it says so in the same row before it begins.
        const count = await tx.$executeRaw`
          UPDATE tenant SET disabled_at = NULL, purge_at = NULL
           WHERE id = ${tenantId} AND purge_at > now() AND purge_began_at IS NULL`
        if (count !== 1) throw notFound()
        await events.event(tx, {
          tenantId,
          action: 'workspace.restored',
          actor: { kind: 'person', personId, webSessionId },
          targetId: tenantId,
          network,
        })
        await tx.$executeRaw`
          UPDATE web_session SET tenant_id = ${tenantId} WHERE id = ${webSessionId} AND status = 'active'`
      })
    },
  }
}
