import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { createAppDb, type AppDb } from '@/lib/db/app-db'
import { newId } from '@/lib/ids'
import { createAuditWorld, createTestAudit, type AuditWorld } from '@/lib/testing/audit'
import { explainList, insertTrail, RARE, singleFilters } from '@/lib/testing/audit-rows'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import { chartRecords, listRecords, type ActivityFilter } from './list'

const RECORDS = 100_000
/** Fifty-one places, the rows and the ends that belong to them, and a little for what the planner may prefer. */
const MOST_LOOKED = 600

let db: TestDatabases
let web: AppDb
let world: AuditWorld

beforeAll(async () => {
  db = await createTestDatabases()
  web = createAppDb(db.urls.web, { role: 'portcullis_web', max: 2 })
  world = await createAuditWorld(db.app)
  const client = new pg.Client({ connectionString: db.admin.app })
  await client.connect()
  await insertTrail(client, world.tenantId, RECORDS)
  await client.query('VACUUM ANALYZE audit_record')
  await client.end()
}, 120_000)
afterAll(async () => {
  await web.close()
  await db.close()
})

describe('the first page of a long trail', () => {
  it.each(singleFilters(new Date()))(
    'narrowed to %s looks at a page of rows and not at the trail',
    async (_, filter) => {
      const wanted = { ...filter, tenantId: world.tenantId }
      const { scans, looked } = await web.tenant(world.tenantId, (tx) => explainList(tx, wanted))
      expect(scans.filter((scan) => !/^Index (Only )?Scan/.test(scan))).toEqual([])
      expect(looked).toBeLessThanOrEqual(MOST_LOOKED)
    },
  )

  it('finds what the same condition finds by looking at everything', async () => {
    const count = async (condition: string) => {
      const [row] = await db.adminQuery(
        'app',
        `SELECT count(*)::int AS n FROM audit_record r WHERE tenant_id = $1 AND kind <> 'outcome' AND ${condition}`,
        [world.tenantId],
      )
      return Number(row?.['n'])
    }
    const end = `(SELECT o.outcome FROM audit_record o WHERE o.tenant_id = r.tenant_id AND o.call_id = r.call_id AND o.kind = 'outcome')`
    const cases: [ActivityFilter, string][] = [
      [{ agentId: RARE.agentId }, `agent_id = '${RARE.agentId}'`],
      [{ personId: RARE.personId }, `actor_pseudonym = 'psn_rare'`],
      [{ tool: RARE.tool }, `tool = '${RARE.tool}'`],
      [{ action: RARE.action }, `action = '${RARE.action}'`],
      [{ outcome: 'unknown' }, `COALESCE(${end}, outcome) = 'unknown'`],
      [{ outcome: 'denied' }, `COALESCE(${end}, outcome) = 'denied'`],
      [{ outcome: 'unknown', agentId: RARE.agentId }, `agent_id = '${RARE.agentId}' AND ${end} = 'unknown'`],
      [{ outcome: 'denied', decision: 'deny' }, `decision = 'deny'`],
    ]
    for (const [filter, condition] of cases) {
      const found = new Set<string>()
      let cursor: string | null = null
      do {
        const page: Awaited<ReturnType<typeof listRecords>> = await web.tenant(world.tenantId, (tx) =>
          listRecords(tx, { ...filter, tenantId: world.tenantId }, { cursor, limit: 7 }),
        )
        for (const row of page.rows) {
          expect(found.has(row.id)).toBe(false)
          found.add(row.id)
        }
        cursor = page.nextCursor
      } while (cursor !== null)
      expect([filter, found.size]).toEqual([filter, await count(condition)])
      expect(found.size).toBeGreaterThan(0)
    }
  })

  it('is counted over time for the same conditions, up to a bound that it names', async () => {
    const now = new Date()
    const chart = (filter: ActivityFilter) =>
      web.tenant(world.tenantId, (tx) => chartRecords(tx, { ...filter, tenantId: world.tenantId }, now))
    const sum = ({ buckets }: Awaited<ReturnType<typeof chart>>) =>
      buckets.reduce((total, one) => total + one.permit + one.deny + one.approval + one.event, 0)
    const rare = await chart({ agentId: RARE.agentId, from: new Date(now.getTime() - 91 * 86_400_000) })
    expect([sum(rare), rare.countedFrom]).toEqual([6, null])
    expect(rare.buckets.length).toBeLessThanOrEqual(60)
    const all = await chart({ from: new Date(now.getTime() - 91 * 86_400_000) })
    // What is recorded while this asks may be later than the last bucket.
    expect(sum(all)).toBeGreaterThan(49_990)
    expect(sum(all)).toBeLessThanOrEqual(50_000)
    expect(Date.parse(all.countedFrom ?? '')).toBeLessThan(now.getTime())
    const week = await chart({})
    expect(sum(week)).toBeLessThan(6_000)
    expect(week.buckets.every(({ permit }) => permit >= 0)).toBe(true)
  })
})

describe('a list by person', () => {
  it('shows nobody who never acted, and nothing once they are erased', async () => {
    const audit = createTestAudit(db)
    const other = await createAuditWorld(db.app)
    await audit.intent(other.call({ personId: other.personId }))
    const rows = async (personId: string) =>
      (await web.tenant(other.tenantId, (tx) => listRecords(tx, { tenantId: other.tenantId, personId }))).rows.length
    expect(await rows(other.personId)).toBe(1)
    expect(await rows(newId('person'))).toBe(0)
    await db.app.tenant(other.tenantId, (tx) => tx.auditIdentity.deleteMany({ where: { subjectId: other.personId } }))
    expect(await rows(other.personId)).toBe(0)
    await audit.close()
  })
})
