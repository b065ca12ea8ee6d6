import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { newId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import type { Role } from '@/lib/tenancy/principal'
import { createAuditWorld, createTestAudit, type AuditWorld } from '@/lib/testing/audit'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { personPrincipal } from '@/lib/testing/principal'

import { createExportMaker, createExports, EXPORT_LIMITS, type Exports } from './exports'
import type { ExportFormat } from './format'

let db: TestDatabases
let audit: ReturnType<typeof createTestAudit>
let folder: string
let world: AuditWorld
let other: AuditWorld
let exports: Exports
let announced: string[]
const log = createLog('test', 'silent')

beforeAll(async () => {
  db = await createTestDatabases()
  audit = createTestAudit(db)
  folder = mkdtempSync(path.join(tmpdir(), 'portcullis-exports-'))
  exports = createExports({
    appDb: db.app,
    audit,
    folder,
    announce: (_, id) => Promise.resolve(announced.push(id)),
  })
  other = await createAuditWorld(db.app)
})
beforeEach(async () => {
  announced = []
  world = await createAuditWorld(db.app)
})
afterAll(async () => {
  await audit.close()
  await db.close()
  rmSync(folder, { recursive: true, force: true })
})

const as = (role: Role = 'owner', of = world, authenticatedAt = new Date()) =>
  personPrincipal(of, role, { authenticatedAt, network: '203.0.113.1' })
const makerOf = (options: Partial<Parameters<typeof createExportMaker>[0]> = {}) =>
  createExportMaker({ appDb: db.app, audit, folder, log, ...options })
const fill = (count: number) =>
  db.adminQuery(
    'app',
    `INSERT INTO audit_record (tenant_id, id, kind, action, actor_kind, recorded_at)
     SELECT $1, 'aud_' || n, 'event', 'connection.repaired', 'system', now() - interval '1 hour' + n * interval '1 millisecond' FROM generate_series(1, $2::int) n`,
    [world.tenantId, count],
  )
async function textOf(id: string): Promise<string> {
  let text = ''
  for await (const part of (await exports.download(as(), id)).parts) text += part
  return text
}
const fileOf = (id: string) => path.join(folder, world.tenantId, `${id}.sealed`)
const actions = async () => {
  await audit.drain()
  const rows = await db.adminQuery(
    'app',
    `SELECT action, actor_kind, target_id FROM audit_record WHERE tenant_id = $1 AND action LIKE 'audit.export%' ORDER BY occurred_at`,
    [world.tenantId],
  )
  return rows
}

describe('an export in the background', () => {
  it('holds every record once in order, is on record when asked for, fetched and deleted, and lies on disk sealed', async () => {
    await fill(2_345)
    const call = world.call({ detail: { account: 'octocat-of-the-export' } })
    await audit.intent(call)
    const { id, status } = await exports.create(as(), 'jsonl', {})
    expect([status, announced]).toEqual(['queued', [id]])
    expect(await makerOf().make(world.tenantId, id)).toBe('ready')
    const view = await exports.show(as(), id)
    expect(view).toMatchObject({ status: 'ready', isCut: false, error: null })
    expect(view.done).toBe(view.total)
    expect(view.expiresAt.getTime()).toBeLessThan(Date.now() + 25 * 3_600_000)
    const records = (await textOf(id))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { id: string; action: string; details: unknown }) // a line of an export
    expect(records).toHaveLength(view.done)
    expect(new Set(records.map((one) => one.id)).size).toBe(records.length)
    expect(records.slice(0, 3).map((one) => one.id)).toEqual(['aud_1', 'aud_2', 'aud_3'])
    expect(records.slice(-2).map((one) => one.action)).toEqual(['tool.call', 'audit.export_started'])
    expect(records.at(-2)?.details).toMatchObject({ detail: { account: 'octocat-of-the-export' } })
    const bytes = readFileSync(fileOf(id))
    for (const word of ['octocat', 'tool.call', world.agentId, 'aud_1'])
      expect(bytes.includes(Buffer.from(word))).toBe(false)
    await exports.remove(as(), id)
    expect(readdirSync(path.dirname(fileOf(id)))).toEqual([])
    expect(await actions()).toMatchObject([
      { action: 'audit.export_started', actor_kind: 'person', target_id: id },
      { action: 'audit.export_downloaded', actor_kind: 'person', target_id: id },
      { action: 'audit.export_deleted', actor_kind: 'person', target_id: id },
    ])
  })

  it.each(['csv', 'cef'] as const)('is written as %s', async (format: ExportFormat) => {
    await fill(10)
    const { id } = await exports.create(as(), format, { action: 'connection.repaired' })
    await makerOf().make(world.tenantId, id)
    const lines = (await textOf(id)).trimEnd().split('\n')
    expect(lines).toHaveLength(format === 'csv' ? 11 : 10)
    expect(lines[0]).toMatch(format === 'csv' ? /^"recorded_at",/ : /^CEF:0\|Portcullis\|/)
  })

  it('holds what the filter says: a call with its end, or what a person did', async () => {
    const [mine, theirs] = [world.call({ personId: world.personId }), world.call({ tool: 'slack_post_message' })]
    for (const call of [mine, theirs]) {
      await audit.intent(call)
      audit.outcome({ tenantId: world.tenantId, callId: call.callId, outcome: 'error', reason: 'x', durationMs: 1 })
    }
    await audit.settled()
    const calls = async (filter: object) => {
      const { id } = await exports.create(as(), 'jsonl', filter)
      await makerOf().make(world.tenantId, id)
      const lines = (await textOf(id)).split('\n').filter((line) => line !== '')
      await exports.remove(as(), id)
      return lines.map((line) => (JSON.parse(line) as { callId: string }).callId) // a line of an export
    }
    const twice = (call: { callId: string }) => [call.callId, call.callId]
    expect((await calls({ kind: 'call', outcome: 'error' })).sort()).toEqual([...twice(mine), ...twice(theirs)].sort())
    expect(await calls({ tool: 'slack_post_message' })).toEqual(twice(theirs))
    expect(await calls({ kind: 'call', personId: world.personId })).toEqual(twice(mine))
    expect(await calls({ outcome: 'success' })).toEqual([])
  })

  it('goes on where a worker that died left it, with nothing missing and nothing twice', async () => {
    await fill(95)
    const { id } = await exports.create(as(), 'jsonl', {})
    const dying = makerOf({
      limits: { page: 10, leaseSeconds: 60 },
      onPart: (n) => (n === 4 ? new Promise(() => undefined) : Promise.resolve()),
    })
    void dying.make(world.tenantId, id)
    await expect.poll(async () => (await exports.show(as(), id)).done).toBe(40)
    // Half a part that was under way.
    writeFileSync(fileOf(id), 'half of a part', { flag: 'a' })
    expect(await makerOf().make(world.tenantId, id)).toBe('not_mine')
    await db.adminQuery('app', 'UPDATE audit_export SET leased_until = now() WHERE id = $1', [id])
    expect((await makerOf().due(10)).map((one) => one.exportId)).toContain(id)
    expect(await makerOf({ limits: { page: 10 } }).make(world.tenantId, id)).toBe('ready')
    const ids = (await textOf(id))
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { id: string }).id) // a line of an export
    expect(ids).toHaveLength(96)
    expect(new Set(ids).size).toBe(96)
  })

  it('begins anew where what was made lies on another machine', async () => {
    await fill(30)
    const { id } = await exports.create(as(), 'jsonl', {})
    const slices = { page: 10, sliceMs: -1 }
    expect(await makerOf({ limits: slices }).make(world.tenantId, id)).toBe('again')
    rmSync(fileOf(id))
    while ((await makerOf({ limits: { page: 10 } }).make(world.tenantId, id)) === 'again');
    expect((await textOf(id)).trimEnd().split('\n')).toHaveLength(31)
  })

  it('ends at its bounds and says so; what fails again and again is given up', async () => {
    await fill(100)
    const { id } = await exports.create(as(), 'jsonl', {})
    await makerOf({ limits: { page: 10, records: 40 } }).make(world.tenantId, id)
    expect(await exports.show(as(), id)).toMatchObject({ status: 'ready', done: 40, isCut: true })
    const { id: second } = await exports.create(as(), 'jsonl', {})
    const broken = makerOf({ limits: { failures: 2 }, onPart: () => Promise.reject(new Error('the disk is full')) })
    expect(await broken.make(world.tenantId, second)).toBe('again')
    await db.adminQuery('app', 'UPDATE audit_export SET leased_until = now() WHERE id = $1', [second])
    expect(await broken.make(world.tenantId, second)).toBe('failed')
    expect(await exports.show(as(), second)).toMatchObject({ status: 'failed', error: 'internal' })
    await expect(exports.download(as(), second)).rejects.toMatchObject({ code: 'resource.conflict' })
  })

  it('is there for a while and then no more, file and all', async () => {
    await fill(3)
    const { id } = await exports.create(as(), 'jsonl', {})
    await makerOf().make(world.tenantId, id)
    await db.adminQuery('app', `UPDATE audit_export SET expires_at = now() - interval '1 second' WHERE id = $1`, [id])
    await expect(exports.download(as(), id)).rejects.toMatchObject({ code: 'resource.conflict' })
    expect(await makerOf().expire(100)).toBeGreaterThan(0)
    expect(readdirSync(path.dirname(fileOf(id)))).toEqual([])
    await expect(exports.show(as(), id)).rejects.toMatchObject({ code: 'resource.not_found' })
  })

  it('that somebody changed on disk, or whose parts were swapped, is not given out', async () => {
    await fill(30)
    const { id } = await exports.create(as(), 'jsonl', {})
    await makerOf({ limits: { page: 10 } }).make(world.tenantId, id)
    const bytes = readFileSync(fileOf(id))
    const parts: Buffer[] = []
    for (let at = 0; at < bytes.length; at += 8 + bytes.readUInt32BE(at))
      parts.push(bytes.subarray(at, at + 8 + bytes.readUInt32BE(at)))
    const [first, second, ...rest] = parts
    writeFileSync(fileOf(id), Buffer.concat([second!, first!, ...rest]))
    await expect(textOf(id)).rejects.toMatchObject({ code: 'vault.unreadable' })
    bytes[40] = (bytes[40] ?? 0) ^ 1
    writeFileSync(fileOf(id), bytes)
    await expect(textOf(id)).rejects.toMatchObject({ code: 'vault.unreadable' })
  })

  it('is for owners and admins who proved themselves a moment ago, and of another workspace as good as none', async () => {
    await fill(1)
    for (const role of ['member', 'auditor'] as const)
      await expect(exports.create(as(role), 'csv', {})).rejects.toMatchObject({ code: 'auth.forbidden' })
    const long = new Date(Date.now() - 6 * 60_000)
    await expect(exports.create(as('owner', world, long), 'csv', {})).rejects.toMatchObject({
      code: 'auth.step_up_required',
    })
    const { id } = await exports.create(as('admin'), 'csv', {})
    await makerOf().make(world.tenantId, id)
    await expect(exports.download(as('owner', world, long), id)).rejects.toMatchObject({
      code: 'auth.step_up_required',
    })
    for (const ask of ['show', 'download', 'remove', 'checkDownload'] as const)
      await expect(exports[ask](as('owner', other), id)).rejects.toMatchObject({ code: 'resource.not_found' })
    expect(await exports.list(as('owner', other))).toEqual([])
    for (const [theirs, none] of [
      [{ agentId: other.agentId }, { agentId: newId('agent') }],
      [{ connectionId: other.connectionId }, { connectionId: newId('connection') }],
      [{ personId: other.personId }, { personId: newId('person') }],
    ] as const)
      for (const filter of [theirs, none])
        await expect(exports.create(as(), 'csv', filter)).rejects.toMatchObject({ code: 'resource.not_found' })
    for (const { agentId, connectionId, personId } of [world])
      await exports.create(as(), 'csv', { agentId, connectionId, personId })
  })

  it('is one of three under way at most, also when four are asked for at once', async () => {
    const asked = await Promise.allSettled(Array.from({ length: 6 }, () => exports.create(as(), 'jsonl', {})))
    expect(asked.filter(({ status }) => status === 'fulfilled')).toHaveLength(EXPORT_LIMITS.open)
  })
})
