/**
 * Ten thousand connections and one provider that enforces its limit.
 *
 * `due`: all due at once, 50 requests a second allowed: each refreshed exactly once within 220 s, memory flat.
 * `jitter`: a lifetime of six minutes, 200 a second allowed: for a life and a half nobody meets an expired token.
 * `burst`: two hundred expired connections called at once: two hundred token calls, all served; the rate is printed.
 *
 * `--form due|jitter|burst` runs one; `--count n` and `--workers n` change the size. Counts decide, rates are printed.
 *
 * @module
 */
import os from 'node:os'

import { createBenchDatabases, option, type BenchDatabases } from './herd/databases'
import {
  allDueNow,
  allExpired,
  createHerd,
  freshness,
  issueAllNow,
  type Herd,
  type HerdOptions,
  type Memory,
} from './herd/herd'

const count = option('count', 10_000)
const workers = option('workers', 1)
const only = process.argv.includes('--form') ? process.argv[process.argv.indexOf('--form') + 1] : undefined
const LIFE_SECONDS = option('life', 360)
const failures: string[] = []
const say = (line: string) => process.stdout.write(`${line}\n`)
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
const FORMS = { due, jitter, burst }

say(
  `${os.cpus().length} cores, Node ${process.versions.node}, load average ${os.loadavg()[0]?.toFixed(1)} at the start`,
)
for (const [name, form] of Object.entries(FORMS)) {
  if (only !== undefined && only !== name) continue
  const db = await createBenchDatabases()
  try {
    await form(db)
  } catch (error) {
    failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`)
  } finally {
    await db.close()
  }
}
for (const failure of failures) process.stderr.write(`FAILED: ${failure}\n`)
process.exit(failures.length === 0 ? 0 : 1)

function expect(holds: boolean, otherwise: string): void {
  if (!holds) failures.push(otherwise)
}

async function world(db: BenchDatabases, options: Partial<HerdOptions>): Promise<Herd> {
  return createHerd({
    urls: db.urls,
    query: (database, sql, values) => db.query(database, sql, values),
    dataDir: db.dataDir,
    count,
    tenants: Math.max(1, Math.floor(count / 100)),
    workers,
    perSecond: 50,
    expiresIn: 3_600,
    scanMs: 5_000,
    delayMs: 50,
    onProgress: say,
    ...options,
  })
}

async function due(db: BenchDatabases): Promise<void> {
  const perSecond = 50
  const herd = await world(db, { perSecond })
  try {
    await allDueNow(db.query)
    await db.query('vault', 'VACUUM ANALYZE credential')
    const startedAt = performance.now()
    herd.work()
    const limitMs = (count / perSecond) * 1_100
    for (let left = count; left > 0 && performance.now() - startedAt < limitMs * 2;) {
      await pause(500)
      ;({ left } = await freshness(db.query))
    }
    const tookMs = performance.now() - startedAt
    await herd.stop()
    const stats = await herd.stats()
    const once = stats.timesRefreshed['1'] ?? 0
    say(
      `due: ${count} due at once at ${perSecond}/s: ${(tookMs / 1_000).toFixed(1)} s (${((count / tookMs) * 1_000).toFixed(1)}/s), ` +
        `${stats.calls} token calls, ${once} refreshed once, ${stats.reuses} reuses, ${stats.limited} over the limit, ` +
        `at most ${stats.mostInASecond} in a second; ${memoryOf(herd)}`,
    )
    expect(
      tookMs <= limitMs,
      `due: it took ${(tookMs / 1_000).toFixed(1)} s, more than ${(limitMs / 1_000).toFixed(0)} s`,
    )
    expect(stats.calls === count && once === count, `due: ${stats.calls} token calls, ${once} refreshed exactly once`)
    expect(stats.reuses === 0 && stats.limited === 0, `due: ${stats.reuses} reuses, ${stats.limited} over the limit`)
    flat(herd, 'due')
  } finally {
    await herd.close()
  }
}

async function jitter(db: BenchDatabases): Promise<void> {
  const herd = await world(db, { perSecond: 200, expiresIn: LIFE_SECONDS })
  try {
    await issueAllNow(db.query, LIFE_SECONDS)
    await db.query('vault', 'VACUUM ANALYZE credential')
    const startedAt = performance.now()
    herd.work()
    let [expired, least, called, calledExpired] = [0, Number.POSITIVE_INFINITY, 0, 0]
    const errors: string[] = []
    while (performance.now() - startedAt < LIFE_SECONDS * 1_500) {
      const tick = performance.now()
      const now = await freshness(db.query)
      expired = Math.max(expired, now.expired)
      least = Math.min(least, now.leastSeconds)
      // Agents call some of them all the while.
      for (let n = 0; n < 10; n += 1) {
        const one = herd.connections[Math.floor(Math.random() * herd.connections.length)]
        if (one === undefined) continue
        const { accessLeftMs } = await herd.engine.credentials.open(one.tenantId, one.connectionId, {
          minGeneration: 1,
        })
        called += 1
        if (accessLeftMs !== null && accessLeftMs <= 0) calledExpired += 1
        await herd.engine.refresher
          .accessToken(one.tenantId, one.connectionId, { minGeneration: 1 })
          .catch((error: unknown) => errors.push(String(error)))
      }
      await pause(Math.max(0, 1_000 - (performance.now() - tick)))
    }
    await herd.stop()
    const stats = await herd.stats()
    say(
      `jitter: ${count} living ${LIFE_SECONDS} s, for ${LIFE_SECONDS * 1.5} s at ${(200).toFixed(0)}/s: ${stats.calls} token calls ` +
        `(${(stats.calls / (LIFE_SECONDS * 1.5)).toFixed(1)}/s, at most ${stats.mostInASecond} in a second), at most ${expired} expired at once, ` +
        `nearest to its end ${least.toFixed(1)} s, ${called} called, ${calledExpired} while expired, ${errors.length} failed; ` +
        `${stats.reuses} reuses, ${stats.limited} over the limit; ${memoryOf(herd)}`,
    )
    expect(expired === 0 && calledExpired === 0, `jitter: ${expired} expired, ${calledExpired} called while expired`)
    expect(errors.length === 0, `jitter: ${errors.length} calls failed: ${errors[0] ?? ''}`)
    expect((await freshness(db.query)).left === 0, 'jitter: some were never refreshed')
    expect(stats.reuses === 0 && stats.limited === 0, `jitter: ${stats.reuses} reuses, ${stats.limited} over the limit`)
    flat(herd, 'jitter')
  } finally {
    await herd.close()
  }
}

async function burst(db: BenchDatabases): Promise<void> {
  const many = 200
  const herd = await world(db, { count: many, tenants: 20, workers: 1, perSecond: 1_000, delayMs: 0 })
  try {
    await allExpired(db.query)
    const { succeeded, failures: failed, ms } = await herd.callAll()
    const stats = await herd.stats()
    say(
      `burst: ${many} expired connections called at once: ${succeeded} served in ${ms.toFixed(0)} ms, ` +
        `${((succeeded / ms) * 1_000).toFixed(0)}/s, ${stats.calls} token calls, ${stats.reuses} reuses`,
    )
    expect(succeeded === many, `burst: ${succeeded} served (${failed.join(', ')})`)
    expect(stats.calls === many && stats.reuses === 0, `burst: ${stats.calls} token calls, ${stats.reuses} reuses`)
  } finally {
    await herd.close()
  }
}

type Part = 0 | 1 | 2

function third(samples: readonly Memory[], n: Part): readonly Memory[] {
  const size = Math.floor(samples.length / 3)
  return samples.slice(n * size, (n + 1) * size)
}

function middle(samples: readonly Memory[], n: Part, of: keyof Memory): number {
  const sorted = third(samples, n)
    .map((one) => one[of])
    .sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}

function memoryOf(herd: Herd): string {
  const parts = [0, 1, 2] as const
  const row = (samples: readonly Memory[], of: keyof Memory) =>
    parts.map((n) => middle(samples, n, of).toFixed(0)).join(' → ')
  return herd.memory
    .map((samples) => `worker ${row(samples, 'resident')} MB resident, ${row(samples, 'heap')} MB alive`)
    .join(', ')
}

/** The last third against the one before: what warming up costs is in the first. */
function flat(herd: Herd, name: string): void {
  for (const samples of herd.memory) {
    if (samples.length < 12) continue
    const [before, after] = [middle(samples, 1, 'heap'), middle(samples, 2, 'heap')]
    expect(after <= before * 1.1 + 2, `${name}: memory grows, ${before.toFixed(0)} → ${after.toFixed(0)} MB`)
    const [held, holds] = [middle(samples, 1, 'resident'), middle(samples, 2, 'resident')]
    expect(holds <= held * 1.4, `${name}: the process grows, ${held.toFixed(0)} → ${holds.toFixed(0)} MB`)
  }
}
