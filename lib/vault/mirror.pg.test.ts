import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { newId, type ConnectionId, type TenantId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import { createMirror, EVENTS_KEPT, type Shown } from './mirror'
import { createUsage } from './usage'

let db: TestDatabases
beforeAll(async () => {
  db = await createTestDatabases({ max: 4 })
})
afterAll(() => db.close())

async function createConnection(tenantId: TenantId = newId('tenant')) {
  const connectionId = newId('connection')
  await db.adminQuery('app', 'INSERT INTO tenant (id, name, slug) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING', [
    tenantId,
    'w',
    tenantId.replaceAll('_', '-'),
  ])
  await db.adminQuery(
    'app',
    `INSERT INTO connection (tenant_id, id, provider, provider_app, subject, account_label, access, state, state_at, credential_generation)
     VALUES ($1, $2, 'github', 'app', $2, 's', 'allowed', 'active', 'epoch', 1)`,
    [tenantId, connectionId],
  )
  await db.adminQuery(
    'vault',
    `INSERT INTO credential (tenant_id, connection_id, provider, provider_app, subject, state, generation, key_version)
     VALUES ($1, $2, 'github', 'app', 's', 'active', 1, 1)`,
    [tenantId, connectionId],
  )
  return { tenantId, connectionId }
}
const shownRow = async (connectionId: string) =>
  (await db.adminQuery('app', 'SELECT * FROM connection WHERE id = $1', [connectionId]))[0] ?? {}
const countEvents = async (connectionId: string) =>
  (
    await db.adminQuery('app', 'SELECT count(*)::int AS n FROM refresh_event WHERE connection_id = $1', [connectionId])
  )[0]?.['n']

const shown = (at: Date, failures: number): Shown => ({
  at,
  accessExpiresAt: at,
  refreshExpiresAt: null,
  nextRefreshAt: at,
  refreshTokenPresent: true,
  failures,
})
const event = (at: Date, outcome = 'issued') => ({
  at,
  cause: 'due',
  outcome,
  code: outcome === 'issued' ? null : 'x'.repeat(100),
  latencyMs: 12.6,
  generation: 2,
})

describe('the copy in the application database', () => {
  it('is never set back by an older one that comes late', async () => {
    const { tenantId, connectionId } = await createConnection()
    const mirror = createMirror(db.app)
    const [older, newer] = [new Date('2026-01-01T00:00:00Z'), new Date('2026-01-01T00:00:01Z')]
    await mirror.report(tenantId, connectionId, { shown: shown(newer, 0), event: event(newer) })
    await mirror.report(tenantId, connectionId, { shown: shown(older, 7), event: event(older, 'weather') })
    await mirror.report(tenantId, connectionId, { shown: shown(older, 7), event: event(older) })
    expect(await shownRow(connectionId)).toMatchObject({
      failures: 0,
      next_refresh_at: newer,
      last_refresh_at: newer,
      last_error_at: older,
      last_error_code: 'x'.repeat(64),
    })
    await mirror.copyState(tenantId, connectionId, {
      state: 'revoked',
      reason: 'r',
      cause: 'due',
      at: newer,
      generation: 2,
    })
    await mirror.copyState(tenantId, connectionId, {
      state: 'active',
      reason: 'r',
      cause: 'due',
      at: older,
      generation: 2,
    })
    expect(await shownRow(connectionId)).toMatchObject({
      state: 'revoked',
      access: 'blocked',
      access_reason: 'revoked',
    })
  })

  it('does not unblock, nor take over a block of a person', async () => {
    const { tenantId, connectionId } = await createConnection()
    await db.adminQuery('app', `UPDATE connection SET access = 'blocked', access_reason = 'person' WHERE id = $1`, [
      connectionId,
    ])
    const copy = (state: 'revoked' | 'active', at: Date) =>
      createMirror(db.app).copyState(tenantId, connectionId, { state, reason: 'r', cause: 'due', at, generation: 2 })
    await copy('revoked', new Date('2026-01-01T00:00:00Z'))
    await copy('active', new Date('2026-01-02T00:00:00Z'))
    expect(await shownRow(connectionId)).toMatchObject({ state: 'active', access: 'blocked', access_reason: 'person' })
  })

  it('keeps the newest lines of each connection and no more', async () => {
    const { tenantId, connectionId } = await createConnection()
    const other = await createConnection(tenantId)
    await db.adminQuery(
      'app',
      `INSERT INTO refresh_event (tenant_id, id, connection_id, at, cause, outcome, generation)
       SELECT $1, c || '-' || n, c, now() - n * interval '1 minute', 'due', 'issued', 2
         FROM generate_series(1, 300) n CROSS JOIN unnest(ARRAY[$2, $3]) c`,
      [tenantId, connectionId, other.connectionId],
    )
    const write = (random: number) =>
      createMirror(db.app, { random: () => random }).report(tenantId, connectionId, {
        shown: shown(new Date(), 0),
        event: event(new Date()),
      })
    await write(0.99)
    expect(await countEvents(connectionId)).toBe(301)
    await write(0)
    expect(await countEvents(connectionId)).toBe(EVENTS_KEPT)
    expect(await countEvents(other.connectionId)).toBe(300)
    const [oldest] = await db.adminQuery(
      'app',
      `SELECT now() - min(at) < interval '199 minutes' AS is_new FROM refresh_event WHERE connection_id = $1`,
      [connectionId],
    )
    expect(oldest).toEqual({ is_new: true })
  })

  it('has no history for a connection that people do not see', async () => {
    const { tenantId } = await createConnection()
    const unseen = newId('connection')
    await createMirror(db.app).report(tenantId, unseen, { shown: shown(new Date(), 0), event: event(new Date()) })
    expect(await countEvents(unseen)).toBe(0)
  })
})

describe('the time of the last use', () => {
  let now = 0
  const createUse = () =>
    createUsage({ appDb: db.app, vaultDb: db.vault, log: createLog('test', 'silent'), monotonicMs: () => now })
  const used = async (connectionId: ConnectionId) => [
    (await shownRow(connectionId))['last_used_at'],
    (await db.adminQuery('vault', 'SELECT last_used_at FROM credential WHERE connection_id = $1', [connectionId]))[0]?.[
      'last_used_at'
    ],
  ]

  it('is written to both databases with others, and once a minute for each connection', async () => {
    const first = await createConnection()
    const second = await createConnection(first.tenantId)
    const idle = await createConnection(first.tenantId)
    const usage = createUse()
    for (let i = 0; i < 100; i += 1) usage.touch(first.tenantId, first.connectionId)
    usage.touch(second.tenantId, second.connectionId)
    expect(await used(first.connectionId)).toEqual([null, null]) // a call waits for nothing
    await usage.flush()
    const before = await used(first.connectionId)
    expect(before.every((at) => at instanceof Date)).toBe(true)
    expect((await used(second.connectionId)).every((at) => at instanceof Date)).toBe(true)
    expect(await used(idle.connectionId)).toEqual([null, null])

    now += 59_000
    usage.touch(first.tenantId, first.connectionId)
    await usage.flush()
    expect(await used(first.connectionId)).toEqual(before)
    now += 2_000
    usage.touch(first.tenantId, first.connectionId)
    await usage.close()
    expect(await used(first.connectionId)).not.toEqual(before)
  })

  it('skips a row that a call holds, and takes it with its next use', async () => {
    const { tenantId, connectionId } = await createConnection()
    const usage = createUse()
    await db.app.tenant(tenantId, async (tx) => {
      await tx.$queryRaw`SELECT 1 AS held FROM connection WHERE id = ${connectionId} FOR SHARE`
      usage.touch(tenantId, connectionId)
      await usage.flush()
    })
    expect(await used(connectionId)).toEqual([null, null])
    usage.touch(tenantId, connectionId)
    await usage.close()
    expect((await used(connectionId)).every((at) => at instanceof Date)).toBe(true)
  })

  it('is kept in memory while the database refuses', async () => {
    const { tenantId, connectionId } = await createConnection()
    const usage = createUse()
    await db.adminQuery('app', `ALTER TABLE connection ADD CONSTRAINT outage CHECK (last_used_at IS NULL) NOT VALID`)
    usage.touch(tenantId, connectionId)
    await usage.flush()
    await db.adminQuery('app', 'ALTER TABLE connection DROP CONSTRAINT outage')
    expect(await used(connectionId)).toEqual([null, null])
    await usage.close()
    expect((await used(connectionId)).every((at) => at instanceof Date)).toBe(true)
  })
})
