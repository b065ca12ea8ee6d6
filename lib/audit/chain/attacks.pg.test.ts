/**
 * Every attack of the threat model against every kind of place outside: whoever owns the database does it, and each place by
 * itself, given to the verifier as the files somebody would keep of it, is enough to see it.
 */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { systemClock } from '@/lib/clock'
import { createOperatorEgress } from '@/lib/egress/operator'
import { newId } from '@/lib/ids'
import { newSigningSecret, signWebhook } from '@/lib/notifications/webhook-signature'
import { Secret } from '@/lib/secret'
import { createTestAudit, type AuditWorld } from '@/lib/testing/audit'
import { addCalls, asOwner, createTestChain, createTrail, type TestChain } from '@/lib/testing/audit-chain'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import { createFileSink, createS3Sink, createWebhookSink, readStatements, SINK_NAMES } from './sinks'
import { verifyChain, type ProblemKind } from './verify'

interface Attack {
  readonly name: string
  /** As the owner of the tables, with their ids from the first to the tenth. */
  readonly sql: (tenantId: string, ids: readonly string[]) => readonly string[]
  /** What goes on afterwards, as it would. */
  readonly then?: (world: AuditWorld) => Promise<unknown>
  readonly kind: ProblemKind
  readonly position: number | null
  /** The record that must be named; null where none is left to name. */
  readonly record: (ids: readonly string[]) => string | null
}

const INSERTED = newId('auditRecord')
const BACK_DATED = newId('auditRecord')
const where = (tenantId: string, positions: string) => `WHERE tenant_id = '${tenantId}' AND position ${positions}`

