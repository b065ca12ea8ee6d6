import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import { newId, type ConnectionId, type TenantId } from '@/lib/ids'
import type { RefreshResult } from '@/lib/providers/client'
import type { RefreshMode } from '@/lib/providers/definition'
import { Secret } from '@/lib/secret'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createEngine, type Engine } from '@/lib/testing/refresh-engine'
import type { ProviderApps } from './refresher'

const MODES = ['static', 'grace', 'strict', 'family_revoke'] as const
const PROVIDER = { provider: 'github', providerApp: 'app' } as const
const FAULTED: RefreshResult = { kind: 'unknown_outcome', code: 'http_502', answered: true }
const LOST: RefreshResult = { kind: 'unknown_outcome', code: 'connection_lost' }
const UNREACHABLE: RefreshResult = { kind: 'weather', code: 'unreachable' }
const ODD: RefreshResult = { kind: 'rejected', code: 'odd_word', status: 400 }
const GONE: RefreshResult = { kind: 'permanent', code: 'invalid_grant' }

let db: TestDatabases
let dataDir: string
const cleanups: (() => Promise<unknown>)[] = []
beforeAll(async () => {
  db = await createTestDatabases({ max: 2 })
  dataDir = await mkdtemp(path.join(tmpdir(), 'portcullis-lifecycle-'))
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
afterAll(async () => {
  await db.close()
  await rm(dataDir, { recursive: true, force: true })
})

/** A provider that answers by script; what it is not told, it issues. */
interface Provider {
  readonly mode: RefreshMode
  readonly sent: string[]
  readonly script: (RefreshResult | (() => Promise<RefreshResult>))[]
}

let issued = 0
function issue(): RefreshResult {
  issued += 1
  return {
    kind: 'issued',
    tokens: {
      accessToken: new Secret(`access-${issued}`),
      refreshToken: new Secret(`refresh-${issued}`),
      accessExpiresAt: new Date(Date.now() + 3_600_000),
      refreshExpiresAt: null,
      grantedScopes: null,
    },
  }
}

async function engineFor(
  provider: Provider,
  { max = 2, apps }: { readonly max?: number; readonly apps?: ProviderApps } = {},
): Promise<Engine> {
  const engine = await createEngine(
    {
      appUrl: db.urls.app,
      vaultUrl: db.urls.vault,
      dataDir,
      spoolDir: path.join(dataDir, newId('request')),
      tokenUrl: 'http://127.0.0.1:9/none',
      mode: provider.mode,
      max,
      timing: { pollMs: 2, pollMaxMs: 20, breathMs: 1 },
    },
    undefined,
    () => ({
      get: () => ({
        definition: { refreshMode: provider.mode },
        app: { key: PROVIDER.providerApp },
        refresh: (token) => {
          provider.sent.push(token.reveal())
          const next = provider.script.shift() ?? issue()
          return typeof next === 'function' ? next() : Promise.resolve(next)
        },
      }),
    }),
    apps,
  )
  cleanups.push(() => engine.close())
  return engine
}

const providerOf = (mode: RefreshMode): Provider => ({ mode, sent: [], script: [] })

interface World {
  readonly engine: Engine
  readonly provider: Provider
  readonly tenantId: TenantId
  readonly connectionId: ConnectionId
}

async function createWorld(
  mode: RefreshMode,
  options: { readonly max?: number; readonly apps?: ProviderApps } = {},
): Promise<World> {
  const provider = providerOf(mode)
  const engine = await engineFor(provider, options)
  const tenantId = newId('tenant')
  const connectionId = newId('connection')
  await engine.credentials.create({
    tenantId,
    connectionId,
    ...PROVIDER,
    subject: 's',
    tokens: {
      accessToken: new Secret('access-0'),
      refreshToken: new Secret('refresh-0'),
      accessExpiresAt: new Date(Date.now() + 3_600_000),
      refreshExpiresAt: null,
      grantedScopes: ['a'],
    },
  })
  await db.adminQuery('app', 'INSERT INTO tenant (id, name, slug) VALUES ($1, $2, $3)', [
    tenantId,
    'w',
    tenantId.replaceAll('_', '-'),
  ])
  await db.adminQuery(
    'app',
    `INSERT INTO connection (tenant_id, id, provider, provider_app, subject, account_label, access, state, state_at, credential_generation)
     VALUES ($1, $2, 'github', 'app', 's', 's', 'allowed', 'active', 'epoch', 1)`,
    [tenantId, connectionId],
  )
  return { engine, provider, tenantId, connectionId }
}

const change = async ({ engine, tenantId, connectionId }: World, assignments: string) => {
  await db.adminQuery('vault', `UPDATE credential SET ${assignments} WHERE connection_id = $1`, [connectionId])
  engine.credentials.evict(tenantId, connectionId)
}
/** Hours pass: the token is over, and whatever was put off is due. */
const expire = (world: World, more = '') =>
  change(
    world,
    `issued_at = now() - interval '2 hours', access_expires_at = now() - interval '1 hour', refresh_at = now() - interval '1 hour'${more}`,
  )
const row = async ({ connectionId }: World) =>
  (await db.adminQuery('vault', 'SELECT * FROM credential WHERE connection_id = $1', [connectionId]))[0] ?? {}
const shown = async ({ engine, connectionId }: World) => {
  await engine.refresher.drain()
  return (await db.adminQuery('app', 'SELECT * FROM connection WHERE id = $1', [connectionId]))[0] ?? {}
}
const history = async ({ engine, connectionId }: World) => {
  await engine.refresher.drain()
  return db.adminQuery(
    'app',
    'SELECT cause, outcome, code, latency_ms, generation FROM refresh_event WHERE connection_id = $1 ORDER BY at, id',
    [connectionId],
  )
}
const audited = async ({ tenantId }: World) =>
  (
    await db.adminQuery(
      'vault',
      `SELECT record->>'action' AS action, record->>'reason' AS reason FROM audit_outbox WHERE tenant_id = $1 ORDER BY id`,
      [tenantId],
    )
  ).map(({ action, reason }) => `${String(action)} ${String(reason)}`)
const call = async ({ engine, tenantId, connectionId }: World) =>
  (await engine.refresher.accessToken(tenantId, connectionId, { minGeneration: 1 })).token.reveal()
const due = ({ engine, tenantId, connectionId }: World) => engine.refresher.refreshOne(tenantId, connectionId, 'due')
const settledDue = (world: World) => due(world).catch(() => undefined)

describe('server errors', () => {
  it.each(MODES)('for hours disconnect nobody and leave the stored token as it is: %s', async (mode) => {
    const world = await createWorld(mode)
    for (let hour = 0; hour < 12; hour += 1) {
      await expire(world)
      world.provider.script.push(FAULTED, ...(mode === 'static' || mode === 'grace' ? [FAULTED] : []))
      await expect(due(world)).rejects.toMatchObject({ code: 'provider.unavailable' })
    }
    expect(await row(world)).toMatchObject({ state: 'degraded', generation: 1, lease_owner: null, failures: 12 })
    expect(new Set(world.provider.sent)).toEqual(new Set(['refresh-0']))
    await expire(world)
    await due(world)
    expect(await row(world)).toMatchObject({ state: 'active', generation: 2, failures: 0, maybe_spent: false })
    expect((await audited(world)).filter((line) => line.includes('state_changed'))).toEqual([
      'connection.state_changed active:degraded:http_502:due',
      'connection.state_changed degraded:active:refresh:refresh',
    ])
  })

  it.each([
    ['strict', 'lost_rotation'],
    ['static', 'invalid_grant'],
  ] as const)(
    'that came after the deed end with the documented word, and then say what was lost: %s',
    async (mode, reason) => {
      const world = await createWorld(mode)
      await expire(world)
      world.provider.script.push(FAULTED, FAULTED)
      if (mode === 'strict') world.provider.script.pop()
      await settledDue(world)
      expect(await row(world)).toMatchObject({ state: 'active', maybe_spent: true })
      await expire(world)
      world.provider.script.push(GONE)
      await settledDue(world)
      expect(await row(world)).toMatchObject({ state: 'reauthorization_required', state_reason: reason })
    },
  )
})

describe('an answer that was lost on the way', () => {
  it.each([
    { mode: 'static', sends: 2, ends: 'active' },
    { mode: 'grace', sends: 2, ends: 'active' },
    { mode: 'strict', sends: 2, ends: 'reauthorization_required' },
    { mode: 'family_revoke', sends: 1, ends: 'reauthorization_required' },
  ] as const)('twice is answered by the one rule of its mode: $mode', async ({ mode, sends, ends }) => {
    const world = await createWorld(mode)
    await expire(world)
    world.provider.script.push(LOST, LOST)
    await expect(call(world)).rejects.toThrow()
    expect(world.provider.sent).toHaveLength(sends)
    expect(await row(world)).toMatchObject({ state: ends, generation: 1, lease_owner: null })
    if (ends === 'active') return
    expect(await row(world)).toMatchObject({ state_reason: 'lost_rotation' })
    await world.engine.refresher.recoverAbandoned()
    await expire(world)
    await due(world)
    expect(world.provider.sent).toHaveLength(sends) // no timer tries again
  })

  it('in strict mode does not cost the connection when the second try does not even leave', async () => {
    const world = await createWorld('strict')
    await expire(world)
    world.provider.script.push(LOST, UNREACHABLE)
    await settledDue(world)
    for (let i = 0; i < 5; i += 1) {
      await expire(world)
      world.provider.script.push(UNREACHABLE)
      await settledDue(world)
    }
    expect(await row(world)).toMatchObject({ state: 'degraded', unknown_outcomes: 1 })
    await expire(world)
    expect(await call(world)).toBe(`access-${issued}`)
  })
})

describe('two processes and one token', () => {
  it('a documented refusal that comes late, after another process refreshed, changes nothing', async () => {
    const world = await createWorld('strict')
    const { tenantId, connectionId } = world
    await expire(world)
    let answer: (result: RefreshResult) => void = () => undefined
    world.provider.script.push(() => new Promise((resolve) => (answer = resolve)))
    const slow = call(world)
    await expect.poll(() => world.provider.sent.length).toBe(1)
    await change(world, `lease_until = now() - interval '1 second'`)
    const other = { ...world, provider: providerOf('strict') }
    const second = { ...other, engine: await engineFor(other.provider) }
    const fresh = await call(second)
    answer(GONE)
    expect(await slow).toBe(fresh)
    expect(await row(world)).toMatchObject({ state: 'active', generation: 2, lease_owner: null })
    await world.engine.refresher.drain()
    const stored = await world.engine.credentials.read(tenantId, connectionId)
    expect((await world.engine.credentials.openRefreshToken(stored!)).reveal()).toBe(`refresh-${issued}`)
  })
})

describe('three odd rejections', () => {
  const reject = async (world: World, minutesSinceFirst: number | null) => {
    await expire(
      world,
      minutesSinceFirst === null ? '' : `, first_rejection_at = now() - ${minutesSinceFirst} * interval '1 minute'`,
    )
    world.provider.script.push(ODD)
    await settledDue(world)
  }
  const revoked = async () => {
    const world = await createWorld('strict')
    for (const minutes of [null, 10, 31]) await reject(world, minutes)
    await world.engine.refresher.drain()
    return world
  }

  it('within half an hour end nothing', async () => {
    const world = await createWorld('strict')
    for (const minutes of [null, 5, 10, 20, 29]) await reject(world, minutes)
    expect(await row(world)).toMatchObject({ state: 'active', rejections: 5 })
  })

  it('are not in a row when a token was issued between them', async () => {
    const world = await createWorld('strict')
    for (const minutes of [null, 31]) await reject(world, minutes)
    await expire(world)
    await due(world)
    await reject(world, null)
    expect(await row(world)).toMatchObject({ state: 'active', rejections: 1, generation: 2 })
  })

  it('end it: blocked, revoked at the provider, told and never tried again, its values sealed for a week', async () => {
    const world = await revoked()
    const { engine, provider, tenantId, connectionId } = world
    expect(await row(world)).toMatchObject({ state: 'revoked', state_reason: 'odd_word', state_shown: true })
    expect(await shown(world)).toMatchObject({
      state: 'revoked',
      access: 'blocked',
      access_reason: 'revoked',
      next_refresh_at: null,
      last_error_code: 'odd_word',
    })
    expect(
      await db.adminQuery('vault', 'SELECT scope FROM revocation WHERE connection_id = $1', [connectionId]),
    ).toEqual([{ scope: 'grant' }])
    expect((await audited(world)).at(-1)).toBe('connection.state_changed active:revoked:odd_word:due')
    expect((await history(world)).at(-1)).toMatchObject({ outcome: 'state:revoked', code: 'odd_word' })

    await expire(world)
    await settledDue(world)
    await engine.refresher.recoverAbandoned()
    await expect(call(world)).rejects.toMatchObject({ code: 'connection.already_revoked' })
    expect(provider.sent).toHaveLength(3)
    expect((await engine.credentials.open(tenantId, connectionId, { minGeneration: 1 })).accessToken).toBeUndefined()
    const [days] = await db.adminQuery(
      'vault',
      `SELECT round(extract(epoch FROM shred_at - state_at) / 86400)::int AS days, access_sealed IS NOT NULL AS sealed
         FROM credential WHERE connection_id = $1`,
      [connectionId],
    )
    expect(days).toEqual({ days: 7, sealed: true })
    expect(await engine.credentials.shredDue(100)).toBe(0)
  })

  it('can be taken back for a week: as it was, and the provider is not told after all', async () => {
    const world = await revoked()
    const { engine, tenantId, connectionId } = world
    await change(world, `shred_at = now() + interval '1 minute'`)
    expect(await engine.credentials.restore(tenantId, connectionId, { kind: 'system' })).toBe(true)
    expect(await row(world)).toMatchObject({ state: 'active', rejections: 0, first_rejection_at: null, shred_at: null })
    expect(await db.adminQuery('vault', 'SELECT 1 FROM revocation WHERE connection_id = $1', [connectionId])).toEqual(
      [],
    )
    expect(await engine.credentials.restore(tenantId, connectionId, { kind: 'system' })).toBe(false)
    expect((await audited(world)).at(-1)).toBe('connection.state_changed revoked:active:restored:operator')
    await expire(world)
    expect(await call(world)).toBe(`access-${issued}`)
    expect(world.provider.sent.at(-1)).toBe('refresh-0')
  })

  it('are final after a week: the values are destroyed, on the record, and nothing is restored', async () => {
    const world = await revoked()
    const { engine, tenantId, connectionId } = world
    await change(world, `shred_at = now() - interval '1 second'`)
    expect(await engine.credentials.shredDue(100)).toBe(1)
    expect(await row(world)).toMatchObject({
      state: 'revoked',
      state_reason: 'odd_word',
      dek_wrapped: null,
      access_sealed: null,
      refresh_sealed: null,
      shred_at: null,
    })
    expect((await audited(world)).at(-1)).toBe('connection.shredded revoked')
    expect(await engine.credentials.shredDue(100)).toBe(0)
    expect(await engine.credentials.restore(tenantId, connectionId, { kind: 'system' })).toBe(false)
    expect(await shown(world)).toMatchObject({ refresh_token_present: false })
  })
})

describe('a provider app', () => {
  const open: ProviderApps = {
    gate: () => Promise.resolve({ open: true }),
    report: () => Promise.resolve({ incident: false }),
    turn: () => Promise.resolve({ done: () => undefined }),
  }

  it.each([
    ['has an incident', () => Promise.resolve({ incident: true })],
    ['cannot be judged', () => Promise.reject(new Error('away'))],
  ] as const)('that %s: its rejections are remembered and change no connection', async (_, report) => {
    const world = await createWorld('strict', { apps: { ...open, report } })
    for (let i = 0; i < 5; i += 1) {
      await expire(world, `, first_rejection_at = now() - interval '2 hours', rejections = 2`)
      world.provider.script.push(ODD)
      await settledDue(world)
    }
    expect(await row(world)).toMatchObject({ state: 'active', rejections: 2 })
    expect((await row(world))['rejected_at']).not.toBeNull()
  })

  it('hears of each answer what it was', async () => {
    const heard: string[] = []
    const report: ProviderApps['report'] = ({ outcome, code, retryAfterSeconds }) => {
      heard.push(`${outcome} ${code} ${retryAfterSeconds ?? '-'}`)
      return Promise.resolve({ incident: false })
    }
    const world = await createWorld('strict', { apps: { ...open, report } })
    const limited: RefreshResult = { kind: 'weather', code: 'rate_limited', retryAfterSeconds: 30 }
    for (const result of [FAULTED, limited, ODD, { kind: 'app_fault', code: 'invalid_client' } as const]) {
      await expire(world)
      world.provider.script.push(result)
      await settledDue(world)
    }
    await expire(world)
    world.provider.script.push(LOST)
    await call(world)
    await world.engine.refresher.drain()
    expect(heard).toEqual([
      'weather http_502 -',
      'weather rate_limited 30',
      'rejected odd_word -',
      'app_fault invalid_client -',
      'unknown connection_lost -',
      'issued issued -',
    ])
  })

  it('whose circuit is open gets no request, and nobody takes a lease for it', async () => {
    const apps = {
      ...open,
      gate: () => Promise.resolve({ open: false as const, reason: 'weather', retryAfterMs: 9_000 }),
    }
    const world = await createWorld('strict', { apps })
    expect(await call(world)).toBe('access-0') // what still works is served
    await expire(world)
    await expect(call(world)).rejects.toMatchObject({ code: 'provider.unavailable', retryAfterSeconds: 9 })
    await settledDue(world)
    expect(world.provider.sent).toEqual([])
    expect(await row(world)).toMatchObject({ lease_owner: null, attempt_id: null, unknown_outcomes: 0 })
    // An attempt of a process that died is not kept under its lease for it either, and its loss is counted.
    await change(world, `lease_owner = 'dead', lease_until = now() - interval '1 second', attempt_id = 'x'`)
    await world.engine.refresher.recoverAbandoned()
    expect(await row(world)).toMatchObject({ lease_owner: null, unknown_outcomes: 1, state: 'active' })
  })

  it('is waited for without a lease, and its place is given back once, before the answer is saved', async () => {
    let admit: () => void = () => undefined
    let done = 0
    const turn: ProviderApps['turn'] = () =>
      new Promise((resolve) => (admit = () => resolve({ done: () => void (done += 1) })))
    const world = await createWorld('strict', { apps: { ...open, turn } })
    await expire(world)
    const before = admit
    const result = call(world)
    await expect.poll(() => admit !== before).toBe(true)
    expect(await row(world)).toMatchObject({ lease_owner: null, attempt_id: null })
    admit()
    await result
    expect([done, world.provider.sent.length]).toEqual([1, 1])
  })
})

describe('while a provider takes its time', () => {
  it('neither the flight nor fifty who wait hold a connection or a transaction, with one connection in each pool', async () => {
    const world = await createWorld('strict', { max: 1 })
    const { engine, tenantId, connectionId } = world
    await expire(world)
    let answer: (result: RefreshResult) => void = () => undefined
    world.provider.script.push(() => new Promise((resolve) => (answer = resolve)))
    const waiting = { ...world, engine: await engineFor(providerOf('strict'), { max: 1 }) }
    const first = call(world)
    await expect.poll(() => world.provider.sent.length).toBe(1)
    const callers = Promise.all(Array.from({ length: 50 }, () => call(waiting)))
    for (let i = 0; i < 20; i += 1) {
      // The one connection is free for others, on both sides.
      await engine.credentials.read(tenantId, connectionId)
      await waiting.engine.credentials.read(tenantId, connectionId)
      for (const name of ['app', 'vault'] as const)
        expect(
          await db.adminQuery(
            name,
            `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'
               AND state_change < clock_timestamp() - interval '1 second'`,
          ),
        ).toEqual([])
    }
    const [held] = await db.adminQuery(
      'vault',
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE 'portcullis%'
         AND state <> 'idle' AND xact_start < clock_timestamp() - interval '500 milliseconds'`,
    )
    expect(held).toEqual({ n: 0 })
    answer(issue())
    expect(new Set([await first, ...(await callers)])).toEqual(new Set([`access-${issued}`]))
    expect(world.provider.sent).toHaveLength(1)
  })
})

describe('what people see', () => {
  it('is what the vault holds, and each attempt with its cause, outcome and latency', async () => {
    const world = await createWorld('strict')
    await expire(world)
    world.provider.script.push(UNREACHABLE)
    await settledDue(world)
    const failed = await shown(world)
    expect(failed).toMatchObject({ failures: 1, last_error_code: 'unreachable', refresh_token_present: true })
    expect(failed['next_refresh_at']).toEqual((await row(world))['refresh_at'])
    await expire(world)
    await call(world)
    const fine = await shown(world)
    expect(fine).toMatchObject({ failures: 0, last_error_code: 'unreachable', credential_generation: 2 })
    const held = await row(world)
    expect(fine).toMatchObject({ access_expires_at: held['access_expires_at'], next_refresh_at: held['refresh_at'] })
    expect((fine['last_refresh_at'] as Date) > (fine['last_error_at'] as Date)).toBe(true)
    const lines = await history(world)
    expect(lines).toMatchObject([
      { cause: 'due', outcome: 'weather', code: 'unreachable', generation: 1 },
      { cause: 'expiry', outcome: 'issued', code: null, generation: 2 },
    ])
    for (const { latency_ms: latency } of lines) expect(Number.isSafeInteger(latency)).toBe(true)
  })

  it('fails no caller when it cannot be written, and a state that was not shown is shown later, once', async () => {
    const world = await createWorld('strict')
    await expire(world)
    await db.adminQuery('app', `ALTER TABLE connection ADD CONSTRAINT outage CHECK (state = 'active') NOT VALID`)
    try {
      world.provider.script.push(GONE)
      await expect(call(world)).rejects.toMatchObject({ code: 'connection.reauthorization_required' })
      expect(await shown(world)).toMatchObject({ state: 'active' })
      expect(await row(world)).toMatchObject({ state: 'reauthorization_required', state_shown: false })
    } finally {
      await db.adminQuery('app', 'ALTER TABLE connection DROP CONSTRAINT outage')
    }
    await change(world, `state_at = state_at - interval '10 seconds'`)
    for (let i = 0; i < 2; i += 1) {
      await world.engine.refresher.recoverAbandoned()
      expect(await shown(world)).toMatchObject({ state: 'reauthorization_required', state_reason: 'invalid_grant' })
      expect(await row(world)).toMatchObject({ state_shown: true })
      await change(world, 'state_shown = false') // as after a crash between the two commits
    }
    expect((await history(world)).filter(({ outcome }) => String(outcome).startsWith('state:'))).toHaveLength(1)
  })
})

describe('a value that is not what was sealed', () => {
  it.each([
    [
      'corrupted',
      `refresh_sealed = set_byte(refresh_sealed, length(refresh_sealed) - 1, get_byte(refresh_sealed, length(refresh_sealed) - 1) # 1)`,
    ],
    [
      'of another connection',
      `refresh_sealed = (SELECT c.refresh_sealed FROM credential c WHERE c.connection_id <> credential.connection_id LIMIT 1)`,
    ],
  ])('is an alarm, not a revocation, and the provider gets no request: %s', async (_, tampering) => {
    await createWorld('strict')
    const world = await createWorld('strict')
    await expire(world, `, ${tampering}`)
    await expect(due(world)).rejects.toMatchObject({ code: 'vault.unreadable' })
    expect(world.engine.alarms).toMatchObject([{ reason: 'altered', field: 'refresh_token' }])
    expect(world.provider.sent).toEqual([])
    expect(await row(world)).toMatchObject({ state: 'active', lease_owner: null, rejections: 0, failures: 0 })
    expect(await history(world)).toMatchObject([{ outcome: 'not_tried', code: 'vault.unreadable', latency_ms: null }])
  })
})
