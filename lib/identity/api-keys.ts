/**
 * API keys: a person's right to a workspace, given to a program. A key never does more than its maker may do at the
 * moment of the call, ends by itself, and is shown once.
 *
 * @module
 */
import { actorOf } from '../audit/record'
import type { Clock } from '../clock'
import type { AppDb } from '../db/app-db'
import { AppError, notFound } from '../errors'
import { brand, hashSecret, newId, newSecret, type Id, type PersonId, type TenantId } from '../ids'
import { Secret } from '../secret'
import type { RecordsEvents } from '../tenancy/events'
import { checkPermission, isPermitted } from '../tenancy/permission'
import type { MemberPrincipal, Role } from '../tenancy/principal'
import { lesserRole, parseRole, reaches } from '../tenancy/role'
import { isSecret, SECRET_PREFIX } from './cookies'
import { parseDisplayName } from './display-name'

export interface ApiKey {
  readonly id: Id<'apiKey'>
  readonly personId: PersonId
  readonly name: string
  readonly role: Role
  /** The first characters, to recognise it by. */
  readonly prefix: string
  readonly createdAt: Date
  readonly expiresAt: Date
  readonly lastUsedAt: Date | null
  readonly revokedAt: Date | null
}

export interface FoundApiKey {
  readonly tenantId: TenantId
  readonly apiKeyId: Id<'apiKey'>
  readonly personId: PersonId
  /** The lesser of the key's role and the person's present one. */
  readonly role: Role
}

export const MAX_API_KEY_DAYS = 365
export const DEFAULT_API_KEY_DAYS = 90
const MAX_PER_PERSON = 50
const SHOWN_CHARACTERS = 4
const DAY_MS = 86_400_000

export interface ApiKeys {
  /**
   * @param input.personId  whose key it is; the principal's own unless the operator makes it
   * @returns the key with its secret, which is not kept
   */
  create(
    principal: MemberPrincipal,
    input: { readonly name: string; readonly role: Role; readonly days: number; readonly personId?: PersonId },
  ): Promise<{ readonly key: ApiKey; readonly secret: Secret }>
  /** One's own; everybody's for whoever manages members. */
  list(principal: MemberPrincipal): Promise<readonly ApiKey[]>
  revoke(principal: MemberPrincipal, id: string): Promise<ApiKey>
  /** The key of a bearer token, when it may be used now. Reads the rows each time: a revoked key is dead at once. */
  lookup(bearer: string): Promise<FoundApiKey | undefined>
}

interface KeyRow {
  id: string
  personId: string
  name: string
  role: string
  prefix: string
  createdAt: Date
  expiresAt: Date
  lastUsedAt: Date | null
  revokedAt: Date | null
}

const view = (row: KeyRow): ApiKey => ({
  id: brand(row.id),
  personId: brand(row.personId),
  name: row.name,
  role: parseRole(row.role),
  prefix: row.prefix,
  createdAt: row.createdAt,
  expiresAt: row.expiresAt,
  lastUsedAt: row.lastUsedAt,
  revokedAt: row.revokedAt,
})

