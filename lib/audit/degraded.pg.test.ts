import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net'

import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { newId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import { createAuditWorld, createTestAudit, type AuditWorld } from '@/lib/testing/audit'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import type { Audit } from './audit'
import { createSpool } from './spool'

const REFUSAL_MS = 5_000

describe('when the audit trail cannot be written', () => {
  let db: TestDatabases
  let world: AuditWorld
  let audit: ReturnType<typeof createTestAudit>
  beforeAll(async () => {
    db = await createTestDatabases()
    world = await createAuditWorld(db.app)
    audit = createTestAudit(db)
  })
  afterAll(async () => {
    await audit.close()
    await db.close()
  })

  const spooled = async () => {
    const spool = createSpool({
      folder: audit.spoolDir,
      maxBytes: 1e9,
      log: createLog('test', 'silent'),
      onAlarm: () => undefined,
    })
    const files = await Promise.all((await spool.list(1_000)).map((name) => spool.read(name)))
    return files.flatMap((file) => file?.lines ?? [])
  }
  const recordOf = (callOrTarget: string) =>
    db.adminQuery(
      'app',
      'SELECT kind, action, outcome FROM audit_record WHERE call_id = $1 OR target_id = $1 ORDER BY kind',
      [callOrTarget],
    )

  const expectRefused = async (trail: Audit = audit) => {
    const start = performance.now()
    const answers = await Promise.allSettled(Array.from({ length: 5 }, () => trail.intent(world.call())))
    expect(performance.now() - start).toBeLessThan(REFUSAL_MS)
    for (const answer of answers)
      expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'audit.unavailable', retryAfterSeconds: 2 } })
  }

  /** A session is revoked for good, and the record of it arrives once the trail can be written again. */
  const expectRevocable = async (repair: () => Promise<unknown>) => {
    const victim = await createAuditWorld(db.app)
    await db.app.tenant(victim.tenantId, async (tx) => {
      await tx.agentSession.update({
        where: { tenantId_id: { tenantId: victim.tenantId, id: victim.agentSessionId } },
        data: { endedAt: new Date() },
      })
      await audit.never(tx, {
        tenantId: victim.tenantId,
        action: 'session.revoked',
        actor: { kind: 'person', personId: victim.personId },
        targetId: victim.agentSessionId,
        detail: { label: 'my laptop' },
      })
    })
    const [session] = await db.adminQuery('app', 'SELECT ended_at FROM agent_session WHERE id = $1', [
      victim.agentSessionId,
    ])
    expect(session?.['ended_at']).not.toBeNull()
    await repair()
    await audit.drain()
    expect(await recordOf(victim.agentSessionId)).toEqual([{ kind: 'event', action: 'session.revoked', outcome: null }])
  }

  const holdLock = async (...tables: string[]) => {
    const client = new pg.Client({ connectionString: db.admin.app })
    await client.connect()
    await client.query('BEGIN')
    for (const table of tables) await client.query(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`)
    return async () => {
      await client.query('ROLLBACK')
      await client.end()
    }
  }

  it('a locked table refuses calls in time and no revocation', async () => {
    const release = await holdLock('audit_record')
    await expectRefused()
    await expectRevocable(release)
    expect(await audit.intent(world.call())).toMatchObject({ decision: 'permit' })
  })

  it('a locked outbox as well refuses no revocation: its record waits on disk', async () => {
    const release = await holdLock('audit_record', 'audit_outbox')
    await expectRefused()
    await expectRevocable(async () => {
      expect(await spooled()).toMatchObject([{ kind: 'event', record: { action: 'session.revoked' } }])
      await release()
    })
    expect(await spooled()).toEqual([])
  })

  it('a withdrawn right refuses calls and keeps outcomes until it is given back', async () => {
    const running = world.call()
    await audit.intent(running)
    await db.adminQuery('app', 'REVOKE INSERT ON audit_record FROM portcullis_resolver, portcullis_app')
    await expectRefused()
    audit.outcome({
      tenantId: world.tenantId,
      callId: running.callId,
      outcome: 'success',
      durationMs: 12,
      detail: { items: 3 },
    })
    await audit.settled()
    expect(await spooled()).toMatchObject([{ kind: 'outcome', record: { call_id: running.callId } }])
    await expectRevocable(() =>
      db.adminQuery('app', 'GRANT INSERT ON audit_record TO portcullis_resolver, portcullis_app'),
    )
    expect(await recordOf(running.callId)).toMatchObject([{ kind: 'intent' }, { kind: 'outcome', outcome: 'success' }])
  })

  it('an event that widens access undoes what it describes', async () => {
    await db.adminQuery('app', 'REVOKE INSERT ON audit_record FROM portcullis_app')
    const agentId = newId('agent')
    await expect(
      db.app.tenant(world.tenantId, async (tx) => {
        await tx.agent.create({ data: { tenantId: world.tenantId, id: agentId, name: 'New' } })
        await audit.event(tx, { tenantId: world.tenantId, action: 'agent.created', actor: { kind: 'system' }, agentId })
      }),
    ).rejects.toThrow()
    await db.adminQuery('app', 'GRANT INSERT ON audit_record TO portcullis_app')
    expect(await db.adminQuery('app', 'SELECT id FROM agent WHERE id = $1', [agentId])).toEqual([])
  })

  it('a read-only database refuses calls in time', async () => {
    const [row] = await db.adminQuery('app', 'SELECT current_database() AS name')
    const name = String(row?.['name'])
    await db.adminQuery('app', `ALTER ROLE portcullis_app IN DATABASE ${name} SET default_transaction_read_only = on`)
    const late = createTestAudit(db)
    await expectRefused(late)
    await db.adminQuery('app', `ALTER ROLE portcullis_app IN DATABASE ${name} RESET default_transaction_read_only`)
    await late.close()
  })

  it('without a transaction to join, a record that may not be refused goes to disk and then to its place', async () => {
    const targetId = newId('request')
    await audit.never(null, {
      tenantId: world.tenantId,
      action: 'vault.integrity_alarm',
      actor: { kind: 'system' },
      targetId,
    })
    expect(await recordOf(targetId)).toEqual([])
    await audit.drain()
    expect(await recordOf(targetId)).toHaveLength(1)
  })

  it('keeps the record of a revocation although the audit key is gone, without its details', async () => {
    const keyless = createTestAudit(db, {
      keys: { audit: () => Promise.reject(new Error('gone')), auditAt: () => Promise.reject(new Error('gone')) },
    })
    const targetId = newId('request')
    await db.app.tenant(world.tenantId, (tx) =>
      keyless.never(tx, {
        tenantId: world.tenantId,
        action: 'session.revoked',
        actor: { kind: 'system' },
        targetId,
        detail: { label: 'x' },
      }),
    )
    await keyless.drain()
    expect(await recordOf(targetId)).toHaveLength(1)
    await keyless.close()
  })

  describe('behind a network that fails', () => {
    let server: Server
    let port: number
    const sockets = new Set<Socket>()
    let isFrozen = false
    beforeAll(async () => {
      const target = new URL(db.urls.app)
      server = createServer((client) => {
        const upstream = connectTcp(Number(target.port), target.hostname)
        for (const socket of [client, upstream]) {
          sockets.add(socket)
          socket.on('error', () => undefined)
          socket.on('close', () => {
            client.destroy()
            upstream.destroy()
            sockets.delete(socket)
          })
        }
        // Frozen: what is sent is swallowed, as by a link that drops packets.
        client.on('data', (bytes) => {
          if (!isFrozen) upstream.write(bytes)
        })
        upstream.on('data', (bytes) => {
          if (!isFrozen) client.write(bytes)
        })
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const address = server.address()
      port = typeof address === 'object' && address !== null ? address.port : 0
    })
    afterAll(async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    })
    const behind = () => {
      const url = new URL(db.urls.app)
      url.port = String(port)
      return createTestAudit(db, { databaseUrl: url.href })
    }

    it('refuses in time when the link swallows everything, warm or cold, and recovers', async () => {
      const warm = behind()
      expect(await warm.intent(world.call())).toMatchObject({ decision: 'permit' })
      isFrozen = true
      const cold = behind()
      await Promise.all([expectRefused(warm), expectRefused(cold)])
      const running = world.call()
      warm.outcome({ tenantId: world.tenantId, callId: running.callId, outcome: 'success', durationMs: 1 })
      await warm.settled() // on disk, after its own time limit
      isFrozen = false
      expect(await warm.intent(world.call())).toMatchObject({ decision: 'permit' })
      await Promise.all([warm.close(), cold.close()])
    })

    it('goes on after its connections were cut while idle', async () => {
      const trail = behind()
      await trail.intent(world.call())
      for (const socket of sockets) socket.destroy()
      expect(await trail.intent(world.call())).toMatchObject({ decision: 'permit' })
      await trail.close()
    })

    it('loses no permit and no outcome while backends are terminated again and again', async () => {
      const trail = createTestAudit(db)
      const permitted: string[] = []
      let refused = 0
      const rounds = 40
      for (let round = 0; round < rounds; round += 1) {
        const calls = Array.from({ length: 10 }, () => world.call())
        const answers = Promise.all(
          calls.map(async (call) => {
            try {
              await trail.intent(call)
              permitted.push(call.callId)
              trail.outcome({ tenantId: world.tenantId, callId: call.callId, outcome: 'success', durationMs: 1 })
            } catch {
              refused += 1
            }
          }),
        )
        if (round % 2 === 0)
          await db.adminQuery(
            'app',
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'portcullis-audit' AND datname = current_database()",
          )
        await answers
      }
      await trail.settled()
      await trail.drain()
      const [row] = await db.adminQuery(
        'app',
        "SELECT count(*) FILTER (WHERE kind = 'intent')::int AS intents, count(*) FILTER (WHERE kind = 'outcome')::int AS outcomes FROM audit_record WHERE call_id = ANY($1)",
        [permitted],
      )
      expect(permitted.length + refused).toBe(rounds * 10)
      expect(permitted.length).toBeGreaterThan(rounds * 5)
      expect(row).toEqual({ intents: permitted.length, outcomes: permitted.length })
      await trail.close()
    })
  })
})
