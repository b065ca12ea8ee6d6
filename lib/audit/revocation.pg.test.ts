import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { systemClock } from '@/lib/clock'
import { createAuditWorld, createTestAudit, type AuditWorld } from '@/lib/testing/audit'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import type { Audit } from './audit'
import { toIntentRecord } from './record'
import { deriveTenantSeal } from './seal'

/** A slow machine must not turn a wait that is watched into a refusal. */
const PATIENT = { limits: { lockMs: 4_000, statementMs: 4_200 } }

/** What a person may do to end access, as one statement on the rows that can forbid a call. */
const REVOCATIONS = {
  session_ended: (world: AuditWorld) =>
    [`UPDATE agent_session SET ended_at = now() WHERE id = $1`, world.agentSessionId] as const,
  agent_disabled: (world: AuditWorld) => [`UPDATE agent SET disabled_at = now() WHERE id = $1`, world.agentId] as const,
  connection_blocked: (world: AuditWorld) =>
    [`UPDATE connection SET access = 'blocked' WHERE id = $1`, world.connectionId] as const,
  tenant_disabled: (world: AuditWorld) =>
    [`UPDATE tenant SET disabled_at = now() WHERE id = $1`, world.tenantId] as const,
  profile_changed: (world: AuditWorld) =>
    [`UPDATE agent SET profile_version = profile_version + 1 WHERE id = $1`, world.agentId] as const,
}
const REASONS = Object.keys(REVOCATIONS) as (keyof typeof REVOCATIONS)[] // keys of a const object

describe('a revocation racing intents', () => {
  let db: TestDatabases
  let audit: Audit
  beforeAll(async () => {
    db = await createTestDatabases()
    audit = createTestAudit(db, PATIENT)
  })
  afterAll(async () => {
    await audit.close()
    await db.close()
  })

  const connect = async (database = db): Promise<pg.Client> => {
    const client = new pg.Client({ connectionString: database.admin.app })
    await client.connect()
    return client
  }

  /** Resolves when some backend waits for a lock that `holder` has. */
  const untilBlockedBy = async (holder: pg.Client, watcher: pg.Client): Promise<void> => {
    const { rows } = await holder.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    await expect
      .poll(
        async () =>
          (
            await watcher.query<{ n: number }>(
              'SELECT count(*)::int AS n FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))',
              [rows[0]?.pid],
            )
          ).rows[0]?.n,
        { timeout: 5_000, interval: 5 },
      )
      .toBeGreaterThan(0)
  }

  /** The revocation has happened but is not committed when the intent arrives; it commits while the intent waits. */
  const revocationFirst = async (database: TestDatabases, trail: Audit, reason: keyof typeof REVOCATIONS) => {
    const world = await createAuditWorld(database.app)
    const revoker = await connect(database)
    const watcher = await connect(database)
    try {
      const [sql, id] = REVOCATIONS[reason](world)
      await revoker.query('BEGIN')
      await revoker.query(sql, [id])
      const pending = trail.intent(world.call({ isFinal: true }))
      await Promise.race([untilBlockedBy(revoker, watcher), pending])
      await revoker.query('COMMIT')
      return await pending
    } finally {
      await Promise.all([revoker.end(), watcher.end()])
    }
  }

  it.each(REASONS)('an intent waits for a revocation under way and then sees it: %s', async (reason) => {
    expect(await revocationFirst(db, audit, reason)).toMatchObject({ decision: 'deny', reason })
  })

  it.each(REASONS)(
    'a revocation is acknowledged only after the intents before it are committed: %s',
    async (reason) => {
      const world = await createAuditWorld(db.app)
      const [gateway, revoker, watcher] = await Promise.all([connect(), connect(), connect()])
      const seal = deriveTenantSeal(world.tenantId, 1, Buffer.alloc(32, 1))
      const call = world.call()
      await gateway.query('BEGIN')
      const { rows } = await gateway.query<{ decision: string }>('SELECT decision FROM audit_intents($1::jsonb)', [
        JSON.stringify([toIntentRecord(call, seal, null, systemClock)]),
      ])
      expect(rows).toEqual([{ decision: 'permit' }])
      const [sql, id] = REVOCATIONS[reason](world)
      let isAcknowledged = false
      const revocation = revoker.query(sql, [id]).then(() => {
        isAcknowledged = true
      })
      await untilBlockedBy(gateway, watcher)
      expect(isAcknowledged).toBe(false)
      await gateway.query('COMMIT')
      await revocation
      expect(await audit.intent(world.call({ isFinal: true }))).toMatchObject({ decision: 'deny', reason })
      await Promise.all([gateway.end(), revoker.end(), watcher.end()])
    },
  )

  it.each(REASONS)('no permit is committed after the acknowledgement, under load: %s', async (reason) => {
    const world = await createAuditWorld(db.app)
    const revoker = await connect()
    const permits = async () =>
      (
        await revoker.query<{ n: number }>(
          "SELECT count(*)::int AS n FROM audit_record WHERE tenant_id = $1 AND kind = 'intent' AND decision = 'permit'",
          [world.tenantId],
        )
      ).rows[0]?.n
    const second = createTestAudit(db, PATIENT)
    const pending: Promise<unknown>[] = []
    let isOver = false
    const load = async (trail: Audit) => {
      while (!isOver) {
        const batch = Array.from({ length: 8 }, () => trail.intent(world.call({ isFinal: true })))
        pending.push(...batch)
        await Promise.race(batch)
      }
    }
    const loads = [load(audit), load(audit), load(second)]
    await expect.poll(permits, { interval: 1 }).toBeGreaterThan(50)
    const [sql, id] = REVOCATIONS[reason](world)
    await revoker.query(sql, [id])
    const atAcknowledgement = await permits()
    const denied = await audit.intent(world.call({ isFinal: true }))
    isOver = true
    await Promise.all(loads)
    await Promise.all(pending)
    expect(denied).toMatchObject({ decision: 'deny', reason })
    expect(await permits()).toBe(atAcknowledgement)
    await second.close()
    await revoker.end()
  })

  it('these tests notice a function that does not lock what it reads', async () => {
    const broken = await createTestDatabases()
    const [row] = await broken.adminQuery(
      'app',
      "SELECT pg_get_functiondef('public.audit_intents(jsonb)'::regprocedure) AS sql",
    )
    const sql = String(row?.['sql'])
    expect(sql.match(/FOR SHARE/g)).toHaveLength(4)
    await broken.adminQuery('app', sql.replaceAll('FOR SHARE', ''))
    const trail = createTestAudit(broken, PATIENT)
    for (const reason of REASONS)
      expect(await revocationFirst(broken, trail, reason)).toMatchObject({ decision: 'permit' })
    await trail.close()
    await broken.close()
  })

  it('a deadlock with a revocation refuses nobody', async () => {
    // The revoker goes agent → session, an intent goes session → agent.
    const world = await createAuditWorld(db.app)
    const [revoker, watcher] = await Promise.all([connect(), connect()])
    await revoker.query("SET deadlock_timeout = '10s'") // so that the intent is the one that gives way
    await revoker.query('BEGIN')
    await revoker.query('UPDATE agent SET last_used_at = now() WHERE id = $1', [world.agentId])
    const patient = createTestAudit(db, PATIENT)
    const pending = patient.intent(world.call())
    await untilBlockedBy(revoker, watcher)
    await revoker.query('UPDATE agent_session SET last_used_at = now() WHERE id = $1', [world.agentSessionId])
    await revoker.query('COMMIT')
    expect(await pending).toMatchObject({ decision: 'permit' })
    await patient.close()
    await Promise.all([revoker.end(), watcher.end()])
  })
})
