/**
 * The first page of a trail of five million records, narrowed by each filter alone, as the pages ask for it: with the
 * rights of the web role, row security and all.
 *
 * Prints the 95th percentile for each filter. Fails when one is above 200 ms, or when a list reads anything but an index.
 * A number behind the name makes the trail shorter.
 *
 * @module
 */
import { createAppDb } from '../lib/db/app-db'
import { listRecords } from '../lib/audit/list'
import { newId } from '../lib/ids'
import { explainList, insertTrail, singleFilters } from '../lib/testing/audit-rows'
import { createBenchDatabases } from './herd/databases'

const RECORDS = Number(process.argv[2] ?? 5_000_000)
const CHUNK = 500_000
const RUNS = 40
const P95_MS = 200

const db = await createBenchDatabases()
const failures: string[] = []
try {
  const { app } = db.admin
  const tenantId = newId('tenant')
  await app.query("INSERT INTO tenant (id, name, slug) VALUES ($1, 'Bench', 'bench')", [tenantId])
  // Indexes are made once over everything instead of five million times a little.
  const { rows: indexes } = await app.query<{ name: string; definition: string }>(
    `SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition FROM pg_index i
      WHERE i.indrelid = 'audit_record'::regclass AND NOT i.indisprimary`,
  )
  const startedAt = performance.now()
  for (const { name } of indexes) await app.query(`DROP INDEX ${name}`)
  for (let made = 0; made < RECORDS; made += CHUNK)
    await insertTrail(app, tenantId, Math.min(CHUNK, RECORDS - made), made)
  await app.query("SET maintenance_work_mem = '256MB'")
  for (const { definition } of indexes) await app.query(definition)
  await app.query('VACUUM ANALYZE audit_record')
  const { rows: counted } = await app.query<{ n: string }>('SELECT count(*) AS n FROM audit_record')
  process.stdout.write(
    `${counted[0]?.n ?? '?'} records, ${indexes.length} indexes, made in ${Math.round((performance.now() - startedAt) / 1_000)} s\n`,
  )

  const web = createAppDb(db.urls.web, { role: 'portcullis_web', max: 2 })
  for (const [name, filter] of singleFilters(new Date())) {
    const wanted = { ...filter, tenantId }
    const times: number[] = []
    for (let n = 0; n < RUNS; n += 1) {
      const before = performance.now()
      await web.tenant(tenantId, (tx) => listRecords(tx, wanted))
      times.push(performance.now() - before)
    }
    const { scans, looked } = await web.tenant(tenantId, (tx) => explainList(tx, wanted))
    times.sort((a, b) => a - b)
    const at = (part: number) => times[Math.min(times.length - 1, Math.floor(times.length * part))] ?? Number.NaN
    process.stdout.write(
      `${name.padEnd(28)} p50 ${at(0.5).toFixed(1).padStart(6)} ms   p95 ${at(0.95).toFixed(1).padStart(6)} ms   ${looked} rows looked at\n`,
    )
    if (at(0.95) > P95_MS) failures.push(`${name}: p95 ${at(0.95).toFixed(0)} ms`)
    const others = scans.filter((scan) => !/^Index (Only )?Scan/.test(scan))
    if (others.length > 0) failures.push(`${name}: ${others.join(', ')}`)
  }
  await web.close()
} finally {
  await db.close()
}
for (const failure of failures) process.stderr.write(`FAILED: ${failure}\n`)
process.exitCode = failures.length === 0 ? 0 : 1