describe('each attack, seen by each place outside', () => {
  let db: TestDatabases
  let audit: ReturnType<typeof createTestAudit>
  let chain: TestChain
  const root = mkdtempSync(path.join(tmpdir(), 'portcullis-outside-'))
  const folders = Object.fromEntries(SINK_NAMES.map((name) => [name, path.join(root, name)]))
  const folderOf = (name: string) => folders[name] ?? ''
  let arrived = 0
  // A bucket that keeps its objects, and a receiver that keeps what it was sent.
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const isObject = request.method === 'PUT'
      const name = isObject ? (request.url ?? '').replaceAll('/', '_') : `${(arrived += 1)}.json`
      writeFileSync(path.join(folderOf(isObject ? 's3' : 'webhook'), name), Buffer.concat(chunks))
      response.writeHead(200).end()
    })
  })
  let egress: ReturnType<typeof createOperatorEgress>
  let tell: () => Promise<number>
  beforeAll(async () => {
    for (const folder of Object.values(folders)) mkdirSync(folder)
    db = await createTestDatabases()
    audit = createTestAudit(db)
    chain = createTestChain(db)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const origin = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
    egress = createOperatorEgress({ setting: 'TEST', url: origin })
    const secret = newSigningSecret()
    const checkpoints = chain.checkpointsTo(
      createFileSink(folderOf('file')),
      createS3Sink({
        url: `${origin}/bucket`,
        region: 'us-east-1',
        accessKeyId: 'key',
        secretAccessKey: new Secret('secret'),
        egress,
        clock: systemClock,
      }),
      createWebhookSink({
        url: `${origin}/hook`,
        sign: (id, at, body) => ({ ...signWebhook(secret, id, at, body) }),
        egress,
        clock: systemClock,
      }),
    )
    tell = () => checkpoints.run()
  })
  afterAll(async () => {
    await egress.close()
    await new Promise((resolve) => server.close(resolve))
    await chain.close()
    await audit.close()
    await db.close()
  })

  const goOn = async (world: AuditWorld) => {
    await addCalls(world, audit, 4)
    await chain.sequencer.run()
  }
  const attacks: readonly Attack[] = [
    {
      name: 'edit',
      sql: (_, ids) => [`UPDATE audit_record SET reason = 'harmless' WHERE id = '${ids[5] ?? ''}'`],
      kind: 'edited',
      position: 6,
      record: (ids) => ids[5] ?? '',
    },
    {
      name: 'delete',
      sql: (_, ids) => [`DELETE FROM audit_record WHERE id = '${ids[3] ?? ''}'`],
      kind: 'deleted',
      position: 4,
      record: (ids) => ids[3] ?? '',
    },
    {
      name: 'insert',
      sql: (tenantId, ids) => [
        `INSERT INTO audit_record (tenant_id, id, kind, action, recorded_at, actor_kind)
         SELECT '${tenantId}', '${INSERTED}', 'event', 'agent.updated', recorded_at - interval '1 day', 'system'
           FROM audit_record WHERE id = '${ids[0] ?? ''}'`,
      ],
      kind: 'inserted',
      position: null,
      record: () => INSERTED,
    },
    {
      name: 'reorder',
      sql: (tenantId, ids) => [
        `DROP INDEX audit_link_record`,
        `UPDATE audit_link SET record_id = CASE position WHEN 3 THEN '${ids[6] ?? ''}' ELSE '${ids[2] ?? ''}' END ${where(tenantId, 'IN (3, 7)')}`,
        `CREATE UNIQUE INDEX audit_link_record ON audit_link (tenant_id, record_id)`,
      ],
      kind: 'reordered',
      position: 3,
      record: (ids) => ids[6] ?? '',
    },
    {
      name: 'tail truncation',
      sql: (tenantId, ids) => [
        ...ids.slice(7).map((id) => `DELETE FROM audit_record WHERE id = '${id}'`),
        `DELETE FROM audit_link ${where(tenantId, '> 7')}`,
        `UPDATE audit_head h SET position = l.position, hash = l.hash FROM audit_link l
          WHERE h.tenant_id = '${tenantId}' AND l.tenant_id = h.tenant_id AND l.position = 7`,
      ],
      kind: 'truncated',
      position: 8,
      record: () => null,
    },
    {
      name: 'back-dating',
      sql: (tenantId) => [
        `INSERT INTO audit_record (tenant_id, id, kind, action, recorded_at, actor_kind)
         VALUES ('${tenantId}', '${BACK_DATED}', 'event', 'agent.updated', now() - interval '1 hour', 'system')`,
      ],
      then: () => chain.sequencer.run({ isDeep: true }),
      kind: 'back_dated',
      position: 11,
      record: () => BACK_DATED,
    },
    {
      name: 'whole-tenant delete',
      sql: (tenantId) =>
        ['audit_record', 'audit_link', 'audit_head', 'audit_checkpoint'].map(
          (table) => `DELETE FROM ${table} WHERE tenant_id = '${tenantId}'`,
        ),
      kind: 'gone',
      position: 1,
      record: () => null,
    },
    {
      name: 'restore of an older table, which then goes on',
      sql: (tenantId, ids) => [
        ...ids.slice(6).map((id) => `DELETE FROM audit_record WHERE id = '${id}'`),
        `DELETE FROM audit_link ${where(tenantId, '> 6')}`,
        `UPDATE audit_head h SET position = l.position, hash = l.hash FROM audit_link l
          WHERE h.tenant_id = '${tenantId}' AND l.tenant_id = h.tenant_id AND l.position = 6`,
      ],
      then: goOn,
      kind: 'rewritten',
      position: 1,
      record: () => null,
    },
  ]

  it.each(attacks)('$name', async ({ sql, then, kind, position, record }) => {
    const world = await createTrail(db, audit, 5)
    const { tenantId } = world
    await chain.sequencer.run()
    expect(await tell()).toBeGreaterThanOrEqual(SINK_NAMES.length)
    const rows = await db.adminQuery('app', 'SELECT record_id FROM audit_link WHERE tenant_id = $1 ORDER BY position', [
      tenantId,
    ])
    const ids = rows.map((row) => String(row['record_id']))
    expect(ids).toHaveLength(10)
    const see = (name: string) =>
      readStatements(folderOf(name), tenantId).then(({ statements, unreadable }) => {
        expect([statements.length, unreadable], name).toEqual([1, 0])
        return verifyChain({ store: chain.store, keys: chain.keys, page: 4 }, tenantId, statements)
      })
    for (const name of SINK_NAMES) expect((await see(name)).problems, name).toEqual([])

    await asOwner(db, ...sql(tenantId, ids))
    await then?.(world)
    for (const name of SINK_NAMES) {
      const { ok, problems } = await see(name)
      expect(ok, name).toBe(false)
      expect(problems[0], name).toMatchObject({ kind, position, recordId: record(ids) })
    }
  })
})
