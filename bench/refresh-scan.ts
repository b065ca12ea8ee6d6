/**
 * What the scan for due refreshes costs with ten thousand, a hundred thousand and a million connections, two hundred of
 * them due: after vacuum, and after a fifth of the table was rewritten since.
 *
 * Fails when the scan reads the table, or touches more pages the more connections there are, beyond what the due ones
 * themselves account for.
 *
 * @module
 */
import { explainDueScan, vacuumCredentials } from '../lib/testing/due-scan'
import { createBenchDatabases } from './herd/databases'

const SIZES = [10_000, 100_000, 1_000_000]
const DUE = 200
const APP = 'x'.repeat(22)
const PROVIDERS = ['github', 'google', 'slack']
const at = { provider: 'google', app: APP, window: 20_000 }
const median = (values: readonly number[]) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const db = await createBenchDatabases()
const { vault } = db.admin
const failures: string[] = []
try {
  interface Line {
    readonly size: number
    readonly ms: number
    readonly buffers: number
    readonly heapFetches: number
    readonly claimMs: number
    readonly appsMs: number
    readonly dirty: { readonly ms: number; readonly buffers: number; readonly heapFetches: number }
  }
  const lines: Line[] = []
  let made = 0
  for (const size of SIZES) {
    await vault.query(
      `INSERT INTO credential (tenant_id, connection_id, provider, provider_app, subject, state, generation, key_version, access_sealed, refresh_sealed, dek_wrapped, access_expires_at, refresh_at)
       SELECT 'ten_' || lpad((n % 2000)::text, 26, '0'), 'con_' || lpad(n::text, 26, '0'), ($4::text[])[1 + n % 3], $3, 's', 'active', 1, 1,
              decode(repeat('ab', 150), 'hex'), decode(repeat('ab', 150), 'hex'), decode(repeat('ab', 80), 'hex'),
              now() + interval '1 hour', now() + (10 + random() * 40) * interval '1 minute'
         FROM generate_series($1::int, $2::int) n`,
      [made + 1, size, APP, PROVIDERS],
    )
    made = size
    await vault.query(
      `UPDATE credential SET refresh_at = now() + interval '30 minutes' WHERE refresh_at <= now() + interval '1 minute'`,
    )
    await vault.query(
      `UPDATE credential SET refresh_at = now() - random() * interval '5 seconds' WHERE connection_id IN (
         SELECT connection_id FROM credential WHERE provider = $1 ORDER BY md5(connection_id) LIMIT $2)`,
      [at.provider, DUE],
    )
    await vacuumCredentials(vault)
    const clean = await scan()
    const claimMs = await timed(
      `SELECT * FROM claim_due('google', '${APP}', 200, 20000, 60000, 30)`,
      'DELETE FROM refresh_claim',
    )
    const appsMs = await timed('SELECT * FROM due_apps()')
    // As after half an hour of work: rows moved, their old index entries still there, and pages that vacuum has not seen.
    await vault.query(
      `UPDATE credential SET refresh_at = now() + (10 + random() * 40) * interval '1 minute', generation = generation + 1
        WHERE connection_id IN (SELECT connection_id FROM credential WHERE refresh_at > now() ORDER BY md5(connection_id) LIMIT $1)`,
      [Math.floor(size / 5)],
    )
    const dirty = await scan()
    lines.push({ size, ...clean, claimMs, appsMs, dirty })
    print(lines.at(-1)!) // it was pushed just now
  }
  const [small, , large] = lines
  if (small !== undefined && large !== undefined) {
    const ratio = large.ms / small.ms
    process.stdout.write(
      `\nA million against ten thousand: ${ratio.toFixed(2)} times the time, ${large.buffers} against ${small.buffers} pages.\n`,
    )
    // A deeper index is a page or two more. A table of a million has several pages of its visibility map, and each due row
    // may look at another of them than the row before. Time on a busy machine is only held loosely.
    if (large.buffers > small.buffers + 8 + DUE) failures.push(`pages grow: ${small.buffers} → ${large.buffers}`)
    if (large.ms > small.ms * 5 + 2) failures.push(`time grows: ${small.ms.toFixed(2)} → ${large.ms.toFixed(2)} ms`)
  }
  for (const line of lines) if (line.heapFetches > 0) failures.push(`${line.size}: the table was read after vacuum`)

  function print({ size, ms, buffers, heapFetches, claimMs, appsMs, dirty }: Line): void {
    process.stdout.write(
      `${String(size).padStart(9)} connections, ${DUE} due: scan ${ms.toFixed(2)} ms, ${buffers} pages, ${heapFetches} table rows; ` +
        `claim of 200 ${claimMs.toFixed(1)} ms; apps ${appsMs.toFixed(2)} ms; ` +
        `with a fifth rewritten: ${dirty.ms.toFixed(2)} ms, ${dirty.buffers} pages, ${dirty.heapFetches} table rows\n`,
    )
  }
} finally {
  await db.close()
}
for (const failure of failures) process.stderr.write(`FAILED: ${failure}\n`)
process.exitCode = failures.length === 0 ? 0 : 1

async function scan(): Promise<{ ms: number; buffers: number; heapFetches: number }> {
  const runs = []
  for (let n = 0; n < 9; n += 1) runs.push(await explainDueScan(vault, at))
  const last = runs.at(-1)
  if (last === undefined) throw new Error('no run')
  if (last.scans.length !== 1 || last.scans[0] !== 'Index Only Scan using credential_due')
    failures.push(`the scan reads ${last.scans.join(', ')}`)
  if (last.rows !== DUE) failures.push(`the scan finds ${last.rows}`)
  return { ms: median(runs.map(({ ms }) => ms)), buffers: last.buffers, heapFetches: last.heapFetches }
}

async function timed(sql: string, after?: string): Promise<number> {
  const runs: number[] = []
  for (let n = 0; n < 5; n += 1) {
    const startedAt = performance.now()
    await vault.query(sql)
    runs.push(performance.now() - startedAt)
    if (after !== undefined) await vault.query(after)
  }
  return median(runs)
}
