/**
 * API keys: a person's right to a workspace, given to a program. A key never does more than its maker may do at the
 * moment of the call, nor anything it was not made for, nor from anywhere but its networks; it ends by itself, and is
 * shown once.
 *
 * @module
 */
import { actorOf } from '../audit/record'
import type { Clock } from '../clock'
import type { AppDb } from '../db/app-db'
import { AppError, notFound } from '../errors'
import { brand, hashSecret, newId, type Id, type PersonId, type TenantId } from '../ids'
import { Secret } from '../secret'
import { actingRole, checkReach } from '../tenancy/acting'
import type { RecordsEvents } from '../tenancy/events'
import { checkPermission, isPermission, isPermitted } from '../tenancy/permission'
import type { MemberPrincipal, Role } from '../tenancy/principal'
import { holdQuota } from '../tenancy/quotas'
import { lesserRole, parseRole, reaches } from '../tenancy/role'
import { isApiKey, newApiKey } from './api-key-format'
import { SECRET_PREFIX } from './cookies'
import { parseDisplayName } from './display-name'
import { isWithin, parseIpRanges } from './ip-ranges'

export interface ApiKey {
  readonly id: Id<'apiKey'>
  readonly personId: PersonId
  readonly name: string
  readonly role: Role
  /** What it is for, as names of the permission table; null for everything its role may do. */
  readonly scopes: readonly string[] | null
  /** Where it may be used from, as CIDR ranges; empty for everywhere. */
  readonly ipRanges: readonly string[]
  /** The first characters, to recognise it by. */
  readonly prefix: string
  readonly createdAt: Date
  readonly expiresAt: Date
  readonly lastUsedAt: Date | null
  readonly revokedAt: Date | null
  /** `leaked`, `member_removed`; null when somebody revoked it. */
  readonly revokedReason: string | null
}

export interface NewApiKey {
  readonly name: string
  readonly role: Role
  readonly days: number
  /** Absent: everything the role may do. */
  readonly scopes?: readonly string[] | undefined
  readonly ipRanges?: readonly string[] | undefined
  /** Whose key it is; the principal's own unless the operator makes it. */
  readonly personId?: PersonId | undefined
}

export interface FoundApiKey {
  readonly tenantId: TenantId
  readonly apiKeyId: Id<'apiKey'>
  readonly personId: PersonId
  /** The lesser of the key's role and the person's present one. */
  readonly role: Role
  readonly scopes: readonly string[] | null
}

export const MAX_API_KEY_DAYS = 365
export const DEFAULT_API_KEY_DAYS = 90
const MAX_PER_PERSON = 50
const SHOWN_CHARACTERS = 4
const DAY_MS = 86_400_000

export interface ApiKeys {
  /**
   * @returns the key with its secret, which is not kept
   * @throws AppError `request.invalid` for a scope that is none or that its role does not have
   */
  create(principal: MemberPrincipal, input: NewApiKey): Promise<{ readonly key: ApiKey; readonly secret: Secret }>
  /** One's own; everybody's for whoever manages members. */
  list(principal: MemberPrincipal): Promise<readonly ApiKey[]>
  revoke(principal: MemberPrincipal, id: string): Promise<ApiKey>
  /**
   * The key of a bearer token, when it may be used now from this address. Reads the rows each time: a revoked key is dead
   * at once.
   */
  lookup(bearer: string, address: string): Promise<FoundApiKey | undefined>
}

interface KeyRow {
  id: string
  personId: string
  name: string
  role: string
  scopes: string[]
  ipRanges: string[]
  prefix: string
  createdAt: Date
  expiresAt: Date
  lastUsedAt: Date | null
  revokedAt: Date | null
  revokedReason: string | null
}

