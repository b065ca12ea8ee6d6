import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { createLeakedKeys, LEAK_RATES } from '@/lib/identity/leaked-keys'
import { checkPermission } from '@/lib/tenancy/permission'
import type { ApiKeyPrincipal, PersonPrincipal, Role } from '@/lib/tenancy/principal'
import { QUOTAS } from '@/lib/tenancy/quotas'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity, newBrowser, type TestIdentity } from '@/lib/testing/identity'
import { codeOf, personPrincipal } from '@/lib/testing/principal'

let db: TestDatabases
let id: TestIdentity
let people = 0

beforeAll(async () => {
  db = await createTestDatabases({ max: 24 })
  id = createTestIdentity(db)
})
afterAll(async () => {
  await id.close()
  await db.close()
})

/** A person, principal in a workspace of their own. */
async function owner(): Promise<PersonPrincipal> {
  people += 1
  return personPrincipal(await id.person(`keys-${people}@example.com`), 'owner')
}
const bearer = (key: string, address = '192.0.2.1') => ({
  cookie: undefined,
  authorization: `Bearer ${key}`,
  network: address,
  address,
})
const auditOf = (action: string) => id.recorded.filter((event) => event.action === action)

describe('what a key is for', () => {
  it('keeps it from everything else, whatever its role', async () => {
    const ada = await owner()
    const { key, secret } = await id.apiKeys.create(ada, {
      name: 'CI',
      role: 'admin',
      days: 1,
      scopes: ['connection.read', 'agent.read', 'agent.read'],
    })
    expect(key.scopes).toEqual(['agent.read', 'connection.read'])
    const used = (await id.authenticator.member(bearer(secret.reveal()))) as ApiKeyPrincipal // a bearer is a key's
    expect(used.scopes).toEqual(['agent.read', 'connection.read'])
    expect(() => checkPermission(used, 'connection.read')).not.toThrow()
    expect(() => checkPermission(used, 'agent.create')).toThrow(expect.objectContaining({ code: 'auth.forbidden' }))
    // The domain asks too, not only the router.
    expect(await codeOf(id.members.list(used))).toBe('auth.forbidden')
  })

  it('cannot be more than its role has, nothing at all, or a word of somebody’s own', async () => {
    const ada = await owner()
    const make = (role: Role, scopes: string[]) => codeOf(id.apiKeys.create(ada, { name: 'x', role, days: 1, scopes }))
    expect(await make('member', ['member.manage'])).toBe('request.invalid')
    expect(await make('admin', ['workspace.delete'])).toBe('request.invalid')
    expect(await make('owner', ['__proto__'])).toBe('request.invalid')
    expect(await make('owner', [])).toBe('request.invalid')
    expect(await make('owner', ['workspace.delete'])).toBe('no error')
  })

  it('ends with the role of its maker: a key of somebody demoted does what they may do', async () => {
    const ada = await owner()
    const { secret } = await id.apiKeys.create(ada, { name: 'x', role: 'owner', days: 1, scopes: ['member.manage'] })
    await db.adminQuery('app', "UPDATE membership SET role = 'member' WHERE tenant_id = $1", [ada.tenantId])
    const used = (await id.authenticator.member(bearer(secret.reveal()))) as ApiKeyPrincipal // a bearer is a key's
    expect(used.role).toBe('member')
    expect(() => checkPermission(used, 'member.manage')).toThrow(expect.objectContaining({ code: 'auth.forbidden' }))
    // Nor does somebody demoted a moment ago make one by what their session still says.
    expect(await codeOf(id.apiKeys.create(ada, { name: 'x', role: 'admin', days: 1 }))).toBe('auth.forbidden')
  })
})

describe('where a key may be used from', () => {
  it('is decided by the client’s address alone', async () => {
    const ada = await owner()
    const { key, secret } = await id.apiKeys.create(ada, {
      name: 'x',
      role: 'member',
      days: 1,
      ipRanges: ['198.51.100.9/24', '2001:db8::/32'],
    })
    expect(key.ipRanges).toEqual(['198.51.100.0/24', '2001:db8::/32'])
    const from = (address: string) => id.authenticator.member(bearer(secret.reveal(), address))
    expect(await from('198.51.100.200')).toBeDefined()
    expect(await from('::ffff:198.51.100.200')).toBeDefined()
    expect(await from('2001:db8:1::1')).toBeDefined()
    expect(await from('198.51.101.1')).toBeUndefined()
    expect(await from('unknown')).toBeUndefined()
    // A refused use is no use.
    const [row] = await id.apiKeys.list(ada)
    expect(row?.lastUsedAt).not.toBeNull()
  })
})

