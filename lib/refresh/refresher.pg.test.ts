import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import { newId, type ConnectionId, type TenantId } from '@/lib/ids'
import type { RefreshMode } from '@/lib/providers/definition'
import { Secret } from '@/lib/secret'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { bundle, start, type TestProcess } from '@/lib/testing/process'
import { TEST_PROVIDER } from '@/lib/testing/refresh-client'
import type { CallResult, Order, Report } from '@/lib/testing/refresh-driver'
import { createEngine, type Engine, type EngineOptions } from '@/lib/testing/refresh-engine'
import { createTokenEndpoint, type TokenEndpoint } from '@/lib/testing/token-endpoint'

type Driver = TestProcess<Order, Report>
type Done = Extract<Report, { event: 'done' }>
const isReady = (report: Report): report is Extract<Report, { event: 'ready' }> => report.event === 'ready'
const isSpooled = (report: Report): report is Extract<Report, { event: 'spooled' }> => report.event === 'spooled'

let db: TestDatabases
let file: string
const cleanups: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  db = await createTestDatabases({ max: 2 })
  file = await bundle('lib/testing/refresh-driver.ts')
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
afterAll(() => db.close())

interface World {
  readonly tenantId: TenantId
  readonly connectionId: ConnectionId
  readonly endpoint: TokenEndpoint
  readonly options: EngineOptions
  /** An engine in this process, to look at what became of the connection. */
  readonly here: Engine
  spawn(extra?: { holdAfterSpool?: boolean }): Promise<Driver>
  /** Lets the access token run out, as time does. */
  expire(): Promise<void>
  row(): Promise<Record<string, unknown>>
}

let orders = 0

async function createWorld(mode: RefreshMode, timing: EngineOptions['timing'] = {}, expiresIn = 3_600): Promise<World> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'portcullis-refresh-'))
  cleanups.push(() => rm(dataDir, { recursive: true, force: true }))
  const endpoint = await createTokenEndpoint(mode, { expiresIn })
  cleanups.push(() => endpoint.close())
  const tenantId = newId('tenant')
  const connectionId = newId('connection')
  await db.adminQuery('vault', 'DELETE FROM credential')
  await db.adminQuery('vault', 'DELETE FROM key_canary')
  await db.app.tenant(tenantId, (tx) => tx.tenant.create({ data: { id: tenantId, name: 'w', slug: slugOf(tenantId) } }))
  const options = {
    appUrl: db.urls.app,
    vaultUrl: db.urls.vault,
    dataDir,
    tokenUrl: endpoint.url,
    mode,
    max: 2,
    timing: { pollMs: 5, pollMaxMs: 40, ...timing },
  }
  const here = await createEngine(options)
  cleanups.push(() => here.close())
  const { generation } = await here.credentials.create({
    tenantId,
    connectionId,
    provider: TEST_PROVIDER.name,
    providerApp: TEST_PROVIDER.app,
    subject: 'someone',
    tokens: {
      accessToken: new Secret(endpoint.first.access),
      refreshToken: new Secret(endpoint.first.refresh),
      accessExpiresAt: new Date(Date.now() + 3_600_000),
      refreshExpiresAt: null,
      grantedScopes: ['repo'],
    },
  })
  await db.app.tenant(tenantId, (tx) =>
    tx.connection.create({
      data: {
        tenantId,
        id: connectionId,
        provider: TEST_PROVIDER.name,
        providerApp: TEST_PROVIDER.app,
        subject: 'someone',
        accountLabel: 'someone',
        access: 'allowed',
        state: 'active',
        stateAt: new Date(0),
        credentialGeneration: generation,
      },
    }),
  )
  return {
    tenantId,
    connectionId,
    endpoint,
    options,
    here,
    async spawn(extra = {}) {
      const driver: Driver = start(file, { ...options, ...extra })
      cleanups.push(() => driver.kill())
      await driver.receive(isReady)
      return driver
    },
    expire: async () => {
      await db.adminQuery(
        'vault',
        `UPDATE credential SET issued_at = now() - interval '2 hours', access_expires_at = now() - interval '1 hour',
           refresh_at = now() - interval '90 minutes' WHERE connection_id = $1`,
        [connectionId],
      )
      here.credentials.evict(tenantId, connectionId)
    },
    row: async () => {
      const [row] = await db.adminQuery('vault', 'SELECT * FROM credential WHERE connection_id = $1', [connectionId])
      return row ?? {}
    },
  }
}

