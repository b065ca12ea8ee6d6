/**
 * Processes that die or stop at a step of a refresh, in every mode. Each is brought to its step by a gate and signalled
 * there; nothing here waits for luck.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import type { RefreshMode } from '@/lib/providers/definition'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import type { Step } from '@/lib/testing/refresh-driver'
import { createRefreshWorld, type Driver, type RefreshWorld, type TestConnection } from '@/lib/testing/refresh-world'

const isFull = process.env['PORTCULLIS_FULL'] !== undefined // the launcher's word for the long forms; no setting of the product
const MODES = ['static', 'grace', 'strict', 'family_revoke'] as const satisfies readonly RefreshMode[]

let db: TestDatabases
let dataDir: string
let world: RefreshWorld | undefined
beforeAll(async () => {
  db = await createTestDatabases({ max: 2 })
  dataDir = await mkdtemp(path.join(tmpdir(), 'portcullis-crash-'))
})
afterEach(async () => {
  await world?.close()
  world = undefined
})
afterAll(async () => {
  await db.close()
  await rm(dataDir, { recursive: true, force: true })
})

const start = async (mode: RefreshMode, leaseMs: number) =>
  (world = await createRefreshWorld({
    db,
    dataDir,
    mode,
    timing: { leaseMs, renewMs: leaseMs / 4, pollMs: 5, pollMaxMs: 40 },
  }))

const spool = async () => readdir(path.join(dataDir, 'spool')).catch(() => [])

/** What a call gets in the process that is left. */
const callHere = ({ here }: RefreshWorld, { tenantId, connectionId }: TestConnection) =>
  here.refresher.accessToken(tenantId, connectionId, { minGeneration: 1 }).then(
    ({ token }) => token.reveal(),
    (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
  )

/** Resolves when the lease has run out, by the clock that decides it. */
const untilLeaseIsOver = async ({ connectionId }: TestConnection) => {
  await db.adminQuery(
    'vault',
    `SELECT pg_sleep_for(lease_until - clock_timestamp() + interval '1 millisecond') FROM credential
      WHERE connection_id = $1 AND lease_until > clock_timestamp()`,
    [connectionId],
  )
}

/** What a late process could spoil. */
const stored = async (connection: TestConnection) => {
  const { generation, state, state_reason, access_sealed, refresh_sealed, lease_owner, attempt_id, ...rest } =
    await connection.row()
  const { unknown_outcomes, failures, rejections, refresh_at } = rest
  const counters = { unknown_outcomes, failures, rejections, refresh_at }
  return { generation, state, state_reason, access_sealed, refresh_sealed, lease_owner, attempt_id, counters }
}

/** A connection lives when its newest token is stored and the one it came from is spent exactly once. */
async function expectAlive(at: RefreshWorld, connection: TestConnection, calls: number): Promise<void> {
  const { grant } = connection
  expect(await callHere(at, connection)).toBe(grant.newest().access)
  expect(grant.calls()).toBe(calls)
  expect(await connection.row()).toMatchObject({
    generation: 2,
    state: 'active',
    lease_owner: null,
    attempt_id: null,
    unknown_outcomes: 0,
  })
  // The stored refresh token is the newest as well: the next refresh needs no luck.
  const reuses = grant.reuses()
  await connection.expire()
  expect(await callHere(at, connection)).toBe(grant.newest().access)
  expect([grant.calls(), grant.reuses()]).toEqual([calls + 1, reuses])
}

async function expectLost(at: RefreshWorld, connection: TestConnection, calls: number): Promise<void> {
  expect(await callHere(at, connection)).toBe('connection.reauthorization_required')
  expect(connection.grant.calls()).toBe(calls)
  expect(await connection.row()).toMatchObject({
    generation: 1,
    state: 'reauthorization_required',
    state_reason: 'lost_rotation',
    lease_owner: null,
  })
  expect(await connection.events()).toEqual([
    expect.stringMatching(
      /^connection\.state_changed active:reauthorization_required:lost_rotation:(expiry|recovery)$/,
    ),
  ])
}

describe('kill -9', { timeout: 120_000 }, () => {
  /** The provider's side of it: `asked` is the moment in which it has rotated and its answer is on the way. */
  type Moment = Step | 'asked'
  type End = { readonly calls: number; readonly ends: 'alive' | 'lost' }
  const once: End = { calls: 1, ends: 'alive' }
  const lostAnswer: Readonly<Record<RefreshMode, End>> = {
    static: { calls: 2, ends: 'alive' },
    grace: { calls: 2, ends: 'alive' },
    strict: { calls: 2, ends: 'lost' },
    family_revoke: { calls: 1, ends: 'lost' },
  }
  const beforeRequest: Readonly<Record<RefreshMode, End>> = {
    static: once,
    grace: once,
    strict: once,
    // Nobody can say that nothing was sent, and a second use would end the whole grant.
    family_revoke: { calls: 0, ends: 'lost' },
  }
  const always: Readonly<Record<RefreshMode, End>> = { static: once, grace: once, strict: once, family_revoke: once }
  const table: readonly {
    readonly moment: Moment
    readonly said: string
    readonly by: Readonly<Record<RefreshMode, End>>
  }[] = [
    { moment: 'claimed', said: 'before the request', by: beforeRequest },
    { moment: 'sending', said: 'as the request leaves', by: beforeRequest },
    { moment: 'asked', said: 'after the provider rotated', by: lostAnswer },
    { moment: 'answered', said: 'with the answer in memory alone', by: lostAnswer },
    { moment: 'spooled', said: 'with the answer on disk and not in the database', by: always },
    { moment: 'saved', said: 'after the commit', by: always },
  ]
  // To the databases two of them are one moment each with its neighbour.
  const moments = table.filter(({ moment }) => isFull || (moment !== 'sending' && moment !== 'answered'))
  const cases = moments.flatMap(({ moment, said, by }, row) =>
    MODES.flatMap((mode, column) =>
      (['a caller', 'the worker'] as const)
        // In the short form the two take turns.
        .filter((_, index) => isFull || index === (row + column) % 2)
        .map((finder) => ({ moment, said, mode, finder, ...by[mode] })),
    ),
  )

  it.each(cases)('$said, found by $finder, $mode: $ends after $calls token calls', async (one) => {
    const { moment, mode, finder, calls, ends } = one
    const at = await start(mode, 300)
    const connection = await at.connection()
    await connection.expire()
    const doomed = await at.spawn(moment === 'asked' ? {} : { stopAt: moment })
    const held = moment === 'asked' ? at.endpoint.hold() : undefined
    const lost = doomed.ask('calls', connection).catch(() => 'lost')
    const request = await held
    if (moment !== 'asked') await doomed.reached(moment)
    await doomed.kill()
    request?.drop()
    expect(await lost).toBe('lost')
    expect(await spool()).toHaveLength(moment === 'spooled' || moment === 'saved' ? 1 : 0)

    if (finder === 'the worker') {
      await untilLeaseIsOver(connection)
      await at.here.refresher.recoverAbandoned()
    }
    if (ends === 'alive') await expectAlive(at, connection, calls)
    else await expectLost(at, connection, calls)
    const { reuses } = connection.grant
    // One more use of a spent token is what the mode allows once; nobody may make a habit of it.
    expect(reuses()).toBe(mode === 'strict' && ends === 'lost' ? 1 : 0)
    await at.here.refresher.recoverAbandoned()
    expect(await spool()).toEqual([])
    expect(reuses()).toBe(mode === 'strict' && ends === 'lost' ? 1 : 0)
  })

  it.each(['strict', 'family_revoke'] as const)(
    'on a machine whose disk comes back later: the answer found there brings a lost connection back, %s',
    async (mode) => {
      const at = await start(mode, 300)
      const connection = await at.connection()
      await connection.expire()
      const spoolDir = path.join(dataDir, 'other-machine')
      const doomed = await at.spawn({ stopAt: 'spooled', spoolDir })
      void doomed.ask('calls', connection).catch(() => undefined)
      await doomed.reached('spooled')
      await doomed.kill()
      const calls = mode === 'strict' ? 2 : 1
      await expectLost(at, connection, calls)
      const again = await at.spawn({ spoolDir })
      await again.ask('recover', connection)
      at.here.credentials.evict(connection.tenantId, connection.connectionId)
      await expectAlive(at, connection, calls)
      expect(await readdir(spoolDir)).toEqual([])
    },
  )
})

describe('SIGSTOP past the lease, then SIGCONT', { timeout: 120_000 }, () => {
  const LEASE_MS = 1_000

  /** Brings a process to its step and stops it there; resolves when its lease is over. */
  async function stopAt(step: Step, mode: RefreshMode, spoolDir?: string) {
    const at = await start(mode, LEASE_MS)
    const connection = await at.connection()
    await connection.expire()
    const holder = await at.spawn({ stopAt: step, ...(spoolDir === undefined ? {} : { spoolDir }) })
    const call = holder.ask('calls', connection)
    await holder.reached(step)
    holder.process.child.kill('SIGSTOP')
    await untilLeaseIsOver(connection)
    return { at, connection, holder, call }
  }
  /** It goes on, and finishes what it was about. @returns what its own caller got */
  async function resume(holder: Driver, connection: TestConnection, call: ReturnType<Driver['ask']>) {
    holder.process.child.kill('SIGCONT')
    await holder.ask('go', connection)
    const [result] = await call
    await holder.ask('drain', connection)
    return result
  }

  it.each(isFull ? (['static', 'grace', 'strict'] as const) : (['strict'] as const))(
    'before the request: the token that another process spent meanwhile is not sent, %s',
    async (mode) => {
      const { at, connection, holder, call } = await stopAt('claimed', mode)
      const token = await callHere(at, connection)
      expect(token).toBe(connection.grant.newest().access)
      const before = await stored(connection)
      expect(await resume(holder, connection, call)).toEqual({ token, generation: 2 })
      expect([connection.grant.calls(), connection.grant.reuses()]).toEqual([1, 0])
      expect(await stored(connection)).toEqual(before)
      await expectAlive(at, connection, 1)
    },
  )

  it('before the request, and nobody took over: it asks for its lease again and goes on', async () => {
    const { at, connection, holder, call } = await stopAt('claimed', 'family_revoke')
    expect(await resume(holder, connection, call)).toEqual({ token: connection.grant.newest().access, generation: 2 })
    await expectAlive(at, connection, 1)
  })

  it('before the request, after the grant was given up in its place: nothing is sent, nothing changes', async () => {
    const { at, connection, holder, call } = await stopAt('claimed', 'family_revoke')
    expect(await callHere(at, connection)).toBe('connection.reauthorization_required')
    const before = await stored(connection)
    expect(await resume(holder, connection, call)).toEqual({ code: 'connection.reauthorization_required' })
    expect(connection.grant.calls()).toBe(0)
    expect(await stored(connection)).toEqual(before)
  })

  it.each(isFull ? (['static', 'grace', 'strict'] as const) : (['strict'] as const))(
    'in the very moment of the request: its refusal changes nothing and its tokens overwrite nothing, %s',
    async (mode) => {
      const { at, connection, holder, call } = await stopAt('sending', mode)
      const token = await callHere(at, connection)
      const before = await stored(connection)
      expect(before).toMatchObject({ generation: 2, state: 'active' })
      expect(await resume(holder, connection, call)).toEqual({ token, generation: 2 })
      expect(await stored(connection)).toEqual(before)
      expect(connection.grant.reuses()).toBe(mode === 'strict' ? 1 : 0)
      expect(await connection.events()).toEqual(['connection.refreshed refresh'])
    },
  )

  it.each(isFull ? MODES : (['strict'] as const))(
    'with the answer on disk: another process of the machine saves it, once, %s',
    async (mode) => {
      const { at, connection, holder, call } = await stopAt('spooled', mode)
      const token = await callHere(at, connection)
      expect(token).toBe(connection.grant.newest().access)
      const before = await stored(connection)
      expect(await resume(holder, connection, call)).toEqual({ token, generation: 2 })
      expect(await stored(connection)).toEqual(before)
      expect(await spool()).toEqual([])
      await expectAlive(at, connection, 1)
      expect(connection.grant.reuses()).toBe(0)
    },
  )

  it.each([
    { mode: 'static', calls: 2 },
    { mode: 'grace', calls: 2 },
    { mode: 'strict', calls: 2 },
    { mode: 'family_revoke', calls: 1 },
  ] as const)(
    'with the answer in memory, and another machine in its place: no token is lost, $mode',
    async ({ mode, calls }) => {
      const { at, connection, holder, call } = await stopAt('answered', mode, path.join(dataDir, 'other-machine'))
      const inPlace = await callHere(at, connection)
      const isLost = mode === 'strict' || mode === 'family_revoke'
      expect(inPlace).toBe(isLost ? 'connection.reauthorization_required' : connection.grant.newest().access)
      const before = await stored(connection)
      const result = await resume(holder, connection, call)
      expect(result).toEqual({ token: connection.grant.newest().access, generation: 2 })
      // What was saved in its place stays; what was given up lives again, by the only live token there is.
      if (!isLost) expect(await stored(connection)).toEqual(before)
      at.here.credentials.evict(connection.tenantId, connection.connectionId)
      await expectAlive(at, connection, calls)
    },
  )
})
