/**
 * A database server that dies in the middle of a refresh, and a disk that takes nothing more: on a server and folders of
 * this file's own.
 */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import { createTestCluster, type TestCluster } from '@/lib/testing/cluster'
import { createRefreshWorld, type Driver, type RefreshWorld, type TestConnection } from '@/lib/testing/refresh-world'

const isFull = process.env['PORTCULLIS_FULL'] !== undefined // the launcher's word for the long forms; no setting of the product
/** An answer is kept in memory for more than a minute. */
const OUTAGE_MS = isFull ? 50_000 : 3_000

let db: TestCluster
let dataDir: string
let world: RefreshWorld | undefined
beforeAll(async () => {
  db = await createTestCluster()
  dataDir = await mkdtemp(path.join(tmpdir(), 'portcullis-outage-'))
}, 120_000)
afterEach(async () => {
  await world?.close()
  world = undefined
})
afterAll(async () => {
  await db.close()
  await rm(dataDir, { recursive: true, force: true })
})

const spoolOf = (folder: string) => readdir(folder).catch(() => [])

async function start(timing = {}) {
  world = await createRefreshWorld({ db, dataDir, mode: 'strict', timing })
  const connection = await world.connection()
  await connection.expire()
  return { at: world, connection, spoolDir: path.join(dataDir, 'spool') }
}

/** The newest token is stored, the spent one was sent once, and nothing of it is left on disk. */
async function expectSaved(at: RefreshWorld, connection: TestConnection, spoolDir: string): Promise<void> {
  expect(await connection.row()).toMatchObject({
    generation: 2,
    state: 'active',
    lease_owner: null,
    attempt_id: null,
    unknown_outcomes: 0,
  })
  at.here.credentials.evict(connection.tenantId, connection.connectionId)
  const { token } = await at.here.refresher.accessToken(connection.tenantId, connection.connectionId, {
    minGeneration: 2,
  })
  expect(token.reveal()).toBe(connection.grant.newest().access)
  expect([connection.grant.calls(), connection.grant.reuses()]).toEqual([1, 0])
  expect(await spoolOf(spoolDir)).toEqual([])
  // By the stored refresh token the next one comes as well.
  await connection.expire()
  await at.here.refresher.accessToken(connection.tenantId, connection.connectionId, { minGeneration: 2 })
  expect([connection.grant.calls(), connection.grant.reuses()]).toEqual([2, 0])
}

/** The provider has rotated and holds its answer; then the database server dies. */
async function dieAfterRotation(at: RefreshWorld, connection: TestConnection, driver: Driver, op: 'calls' | 'due') {
  const held = at.endpoint.hold()
  const answers = driver.ask(op, connection, op === 'calls' ? 50 : 200).catch(() => [])
  const request = await held
  await db.stopImmediately()
  request.release()
  await driver.process.receive((report): report is typeof report & { event: 'spooled' } => report.event === 'spooled')
  return { answers }
}

const lasts = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms)) // how long an outage is, and nothing waits for it

describe('the database server restarted immediately after a strict provider rotated', { timeout: 180_000 }, () => {
  it.each([
    { who: 'a gateway, with fifty callers waiting', op: 'calls' },
    { who: 'a worker', op: 'due' },
  ] as const)('$who: the new token is saved once the server is back', async ({ op }) => {
    const { at, connection, spoolDir } = await start()
    const driver = await at.spawn()
    const { answers } = await dieAfterRotation(at, connection, driver, op)
    await db.start()
    const results = await answers
    await driver.ask('drain', connection)
    if (op === 'calls')
      expect(new Set(results.map(({ token, code }) => token ?? code))).toEqual(
        new Set([connection.grant.newest().access]),
      )
    await expectSaved(at, connection, spoolDir)
  })

  it('and away for longer than a lease: another machine does not take it for lost', async () => {
    const { at, connection } = await start({ leaseMs: 1_000, renewMs: 250 })
    const spoolDir = path.join(dataDir, 'other-machine')
    const holder = await at.spawn({ spoolDir })
    await dieAfterRotation(at, connection, holder, 'due')
    await lasts(OUTAGE_MS)
    await db.start()
    await holder.ask('drain', connection)
    await expectSaved(at, connection, spoolDir)
  })

  it('and the process killed before it is back: the next process finds the answer on disk', async () => {
    const { at, connection, spoolDir } = await start()
    const doomed = await at.spawn()
    await dieAfterRotation(at, connection, doomed, 'calls')
    await doomed.kill()
    expect(await spoolOf(spoolDir)).toHaveLength(1)
    await db.start()
    const next = await at.spawn()
    await next.ask('recover', connection)
    await expectSaved(at, connection, spoolDir)
  })
})

describe('a disk that takes no answer', { timeout: 60_000 }, () => {
  const call = async (driver: Driver, connection: TestConnection) => (await driver.ask('calls', connection))[0]

  it.each([
    { what: 'is full', maxFileBlocks: 0 },
    { what: 'has room for less than an answer', maxFileBlocks: 1 },
  ])('because it $what: the token is not spent, and the caller is told to try later', async ({ maxFileBlocks }) => {
    const { at, connection, spoolDir } = await start()
    const cramped = await at.spawn({}, { maxFileBlocks })
    expect(await call(cramped, connection)).toEqual({ code: 'service.unavailable' })
    expect(connection.grant.calls()).toBe(0)
    expect(await connection.row()).toMatchObject({ state: 'active', generation: 1, lease_owner: null, failures: 0 })
    expect(await spoolOf(spoolDir)).toEqual([])
  })

  it('because its folder is a file: the token is not spent, and the caller is told to try later', async () => {
    const { at, connection } = await start()
    const spoolDir = path.join(dataDir, 'not-a-folder')
    await writeFile(spoolDir, '')
    const driver = await at.spawn({ spoolDir })
    expect(await call(driver, connection)).toEqual({ code: 'service.unavailable' })
    expect(connection.grant.calls()).toBe(0)
    expect(await connection.row()).toMatchObject({ state: 'active', generation: 1, lease_owner: null, failures: 0 })
    // Once there is one, the same process refreshes.
    await rm(spoolDir)
    await mkdir(spoolDir)
    await connection.expire()
    expect(await call(driver, connection)).toEqual({ token: connection.grant.newest().access, generation: 2 })
  })
})