const view = (row: KeyRow): ApiKey => ({
  id: brand(row.id),
  personId: brand(row.personId),
  name: row.name,
  role: parseRole(row.role),
  scopes: row.scopes.length === 0 ? null : row.scopes,
  ipRanges: row.ipRanges,
  prefix: row.prefix,
  createdAt: row.createdAt,
  expiresAt: row.expiresAt,
  lastUsedAt: row.lastUsedAt,
  revokedAt: row.revokedAt,
  revokedReason: row.revokedReason,
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
      const scopes = input.scopes === undefined ? [] : parseScopes(input.scopes, input.role)
      const ipRanges = parseIpRanges(input.ipRanges ?? [], 'ipRanges')
      const secret = newApiKey()
      const now = clock.now()
      return appDb.tenant(principal.tenantId, async (tx) => {
        const membership = await tx.$queryRaw<{ role: string }[]>`
          SELECT role FROM membership WHERE tenant_id = ${principal.tenantId} AND person_id = ${personId} FOR UPDATE`
        if (membership.length === 0) throw notFound()
        checkReach(await actingRole(tx, principal), input.role)
        await holdQuota(tx, principal.tenantId, 'apiKeys')
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
            scopes,
            ipRanges,
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
          detail: {
            role: input.role,
            days: input.days,
            scopes: scopes.length === 0 ? 'all' : scopes.join(' '),
            networks: ipRanges.length === 0 ? 'all' : ipRanges.join(' '),
          },
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

    async lookup(bearer, address) {
      if (!isApiKey(bearer)) return undefined
      const found = await appDb.global.$queryRaw<{ tenant_id: string; key_id: string }[]>`
        SELECT tenant_id, key_id FROM api_key_by_hash(${hashSecret(bearer)})`
      const place = found[0]
      if (place === undefined) return undefined
      const tenantId = brand<'tenant'>(place.tenant_id)
      return appDb.tenant(tenantId, async (tx) => {
        const rows = await tx.$queryRaw<KeyInUse[]>`
          SELECT k.person_id, k.role, m.role AS member_role, k.scopes, k.ip_ranges,
                 k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute' AS is_stale
            FROM api_key k
            JOIN membership m ON m.tenant_id = k.tenant_id AND m.person_id = k.person_id
            JOIN person p ON p.id = k.person_id AND p.disabled_at IS NULL
            JOIN tenant t ON t.id = k.tenant_id AND t.disabled_at IS NULL
           WHERE k.tenant_id = ${tenantId} AND k.id = ${place.key_id} AND k.revoked_at IS NULL AND k.expires_at > now()`
        const row = rows[0]
        if (row === undefined || !isWithin(address, row.ip_ranges)) return undefined
        if (row.is_stale)
          await tx.$executeRaw`
            UPDATE api_key SET last_used_at = now() WHERE tenant_id = ${tenantId} AND id = ${place.key_id}
               AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')`
        return {
          tenantId,
          apiKeyId: brand<'apiKey'>(place.key_id),
          personId: brand<'person'>(row.person_id),
          role: lesserRole(parseRole(row.role), parseRole(row.member_role)),
          scopes: row.scopes.length === 0 ? null : row.scopes,
        }
      })
    },
  }
}

interface KeyInUse {
  readonly person_id: string
  readonly role: string
  readonly member_role: string
  readonly scopes: readonly string[]
  readonly ip_ranges: readonly string[]
  readonly is_stale: boolean
}

/** @throws AppError `request.invalid` */
function parseScopes(wanted: readonly string[], role: Role): string[] {
  const scopes = [...new Set(wanted)].sort()
  if (scopes.length === 0) throw new AppError('request.invalid', 'Name at least one scope.', { field: 'scopes' })
  for (const scope of scopes) {
    // What is not repeated here cannot be made to say anything on a page.
    if (!isPermission(scope)) throw new AppError('request.invalid', 'There is no such scope.', { field: 'scopes' })
    if (!isPermitted(role, scope))
      throw new AppError('request.invalid', `A key of this role cannot have the scope ${scope}.`, { field: 'scopes' })
  }
  return scopes
}
