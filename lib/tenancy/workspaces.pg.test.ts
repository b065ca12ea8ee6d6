import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { PersonId, TenantId } from '@/lib/ids'
import type { Role } from '@/lib/tenancy/principal'
import { MAX_OWN_WORKSPACES } from '@/lib/tenancy/quotas'
import { GRACE_DAYS } from '@/lib/tenancy/workspaces'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity, newBrowser, PASSWORD, type TestIdentity } from '@/lib/testing/identity'
import { codeOf as outcomeOf, personPrincipal } from '@/lib/testing/principal'

let db: TestDatabases
let id: TestIdentity
let count = 0

beforeAll(async () => {
  db = await createTestDatabases({ max: 12 })
  id = createTestIdentity(db)
})
afterAll(async () => {
  await id.close()
  await db.close()
})

const codeOf = (work: Promise<unknown>) => outcomeOf(work, 'done')
const as = (tenantId: TenantId, personId: PersonId, role: Role) => personPrincipal({ tenantId, personId }, role)

/** Somebody signed in, owner of the workspace “Analytical”. */
async function owner() {
  count += 1
  const email = `own-${count}@example.com`
  const { personId, tenantId } = await id.person(email)
  const browser = newBrowser()
  const cookie = await id.activate(await id.signIn.withPassword(email, PASSWORD, browser), browser)
  const session = (await id.sessions.lookup(cookie))!
  const me = () =>
    id.authenticator.member({
      cookie: `${id.cookies.session}=${cookie}`,
      authorization: undefined,
      network: '192.0.2.1',
      address: '192.0.2.1',
    })
  const restore = (tenant: string) =>
    id.workspaces.restore({ personId, webSessionId: session.sessionId, network: '192.0.2.1' }, tenant)
  return { principal: as(tenantId, personId, 'owner'), personId, tenantId, session, me, restore }
}

describe('another workspace', () => {
  it('is its maker’s, with a name of its own', async () => {
    const ada = await owner()
    const tenantId = await id.workspaces.create(ada.principal, ' Second ')
    expect(await id.tenants.load(as(tenantId, ada.personId, 'owner'))).toMatchObject({ name: 'Second' })
    expect(await id.members.list(as(tenantId, ada.personId, 'owner'))).toMatchObject([
      { personId: ada.personId, role: 'owner' },
    ])
    expect(await codeOf(id.workspaces.create(ada.principal, '\u202e'))).toBe('request.invalid')
    expect(await codeOf(id.workspaces.create(as(ada.tenantId, ada.personId, 'auditor'), 'X'))).toBe('auth.forbidden')
  })

  it('is one of so many, also for twenty who are made at once', async () => {
    const ada = await owner()
    await db.adminQuery(
      'app',
      `WITH t AS (INSERT INTO tenant (id, name, slug)
         SELECT 'ten_' || lpad(to_hex(n) || substr(md5($1), 1, 8), 26, '0'), 'W', 'w-' || n || '-' || substr(md5($1), 1, 8) FROM generate_series(1, $2::int) n RETURNING id)
       INSERT INTO membership (tenant_id, person_id, role) SELECT id, $1, 'owner' FROM t`,
      [ada.personId, MAX_OWN_WORKSPACES - 2],
    )
    const codes = await Promise.all(
      Array.from({ length: 8 }, () => codeOf(id.workspaces.create(ada.principal, 'More'))),
    )
    expect(codes.filter((code) => code === 'done')).toHaveLength(1)
    expect(new Set(codes)).toEqual(new Set(['done', 'resource.limit_exceeded']))
  })
})

describe('deleting a workspace', () => {
  it('asks for its name, and for an owner', async () => {
    const ada = await owner()
    expect(await codeOf(id.workspaces.remove(ada.principal, 'analytical'))).toBe('request.invalid')
    for (const role of ['admin', 'member', 'auditor'] as const)
      expect(await codeOf(id.workspaces.remove(as(ada.tenantId, ada.personId, role), 'Analytical'))).toBe(
        'auth.forbidden',
      )
    await db.adminQuery('app', "UPDATE membership SET role = 'admin' WHERE tenant_id = $1", [ada.tenantId])
    expect(await codeOf(id.workspaces.remove(ada.principal, 'Analytical'))).toBe('auth.forbidden')
  })

  it('closes it at once for people and keys, and an owner takes it back as it was', async () => {
    const ada = await owner()
    const { secret } = await id.apiKeys.create(ada.principal, { name: 'x', role: 'owner', days: 1 })
    const byKey = () =>
      id.authenticator.member({
        cookie: undefined,
        authorization: `Bearer ${secret.reveal()}`,
        network: '192.0.2.1',
        address: '192.0.2.1',
      })
    expect(await byKey()).toBeDefined()
    id.recorded.length = 0
    const gone = await id.workspaces.remove(ada.principal, 'Analytical')
    expect(gone.purgeAt.getTime() - Date.now()).toBeGreaterThan((GRACE_DAYS * 24 - 1) * 3_600_000)
    expect(await byKey()).toBeUndefined()
    expect(await codeOf(ada.me())).toBe('auth.forbidden')
    expect(await id.workspaces.restorable(ada.personId)).toEqual([gone])
    // Again is not again.
    expect(await codeOf(id.workspaces.remove(ada.principal, 'Analytical'))).toBe('resource.not_found')

    await ada.restore(ada.tenantId)
    expect(await byKey()).toBeDefined()
    expect(await ada.me()).toMatchObject({ tenantId: ada.tenantId, role: 'owner' })
    expect(await id.workspaces.restorable(ada.personId)).toEqual([])
    expect(id.recorded.map(({ action }) => action)).toEqual(['workspace.deletion_began', 'workspace.restored'])
    expect(await codeOf(ada.restore(ada.tenantId))).toBe('resource.not_found')
  })

  it('is taken back by its owners alone, and by nobody once its time is over or its end has begun', async () => {
    const ada = await owner()
    const eve = await owner()
    const admin = await owner()
    await db.app.tenant(ada.tenantId, (tx) =>
      tx.membership.create({ data: { tenantId: ada.tenantId, personId: admin.personId, role: 'admin' } }),
    )
    await id.workspaces.remove(ada.principal, 'Analytical')
    for (const other of [eve, admin]) {
      expect(await codeOf(other.restore(ada.tenantId))).toBe('resource.not_found')
      expect(await id.workspaces.restorable(other.personId)).toEqual([])
    }
    expect(await codeOf(ada.restore('nothing'))).toBe('resource.not_found')
    await db.adminQuery('app', 'UPDATE tenant SET purge_began_at = now() WHERE id = $1', [ada.tenantId])
    expect(await codeOf(ada.restore(ada.tenantId))).toBe('resource.not_found')
    await db.adminQuery('app', 'UPDATE tenant SET purge_began_at = NULL, purge_at = now() WHERE id = $1', [
      ada.tenantId,
    ])
    expect(await codeOf(ada.restore(ada.tenantId))).toBe('resource.not_found')
    expect(await id.workspaces.restorable(ada.personId)).toEqual([])
  })

  it('keeps a workspace that the operator closed closed: that was nobody’s to take back', async () => {
    const ada = await owner()
    await db.adminQuery('app', 'UPDATE tenant SET disabled_at = now() WHERE id = $1', [ada.tenantId])
    expect(await codeOf(ada.restore(ada.tenantId))).toBe('resource.not_found')
  })
})
