import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { systemClock } from '@/lib/clock'
import { AppError } from '@/lib/errors'
import type { ConnectionId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { explainDueScan, vacuumCredentials } from '@/lib/testing/due-scan'

import { createProactive, type Proactive, type ProactiveLimits } from './proactive'
import { createProviderApps, type ProviderApps } from './provider-apps'

const APP = 'app'

let db: TestDatabases
let apps: ProviderApps
/** What was asked to be refreshed, in order. */
let asked: string[]
let rested: string[]
let answer: (id: string) => Promise<void>
const started: Proactive[] = []
beforeAll(async () => {
  db = await createTestDatabases({ max: 6 })
})
afterAll(() => db.close())
beforeEach(async () => {
  await db.adminQuery('vault', 'TRUNCATE provider_app, provider_app_rejection, refresh_claim, credential')
  const log = createLog('test', 'silent')
  apps = createProviderApps({ vaultDb: db.vault, appDb: db.app, clock: systemClock, log })
  asked = []
  rested = []
  // As a real refresh does: what is refreshed is not due any more.
  answer = async (id) => {
    await db.adminQuery(
      'vault',
      `UPDATE credential SET refresh_at = now() + interval '1 hour' WHERE connection_id = $1`,
      [id],
    )
  }
})
afterEach(async () => {
  await Promise.all(started.splice(0).map((one) => one.stop()))
})

function worker(limits: Partial<ProactiveLimits> = {}, concurrency = 8): Proactive {
  const one = createProactive({
    vaultDb: db.vault,
    refresher: {
      refreshOne: async (_tenantId, connectionId) => {
        asked.push(connectionId)
        await answer(connectionId)
      },
    },
    apps: {
      look: (provider, appKey) => apps.look(provider, appKey),
      limits: () => ({ perSecond: 10_000, concurrency }),
    },
    idle: {
      rest: async (_tenantId, connectionId) => {
        rested.push(connectionId)
        await answer(connectionId)
      },
    },
    isConfigured: (_provider, appKey) => appKey === APP,
    log: createLog('test', 'silent'),
    limits,
  })
  started.push(one)
  return one
}

/** Connections of one tenant; the later they are made, the later they were due. */
let due = 0
const make = async (
  tenant: string,
  count: number,
  { provider = 'github', app = APP, extra = '' }: { provider?: string; app?: string; extra?: string } = {},
) => {
  due += 1
  await db.adminQuery(
    'vault',
    `INSERT INTO credential (tenant_id, connection_id, provider, provider_app, subject, state, generation, key_version, access_expires_at, refresh_at)
     SELECT $1, $1 || '-' || n, $2, $3, 's', 'active', 1, 1, now() + interval '10 minutes', now() - interval '1 hour' + $4 * interval '1 second' + n * interval '1 ms'
       FROM generate_series(1, $5) n`,
    [tenant, provider, app, due, count],
  )
  if (extra !== '') await db.adminQuery('vault', `UPDATE credential SET ${extra} WHERE tenant_id = $1`, [tenant])
}
const claims = async () => (await db.adminQuery('vault', 'SELECT connection_id FROM refresh_claim')).length
const gate = () => {
  let open: () => void = () => undefined
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { open, opened }
}
const eventually = { timeout: 10_000, interval: 10 }

describe('the scan for what is due', () => {
  it('reads the index alone, and as much of it whether there are five thousand connections or forty thousand', async () => {
    const client = new pg.Client({ connectionString: db.admin.vault })
    await client.connect()
    try {
      const buffers: number[] = []
      for (const more of [5_000, 35_000]) {
        await make(`later${more}`, more, { extra: `refresh_at = now() + interval '1 hour'` })
        await make(`due${more}`, more === 5_000 ? 40 : 0)
        await vacuumCredentials(client)
        const plan = await explainDueScan(client, { provider: 'github', app: APP, window: 20_000 })
        expect(plan).toMatchObject({ scans: ['Index Only Scan using credential_due'], rows: 40, heapFetches: 0 })
        buffers.push(plan.buffers)
      }
      expect(Math.max(...buffers)).toBeLessThanOrEqual(8)
    } finally {
      await client.end()
    }
  })

  it('finds the apps with something due, and only those, by jumping', async () => {
    await make('a', 300, { provider: 'google' })
    await make('b', 300, { provider: 'slack', extra: `refresh_at = now() + interval '1 hour'` })
    await make('c', 3, { provider: 'github' })
    await make('d', 3, { provider: 'github', app: 'other' })
    await make('e', 3, { provider: 'notion', extra: `state = 'reauthorization_required'` })
    await make('f', 3, { provider: 'linear', extra: `refresh_at = NULL` })
    const rows = await db.vault.global.$queryRaw<object[]>`SELECT provider, provider_app FROM due_apps()`
    expect(rows).toEqual([
      { provider: 'github', provider_app: 'app' },
      { provider: 'github', provider_app: 'other' },
      { provider: 'google', provider_app: 'app' },
    ])
  })
})

describe('who is refreshed when', () => {
  it('a workspace with nine thousand due does not delay a workspace with one', async () => {
    await make('large', 9_000)
    await make('small', 1)
    const seen = gate()
    answer = async () => {
      if (asked.includes('small-1')) seen.open()
      await seen.opened
    }
    const run = worker({ batch: 10 }).run()
    await seen.opened
    expect(asked.length).toBeLessThanOrEqual(10)
    await Promise.all(started.map((one) => one.stop()))
    await run
  })

  it('workspaces take turns, the longest due of each first', async () => {
    await make('a', 50)
    await make('b', 3)
    await make('c', 2)
    await worker({}, 1).run()
    expect(asked.slice(0, 8)).toEqual(['a-1', 'b-1', 'c-1', 'a-2', 'b-2', 'c-2', 'a-3', 'b-3'])
    expect(asked.length).toBe(55)
  })

  it('two workers never take the same, and share the work', async () => {
    await make('a', 120)
    await make('b', 80)
    const both = await Promise.all([worker({ batch: 20 }).run(), worker({ batch: 20 }).run()])
    expect(new Set(asked).size).toBe(asked.length)
    expect(asked.length).toBe(200)
    expect(both.map(({ refreshed }) => refreshed > 0)).toEqual([true, true])
  })

  it('what a dead worker had claimed is taken by another when the claim ends, not before', async () => {
    await make('a', 3)
    await db.adminQuery(
      'vault',
      `INSERT INTO refresh_claim SELECT connection_id, now() + interval '1 minute' FROM credential`,
    )
    await worker().run()
    expect(asked).toEqual([])
    await db.adminQuery('vault', `UPDATE refresh_claim SET until = now() - interval '1 ms'`)
    await worker().run()
    expect(asked.length).toBe(3)
  })

  it('leaves an app alone that this installation does not have', async () => {
    await make('a', 3, { app: 'foreign' })
    await make('b', 1)
    await worker().run()
    expect(asked).toEqual(['b-1'])
  })

  it('what nobody used for thirty days is put to rest instead', async () => {
    await make('old', 2, {
      extra: `created_at = now() - interval '90 days', last_used_at = now() - interval '31 days'`,
    })
    await make('never', 1, { extra: `created_at = now() - interval '31 days'` })
    await make('new', 1)
    await make('used', 1, {
      extra: `created_at = now() - interval '90 days', last_used_at = now() - interval '29 days'`,
    })
    const report = await worker().run()
    expect([...rested].sort()).toEqual(['never-1', 'old-1', 'old-2'])
    expect([...asked].sort()).toEqual(['new-1', 'used-1'])
    expect(report).toEqual({ refreshed: 2, rested: 3, failed: 0 })
  })
})

describe('trouble', () => {
  it('one that fails is not tried again in the same run, and nobody waits for it', async () => {
    await make('bad', 1)
    await make('good', 30)
    const well = answer
    answer = (id) => (id === 'bad-1' ? Promise.reject(new AppError('provider.unavailable', 'x')) : well(id))
    const report = await worker({ batch: 5 }).run()
    expect(report).toEqual({ refreshed: 30, rested: 0, failed: 1 })
    expect(asked.filter((id) => id === 'bad-1')).toHaveLength(1)
  })

  it('one that stays due although it was refreshed does not keep a worker busy', async () => {
    await make('odd', 3)
    answer = () => Promise.resolve()
    await worker({ batch: 2 }).run()
    expect(asked.length).toBe(3)
  })

  it('a provider that hangs holds up its own app alone, and its lane is not started twice', async () => {
    await make('hung', 3, { provider: 'google' })
    await make('well', 3)
    const hanging = gate()
    const well = answer
    answer = (id) => (id.startsWith('hung') ? hanging.opened : well(id))
    const one = worker({ startMs: 1 })
    const countOf = (name: string) => asked.filter((id) => id.startsWith(name)).length
    // Asked again and again, as the queue asks.
    const afterStart = (name: string) => async () => {
      await one.start()
      return countOf(name)
    }
    try {
      await expect.poll(afterStart('well'), eventually).toBe(3)
      await make('later', 2)
      await expect.poll(afterStart('later'), eventually).toBe(2)
      expect(countOf('hung')).toBe(3)
    } finally {
      hanging.open()
    }
  })

  it('nothing is claimed while the circuit is open; when its pause is over one goes to see', async () => {
    await make('a', 20)
    const who = { tenantId: 't', connectionId: 'a-1' } as never // ids that the circuit only compares
    await apps.report({
      provider: 'github',
      appKey: APP,
      ...(who as object),
      outcome: 'app_fault',
      code: 'invalid_client',
    } as never)
    await worker().run()
    expect(asked).toEqual([])
    expect(await claims()).toBe(0)
    await db.adminQuery('vault', `UPDATE provider_app SET open_until = now() - interval '1 s', version = version + 1`)
    apps = createProviderApps({
      vaultDb: db.vault,
      appDb: db.app,
      clock: systemClock,
      log: createLog('test', 'silent'),
    })
    // The one that goes finds the gate as everybody does, and does not come back before the others have looked.
    answer = async () => {
      await apps.gate('github', APP)
      throw new AppError('provider.unavailable', 'x')
    }
    await worker().run()
    expect(asked).toHaveLength(1)
  })

  it('what was claimed is given back when the circuit opens meanwhile', async () => {
    await make('a', 40)
    answer = async (id) => {
      await apps.report({
        provider: 'github',
        appKey: APP,
        tenantId: 't' as never, // ids that the circuit only compares
        connectionId: id as ConnectionId,
        outcome: 'app_fault',
        code: 'invalid_client',
      })
      throw new AppError('provider.misconfigured', 'x')
    }
    const report = await worker({ batch: 40 }, 2).run()
    expect(report.failed).toBe(asked.length)
    expect(asked.length).toBeLessThan(10)
    expect(await claims()).toBe(asked.length)
  })
})

describe('told to stop', () => {
  it('finishes what is under way, gives back the rest and begins nothing', async () => {
    await make('a', 30)
    const held = gate()
    const well = answer
    answer = async (id) => {
      await held.opened
      await well(id)
    }
    const one = worker({ batch: 30 }, 4)
    const run = one.run()
    await expect.poll(() => asked.length, eventually).toBe(4)
    let isStopped = false
    const stopping = one.stop().then(() => (isStopped = true))
    await db.adminQuery('vault', 'SELECT 1')
    expect(isStopped).toBe(false)
    held.open()
    await stopping
    expect(await run).toEqual({ refreshed: 4, rested: 0, failed: 0 })
    expect(await claims()).toBe(0)
    await one.run()
    await one.startIfSilent(0)
    expect(asked.length).toBe(4)
  })
})

describe('when the queue is silent', () => {
  it('the worker looks by itself, and leaves it to the queue while that asks', async () => {
    await make('a', 1)
    let now = 0
    const one = createProactive({
      vaultDb: db.vault,
      refresher: {
        refreshOne: async (_tenantId, connectionId) => answer(connectionId).then(() => void asked.push(connectionId)),
      },
      apps,
      idle: { rest: () => Promise.resolve() },
      isConfigured: () => true,
      log: createLog('test', 'silent'),
      monotonicMs: () => now,
    })
    now = 29_000
    await one.startIfSilent(30_000)
    expect(asked).toEqual([])
    now = 30_000
    await one.startIfSilent(30_000)
    expect(asked).toEqual(['a-1'])
  })
})
