/** Of many who add the last one at once, one does; everybody else is told which limit it was. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { createExports, EXPORT_LIMITS } from '@/lib/audit/exports'
import { createStreams, MAX_STREAMS } from '@/lib/audit/streams'
import { systemClock } from '@/lib/clock'
import type { ConnectionsDeps } from '@/lib/connections/deps'
import { createStart } from '@/lib/connections/start'
import { createLog } from '@/lib/log'
import { newSigningSecret } from '@/lib/notifications/webhook-signature'
import { createWebhooks, MAX_WEBHOOKS } from '@/lib/notifications/webhooks'
import { createSignInDomains, MAX_DOMAINS } from '@/lib/sso/domains'
import { createTestAudit } from '@/lib/testing/audit'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity, newBrowser, PASSWORD, secretOf, type TestIdentity } from '@/lib/testing/identity'
import { codeOf, personPrincipal } from '@/lib/testing/principal'

import { createAgentSessions } from './agent-sessions'
import { createAgents } from './agents'
import type { PersonPrincipal } from './principal'
import { MAX_LIVE_SESSIONS, QUOTAS } from './quotas'

let db: TestDatabases
let id: TestIdentity
let audit: ReturnType<typeof createTestAudit>
let people = 0
beforeAll(async () => {
  db = await createTestDatabases({ max: 20 })
  id = createTestIdentity(db)
  audit = createTestAudit(db)
})
afterAll(async () => {
  await audit.close()
  await id.close()
  await db.close()
})

/** An owner, of a workspace of their own; each time it is asked for, from another network. */
async function owner(): Promise<() => PersonPrincipal> {
  people += 1
  const made = await id.person(`quota-${people}@example.com`)
  return () => personPrincipal(made, 'owner', { network: newBrowser().network })
}

const AT_ONCE = 12
/** Adds so many at once where there is room for one, then one more. @returns what the last one is told */
async function race(add: (n: number) => Promise<unknown>): Promise<string> {
  // Connections that are open already, so that they do begin together.
  await Promise.all(Array.from({ length: AT_ONCE }, () => db.app.global.$queryRaw`SELECT pg_sleep(0.05)::text`))
  const codes = await Promise.all(Array.from({ length: AT_ONCE }, (_, n) => codeOf(add(n), 'added')))
  expect(codes.toSorted()).toEqual(['added', ...Array.from({ length: AT_ONCE - 1 }, () => 'resource.limit_exceeded')])
  return add(AT_ONCE).then(
    () => 'added',
    (error: unknown) => (error instanceof Error ? error.message : ''),
  )
}
const insert = (sql: string, tenantId: string, count: number) => db.adminQuery('app', sql, [tenantId, count])
/** Twenty-six characters of an id, from `n`. */
const ID = "lpad(to_hex(n) || substr(md5($1), 1, 8), 26, '0')"

