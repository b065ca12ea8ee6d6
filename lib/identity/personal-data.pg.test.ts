import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { newId } from '@/lib/ids'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity, newBrowser, PASSWORD, type TestIdentity } from '@/lib/testing/identity'

let db: TestDatabases
let id: TestIdentity

beforeAll(async () => {
  db = await createTestDatabases()
  id = createTestIdentity(db)
})
afterAll(async () => {
  await id.close()
  await db.close()
})

async function signedIn(email: string) {
  const person = await id.person(email)
  const browser = newBrowser()
  const cookie = await id.activate(await id.signIn.withPassword(email, PASSWORD, browser), browser)
  const session = (await id.sessions.lookup(cookie))!
  return { ...person, session, cookie }
}

describe('a copy of what is stored about a person', () => {
  it('holds what is theirs in every workspace, nothing of others and no secret, and is recorded before it is read', async () => {
    const ada = await signedIn('ada@example.com')
    const eve = await signedIn('eve@example.com')
    const second = await id.tenants.create({ name: 'Second', owner: ada.personId, actor: { kind: 'system' } })
    await db.app.tenant(ada.tenantId, async (tx) => {
      await tx.membership.create({ data: { tenantId: ada.tenantId, personId: eve.personId, role: 'member' } })
      for (const [owner, label] of [
        [ada.personId, 'ada-account'],
        [eve.personId, 'eve-account'],
      ] as const)
        await tx.connection.create({
          data: {
            tenantId: ada.tenantId,
            id: newId('connection'),
            provider: 'github',
            providerApp: 'app',
            subject: label,
            accountLabel: label,
            ownerPersonId: owner,
            access: 'allowed',
            state: 'active',
          },
        })
    })
    const { secret } = await id.apiKeys.create(
      {
        kind: 'person',
        tenantId: ada.tenantId,
        personId: ada.personId,
        role: 'owner',
        webSessionId: ada.session.sessionId,
        authenticatedAt: new Date(),
        network: '192.0.2.1',
      },
      { name: 'my key', role: 'member', days: 1 },
    )
    id.recorded.length = 0
    const data = await id.personalData.take({
      personId: ada.personId,
      webSessionId: ada.session.sessionId,
      network: '192.0.2.1',
    })
    expect(data.person).toMatchObject({ email: 'ada@example.com', name: 'Ada' })
    expect(data.signedIn).toHaveLength(1)
    expect(data.workspaces.map(({ id: tenant, role }) => [tenant, role])).toEqual([
      [ada.tenantId, 'owner'],
      [second.id, 'owner'],
    ])
    expect(data.workspaces[0]).toMatchObject({
      connections: [{ accountLabel: 'ada-account' }],
      apiKeys: [{ name: 'my key' }],
    })
    const text = JSON.stringify(data)
    for (const foreign of ['eve@example.com', 'eve-account', eve.personId]) expect(text).not.toContain(foreign)
    expect(text).not.toMatch(/hash|argon2|\$2/i)
    expect(text).not.toContain(secret.reveal())
    expect(text).not.toContain(ada.cookie)
    expect(id.recorded.map(({ action, tenantId }) => [action, tenantId])).toEqual([
      ['person.data_exported', ada.tenantId],
      ['person.data_exported', second.id],
    ])
  })

  it('covers no workspace that asks for another way in than this session’s', async () => {
    const ada = await signedIn('only@example.com')
    const second = await id.tenants.create({ name: 'Second', owner: ada.personId, actor: { kind: 'system' } })
    await db.adminQuery('app', 'UPDATE web_session SET only_tenant_id = $1 WHERE id = $2', [
      second.id,
      ada.session.sessionId,
    ])
    const data = await id.personalData.take({
      personId: ada.personId,
      webSessionId: ada.session.sessionId,
      network: '192.0.2.1',
    })
    expect(data.workspaces.map((one) => one['id'])).not.toContain(ada.tenantId)
  })
})
