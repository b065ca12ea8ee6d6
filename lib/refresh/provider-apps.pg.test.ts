import { setMaxListeners } from 'node:events'

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { systemClock } from '@/lib/clock'
import { newId, type ConnectionId, type TenantId } from '@/lib/ids'
import type { Log } from '@/lib/log'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import { createProviderApps, type AttemptOutcome, type ProviderApps } from './provider-apps'

const PROVIDER = 'github'
const APP = 'app'

let db: TestDatabases
/** Two processes, as far as the database can tell. */
let one: ProviderApps
let two: ProviderApps
let logged: { level: string; cause: unknown }[]
beforeAll(async () => {
  db = await createTestDatabases()
})
afterAll(() => db.close())

const logOf = (): Log => {
  const at = (level: string) => (facts: object) =>
    void logged.push({ level, cause: (facts as { cause?: unknown }).cause })
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  return log as unknown as Log // the part that is used
}
beforeEach(async () => {
  await db.adminQuery('vault', 'TRUNCATE provider_app, provider_app_rejection, refresh_claim, credential, audit_outbox')
  await db.adminQuery('app', 'TRUNCATE provider_app_status')
  logged = []
  const make = () =>
    createProviderApps({ vaultDb: db.vault, appDb: db.app, clock: systemClock, log: logOf(), random: () => 0.5 })
  one = make()
  two = make()
})

const someone = () => ({ tenantId: newId('tenant'), connectionId: newId('connection') })
const tell = (
  apps: ProviderApps,
  outcome: AttemptOutcome,
  code = outcome as string,
  who: { tenantId: TenantId; connectionId: ConnectionId } = someone(),
  retryAfterSeconds?: number,
) => apps.report({ provider: PROVIDER, appKey: APP, ...who, outcome, code, retryAfterSeconds })
const settle = () => Promise.all([one.settled(), two.settled()])
const gate = (apps: ProviderApps) => apps.gate(PROVIDER, APP)
const row = async () => (await db.adminQuery('vault', 'SELECT * FROM provider_app'))[0] ?? {}
const shown = async () => (await db.adminQuery('app', 'SELECT state, cause, code FROM provider_app_status'))[0]
const endPause = () =>
  db.adminQuery(
    'vault',
    `UPDATE provider_app SET open_until = clock_timestamp() - interval '1 ms', version = version + 1`,
  )
/** What a process remembers is at most half a second old: another one, which remembers nothing, sees what is true. */
const fresh = () =>
  createProviderApps({ vaultDb: db.vault, appDb: db.app, clock: systemClock, log: logOf(), random: () => 0.5 })
const credentials = (count: number) =>
  db.adminQuery(
    'vault',
    `INSERT INTO credential (tenant_id, connection_id, provider, provider_app, subject, state, generation, key_version)
     SELECT 't', 'c' || n, '${PROVIDER}', '${APP}', 's', 'active', 1, 1 FROM generate_series(1, ${count}) n`,
  )

describe('the circuit that all processes share', () => {
  it('is closed for an app nobody has heard of, and costs nothing while all goes well', async () => {
    expect(await gate(one)).toEqual({ open: true })
    await tell(one, 'issued')
    await settle()
    expect(await db.adminQuery('vault', 'SELECT 1 FROM provider_app')).toEqual([])
  })

  it('opens for every process when five connections in a row meet weather in different ones', async () => {
    for (let n = 0; n < 5; n += 1) await tell(n % 2 === 0 ? one : two, n === 3 ? 'unknown' : 'weather', 'http_502')
    expect(await gate(fresh())).toMatchObject({ open: false, reason: 'weather' })
    await settle()
    expect(await shown()).toEqual({ state: 'open', cause: 'weather', code: 'http_502' })
    expect(logged.filter(({ level }) => level === 'error')).toEqual([])
  })

  it('counts each of many reports at the same moment', async () => {
    await Promise.all(Array.from({ length: 5 }, (_, n) => tell(n % 2 === 0 ? one : two, 'weather')))
    expect(await row()).toMatchObject({ state: 'open' })
  })

  it('lets one caller of all processes go to see when the pause is over, and closes for all when that one is served', async () => {
    await tell(one, 'weather', 'rate_limited', someone(), 30)
    expect(await gate(one)).toMatchObject({ open: false, reason: 'rate_limited' })
    await endPause()
    const through = await Promise.all(Array.from({ length: 10 }, () => gate(fresh())))
    expect(through.filter((answer) => answer.open)).toHaveLength(1)
    await tell(one, 'issued')
    await settle()
    expect(await gate(fresh())).toEqual({ open: true })
  })

  it('looking takes nobody’s turn to see', async () => {
    await tell(one, 'weather', 'rate_limited', someone(), 30)
    await endPause()
    expect(await fresh().look(PROVIDER, APP)).toEqual({ open: 'probing' })
    expect(await gate(fresh())).toEqual({ open: true })
    expect(await fresh().look(PROVIDER, APP)).toMatchObject({ open: false })
  })

  it('lets another one go when the first never said what it saw', async () => {
    await tell(one, 'weather', 'rate_limited', someone(), 30)
    await endPause()
    expect(await gate(fresh())).toEqual({ open: true })
    expect(await gate(fresh())).toMatchObject({ open: false })
    await endPause()
    expect(await gate(fresh())).toEqual({ open: true })
  })

  it('leaves other apps and other providers alone', async () => {
    await tell(one, 'app_fault', 'invalid_client')
    expect(await one.gate(PROVIDER, 'another')).toEqual({ open: true })
    expect(await one.gate('slack', APP)).toEqual({ open: true })
  })

  it('does not fail its caller when the database is away', async () => {
    const broken = createProviderApps({
      vaultDb: { ...db.vault, global: { $queryRaw: () => Promise.reject(new Error('away')) } as never }, // a database that is away
      appDb: db.app,
      clock: systemClock,
      log: logOf(),
    })
    expect(await tell(broken, 'weather')).toEqual({ incident: false })
    expect(await tell(broken, 'issued')).toEqual({ incident: false })
    // Nobody can say whose trouble it is: not the connection's.
    expect(await tell(broken, 'rejected')).toEqual({ incident: true })
    await broken.settled()
  })
})

