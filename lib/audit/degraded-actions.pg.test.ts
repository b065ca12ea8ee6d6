/**
 * People's own actions while the trail cannot be written: what ends or narrows access is done and recorded later; what
 * widens it is refused, by a code that says why, and does not happen.
 */
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { systemClock } from '@/lib/clock'
import { createLog, type Log } from '@/lib/log'
import { createAgentSessions, type AgentSessions } from '@/lib/tenancy/agent-sessions'
import { createAgents, type Agents } from '@/lib/tenancy/agents'
import type { MemberPrincipal } from '@/lib/tenancy/principal'
import { createTestAudit } from '@/lib/testing/audit'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity } from '@/lib/testing/identity'

const PROFILE = { version: 1, tools: { allow: [] } }

describe('while the trail cannot be written', () => {
  let db: TestDatabases
  let audit: ReturnType<typeof createTestAudit>
  let identity: ReturnType<typeof createTestIdentity>
  let agents: Agents
  let sessions: AgentSessions
  beforeAll(async () => {
    db = await createTestDatabases()
    audit = createTestAudit(db)
    identity = createTestIdentity(db, { events: audit })
    const deps = { appDb: db.app, audit, clock: systemClock }
    agents = createAgents({ ...deps, knownTools: new Map(), publicUrl: 'https://gw.example' })
    sessions = createAgentSessions({ ...deps, log: createLog('test', 'silent') })
  })
  afterAll(async () => {
    await identity.close()
    await audit.close()
    await db.close()
  })

  const locking =
    (...tables: string[]) =>
    async () => {
      const client = new pg.Client({ connectionString: db.admin.app })
      await client.connect()
      await client.query(`BEGIN; LOCK TABLE ${tables.join(', ')} IN ACCESS EXCLUSIVE MODE`)
      return async () => {
        await client.query('ROLLBACK')
        await client.end()
      }
    }
  const withdrawing = async () => {
    const rights = 'INSERT ON audit_record, audit_outbox'
    await db.adminQuery('app', `REVOKE ${rights} FROM portcullis_app, portcullis_resolver`)
    return async () => {
      await db.adminQuery('app', 'GRANT INSERT ON audit_record TO portcullis_app, portcullis_resolver')
      await db.adminQuery('app', 'GRANT INSERT ON audit_outbox TO portcullis_app')
    }
  }

  let people = 0
  /** Somebody who is signed in, with two agents that each have a session, and a key. */
  const household = async () => {
    people += 1
    const email = `person${people}@example.test`
    const { personId, tenantId } = await identity.person(email)
    const owner: MemberPrincipal = { kind: 'operator', tenantId, role: 'owner', network: 'local' }
    const [agent, other] = [
      await agents.create(owner, { name: 'One', profile: PROFILE }),
      await agents.create(owner, { name: 'Two', profile: PROFILE }),
    ]
    const [session, second] = [await sessions.issue(owner, agent.id), await sessions.issue(owner, other.id)]
    const { key } = await identity.apiKeys.create(owner, { name: 'key', role: 'member', days: 1, personId })
    const [web] = await db.adminQuery(
      'app',
      `INSERT INTO web_session (id, secret_hash, person_id, tenant_id, status, browser_hash, method, idle_expires_at, expires_at)
       VALUES ('ses_' || $1, sha256($1::bytea), $2, $3, 'active', sha256($1::bytea), 'password', now() + interval '1 day', now() + interval '1 day')
       RETURNING id`,
      [String(people), personId, tenantId],
    )
    return { owner, personId, tenantId, agent, other, session, second, key, webSessionId: String(web?.['id']) }
  }

  const recorded = async (tenantId: string) =>
    (
      await db.adminQuery(
        'app',
        'SELECT action FROM audit_record WHERE tenant_id = $1 AND recorded_at > (SELECT max(created_at) FROM agent_session WHERE tenant_id = $1)',
        [tenantId],
      )
    ).map(({ action }) => action)

  describe.each([
    ['because the table and the outbox are locked', () => locking('audit_record', 'audit_outbox')()],
    ['because the right to insert was withdrawn', withdrawing],
  ] as const)('%s', (_, breakIt) => {
    it('agents are disabled, sessions and keys revoked and people signed out, and all of it is recorded later', async () => {
      const home = await household()
      const { owner, personId, tenantId } = home
      const repair = await breakIt()
      try {
        await agents.disable(owner, home.agent.id)
        await sessions.revoke(owner, home.session.id)
        await sessions.revokeAll(owner, { agentId: home.other.id })
        await identity.apiKeys.revoke(owner, home.key.id)
        await identity.signIn.signOut(
          {
            personId,
            tenantId,
            sessionId: home.webSessionId as Parameters<typeof identity.signIn.signOut>[0]['sessionId'],
          }, // just made
          'local',
        )
        const [state] = await db.adminQuery(
          'app',
          `SELECT (SELECT count(*)::int FROM agent WHERE tenant_id = $1 AND disabled_at IS NOT NULL) AS disabled,
                  (SELECT count(*)::int FROM agent_session WHERE tenant_id = $1 AND ended_at IS NULL) AS alive,
                  (SELECT count(*)::int FROM api_key WHERE tenant_id = $1 AND revoked_at IS NULL) AS keys,
                  (SELECT count(*)::int FROM web_session WHERE person_id = $2 AND status = 'active') AS signed_in`,
          [tenantId, personId],
        )
        expect(state).toEqual({ disabled: 1, alive: 0, keys: 0, signed_in: 0 })
      } finally {
        await repair()
      }
      await audit.drain()
      expect(await recorded(tenantId)).toEqual(
        expect.arrayContaining(['agent.disabled', 'session.revoked', 'api_key.revoked', 'person.signed_out']),
      )
    })

    it('nothing that widens access happens, and each refusal says why', async () => {
      const { owner, tenantId, agent, personId } = await household()
      await agents.disable(owner, agent.id)
      const count = async () =>
        db.adminQuery(
          'app',
          `SELECT (SELECT count(*)::int FROM agent WHERE tenant_id = $1) AS agents,
                  (SELECT count(*)::int FROM agent WHERE tenant_id = $1 AND disabled_at IS NULL) AS enabled,
                  (SELECT count(*)::int FROM agent_session WHERE tenant_id = $1) AS sessions,
                  (SELECT count(*)::int FROM api_key WHERE tenant_id = $1) AS keys,
                  (SELECT sum(profile_version)::int FROM agent WHERE tenant_id = $1) AS versions`,
          [tenantId],
        )
      const before = await count()
      const [other] = (await agents.list(owner)).filter(({ disabled }) => !disabled)
      const repair = await breakIt()
      try {
        const answers = await Promise.allSettled([
          agents.create(owner, { name: 'More' }),
          agents.enable(owner, agent.id),
          sessions.issue(owner, other?.id ?? ''),
          identity.apiKeys.create(owner, { name: 'more', role: 'member', days: 1, personId }),
        ])
        for (const answer of answers)
          expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'audit.unavailable' } })
      } finally {
        await repair()
      }
      expect(await count()).toEqual(before)
    })
  })

  it('of many safety actions only the first waits for a trail that is locked, and each is recorded once, in their order', async () => {
    const waits: string[] = []
    const silent = createLog('test', 'silent')
    const log: Log = {
      child: () => log,
      debug: () => undefined,
      info: () => undefined,
      // What asked a table in vain says so.
      warn: (_: unknown, message?: string) => void waits.push(message ?? ''),
      error: silent.error.bind(silent),
      fatal: (_: unknown, message?: string) => void waits.push(message ?? ''),
    }
    const trail = createTestAudit(db, { log, probeMs: 20 })
    const quiet = createAgentSessions({ appDb: db.app, audit: trail, clock: systemClock, log })
    const { owner, tenantId, agent, other } = await household()
    const revoked: string[] = []
    for (let i = 0; i < 20; i += 1) revoked.push((await quiet.issue(owner, agent.id)).id)
    for (let i = 0; i < 20; i += 1) await quiet.issue(owner, other.id)
    const repair = await locking('audit_record', 'audit_outbox')()
    try {
      for (const id of revoked) await quiet.revoke(owner, id)
      // Each table was waited for once: the outbox by the first record, the trail by the first list of calls under way.
      expect(waits).toHaveLength(2)
      // Many in one transaction, which would not live to see the last of them if each waited.
      expect((await quiet.revokeAll(owner, { agentId: other.id })).sessions).toHaveLength(21)
      expect(waits).toHaveLength(2)
      // What widens access is refused all the while.
      await expect(quiet.issue(owner, agent.id)).rejects.toMatchObject({ code: 'audit.unavailable' })
    } finally {
      await repair()
    }
    await Promise.all([trail.drain(), trail.drain()])
    await trail.drain()
    const records = await db.adminQuery(
      'app',
      "SELECT target_id, reason FROM audit_record WHERE tenant_id = $1 AND action = 'session.revoked' ORDER BY occurred_at, id",
      [tenantId],
    )
    expect(records.slice(0, 20).map(({ target_id }) => target_id)).toEqual(revoked)
    expect(new Set(records.map(({ target_id }) => target_id)).size).toBe(41)
    expect(records).toHaveLength(41)

    // And once it answers again, the record commits with what it describes.
    await expect.poll(() => trail.trail.isBlocked).toBe(false)
    await expect
      .poll(async () => {
        const again = await quiet.issue(owner, agent.id)
        await quiet.revoke(owner, again.id)
        return db.adminQuery('app', 'SELECT count(*)::int AS n FROM audit_outbox WHERE tenant_id = $1', [tenantId])
      })
      .toEqual([{ n: 1 }])
    await trail.close()
  })
})
