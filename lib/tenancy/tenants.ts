/**
 * Workspaces: made with their first owner, found by id, changed. The slug is for people and addresses; no decision reads it.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'

import { actorOf, type AuditActor } from '../audit/record'
import type { AppDb, AppTx } from '../db/app-db'
import { enterTenant } from '../db/enter-tenant'
import { AppError, notFound } from '../errors'
import { brand, newId, type PersonId, type TenantId } from '../ids'
import type { RecordsEvents } from './events'
import { checkPermission } from './permission'
import type { MemberPrincipal } from './principal'

export interface Tenant {
  readonly id: TenantId
  readonly name: string
  readonly slug: string
  readonly createdAt: Date
  readonly isDisabled: boolean
  /** Whether an agent that is stuck may be told the name of the person who can help. */
  readonly agentsSeeOwnerNames: boolean
  /** How long what an OAuth client is given lasts here, at most. */
  readonly accessTokenMinutes: number
  readonly sessionIdleDays: number
  readonly sessionAbsoluteDays: number
}

/** Bounds of the server itself; the database holds them too. */
export const LIFETIME_BOUNDS = { accessTokenMinutes: 15, sessionIdleDays: 30, sessionAbsoluteDays: 90 } as const

export type TenantChange = {
  readonly [K in 'agentsSeeOwnerNames' | 'name' | keyof typeof LIFETIME_BOUNDS]?: Tenant[K] | undefined
}

const MAX_SLUG = 40
const SLUG_ATTEMPTS = 5

/** A readable slug for a name in any script; only its shape is promised, not its uniqueness. */
export function slugOf(name: string): string {
  const slug = name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{M}/gu, '')
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, MAX_SLUG)
    .replace(/^-+|-+$/g, '')
  return slug === '' ? 'workspace' : slug
}

/**
 * Adds a workspace inside the caller's transaction, which sees the new workspace from here on.
 *
 * @param name  already a clean display name
 * @param owner  absent only when the operator makes a workspace before its people
 */
export async function insertTenant(
  tx: AppTx,
  events: RecordsEvents,
  tenant: { readonly name: string; readonly owner?: PersonId; readonly actor: AuditActor; readonly network?: string },
): Promise<{ readonly id: TenantId; readonly slug: string }> {
  const id = newId('tenant')
  await enterTenant(tx, id)
  const slug = await insertWithFreeSlug(tx, id, tenant.name)
  await events.event(tx, {
    tenantId: id,
    action: 'workspace.created',
    actor: tenant.actor,
    targetId: id,
    network: tenant.network,
  })
  if (tenant.owner !== undefined) {
    await tx.membership.create({ data: { tenantId: id, personId: tenant.owner, role: 'owner' } })
    await events.event(tx, {
      tenantId: id,
      action: 'member.added',
      actor: tenant.actor,
      detail: { personId: tenant.owner, role: 'owner' },
      network: tenant.network,
    })
  }
  return { id, slug }
}

/** Asks the unique index, which sees the slugs of all workspaces while this transaction sees one. */
async function insertWithFreeSlug(tx: AppTx, id: TenantId, name: string): Promise<string> {
  const wanted = slugOf(name)
  for (let attempt = 0; attempt < SLUG_ATTEMPTS; attempt += 1) {
    const slug = attempt === 0 ? wanted : `${wanted}-${randomBytes(3).toString('hex')}`
    const added = await tx.$executeRaw`
      INSERT INTO tenant (id, name, slug) VALUES (${id}, ${name}, ${slug}) ON CONFLICT (slug) DO NOTHING`
    if (added === 1) return slug
  }
  throw new AppError('resource.conflict', 'No free address was found for this workspace. Try again.')
}

export interface Tenants {
  /** By the operator, or by somebody who may make workspaces. `owner` becomes the first member. */
  create(input: { readonly name: string; readonly owner?: PersonId; readonly actor: AuditActor }): Promise<Tenant>
  /** The principal's own workspace. */
  load(principal: MemberPrincipal): Promise<Tenant>
  /** Changes what is given. */
  update(principal: MemberPrincipal, change: TenantChange): Promise<Tenant>
  /** Every workspace: for the operator at the machine. */
  list(): Promise<readonly Tenant[]>
}

export function createTenants(deps: { readonly appDb: AppDb; readonly events: RecordsEvents }): Tenants {
  const { appDb, events } = deps
  const read = async (tx: AppTx, id: TenantId): Promise<Tenant | undefined> => {
    const row = await tx.tenant.findUnique({ where: { id } })
    return row === null
      ? undefined
      : {
          id,
          name: row.name,
          slug: row.slug,
          createdAt: row.createdAt,
          isDisabled: row.disabledAt !== null,
          agentsSeeOwnerNames: row.agentsSeeOwnerNames,
          accessTokenMinutes: row.accessTokenMinutes,
          sessionIdleDays: row.sessionIdleDays,
          sessionAbsoluteDays: row.sessionAbsoluteDays,
        }
  }
  const load = async (tx: AppTx, id: TenantId): Promise<Tenant> => {
    const tenant = await read(tx, id)
    if (tenant === undefined) throw notFound()
    return tenant
  }
  return {
    create: (input) =>
      appDb.transaction(async (tx) => {
        const { id } = await insertTenant(tx, events, input)
        return load(tx, id)
      }),

    load: async (principal) => {
      checkPermission(principal, 'workspace.read')
      return appDb.tenant(principal.tenantId, (tx) => load(tx, principal.tenantId))
    },

    update: async (principal, change) => {
      checkPermission(principal, 'workspace.update')
      const data = changesOf(change)
      return appDb.tenant(principal.tenantId, async (tx) => {
        if (Object.keys(data).length === 0) return load(tx, principal.tenantId)
        await tx.tenant.updateMany({ where: { id: principal.tenantId }, data })
        await events.event(tx, {
          tenantId: principal.tenantId,
          action: 'workspace.updated',
          actor: actorOf(principal),
          targetId: principal.tenantId,
          detail: data,
          network: principal.network,
        })
        return load(tx, principal.tenantId)
      })
    },

    async list() {
      const ids = await appDb.global.$queryRaw<{ tenant_id: string }[]>`SELECT tenant_id FROM tenant_ids()`
      const tenants: Tenant[] = []
      for (const { tenant_id } of ids) {
        const id = brand<'tenant'>(tenant_id)
        const tenant = await appDb.tenant(id, (tx) => read(tx, id))
        if (tenant !== undefined) tenants.push(tenant)
      }
      return tenants
    },
  }
}

function changesOf({ name, agentsSeeOwnerNames, ...lifetimes }: TenantChange) {
  for (const field of ['accessTokenMinutes', 'sessionIdleDays', 'sessionAbsoluteDays'] as const) {
    const value = lifetimes[field]
    if (value === undefined) continue
    if (!Number.isSafeInteger(value) || value < 1 || value > LIFETIME_BOUNDS[field])
      throw new AppError('request.invalid', `${field}: must be between 1 and ${LIFETIME_BOUNDS[field]}`, { field })
  }
  const { accessTokenMinutes, sessionIdleDays, sessionAbsoluteDays } = lifetimes
  return {
    ...(name === undefined ? {} : { name }),
    ...(agentsSeeOwnerNames === undefined ? {} : { agentsSeeOwnerNames }),
    ...(accessTokenMinutes === undefined ? {} : { accessTokenMinutes }),
    ...(sessionIdleDays === undefined ? {} : { sessionIdleDays }),
    ...(sessionAbsoluteDays === undefined ? {} : { sessionAbsoluteDays }),
  }
}