describe('an app that a provider refuses', () => {
  it('raises one alarm for the episode: in the log, where people see it, in the trail; and says when it is over', async () => {
    const who = someone()
    await tell(one, 'app_fault', 'invalid_client', who)
    expect(await gate(fresh())).toMatchObject({ open: false, reason: 'app_fault' })
    for (let n = 0; n < 3; n += 1) {
      await endPause()
      await gate(fresh())
      await tell(two, 'app_fault', 'invalid_client', who)
    }
    await settle()
    expect(logged.filter(({ level }) => level === 'error')).toEqual([{ level: 'error', cause: 'app_fault' }])
    expect(await shown()).toEqual({ state: 'open', cause: 'app_fault', code: 'invalid_client' })
    expect(await one.list()).toMatchObject([{ isAlarming: true, cause: 'app_fault', code: 'invalid_client' }])
    await endPause()
    await gate(fresh())
    await tell(one, 'issued', 'issued', who)
    await settle()
    expect(await shown()).toMatchObject({ state: 'closed' })
    expect(await one.list()).toMatchObject([{ isAlarming: false }])
    const trail = await db.adminQuery(
      'vault',
      `SELECT record->>'action' AS action, record->>'reason' AS reason FROM audit_outbox WHERE tenant_id = $1 ORDER BY created_at`,
      [who.tenantId],
    )
    expect(trail).toEqual([
      { action: 'provider_app.paused', reason: 'github:app_fault:invalid_client' },
      { action: 'provider_app.resumed', reason: 'github:app_fault:invalid_client' },
    ])
  })

  it('is shown by the schedule when the process died before it could', async () => {
    await db.adminQuery(
      'vault',
      `INSERT INTO provider_app (provider, app_key, state, cause, code, since, open_until, version)
       VALUES ('github', 'app', 'open', 'app_fault', 'invalid_client', now(), now() + interval '1 hour', 4)`,
    )
    await one.tidy()
    expect(await shown()).toEqual({ state: 'open', cause: 'app_fault', code: 'invalid_client' })
  })
})