describe('how many keys', () => {
  it('has a limit for a workspace that twenty who make the last one at once do not pass', async () => {
    const ada = await owner()
    await db.adminQuery(
      'app',
      `INSERT INTO person (id, email, email_canonical, name)
       SELECT 'per_' || lpad(to_hex(n) || substr(md5($1), 1, 8), 26, '0'), md5($1 || n) || '@q.example', md5($1 || n) || '@q.example', 'Q' FROM generate_series(1, 4) n`,
      [ada.tenantId],
    )
    await db.adminQuery(
      'app',
      `INSERT INTO api_key (tenant_id, id, person_id, name, role, secret_hash, prefix, expires_at)
       SELECT $1, 'key_' || lpad(to_hex(n), 26, '0'), 'per_' || lpad(to_hex(n % 4 + 1) || substr(md5($1), 1, 8), 26, '0'), 'x', 'member', decode(md5($1 || n), 'hex'), 'pck_', now() + interval '1 day'
         FROM generate_series(1, $2::int) n`,
      [ada.tenantId, QUOTAS.apiKeys.most - 1],
    )
    const made = await Promise.all(
      Array.from({ length: 20 }, () => codeOf(id.apiKeys.create(ada, { name: 'x', role: 'member', days: 1 }))),
    )
    expect(made.filter((code) => code === 'no error')).toHaveLength(1)
    expect(new Set(made)).toEqual(new Set(['no error', 'resource.limit_exceeded']))
    await expect(id.apiKeys.create(ada, { name: 'x', role: 'member', days: 1 })).rejects.toThrow(
      `at most ${QUOTAS.apiKeys.most} API keys`,
    )
  })
})

describe('a key that leaked', () => {
  const leaked = (settle = () => Promise.resolve()) => createLeakedKeys({ ...id.signInDeps, store: id.store, settle })

  it('is revoked by whoever shows it, once, recorded, and its person and the owners are told', async () => {
    const ada = await owner()
    const bob = await id.person('leak-bob@example.com')
    await db.app.tenant(ada.tenantId, (tx) =>
      tx.membership.create({ data: { tenantId: ada.tenantId, personId: bob.personId, role: 'member' } }),
    )
    const { key, secret } = await id.apiKeys.create(personPrincipal({ ...bob, tenantId: ada.tenantId }, 'member'), {
      name: 'laptop',
      role: 'member',
      days: 1,
    })
    id.recorded.length = 0
    const { network } = newBrowser()
    await Promise.all(Array.from({ length: 5 }, () => leaked().report(secret.reveal(), network)))

    expect(await id.authenticator.member(bearer(secret.reveal()))).toBeUndefined()
    expect(auditOf('api_key.leaked')).toEqual([
      { tenantId: ada.tenantId, action: 'api_key.leaked', actor: { kind: 'anonymous' }, targetId: key.id, network },
    ])
    expect((await id.apiKeys.list(ada)).find((one) => one.id === key.id)).toMatchObject({ revokedReason: 'leaked' })
    const mails = await id.deliver()
    expect(mails.map(({ to }) => to).sort()).toEqual([`keys-${people}@example.com`, 'leak-bob@example.com'])
    expect(mails[0]?.text).toContain('“laptop”')
    expect(mails.every(({ text }) => !text.includes(secret.reveal()))).toBe(true)
  })

  it('says nothing to who asks: known, revoked, unknown, malformed and of another kind settle at the same moment', async () => {
    const ada = await owner()
    const { secret } = await id.apiKeys.create(ada, { name: 'x', role: 'member', days: 1 })
    const key = secret.reveal()
    const { network } = newBrowser()
    const order: string[] = []
    for (const text of [key, key, `pck_${'a'.repeat(49)}`, 'no key', '', `${key}x`, 'pcs_x']) {
      const report = leaked(() => Promise.resolve(void order.push('settled')))
      await report.report(text, network)
    }
    // Each of them, and each exactly once: no way through answers earlier.
    expect(order).toHaveLength(7)
  })

  it('answers no sooner than it takes to end one, by the clock', async () => {
    const ada = await owner()
    const { secret } = await id.apiKeys.create(ada, { name: 'x', role: 'member', days: 1 })
    const { network } = newBrowser()
    const report = createLeakedKeys({ ...id.signInDeps, store: id.store })
    const took = async (text: string) => {
      const startedAt = performance.now()
      await report.report(text, network)
      return performance.now() - startedAt
    }
    const times = await Promise.all([took(secret.reveal()), took(`pck_${'b'.repeat(43)}`), took('?')])
    for (const time of times) expect(time).toBeGreaterThanOrEqual(395)
  })

  it('is reported only so often from one network, whatever is reported', async () => {
    const { network } = newBrowser()
    for (let i = 0; i < LEAK_RATES.network.points; i += 1) await leaked().report('noise', network)
    expect(await codeOf(leaked().report('noise', network))).toBe('request.rate_limited')
    expect(await codeOf(leaked().report('noise', newBrowser().network))).toBe('no error')
  })

  it('cannot be reported when nothing can be counted', async () => {
    const broken = { pool: { query: () => Promise.reject(new Error('away')) } } as never // the limiter's storage, gone
    const report = createLeakedKeys({ ...id.signInDeps, store: broken, settle: () => Promise.resolve() })
    expect(await codeOf(report.report('x', '192.0.2.1'))).toBe('service.unavailable')
  })
})