export function createApiKeys(deps: {
  readonly appDb: AppDb
  readonly events: RecordsEvents
  readonly clock: Clock
}): ApiKeys {
  const { appDb, events, clock } = deps
  /** Whose keys this principal may see and revoke; undefined for everybody's. */
  const onlyOf = (principal: MemberPrincipal): PersonId | undefined =>
    principal.kind === 'operator' || isPermitted(principal.role, 'member.manage') ? undefined : principal.personId

  return {
    async create(principal, input) {
      checkPermission(principal, 'api_key.create')
      // A key that could make keys would outlive its own revocation.
      if (principal.kind === 'api_key')
        throw new AppError('auth.forbidden', 'An API key cannot make API keys. Sign in to make one.')
      const name = parseDisplayName(input.name, 'name')
      if (!Number.isInteger(input.days) || input.days < 1 || input.days > MAX_API_KEY_DAYS)
        throw new AppError('request.invalid', `Between 1 and ${MAX_API_KEY_DAYS} days.`, { field: 'days' })
      if (!reaches(principal.role, input.role))
        throw new AppError('auth.forbidden', 'A key cannot do more than you may.')
      const personId = principal.kind === 'operator' ? input.personId : principal.personId
      if (personId === undefined) throw new AppError('request.invalid', 'Say whose key it is.', { field: 'personId' })
      const secret = newSecret(SECRET_PREFIX.apiKey)
      const now = clock.now()
      return appDb.tenant(principal.tenantId, async (tx) => {
        const membership = await tx.$queryRaw<{ role: string }[]>`
          SELECT role FROM membership WHERE tenant_id = ${principal.tenantId} AND person_id = ${personId} FOR UPDATE`
        if (membership.length === 0) throw notFound()
        const open = await tx.apiKey.count({
          where: { tenantId: principal.tenantId, personId, revokedAt: null, expiresAt: { gt: now } },
        })
        if (open >= MAX_PER_PERSON)
          throw new AppError('resource.limit_exceeded', `There are ${MAX_PER_PERSON} keys already. Revoke one first.`)
        const row = await tx.apiKey.create({
          data: {
            tenantId: principal.tenantId,
            id: newId('apiKey', now),
            personId,
            name,
            role: input.role,
            secretHash: new Uint8Array(hashSecret(secret)),
            prefix: secret.slice(0, SECRET_PREFIX.apiKey.length + SHOWN_CHARACTERS),
            expiresAt: new Date(now.getTime() + input.days * DAY_MS),
          },
        })
        await events.event(tx, {
          tenantId: principal.tenantId,
          action: 'api_key.created',
          actor: actorOf(principal),
          targetId: row.id,
          detail: { role: input.role, days: input.days },
          network: principal.network,
        })
        return { key: view(row), secret: new Secret(secret) }
      })
    },

    async list(principal) {
      checkPermission(principal, 'api_key.read')
      const personId = onlyOf(principal)
      return appDb.tenant(principal.tenantId, async (tx) => {
        const rows = await tx.apiKey.findMany({
          where: { tenantId: principal.tenantId, ...(personId === undefined ? {} : { personId }) },
          orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
          take: 500,
        })
        return rows.map(view)
      })
    },

    async revoke(principal, id) {
      checkPermission(principal, 'api_key.revoke')
      const personId = onlyOf(principal)
      return appDb.tenant(principal.tenantId, async (tx) => {
        const own = { tenantId: principal.tenantId, id, ...(personId === undefined ? {} : { personId }) }
        const revoked = await tx.apiKey.updateMany({
          where: { ...own, revokedAt: null },
          data: { revokedAt: clock.now() },
        })
        const row = await tx.apiKey.findFirst({ where: own })
        if (row === null) throw notFound()
        if (revoked.count === 1)
          await events.never(tx, {
            tenantId: principal.tenantId,
            action: 'api_key.revoked',
            actor: actorOf(principal),
            targetId: id,
            network: principal.network,
          })
        return view(row)
      })
    },

    async lookup(bearer) {
      if (!isSecret(SECRET_PREFIX.apiKey, bearer)) return undefined
      const found = await appDb.global.$queryRaw<{ tenant_id: string; key_id: string }[]>`
        SELECT tenant_id, key_id FROM api_key_by_hash(${hashSecret(bearer)})`
      const place = found[0]
      if (place === undefined) return undefined
      const tenantId = brand<'tenant'>(place.tenant_id)
      return appDb.tenant(tenantId, async (tx) => {
        const rows = await tx.$queryRaw<{ person_id: string; role: string; member_role: string; is_stale: boolean }[]>`
          SELECT k.person_id, k.role, m.role AS member_role,
                 k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute' AS is_stale
            FROM api_key k
            JOIN membership m ON m.tenant_id = k.tenant_id AND m.person_id = k.person_id
            JOIN person p ON p.id = k.person_id AND p.disabled_at IS NULL
            JOIN tenant t ON t.id = k.tenant_id AND t.disabled_at IS NULL
           WHERE k.tenant_id = ${tenantId} AND k.id = ${place.key_id} AND k.revoked_at IS NULL AND k.expires_at > now()`
        const row = rows[0]
        if (row === undefined) return undefined
        if (row.is_stale)
          await tx.$executeRaw`
            UPDATE api_key SET last_used_at = now() WHERE tenant_id = ${tenantId} AND id = ${place.key_id}
               AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')`
        return {
          tenantId,
          apiKeyId: brand<'apiKey'>(place.key_id),
          personId: brand<'person'>(row.person_id),
          role: lesserRole(parseRole(row.role), parseRole(row.member_role)),
        }
      })
    },
  }
}