const slugOf = (tenantId: TenantId) => tenantId.replaceAll('_', '-')

function ask(driver: Driver, world: World, count: number, op: Order['op'] = 'calls'): Promise<readonly CallResult[]> {
  const id = ++orders
  driver.send({ id, op, tenantId: world.tenantId, connectionId: world.connectionId, count })
  return driver
    .receive((report): report is Done => report.event === 'done' && report.id === id)
    .then((done) => done.results)
}

describe(
  'fifty concurrent calls on one expired connection, from two processes with two database connections each',
  { timeout: 120_000 },
  () => {
    it.each(['static', 'grace', 'strict', 'family_revoke'] as const)(
      'all succeed with one token call and no reuse: %s, cold and warm',
      async (mode) => {
        const world = await createWorld(mode, {}, 5)
        const drivers = [await world.spawn(), await world.spawn()] as const
        await world.expire()
        for (const round of ['cold', 'warm'] as const) {
          const before = world.endpoint.calls()
          const results = (await Promise.all(drivers.map((driver) => ask(driver, world, 25)))).flat()
          expect(results, round).toHaveLength(50)
          expect(new Set(results.map(({ token, code }) => token ?? code)), round).toEqual(
            new Set([world.endpoint.newest().access]),
          )
          expect(world.endpoint.calls() - before, round).toBe(1)
          if (round === 'warm') break
          // Both processes have the row, its key and its token in memory now. Wait, by the database's clock, for its end.
          await db.adminQuery('vault', 'SELECT pg_sleep_for(access_expires_at - clock_timestamp()) FROM credential')
        }
        expect(world.endpoint.reuses()).toBe(0)
        expect(await world.row()).toMatchObject({ generation: 3, lease_owner: null, attempt_id: null, state: 'active' })
        await Promise.all(drivers.map((driver) => ask(driver, world, 0, 'drain')))
        const floors = await db.adminQuery('app', 'SELECT credential_generation FROM connection WHERE id = $1', [
          world.connectionId,
        ])
        expect(floors).toEqual([{ credential_generation: 3 }])
      },
    )
  },
)