describe('an incident of the app', () => {
  it('begins with the fifth connection oddly refused within ten minutes when that is a twentieth of them', async () => {
    await credentials(100)
    for (let n = 0; n < 4; n += 1) expect(await tell(one, 'rejected', 'odd')).toEqual({ incident: false })
    expect(await gate(fresh())).toEqual({ open: true })
    expect(await tell(two, 'rejected', 'odd')).toEqual({ incident: true })
    expect(await gate(fresh())).toMatchObject({ open: false, reason: 'incident' })
    await settle()
    expect(logged.filter(({ level }) => level === 'error')).toEqual([{ level: 'error', cause: 'incident' }])
  })

  it('needs distinct connections: one that is refused again and again is none', async () => {
    await credentials(5)
    const who = someone()
    for (let n = 0; n < 20; n += 1) expect(await tell(one, 'rejected', 'odd', who)).toEqual({ incident: false })
    expect(await gate(fresh())).toEqual({ open: true })
  })

  it('needs their share: five of a hundred and one are none, six are', async () => {
    await credentials(101)
    for (let n = 0; n < 5; n += 1) expect(await tell(one, 'rejected', 'odd')).toEqual({ incident: false })
    expect(await tell(one, 'rejected', 'odd')).toEqual({ incident: true })
  })

  it('needs them close together: what is older than ten minutes does not count', async () => {
    await credentials(50)
    for (let n = 0; n < 4; n += 1) await tell(one, 'rejected', 'odd')
    await db.adminQuery('vault', `UPDATE provider_app_rejection SET at = at - interval '11 minutes'`)
    expect(await tell(one, 'rejected', 'odd')).toEqual({ incident: false })
    await db.adminQuery('vault', `UPDATE provider_app_rejection SET at = at - interval '30 minutes'`)
    await one.tidy()
    expect(await db.adminQuery('vault', 'SELECT 1 FROM provider_app_rejection')).toEqual([])
  })

  it('counts those who are refused at the very same moment', async () => {
    await credentials(20)
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, n) => tell(n % 2 === 0 ? one : two, 'rejected', 'odd')),
    )
    expect(answers.filter(({ incident }) => incident).length).toBeGreaterThanOrEqual(8)
  })

  it('shields those who are refused while it lasts, however few', async () => {
    await credentials(40)
    for (let n = 0; n < 5; n += 1) await tell(one, 'rejected', 'odd')
    await db.adminQuery('vault', 'DELETE FROM provider_app_rejection')
    expect(await tell(one, 'rejected', 'odd')).toEqual({ incident: true })
  })
})

describe('turns at the token endpoint', () => {
  const never = new AbortController().signal
  setMaxListeners(0, never)
  const limited = (perSecond: number, concurrency: number) =>
    createProviderApps({
      vaultDb: db.vault,
      appDb: db.app,
      clock: systemClock,
      log: logOf(),
      limits: { [PROVIDER]: { perSecond, concurrency } },
    })

  it('keeps two processes together to the rate, in every window of a second', async () => {
    const apps = [limited(100, 50), limited(100, 50)]
    const starts: number[] = []
    await Promise.all(
      Array.from({ length: 150 }, async (_, n) => {
        const turn = await (apps[n % 2] ?? one).turn(PROVIDER, APP, never)
        starts.push(performance.now())
        turn.done()
      }),
    )
    starts.sort((a, b) => a - b)
    for (const [index, start] of starts.entries()) {
      const within = starts.slice(index).filter((other) => other < start + 1_000).length
      expect(within).toBeLessThanOrEqual(110)
    }
    expect((starts.at(-1) ?? 0) - (starts[0] ?? 0)).toBeGreaterThan(1_300)
  })

  it('never has more under way at once in one process than it may', async () => {
    const apps = limited(10_000, 4)
    const turns = await Promise.all(Array.from({ length: 4 }, () => apps.turn(PROVIDER, APP, never)))
    let isFifth = false
    const fifth = apps.turn(PROVIDER, APP, never).then((turn) => {
      isFifth = true
      return turn
    })
    // Two turns of another queue, with their two trips to the database: the fifth had every chance.
    for (let n = 0; n < 2; n += 1) (await apps.turn('google', APP, never)).done()
    expect(isFifth).toBe(false)
    turns[0]?.done()
    turns[0]?.done() // said twice, counted once
    const sixth = apps.turn(PROVIDER, APP, never)
    let isSixth = false
    void sixth.then(() => (isSixth = true))
    const own = await fifth
    expect(isSixth).toBe(false)
    for (const turn of [own, ...turns]) turn.done()
    const last = await sixth
    last.done()
  })

  it('lets go of whoever stops waiting, and gives the turn to the next', async () => {
    const apps = limited(10_000, 1)
    const first = await apps.turn(PROVIDER, APP, never)
    const impatient = new AbortController()
    const leaving = apps.turn(PROVIDER, APP, impatient.signal)
    const staying = apps.turn(PROVIDER, APP, never)
    impatient.abort()
    await expect(leaving).rejects.toThrow()
    first.done()
    const next = await staying
    next.done()
    await expect(apps.turn(PROVIDER, APP, AbortSignal.abort())).rejects.toThrow()
  })

  it('one provider’s queue is not in another’s way', async () => {
    const apps = limited(1, 1)
    const held = await apps.turn(PROVIDER, APP, never)
    void apps.turn(PROVIDER, APP, never).then((turn) => turn.done())
    const other = await apps.turn('google', APP, never)
    other.done()
    held.done()
  })
})
