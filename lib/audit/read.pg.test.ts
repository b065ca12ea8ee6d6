import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { createAppDb } from '@/lib/db/app-db'
import { newId } from '@/lib/ids'
import type { Role } from '@/lib/tenancy/principal'
import { createAuditWorld, createTestAudit, createTestAuditKeys, type AuditWorld } from '@/lib/testing/audit'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import { listRecords, type ActivityRow } from './list'
import { createAuditReader, type AuditReader } from './read'

describe('reading the audit trail', () => {
  let db: TestDatabases
  let world: AuditWorld
  let other: AuditWorld
  let audit: ReturnType<typeof createTestAudit>
  let reader: AuditReader
  const keys = createTestAuditKeys()
  beforeAll(async () => {
    db = await createTestDatabases()
    audit = createTestAudit(db, { keys })
    reader = createAuditReader({ appDb: db.app, audit })
    world = await createAuditWorld(db.app)
    other = await createAuditWorld(db.app)
  })
  afterAll(async () => {
    await audit.close()
    await db.close()
  })

  const as = (role: Role, of = world) =>
    ({
      kind: 'person',
      tenantId: of.tenantId,
      personId: of.personId,
      role,
      webSessionId: newId('webSession'),
      authenticatedAt: new Date(),
      network: '203.0.113.1',
    }) as const
  const everything = async (filter = {}, limit = 200): Promise<ActivityRow[]> => {
    const rows: ActivityRow[] = []
    let cursor: string | null = null
    do {
      const page = await reader.list(world.tenantId, filter, { cursor, limit })
      rows.push(...page.rows)
      cursor = page.nextCursor
    } while (cursor !== null)
    return rows
  }

  it('shows a call and its end as one row, an event as one, and nothing of another workspace', async () => {
    const call = world.call({ personId: world.personId })
    await audit.intent(call)
    const [running] = await everything()
    expect(running).toMatchObject({
      kind: 'call',
      callId: call.callId,
      decision: 'permit',
      outcome: null,
      endedAt: null,
    })
    audit.outcome({ tenantId: world.tenantId, callId: call.callId, outcome: 'success', durationMs: 42 })
    await audit.settled()
    await db.app.tenant(world.tenantId, (tx) =>
      audit.event(tx, {
        tenantId: world.tenantId,
        action: 'agent.created',
        actor: { kind: 'person', personId: world.personId },
        agentId: world.agentId,
        detail: { name: 'Agent' },
      }),
    )
    await audit.intent(other.call())
    expect(await everything()).toMatchObject([
      {
        kind: 'event',
        action: 'agent.created',
        title: 'An agent was created',
        actor: { kind: 'person', personId: world.personId },
        hasDetails: true,
      },
      {
        kind: 'call',
        action: 'tool.call',
        callId: call.callId,
        tool: 'github_create_issue',
        agentId: world.agentId,
        connectionId: world.connectionId,
        actor: { kind: 'agent', personId: world.personId },
        decision: 'permit',
        outcome: 'success',
        durationMs: 42,
      },
    ])
  })

  it('forgets who somebody was once their identity is erased, and keeps the records', async () => {
    const person = await createAuditWorld(db.app)
    await audit.intent(person.call({ personId: person.personId }))
    await db.app.tenant(person.tenantId, (tx) => tx.auditIdentity.deleteMany({ where: { subjectId: person.personId } }))
    const { rows } = await reader.list(person.tenantId, {})
    expect(rows).toMatchObject([{ actor: { kind: 'agent', personId: null } }])
    expect(rows[0]?.actor.pseudonym).toMatch(/^psn_/)
  })

  it('gives every record once over pages, also those of one instant', async () => {
    await db.adminQuery(
      'app',
      `INSERT INTO audit_record (tenant_id, id, kind, action, actor_kind, recorded_at)
       SELECT $1, 'aud_' || lpad(replace(replace(replace(replace(to_hex(n), 'i', '0'), 'l', '0'), 'o', '0'), 'u', '0'), 26, '0'), 'event', 'connection.repaired', 'system',
              timestamptz '2020-01-01 00:00:00.000001+00' + (n / 7) * interval '1 microsecond'
         FROM generate_series(1, 100) n`,
      [world.tenantId],
    )
    const rows = await everything({ action: 'connection.repaired' }, 9)
    expect(rows).toHaveLength(100)
    expect(new Set(rows.map((row) => row.id)).size).toBe(100)
    const all = await everything({ action: 'connection.repaired' })
    expect(rows.map((row) => row.id)).toEqual(all.map((row) => row.id))
  })

  it('narrows by every filter', async () => {
    const agentless = await createAuditWorld(db.app)
    const denied = agentless.call({ decision: 'deny', reason: 'tool_not_allowed', tool: 'slack_post_message' })
    const waiting = agentless.call({ decision: 'approval_required' })
    const ended = agentless.call({ connectionId: null })
    await Promise.all([denied, waiting, ended].map((call) => audit.intent(call)))
    audit.outcome({ tenantId: agentless.tenantId, callId: ended.callId, outcome: 'error', reason: 'x', durationMs: 1 })
    await audit.settled()
    await db.app.tenant(agentless.tenantId, (tx) =>
      audit.event(tx, {
        tenantId: agentless.tenantId,
        action: 'connection.repaired',
        actor: { kind: 'system' },
        outcome: 'success',
      }),
    )
    const calls = async (filter: object) =>
      (await reader.list(agentless.tenantId, filter)).rows.map((row) => row.callId ?? row.action).sort()
    const ids = (...some: { callId: string }[]) => some.map((call) => call.callId).sort()
    expect(await calls({ kind: 'call' })).toEqual(ids(denied, waiting, ended))
    expect(await calls({ kind: 'event' })).toEqual(['connection.repaired'])
    expect(await calls({ action: 'connection.repaired' })).toEqual(['connection.repaired'])
    expect(await calls({ tool: 'slack_post_message' })).toEqual(ids(denied))
    expect(await calls({ decision: 'approval_required' })).toEqual(ids(waiting))
    expect(await calls({ outcome: 'pending' })).toEqual(ids(waiting))
    expect(await calls({ outcome: 'error' })).toEqual(ids(ended))
    expect(await calls({ outcome: 'denied' })).toEqual(ids(denied))
    expect(await calls({ outcome: 'success' })).toEqual(['connection.repaired'])
    expect(await calls({ connectionId: agentless.connectionId })).toEqual(ids(denied, waiting))
    expect(await calls({ agentId: agentless.agentId })).toEqual(ids(denied, waiting, ended))
    expect(await calls({ agentId: newId('agent') })).toEqual([])
    expect(await calls({ from: new Date(Date.now() + 60_000) })).toEqual([])
    expect(await calls({ to: new Date(Date.now() - 60_000) })).toEqual([])
    expect(await calls({ from: new Date(Date.now() - 60_000), decision: 'deny' })).toEqual(ids(denied))
  })

  it.each([
    ['another workspace’s', () => firstCursor(other)],
    ['a made-up', () => Promise.resolve('bm90IGEgY3Vyc29y')],
    ['an overlong', () => Promise.resolve('a'.repeat(10_000))],
    [
      'an impossible',
      async () => {
        const [mark, , id] = JSON.parse(Buffer.from(await firstCursor(world), 'base64url').toString()) as string[] // a cursor is a list of three
        return Buffer.from(JSON.stringify([mark, '2020-99-99T00:00:00.000000Z', id])).toString('base64url')
      },
    ],
  ])('refuses %s cursor', async (_, cursor) => {
    await expect(reader.list(world.tenantId, {}, { cursor: await cursor() })).rejects.toMatchObject({
      code: 'request.invalid',
    })
  })
  const firstCursor = async (of: AuditWorld) => {
    await audit.intent(of.call())
    await audit.intent(of.call())
    return (await reader.list(of.tenantId, {}, { limit: 1 })).nextCursor ?? ''
  }

  it('can be listed by the role of the pages', async () => {
    const web = createAppDb(db.urls.web, { role: 'portcullis_web' })
    const page = await web.tenant(world.tenantId, (tx) => listRecords(tx, { tenantId: world.tenantId }))
    expect(page.rows.length).toBeGreaterThan(0)
    await web.close()
  })

  it('opens arguments for an admin, records it, and refuses everybody else', async () => {
    const call = world.call({ arguments: { title: 'Secret plan' } })
    await audit.intent(call)
    for (const role of ['member', 'auditor'] as const)
      await expect(reader.openArguments(as(role), call.callId)).rejects.toMatchObject({ code: 'auth.forbidden' })
    expect(await reader.openArguments(as('admin'), call.callId)).toEqual({ arguments: { title: 'Secret plan' } })
    expect(await everything({ action: 'audit.arguments_read' })).toMatchObject([
      { targetId: call.callId, actor: { kind: 'person', personId: world.personId } },
    ])
    await expect(reader.openArguments(as('owner', other), call.callId)).rejects.toMatchObject({
      code: 'resource.not_found',
    })
  })

  it('opens what an older key version sealed', async () => {
    const call = world.call({ arguments: { n: 1 } })
    await audit.intent(call)
    keys.rotate()
    expect(await reader.openArguments(as('owner'), call.callId)).toEqual({ arguments: { n: 1 } })
  })

  it('opens no arguments when the reading cannot be recorded', async () => {
    const call = world.call()
    await audit.intent(call)
    await db.adminQuery('app', 'REVOKE INSERT ON audit_record FROM portcullis_app')
    await expect(reader.openArguments(as('owner'), call.callId)).rejects.toThrow()
    await db.adminQuery('app', 'GRANT INSERT ON audit_record TO portcullis_app')
  })

  it('says so when arguments are no longer kept', async () => {
    const call = world.call()
    await audit.intent(call)
    await db.adminQuery('app', 'DELETE FROM audit_arguments WHERE call_id = $1', [call.callId])
    expect(await reader.openArguments(as('owner'), call.callId)).toBeUndefined()
  })

  it('exports every record oldest first with its details, records the export, and refuses members', async () => {
    const own = await createAuditWorld(db.app)
    const call = own.call({ detail: { account: 'octocat' } })
    await audit.intent(call)
    audit.outcome({ tenantId: own.tenantId, callId: call.callId, outcome: 'success', durationMs: 2 })
    await audit.settled()
    const exported = []
    for await (const record of reader.export(as('owner', own), {})) exported.push(record)
    expect(exported).toMatchObject([
      { format: 1, kind: 'intent', callId: call.callId, details: { detail: { account: 'octocat' } } },
      { kind: 'outcome', callId: call.callId, outcome: 'success' },
      { kind: 'event', action: 'audit.exported', details: { network: '203.0.113.1' } },
    ])
    expect(exported[0]?.argumentDigest).toMatch(/^[A-Za-z0-9+/]{43}=$/)
    const refused = async () => {
      for await (const record of reader.export(as('member', own), {})) exported.push(record)
    }
    await expect(refused()).rejects.toMatchObject({ code: 'auth.forbidden' })
  })

  it('exports more than a page once each', async () => {
    const own = await createAuditWorld(db.app)
    await db.adminQuery(
      'app',
      `INSERT INTO audit_record (tenant_id, id, kind, action, actor_kind, recorded_at)
       SELECT $1, 'aud_' || n, 'event', 'connection.repaired', 'system', timestamptz '2020-01-01' + (n / 50) * interval '1 microsecond' FROM generate_series(1, 1203) n`,
      [own.tenantId],
    )
    const ids = []
    for await (const record of reader.export(as('owner', own), { to: new Date('2021-01-01') })) ids.push(record.id)
    expect(ids).toHaveLength(1_203)
    expect(new Set(ids).size).toBe(1_203)
  })
})
