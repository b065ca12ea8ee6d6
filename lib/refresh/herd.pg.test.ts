import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import { allDueNow, allExpired, createHerd, freshness, type Herd, type HerdOptions } from '@/bench/herd/herd'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

/** The short forms of bench/refresh-herd: a few hundred connections, real processes, a provider that enforces its limit. */
let db: TestDatabases
let dataDir: string
let herd: Herd
beforeAll(async () => {
  db = await createTestDatabases()
  dataDir = await mkdtemp(path.join(tmpdir(), 'portcullis-herd-'))
})
afterEach(() => herd.close())
afterAll(async () => {
  await db.close()
  await rm(dataDir, { recursive: true, force: true })
})

const query: HerdOptions['query'] = (database, sql, values) => db.adminQuery(database, sql, values)
const make = async (options: Partial<HerdOptions>) => {
  await query('vault', 'TRUNCATE credential, provider_app, refresh_claim')
  herd = await createHerd({
    urls: db.urls,
    query,
    dataDir,
    count: 300,
    tenants: 10,
    workers: 2,
    perSecond: 100,
    expiresIn: 3_600,
    scanMs: 1_000,
    delayMs: 20,
    ...options,
  })
}
const eventually = { timeout: 100_000, interval: 100 }

describe('a herd of connections', () => {
  it(
    'due all at once is refreshed once each by two workers, within the provider’s limit',
    { timeout: 180_000 },
    async () => {
      await make({})
      await allDueNow(query)
      herd.work()
      await expect.poll(async () => (await freshness(query)).left, eventually).toBe(0)
      await herd.stop()
      const stats = await herd.stats()
      expect(stats).toMatchObject({ calls: 300, reuses: 0, limited: 0, timesRefreshed: { 1: 300 } })
      expect(stats.firstToLastMs).toBeGreaterThan(2_700)
    },
  )

  it('with jitter is never called while expired', { timeout: 180_000 }, async () => {
    await make({ perSecond: 200 })
    await query(
      'vault',
      `UPDATE credential SET issued_at = now() - interval '90 seconds', access_expires_at = now() + interval '90 seconds',
         refresh_at = now() + random() * interval '6 seconds'`,
    )
    herd.work()
    const seen: number[] = []
    await expect
      .poll(async () => {
        const { left, expired } = await freshness(query)
        seen.push(expired)
        return left
      }, eventually)
      .toBe(0)
    expect(Math.max(...seen)).toBe(0)
    await herd.stop()
    expect(await herd.stats()).toMatchObject({ calls: 300, reuses: 0, limited: 0, timesRefreshed: { 1: 300 } })
  })

  it('expired and called all at once is served: one token call each', { timeout: 180_000 }, async () => {
    await make({ count: 200, workers: 1, perSecond: 1_000 })
    await allExpired(query)
    expect(await herd.callAll()).toMatchObject({ succeeded: 200, failures: [] })
    expect(await herd.stats()).toMatchObject({ calls: 200, reuses: 0, limited: 0, timesRefreshed: { 1: 200 } })
  })
})