describe('the last place', () => {
  it('for an agent is given once', async () => {
    const ada = await owner()
    await insert(
      `INSERT INTO agent (tenant_id, id, name) SELECT $1, 'agt_' || ${ID}, 'x' FROM generate_series(1, $2::int) n`,
      ada().tenantId,
      QUOTAS.agents.most - 1,
    )
    const agents = createAgents({
      appDb: db.app,
      audit,
      knownTools: new Map(),
      publicUrl: 'https://gw.example',
      clock: systemClock,
    })
    expect(await race(() => agents.create(ada(), { name: 'same' }))).toContain(`at most ${QUOTAS.agents.most} agents`)
  })

  it('for a session of an agent is given once, and another agent has its own', async () => {
    const ada = await owner()
    const { tenantId } = ada()
    const shared = { appDb: db.app, audit, clock: systemClock }
    const agents = createAgents({ ...shared, knownTools: new Map(), publicUrl: 'https://gw.example' })
    const sessions = createAgentSessions({ ...shared, log: createLog('test', 'silent') })
    const [one, other] = [await agents.create(ada(), { name: 'one' }), await agents.create(ada(), { name: 'other' })]
    await db.adminQuery(
      'app',
      `INSERT INTO agent_session (tenant_id, id, agent_id, kind, secret_hash, secret_hint, expires_at)
       SELECT $1, 'ags_' || ${ID}, $3, 'key', decode(md5($1 || n), 'hex'), 'x', now() + interval '1 day' FROM generate_series(1, $2::int) n`,
      [tenantId, MAX_LIVE_SESSIONS - 1, one.id],
    )
    expect(await race(() => sessions.issue(ada(), one.id))).toContain(`at most ${MAX_LIVE_SESSIONS} live sessions`)
    expect(await codeOf(sessions.issue(ada(), other.id), 'issued')).toBe('issued')
  })

  it('for an invitation is given once', async () => {
    const ada = await owner()
    await insert(
      `INSERT INTO invitation (tenant_id, id, email, email_canonical, role, secret_hash, expires_at)
       SELECT $1, 'inv_' || ${ID}, 'g' || n || '@q.example', 'g' || n || '@q.example', 'member', decode(md5($1 || n), 'hex'), now() + interval '1 day'
         FROM generate_series(1, $2::int) n`,
      ada().tenantId,
      QUOTAS.invitations.most - 1,
    )
    const invite = (n: number) =>
      id.invitations.create(ada(), { email: `last-${people}-${n}@q.example`, role: 'member', days: 1 })
    expect(await race(invite)).toContain(`at most ${QUOTAS.invitations.most} open invitations`)
  })

  it('among the members is given to one of those who were invited, and the others’ invitations stay', async () => {
    const ada = await owner()
    const { tenantId } = ada()
    const secrets: string[] = []
    for (let n = 0; n <= AT_ONCE; n += 1) {
      const email = `join-${people}-${n}@q.example`
      await id.invitations.create(ada(), { email, role: 'member', days: 1 })
      secrets.push(secretOf((await id.deliver()).findLast(({ to }) => to === email)))
    }
    await insert(
      `WITH p AS (INSERT INTO person (id, email, email_canonical, name)
         SELECT 'per_' || ${ID}, n || md5($1) || '@q.example', n || md5($1) || '@q.example', 'Q' FROM generate_series(1, $2::int) n RETURNING id)
       INSERT INTO membership (tenant_id, person_id, role) SELECT $1, id, 'auditor' FROM p`,
      tenantId,
      QUOTAS.members.most - 2,
    )
    const told = await race((n) =>
      id.invitations.join(secrets[n] ?? '', { name: 'J', password: PASSWORD }, newBrowser()),
    )
    expect(told).toContain(`at most ${QUOTAS.members.most} members`)
    const [left] = await db.adminQuery(
      'app',
      `SELECT (SELECT count(*)::int FROM invitation WHERE tenant_id = $1 AND accepted_at IS NULL) AS open,
              (SELECT count(*)::int FROM membership WHERE tenant_id = $1) AS members`,
      [tenantId],
    )
    expect(left).toEqual({ open: AT_ONCE, members: QUOTAS.members.most })
  })

  it('for a connected account is given to one of those who begin a consent', async () => {
    const ada = await owner()
    await insert(
      `INSERT INTO connection (tenant_id, id, provider, provider_app, subject, account_label, access, state)
       SELECT $1, 'con_' || ${ID}, 'github', 'app', 's' || n, 'x', 'allowed', 'active' FROM generate_series(1, $2::int) n`,
      ada().tenantId,
      QUOTAS.connections.most - 1,
    )
    const client = {
      definition: { name: 'github', scopes: { known: {}, defaults: [], identity: [] } },
      app: { key: 'app' },
      authorizationUrl: () => Promise.resolve(new URL('https://provider.example/authorize')),
    }
    const start = createStart({
      appDb: db.app,
      audit,
      clock: systemClock,
      publicUrl: 'https://gw.example',
      providers: { get: () => client, list: () => [] },
    } as unknown as ConnectionsDeps) // what the beginning of a consent needs
    expect(await race(() => start(ada(), Buffer.alloc(32), { provider: 'github' }))).toContain(
      `at most ${QUOTAS.connections.most} connected accounts`,
    )
  })

  it('for a webhook, a stream, an export and a domain is given once each', async () => {
    const ada = await owner()
    const shared = { appDb: db.app, audit, events: audit, clock: systemClock }
    const key = () => Promise.resolve(Buffer.alloc(32, 1))
    const webhooks = createWebhooks({
      ...shared,
      httpOrigins: [],
      keys: { current: async () => ({ version: 1, key: await key() }), at: key },
      announce: () => Promise.resolve(),
    })
    const streams = createStreams({ ...shared, newSigningSecret, openOrigins: [] })
    const exports = createExports({ ...shared, folder: id.dataDir, announce: () => Promise.resolve() })
    const domains = createSignInDomains({
      ...shared,
      limits: id.limits,
      lookupTxt: () => Promise.resolve({ kind: 'absent' }),
    })
    const cases: readonly (readonly [number, string, (n: number) => Promise<unknown>])[] = [
      [MAX_WEBHOOKS, `at most ${MAX_WEBHOOKS} webhooks`, () => webhooks.create(ada(), 'https://a.example/hook')],
      [
        MAX_STREAMS,
        `at most ${MAX_STREAMS} streams`,
        () => streams.create(ada(), { kind: 'webhook', url: 'https://a.example/hook' }, {}),
      ],
      [EXPORT_LIMITS.open, `at most ${EXPORT_LIMITS.open} exports under way`, () => exports.create(ada(), 'csv', {})],
      [MAX_DOMAINS, `at most ${MAX_DOMAINS} domains`, (n) => domains.add(ada(), `last-${n}.example`)],
    ]
    for (const [most, words, add] of cases) {
      for (let n = 0; n < most - 1; n += 1) await add(100 + n)
      expect(await race(add), words).toContain(words)
    }
  })
})
