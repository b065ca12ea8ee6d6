import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import { systemClock } from '@/lib/clock'
import { createLog } from '@/lib/log'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { TEST_PROVIDER } from '@/lib/testing/refresh-client'
import { createRefreshWorld, type RefreshWorld, type TestConnection } from '@/lib/testing/refresh-world'
import { createUsage } from '@/lib/vault/usage'

import { createIdle } from './idle'
import { createProactive } from './proactive'
import { createProviderApps } from './provider-apps'

const log = createLog('test', 'silent')
let db: TestDatabases
let dataDir: string
let world: RefreshWorld
beforeAll(async () => {
  db = await createTestDatabases({ max: 4 })
  dataDir = await mkdtemp(path.join(tmpdir(), 'portcullis-idle-'))
})
afterEach(() => world.close())
afterAll(async () => {
  await db.close()
  await rm(dataDir, { recursive: true, force: true })
})

const setUp = async () => {
  await db.adminQuery('vault', 'TRUNCATE credential, refresh_claim, audit_outbox')
  world = await createRefreshWorld({ db, dataDir, mode: 'strict' })
  const { credentials, refresher } = world.here
  const idle = createIdle({ vaultDb: db.vault, appDb: db.app, credentials, clock: systemClock, log })
  const apps = createProviderApps({ vaultDb: db.vault, appDb: db.app, clock: systemClock, log })
  const usage = createUsage({ appDb: db.app, vaultDb: db.vault, log })
  const proactive = createProactive({
    vaultDb: db.vault,
    refresher,
    apps,
    idle,
    isConfigured: (_provider, appKey) => appKey === TEST_PROVIDER.app,
    log,
  })
  return { idle, usage, proactive, connection: await world.connection() }
}
const unused = (of: TestConnection, days: number, more = '') =>
  db.adminQuery(
    'vault',
    `UPDATE credential SET created_at = now() - interval '400 days', last_used_at = now() - $2 * interval '1 day',
       refresh_at = now() - interval '1 minute' ${more} WHERE connection_id = $1`,
    [of.connectionId, days],
  )
const shown = async ({ connectionId }: TestConnection) =>
  (
    await db.adminQuery(
      'app',
      'SELECT idle_since IS NOT NULL AS is_idle, idle_reason, state, next_refresh_at FROM connection WHERE id = $1',
      [connectionId],
    )
  )[0]
const call = ({ tenantId, connectionId }: TestConnection) =>
  world.here.refresher.accessToken(tenantId, connectionId, { minGeneration: 1 })

describe('a connection that nobody uses', () => {
  it('is left to expire after thirty days: no request, marked for people, recorded, and out of the schedule', async () => {
    const { connection, proactive } = await setUp()
    await unused(connection, 31)
    expect(await proactive.run()).toMatchObject({ rested: 1, refreshed: 0 })
    expect(connection.grant.calls()).toBe(0)
    expect(await connection.row()).toMatchObject({ state: 'active', refresh_at: null, generation: 1 })
    expect(await shown(connection)).toMatchObject({ is_idle: true, idle_reason: 'unused', next_refresh_at: null })
    expect(await connection.events()).toContain('connection.idle unused')
    expect(await proactive.run()).toEqual({ rested: 0, refreshed: 0, failed: 0 })
  })

  it('is refreshed by the call that needs it after all, and is in the schedule again', async () => {
    const { connection, proactive, usage } = await setUp()
    await unused(connection, 31)
    await proactive.run()
    await db.adminQuery(
      'vault',
      `UPDATE credential SET issued_at = now() - interval '40 days', access_expires_at = now() - interval '39 days' WHERE connection_id = $1`,
      [connection.connectionId],
    )
    world.here.credentials.evict(connection.tenantId, connection.connectionId)
    expect((await call(connection)).generation).toBe(2)
    expect(connection.grant.calls()).toBe(1)
    usage.touch(connection.tenantId, connection.connectionId)
    await usage.close()
    const row = await connection.row()
    expect(row).toMatchObject({ idle_since: null })
    expect(row['refresh_at']).toBeInstanceOf(Date)
    expect(await shown(connection)).toMatchObject({ is_idle: false, idle_reason: null })
  })

  it('wakes by a call that needs no refresh yet, and is then due when it would have been', async () => {
    const { connection, proactive, usage } = await setUp()
    await unused(connection, 31)
    await proactive.run()
    usage.touch(connection.tenantId, connection.connectionId)
    await usage.close()
    const row = await connection.row()
    const [issued, expires, due] = ['issued_at', 'access_expires_at', 'refresh_at'].map((name) =>
      (row[name] as Date).getTime(),
    ) as [number, number, number] // three timestamps, none of them null
    expect((due - issued) / (expires - issued)).toBeGreaterThanOrEqual(0.5)
    expect((due - issued) / (expires - issued)).toBeLessThanOrEqual(0.8)
    expect(connection.grant.calls()).toBe(0)
  })

  it('is not put to rest by a decision that is late: somebody used it meanwhile', async () => {
    const { connection, idle } = await setUp()
    await unused(connection, 1)
    await idle.rest(connection.tenantId, connection.connectionId)
    expect((await connection.row())['refresh_at']).toBeInstanceOf(Date)
    expect(await shown(connection)).toMatchObject({ is_idle: false, idle_reason: null })
  })

  it('says two weeks before that its grant will end, and that it needs people when it has', async () => {
    const { connection, idle, proactive } = await setUp()
    await unused(connection, 31, `, refresh_expires_at = now() + interval '30 days'`)
    await proactive.run()
    expect(await idle.showEndings()).toEqual({ ending: 0, ended: 0 })
    await db.adminQuery('vault', `UPDATE credential SET refresh_expires_at = now() + interval '13 days'`)
    expect(await idle.showEndings()).toEqual({ ending: 1, ended: 0 })
    expect(await idle.showEndings()).toEqual({ ending: 0, ended: 0 })
    expect(await shown(connection)).toMatchObject({ is_idle: true, idle_reason: 'grant_ending', state: 'active' })
    await db.adminQuery(
      'vault',
      `UPDATE credential SET issued_at = now() - interval '180 days', refresh_expires_at = now() - interval '1 minute', access_expires_at = now() - interval '179 days'`,
    )
    expect(await idle.showEndings()).toEqual({ ending: 0, ended: 1 })
    await world.here.credentials.settled()
    expect(await shown(connection)).toMatchObject({ state: 'reauthorization_required' })
    expect(await connection.row()).toMatchObject({ state_reason: 'refresh_token_expired' })
    expect(connection.grant.calls()).toBe(0)
  })
})
