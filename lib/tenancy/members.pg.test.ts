import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { createAppDb, type AppDb } from '@/lib/db/app-db'
import { newId, type PersonId, type TenantId } from '@/lib/ids'
import { createMembers } from '@/lib/tenancy/members'
import type { Role } from '@/lib/tenancy/principal'
import { QUOTAS } from '@/lib/tenancy/quotas'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity, type TestIdentity } from '@/lib/testing/identity'
import { codeOf as outcomeOf, personPrincipal } from '@/lib/testing/principal'

let db: TestDatabases
let id: TestIdentity
/** A second process, as far as the database can tell. */
let otherDb: AppDb
let count = 0

beforeAll(async () => {
  db = await createTestDatabases({ max: 12 })
  id = createTestIdentity(db)
  otherDb = createAppDb(db.urls.app, { max: 12 })
})
afterAll(async () => {
  await otherDb.close()
  await id.close()
  await db.close()
})

const codeOf = (work: Promise<unknown>) => outcomeOf(work, 'done')
const as = (tenantId: TenantId, personId: PersonId, role: Role) => personPrincipal({ tenantId, personId }, role)

/** A workspace with people of these roles; the first is its maker. */
async function workspace(...roles: readonly Role[]) {
  count += 1
  const made = await Promise.all(
    roles.map((_, n) => id.people.create({ email: `m${count}-${n}@example.com`, name: `M${n}` })),
  )
  const tenant = await id.tenants.create({ name: 'Ring', actor: { kind: 'system' } })
  await db.app.tenant(tenant.id, async (tx) => {
    for (const [n, role] of roles.entries())
      await tx.membership.create({ data: { tenantId: tenant.id, personId: made[n]!.id, role } }) // made for each role
  })
  return {
    tenantId: tenant.id,
    principals: roles.map((role, n) => as(tenant.id, made[n]!.id, role)), // made for each role
    owners: async () =>
      (await db.adminQuery('app', "SELECT 1 FROM membership WHERE tenant_id = $1 AND role = 'owner'", [tenant.id]))
        .length,
  }
}

describe('a workspace always has an owner', () => {
  it.each([
    ['demote', 'member'],
    ['remove', undefined],
  ] as const)('while its owners %s each other and themselves from two processes at once', async (_, role) => {
    for (let round = 0; round < 4; round += 1) {
      const { principals, owners } = await workspace('owner', 'owner', 'owner')
      const members = [id.members, createMembers({ appDb: otherDb, events: id.signInDeps.events })] as const
      const work = principals.flatMap((own, n) =>
        principals.map((other, m) => {
          const one = members[(n + m) % 2]!
          return codeOf(
            role === undefined ? one.remove(own, other.personId) : one.changeRole(own, other.personId, role),
          )
        }),
      )
      const codes = new Set(await Promise.all(work))
      expect(await owners()).toBe(1)
      // Nobody got through by a fault, and somebody was told why not.
      for (const code of codes)
        expect(['done', 'resource.conflict', 'auth.forbidden', 'resource.not_found']).toContain(code)
      expect(codes).toContain('done')
    }
  })

  it('though the last one asks to leave, or to be less', async () => {
    const { principals, owners } = await workspace('owner', 'admin')
    const [owner, admin] = principals
    expect(await codeOf(id.members.remove(owner!, owner!.personId))).toBe('resource.conflict')
    expect(await codeOf(id.members.changeRole(owner!, owner!.personId, 'admin'))).toBe('resource.conflict')
    expect(await codeOf(id.members.remove(admin!, owner!.personId))).toBe('auth.forbidden')
    expect(await owners()).toBe(1)
  })
})

describe('nobody reaches above their own role', () => {
  const roles: readonly Role[] = ['owner', 'admin', 'member', 'auditor']
  it.each(roles.flatMap((own) => roles.map((wanted) => [own, wanted] as const)))(
    '%s gives the role %s only when it is not above theirs',
    async (own, wanted) => {
      const { principals } = await workspace('owner', own, 'auditor')
      const [, acting, target] = principals
      const mayManage = own === 'owner' || own === 'admin'
      const allowed = mayManage && roles.indexOf(own) <= roles.indexOf(wanted)
      expect(await codeOf(id.members.changeRole(acting!, target!.personId, wanted))).toBe(
        allowed ? 'done' : 'auth.forbidden',
      )
    },
  )

  it('nor by what a session still says of somebody demoted a moment ago', async () => {
    const { tenantId, principals, owners } = await workspace('owner', 'owner', 'member')
    const [first, second, friend] = principals
    await id.members.changeRole(first!, second!.personId, 'member')
    // `second` is still an owner by their own word.
    expect(await codeOf(id.members.changeRole(second!, friend!.personId, 'owner'))).toBe('auth.forbidden')
    expect(await codeOf(id.members.remove(second!, friend!.personId))).toBe('auth.forbidden')
    await id.members.remove(first!, second!.personId)
    expect(await codeOf(id.members.changeRole(second!, friend!.personId, 'admin'))).toBe('auth.forbidden')
    expect(await owners()).toBe(1)
    expect((await id.members.list(as(tenantId, first!.personId, 'owner'))).map(({ role }) => role).sort()).toEqual([
      'member',
      'owner',
    ])
  })
})

describe('who leaves', () => {
  it('takes along what they held and what they shared', async () => {
    const { tenantId, principals } = await workspace('owner', 'member')
    const [owner, member] = principals
    const { key } = await id.apiKeys.create(member!, { name: 'x', role: 'member', days: 1 })
    const connectionId = newId('connection')
    await db.app.tenant(tenantId, (tx) =>
      tx.connection.create({
        data: {
          tenantId,
          id: connectionId,
          provider: 'github',
          providerApp: 'app',
          subject: 's',
          accountLabel: 'octocat',
          ownerPersonId: member!.personId,
          access: 'allowed',
          state: 'active',
          sharing: 'workspace',
        },
      }),
    )
    await id.members.remove(owner!, member!.personId)
    expect((await id.apiKeys.list(owner!)).find((one) => one.id === key.id)).toMatchObject({
      revokedReason: 'member_removed',
    })
    const [row] = await db.adminQuery('app', 'SELECT sharing FROM connection WHERE id = $1', [connectionId])
    expect(row).toEqual({ sharing: 'personal' })
  })
})

describe('how many members', () => {
  it('has a limit that twenty who are added at once do not pass', async () => {
    const { tenantId, principals } = await workspace('owner')
    await db.adminQuery(
      'app',
      `WITH p AS (INSERT INTO person (id, email, email_canonical, name)
         SELECT 'per_' || lpad(to_hex(n) || substr(md5($1), 1, 8), 26, '0'), n || md5($1) || '@q.example', n || md5($1) || '@q.example', 'Q'
           FROM generate_series(1, $2::int) n RETURNING id)
       INSERT INTO membership (tenant_id, person_id, role) SELECT $1, id, 'auditor' FROM p`,
      [tenantId, QUOTAS.members.most - 2],
    )
    const newcomers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => id.people.create({ email: `late-${count}-${n}@example.com`, name: 'L' })),
    )
    const codes = await Promise.all(
      newcomers.map((person) => codeOf(id.members.add(principals[0]!, person.id, 'member'))),
    )
    expect(codes.filter((code) => code === 'done')).toHaveLength(1)
    expect(new Set(codes)).toEqual(new Set(['done', 'resource.limit_exceeded']))
  })
})
