import { readFileSync } from 'node:fs'
import path from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { Audit } from '@/lib/audit/audit'
import { createTestAudit } from '@/lib/testing/audit'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity, newBrowser, PASSWORD, type TestIdentity } from '@/lib/testing/identity'

let db: TestDatabases
let audit: Audit
let id: TestIdentity

beforeAll(async () => {
  db = await createTestDatabases()
  audit = createTestAudit(db)
  id = createTestIdentity(db, { events: audit })
})
afterAll(async () => {
  await id.close()
  await audit.close()
  await db.close()
})

const actions = async (tenantId: string) => {
  await audit.drain()
  const rows = await db.adminQuery(
    'app',
    'SELECT action FROM audit_record WHERE tenant_id = $1 ORDER BY recorded_at, id',
    [tenantId],
  )
  return rows.map((row) => row['action'])
}

describe('what people do with their accounts', () => {
  it('is in the trail of each of their workspaces, from the first link to signing out, without a name in clear', async () => {
    await id.signUp.prepareFirstLink()
    const secret = readFileSync(path.join(id.dataDir, 'signup-link'), 'utf8').trim().split('#')[1] ?? ''
    const browser = newBrowser()
    const input = { workspaceName: 'Engines', name: 'Ada Lovelace', email: 'ada@example.com', password: PASSWORD }
    await id.activate(await id.signUp.useFirstLink(secret, input, browser), browser)
    const person = await id.people.findByEmail('ada@example.com')
    const second = await id.tenants.create({ name: 'Second', owner: person!.id, actor: { kind: 'system' } })
    const cookie = await id.activate(await id.signIn.withPassword('ada@example.com', PASSWORD, browser), browser)
    const session = await id.sessions.lookup(cookie)
    await id.credentials.changePassword(session!, PASSWORD, 'another long sentence', browser.network)
    await id.signIn.signOut(session!, browser.network)

    const first = session!.tenantId!
    expect((await actions(first)).sort()).toEqual(
      [
        'workspace.created',
        'member.added',
        'person.signed_up',
        'person.signed_in',
        'person.password_changed',
        'person.sessions_ended',
        'person.signed_out',
      ].sort(),
    )
    expect((await actions(second.id)).sort()).toEqual(
      ['workspace.created', 'member.added', 'person.password_changed', 'person.sessions_ended'].sort(),
    )
    const [row] = await db.adminQuery('app', "SELECT string_agg(r::text, ' ') AS text FROM audit_record r")
    for (const name of ['ada@example.com', 'Lovelace', browser.network, person!.id])
      expect(row?.['text']).not.toContain(name)
  })

  it('does not happen when it cannot be recorded, and the link stays good; ending access happens all the same', async () => {
    const refuse = () => Promise.reject(new Error('the trail is away'))
    const silent = createTestIdentity(db, { events: { event: refuse, never: () => Promise.resolve() } })
    await expect(silent.signIn.withPassword('ada@example.com', 'another long sentence', newBrowser())).rejects.toThrow()
    const [pending] = await db.adminQuery('app', "SELECT count(*)::int AS n FROM web_session WHERE status = 'pending'")
    expect(pending).toEqual({ n: 0 })

    const browser = newBrowser()
    const cookie = await id.activate(
      await id.signIn.withPassword('ada@example.com', 'another long sentence', browser),
      browser,
    )
    const session = await id.sessions.lookup(cookie)
    await expect(
      silent.credentials.changePassword(session!, 'another long sentence', PASSWORD, browser.network),
    ).rejects.toThrow()
    await silent.signIn.signOut(session!, browser.network)
    expect(await id.sessions.lookup(cookie)).toBeUndefined()
    await id.signIn.withPassword('ada@example.com', 'another long sentence', newBrowser())
    await silent.close()
  })
})
