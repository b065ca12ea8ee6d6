import { readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { newId } from '@/lib/ids'
import { createAuditWorld, createTestAudit, createTestAuditKeys, type AuditWorld } from '@/lib/testing/audit'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import { createAuditReader } from './read'
import type { AuditEvent } from './record'

describe('draining outboxes and spool', () => {
  let db: TestDatabases
  let world: AuditWorld
  let audit: ReturnType<typeof createTestAudit>
  const keys = createTestAuditKeys()
  beforeAll(async () => {
    db = await createTestDatabases()
    world = await createAuditWorld(db.app)
    audit = createTestAudit(db, { keys })
  })
  afterAll(async () => {
    await audit.close()
    await db.close()
  })

  const revocation = (targetId: string, fields: Partial<AuditEvent> = {}): AuditEvent => ({
    tenantId: world.tenantId,
    action: 'session.revoked',
    actor: { kind: 'person', personId: world.personId },
    targetId,
    network: '203.0.113.7',
    detail: { label: 'my laptop' },
    ...fields,
  })
  const recordsOf = (targetId: string) =>
    db.adminQuery('app', 'SELECT * FROM audit_record WHERE target_id = $1', [targetId])
  const outboxSize = async (database: 'app' | 'vault') =>
    (await db.adminQuery(database, 'SELECT count(*)::int AS n FROM audit_outbox'))[0]?.['n']

  it('moves a row of the application’s outbox once, although two drains run together', async () => {
    const targets = Array.from({ length: 150 }, () => newId('request'))
    await db.app.tenant(world.tenantId, async (tx) => {
      for (const target of targets) await audit.never(tx, revocation(target))
    })
    expect(await outboxSize('app')).toBe(150)
    const second = createTestAudit(db, { keys })
    const reports = await Promise.all([audit.drain(), second.drain(), audit.drain()])
    expect(reports.reduce((sum, report) => sum + report.outbox, 0)).toBe(150)
    expect(await outboxSize('app')).toBe(0)
    for (const target of targets) expect(await recordsOf(target)).toHaveLength(1)
    await second.close()
  })

  it('keeps actor, time, free fields and order of words as they were', async () => {
    const target = newId('request')
    const before = Date.now()
    await db.app.tenant(world.tenantId, (tx) => audit.never(tx, revocation(target)))
    const [waiting] = await db.adminQuery('app', 'SELECT id, record::text FROM audit_outbox')
    expect(waiting?.['record']).not.toContain('my laptop')
    expect(waiting?.['record']).not.toContain('203.0.113.7')
    await audit.drain()
    const [record] = await recordsOf(target)
    expect(record).toMatchObject({ id: waiting?.['id'], kind: 'event', actor_kind: 'person', format: 1 })
    expect(record?.['actor_pseudonym']).toMatch(/^psn_/)
    expect((record?.['occurred_at'] as Date).getTime()).toBeGreaterThanOrEqual(before) // a timestamptz column
    const reader = createAuditReader({ appDb: db.app, audit })
    const owner = {
      kind: 'operator',
      tenantId: world.tenantId,
      role: 'owner',
      network: 'local',
    } as const
    expect(await reader.openDetails(owner, String(record?.['id']))).toEqual({
      network: '203.0.113.7',
      detail: { label: 'my laptop' },
    })
  })

  it('moves a row of the vault’s outbox once, although its deletion failed the first time', async () => {
    const target = newId('request')
    const record = await audit.prepare(revocation(target, { action: 'connection.disconnected' }))
    await db.vault.tenant(world.tenantId, (tx) =>
      tx.auditOutbox.create({ data: { tenantId: world.tenantId, id: newId('outbox'), record } }),
    )
    await db.adminQuery('vault', 'REVOKE DELETE ON audit_outbox FROM portcullis_vault')
    await audit.drain()
    expect(await outboxSize('vault')).toBe(1)
    expect(await recordsOf(target)).toHaveLength(1)
    await db.adminQuery('vault', 'GRANT DELETE ON audit_outbox TO portcullis_vault')
    expect(await audit.drain()).toMatchObject({ vaultOutbox: 1 })
    expect(await outboxSize('vault')).toBe(0)
    expect(await recordsOf(target)).toHaveLength(1)
  })

  it('does not let a row that cannot be read stop the rows behind it, and keeps what it held', async () => {
    const id = newId('auditRecord')
    const target = newId('request')
    await db.app.tenant(world.tenantId, async (tx) => {
      await tx.auditOutbox.create({ data: { tenantId: world.tenantId, id, record: { surprise: 'kept' } } })
      await audit.never(tx, revocation(target))
    })
    await audit.drain()
    expect(await outboxSize('app')).toBe(0)
    expect(await recordsOf(target)).toHaveLength(1)
    const [record] = await recordsOf(id)
    expect(record).toMatchObject({ id, action: 'audit.unreadable_record' })
    const reader = createAuditReader({ appDb: db.app, audit })
    const owner = { kind: 'operator', tenantId: world.tenantId, role: 'owner', network: 'local' } as const
    expect(await reader.openDetails(owner, id)).toEqual({ detail: { stored: '{"surprise":"kept"}' } })
  })

  it('does not take a record that names another tenant for one of that tenant', async () => {
    const other = await createAuditWorld(db.app)
    const target = newId('request')
    const record = await audit.prepare(revocation(target, { tenantId: other.tenantId, actor: { kind: 'system' } }))
    await db.app.tenant(world.tenantId, (tx) =>
      tx.auditOutbox.create({ data: { tenantId: world.tenantId, id: record.id, record } }),
    )
    await audit.drain()
    expect(await recordsOf(target)).toEqual([])
    expect(await db.adminQuery('app', 'SELECT id FROM audit_record WHERE tenant_id = $1', [other.tenantId])).toEqual([])
  })

  it('does not let one tenant’s trouble stop another’s records', async () => {
    const other = await createAuditWorld(db.app)
    const stuck = newId('request')
    const free = newId('request')
    await db.app.tenant(world.tenantId, (tx) => audit.never(tx, revocation(stuck)))
    await db.app.tenant(other.tenantId, (tx) =>
      audit.never(tx, revocation(free, { tenantId: other.tenantId, actor: { kind: 'system' } })),
    )
    await db.adminQuery(
      'app',
      `CREATE POLICY trouble ON audit_record AS RESTRICTIVE FOR INSERT TO portcullis_app WITH CHECK (tenant_id <> '${world.tenantId}')`,
    )
    await audit.drain()
    expect(await recordsOf(free)).toHaveLength(1)
    expect(await recordsOf(stuck)).toEqual([])
    await db.adminQuery('app', 'DROP POLICY trouble ON audit_record')
    await audit.drain()
    expect(await recordsOf(stuck)).toHaveLength(1)
  })

  it('stores a spooled file once, although it was drained and not removed', async () => {
    const target = newId('request')
    const line = { kind: 'event', record: await audit.prepare(revocation(target)) }
    for (const name of ['000000000000001-aa.jsonl', '000000000000002-bb.jsonl']) {
      await audit.never(null, revocation(newId('request'))) // makes the folder
      writeFileSync(path.join(audit.spoolDir, name), `${JSON.stringify(line)}\n`)
      await audit.drain()
    }
    expect(await recordsOf(target)).toHaveLength(1)
    expect(readdirSync(audit.spoolDir)).toEqual([])
  })

  it('records as unknown the calls whose process died, and no others', async () => {
    const lost = world.call()
    const ended = world.call()
    const denied = world.call({ decision: 'deny', reason: 'x' })
    const waiting = world.call({ decision: 'approval_required' })
    await Promise.all([lost, ended, denied, waiting].map((call) => audit.intent(call)))
    audit.outcome({ tenantId: world.tenantId, callId: ended.callId, outcome: 'error', reason: 'boom', durationMs: 5 })
    await audit.settled()
    const week = { windowMs: 7 * 86_400_000, limit: 100 }
    expect(await audit.reconcile({ olderThanMs: 60_000, ...week })).toBe(0) // they may still run
    expect(await audit.reconcile({ olderThanMs: 0, ...week })).toBe(1)
    expect(await audit.reconcile({ olderThanMs: 0, ...week })).toBe(0)
    // Its process lives after all: the first outcome stays.
    audit.outcome({ tenantId: world.tenantId, callId: lost.callId, outcome: 'success', durationMs: 5 })
    await audit.settled()
    const outcomes = await db.adminQuery(
      'app',
      "SELECT call_id, outcome, reason FROM audit_record WHERE kind = 'outcome' AND call_id = ANY($1)",
      [[lost.callId, ended.callId, denied.callId, waiting.callId]],
    )
    expect(outcomes).toHaveLength(3)
    expect(outcomes).toContainEqual({ call_id: lost.callId, outcome: 'unknown', reason: 'process_lost' })
    expect(outcomes).toContainEqual({ call_id: ended.callId, outcome: 'error', reason: 'boom' })
    expect(outcomes).toContainEqual({ call_id: denied.callId, outcome: 'denied', reason: 'x' })
  })
})
