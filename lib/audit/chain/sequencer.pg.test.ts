/** Every record gets exactly one position, without gaps, whoever links, whenever it was committed, whatever dies. */
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { newId, type TenantId } from '@/lib/ids'
import { createAuditWorld, type AuditWorld } from '@/lib/testing/audit'
import {
  addCalls,
  asOwner,
  type ChainWorld,
  createChainWorld,
  createTestChain,
  createTrail,
} from '@/lib/testing/audit-chain'
import type { ChainNews, ChainOrder } from '@/lib/testing/chain-driver'
import { bundle, start } from '@/lib/testing/process'

describe('the sequencer', () => {
  let db: ChainWorld['db']
  let audit: ChainWorld['audit']
  let chain: ChainWorld['chain']
  let close: ChainWorld['close']
  beforeAll(async () => {
    ;({ db, audit, chain, close } = await createChainWorld())
  })
  afterAll(() => close())

  const addMany = (tenantId: TenantId, count: number) =>
    db.adminQuery(
      'app',
      `INSERT INTO audit_record (tenant_id, id, kind, action, actor_kind, target_id)
       SELECT $1, 'aud_' || replace(gen_random_uuid()::text, '-', ''), 'event', 'agent.updated', 'system', n::text FROM generate_series(1, $2) n`,
      [tenantId, count],
    )
  const shapeOf = async (tenantId: TenantId) => {
    const [row] = await db.adminQuery(
      'app',
      `SELECT (SELECT count(*)::int FROM audit_record WHERE tenant_id = $1) AS records, count(*)::int AS links,
              COALESCE(max(position), 0)::int AS last, count(DISTINCT record_id)::int AS distinct_records
         FROM audit_link WHERE tenant_id = $1`,
      [tenantId],
    )
    return row
  }
  /** All linked, once, without a gap, and it verifies. */
  const expectWhole = async (tenantId: TenantId, records: number) => {
    expect(await shapeOf(tenantId)).toEqual({ records, links: records, last: records, distinct_records: records })
    expect(await chain.verify(tenantId)).toMatchObject({ ok: true, checked: records, waiting: 0 })
  }

  it('links each record once although eight sequencers run at once and records keep coming', async () => {
    const worlds = await Promise.all([createAuditWorld(db.app), createAuditWorld(db.app)])
    const others = Array.from({ length: 4 }, () => createTestChain(db, { batch: 20 }))
    let isOver = false
    const link = async () => {
      while (!isOver) await Promise.all(others.flatMap(({ sequencer }) => [sequencer.run(), sequencer.run()]))
    }
    const linking = link()
    for (let round = 0; round < 10; round += 1)
      await Promise.all([
        ...worlds.map((world) => addMany(world.tenantId, 30)),
        ...worlds.map((world) => addCalls(world, audit, 2)),
      ])
    isOver = true
    await linking
    await chain.sequencer.run()
    for (const world of worlds) await expectWhole(world.tenantId, 340)
    await Promise.all(others.map((other) => other.close()))
  })

  it('links what was committed after later ones were linked', async () => {
    const world = await createTrail(db, audit, 1)
    const late = new pg.Client({ connectionString: db.admin.app })
    await late.connect()
    await late.query('BEGIN')
    await late.query(
      "INSERT INTO audit_record (tenant_id, id, kind, action, actor_kind) VALUES ($1, $2, 'event', 'agent.updated', 'system')",
      [world.tenantId, newId('auditRecord')],
    )
    await addCalls(world, audit, 2)
    await chain.sequencer.run()
    expect(await shapeOf(world.tenantId)).toMatchObject({ last: 6 })
    await late.query('COMMIT')
    await late.end()
    await chain.sequencer.run()
    await expectWhole(world.tenantId, 7)
  })

  it('finds by a long look back what was committed long after later ones were linked', async () => {
    const world = await createTrail(db, audit, 1)
    await asOwner(
      db,
      `INSERT INTO audit_record (tenant_id, id, kind, action, actor_kind, recorded_at)
       VALUES ('${world.tenantId}', '${newId('auditRecord')}', 'event', 'agent.updated', 'system', now() - interval '50 seconds')`,
    )
    await addCalls(world, audit, 1)
    await chain.sequencer.linkSome(world.tenantId, 1_000_000)
    await asOwner(
      db,
      `INSERT INTO audit_record (tenant_id, id, kind, action, actor_kind, recorded_at)
       VALUES ('${world.tenantId}', '${newId('auditRecord')}', 'event', 'agent.updated', 'system', now() - interval '45 seconds')`,
    )
    await chain.sequencer.run()
    expect(await shapeOf(world.tenantId)).toMatchObject({ records: 6, links: 5 })
    await chain.sequencer.run({ isDeep: true })
    await expectWhole(world.tenantId, 6)
  })

  it('passes by a chain that another worker is at, and loses nothing', async () => {
    const [held, free] = [await createTrail(db, audit, 2), await createTrail(db, audit, 2)]
    await chain.sequencer.linkSome(held.tenantId, 0)
    await addCalls(held, audit, 1)
    const other = new pg.Client({ connectionString: db.admin.app })
    await other.connect()
    await other.query('BEGIN')
    await other.query('SELECT 1 FROM audit_head WHERE tenant_id = $1 FOR UPDATE', [held.tenantId])
    expect(await chain.sequencer.linkSome(held.tenantId, 1_000)).toBeNull()
    await chain.sequencer.run()
    await expectWhole(free.tenantId, 4)
    await other.query('ROLLBACK')
    await other.end()
    await chain.sequencer.run()
    await expectWhole(held.tenantId, 6)
  })

  it('goes on with the others when the chain of one workspace takes no more links', async () => {
    const [broken, well] = [await createTrail(db, audit, 2), await createTrail(db, audit, 2)]
    await chain.sequencer.run()
    await asOwner(db, `UPDATE audit_head SET position = 2 WHERE tenant_id = '${broken.tenantId}'`)
    await Promise.all([addCalls(broken, audit, 1), addCalls(well, audit, 1)])
    await chain.sequencer.run()
    await expectWhole(well.tenantId, 6)
    expect((await chain.verify(broken.tenantId)).ok).toBe(false)
  })

  it('continues where the chain ended when its head is lost', async () => {
    const world = await createTrail(db, audit, 2)
    await chain.sequencer.run()
    await asOwner(db, `DELETE FROM audit_head WHERE tenant_id = '${world.tenantId}'`)
    await addCalls(world, audit, 1)
    await chain.sequencer.run()
    await expectWhole(world.tenantId, 6)
  })

  it('says how long records waited, and when there is more than it could do in its time', async () => {
    const world = await createAuditWorld(db.app)
    await addMany(world.tenantId, 60)
    const slow = createTestChain(db, { batch: 10 })
    expect(await slow.sequencer.run({ budgetMs: 0 })).toMatchObject({ records: 0, isBehind: true })
    const report = await slow.sequencer.run()
    expect(report).toMatchObject({ isBehind: false })
    expect(report.records).toBeGreaterThanOrEqual(60)
    expect(report.lagSeconds).toBeGreaterThan(0)
    expect(report.lagSeconds).toBeLessThan(120)
    await slow.close()
    await expectWhole(world.tenantId, 60)
  })

  it('is not in the way of records: they are written while a chain is locked', async () => {
    const world = await createTrail(db, audit, 1)
    await chain.sequencer.run()
    const other = new pg.Client({ connectionString: db.admin.app })
    await other.connect()
    await other.query('BEGIN')
    await other.query('LOCK TABLE audit_link, audit_head IN ACCESS EXCLUSIVE MODE')
    expect(await audit.intent(world.call())).toMatchObject({ decision: 'permit' })
    await other.query('ROLLBACK')
    await other.end()
  })

  it('a chain survives kill -9 at any moment', async () => {
    const world: AuditWorld = await createAuditWorld(db.app)
    const file = await bundle('lib/testing/chain-driver.ts')
    let added = 0
    for (let round = 0; round < 6; round += 1) {
      const worker = start<object, ChainNews>(file, { url: db.urls.app, batch: 3 } satisfies ChainOrder, {
        isQuiet: true,
      })
      await addMany(world.tenantId, 120)
      added += 120
      // In the middle of its work: it has linked some of what there is and is at the next batch.
      await worker.receive((news): news is ChainNews => news.linked > 0)
      await addMany(world.tenantId, 120)
      added += 120
      await worker.kill()
      expect(await chain.verify(world.tenantId)).toMatchObject({ ok: true })
    }
    await chain.sequencer.run()
    await expectWhole(world.tenantId, added)
  })
})