describe('a process that stops or dies while it refreshes', { timeout: 120_000 }, () => {
  it('saves a rotated token that was spooled before kill -9, in strict mode', async () => {
    const world = await createWorld('strict')
    await world.expire()
    const doomed = await world.spawn({ holdAfterSpool: true })
    doomed.send({ id: ++orders, op: 'calls', tenantId: world.tenantId, connectionId: world.connectionId, count: 1 })
    await doomed.receive(isSpooled)
    await doomed.kill()
    expect(await world.row()).toMatchObject({ generation: 1 })
    expect(await world.here.refresher.recoverAbandoned()).toMatchObject({ replayed: 1 })
    const { token, generation } = await world.here.refresher.accessToken(world.tenantId, world.connectionId, {
      minGeneration: 1,
    })
    expect([token.reveal(), generation]).toEqual([world.endpoint.newest().access, 2])
    expect([world.endpoint.calls(), world.endpoint.reuses()]).toEqual([1, 0])
    expect(await world.here.journal.list()).toEqual([])
    // And the saved refresh token is the new one.
    await world.expire()
    await world.here.refresher.accessToken(world.tenantId, world.connectionId, { minGeneration: 2 })
    expect([world.endpoint.calls(), world.endpoint.reuses()]).toEqual([2, 0])
  })

  it.each([
    // The provider rotated, the answer never came: what is left depends on the mode alone.
    { mode: 'static', calls: 2, ends: 'active' },
    { mode: 'grace', calls: 2, ends: 'active' },
    { mode: 'strict', calls: 2, ends: 'reauthorization_required' },
    { mode: 'family_revoke', calls: 1, ends: 'reauthorization_required' },
  ] as const)(
    'recovers from kill -9 before the answer by the rule of its mode: $mode',
    async ({ mode, calls, ends }) => {
      const world = await createWorld(mode, { leaseMs: 300, renewMs: 100 })
      await world.expire()
      const doomed = await world.spawn()
      const held = world.endpoint.hold()
      doomed.send({ id: ++orders, op: 'calls', tenantId: world.tenantId, connectionId: world.connectionId, count: 1 })
      const request = await held
      await doomed.kill()
      request.drop()
      // A caller elsewhere waits for the dead process's lease and takes over.
      const outcome = await world.here.refresher
        .accessToken(world.tenantId, world.connectionId, { minGeneration: 1 })
        .then(({ token }) => token.reveal())
        .catch((error: unknown) => error)
      expect(world.endpoint.calls()).toBe(calls)
      const row = await world.row()
      expect(row).toMatchObject({ state: ends, lease_owner: null })
      if (ends === 'active') expect(outcome).toBe(world.endpoint.newest().access)
      else {
        expect(outcome).toMatchObject({ code: 'connection.reauthorization_required' })
        expect(row).toMatchObject({ state_reason: 'lost_rotation', generation: 1 })
      }
      // Waking up for it again changes nothing.
      await world.here.refresher.recoverAbandoned()
      expect(world.endpoint.calls()).toBe(calls)
    },
  )

  it('SIGSTOP of the lease holder: resumed, it neither overwrites the newer token nor releases the other lease', async () => {
    const world = await createWorld('static', { leaseMs: 300, renewMs: 100 })
    await world.expire()
    const stopped = await world.spawn()
    const other = await world.spawn()
    const firstHeld = world.endpoint.hold()
    const stoppedCall = ask(stopped, world, 1)
    const first = await firstHeld
    stopped.child.kill('SIGSTOP')
    const { attempt_id: firstAttempt } = await world.row()
    // The other takes over when the lease has run out, and is held inside the provider too.
    const secondHeld = world.endpoint.hold()
    const otherCall = ask(other, world, 1)
    const second = await secondHeld
    const { attempt_id: secondAttempt, lease_owner: secondOwner } = await world.row()
    expect(secondAttempt).not.toBe(firstAttempt)
    // Resumed with its answer in hand, the first finds that the attempt is no longer its own.
    first.release()
    stopped.child.kill('SIGCONT')
    await stopped.receive(isSpooled)
    expect(await world.row()).toMatchObject({ generation: 1, attempt_id: secondAttempt, lease_owner: secondOwner })
    second.release()
    const [[late], [winner]] = await Promise.all([stoppedCall, otherCall])
    const row = await world.row()
    expect(row).toMatchObject({ generation: 2, state: 'active', lease_owner: null })
    expect(winner).toEqual({ token: world.endpoint.newest().access, generation: 2 })
    expect(late).toEqual(winner)
    expect(world.endpoint.calls()).toBe(2)
  })

  it('SIGSTOP in strict mode: the answer that comes late is the only live token, and the connection lives again', async () => {
    const world = await createWorld('strict', { leaseMs: 300, renewMs: 100 })
    await world.expire()
    const stopped = await world.spawn()
    const held = world.endpoint.hold()
    const stoppedCall = ask(stopped, world, 1)
    const request = await held
    stopped.child.kill('SIGSTOP')
    await expect(
      world.here.refresher.accessToken(world.tenantId, world.connectionId, { minGeneration: 1 }),
    ).rejects.toMatchObject({ code: 'connection.reauthorization_required' })
    expect(await world.row()).toMatchObject({ state_reason: 'lost_rotation' })
    request.release()
    stopped.child.kill('SIGCONT')
    expect(await stoppedCall).toEqual([{ token: world.endpoint.newest().access, generation: 2 }])
    expect(await world.row()).toMatchObject({ state: 'active', generation: 2 })
  })
})
