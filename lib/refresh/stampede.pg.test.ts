/**
 * Many calls at the same moment on one expired connection, from processes of their own: gateways whose callers need the
 * token, and workers that found it due. `PORTCULLIS_FULL=1` runs every combination; without it a few that meet each value.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'

import type { RefreshMode } from '@/lib/providers/definition'
import { watchBackends } from '@/lib/testing/backends'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createRefreshWorld, type Driver, type RefreshWorld, type TestConnection } from '@/lib/testing/refresh-world'

const isFull = process.env['PORTCULLIS_FULL'] !== undefined // the launcher's word for the long forms; no setting of the product

interface Cell {
  readonly calls: 50 | 500
  /** Whether the gateways have just used the token that is over now. `refused`: the provider said so with 401. */
  readonly from: 'cold' | 'warm' | 'refused'
  readonly gateways: 1 | 2
  readonly delayMs: 0 | 200 | 25_000
}
interface Group {
  readonly mode: RefreshMode
  readonly pool: 2 | 10
  readonly cells: readonly Cell[]
}

const cell = (
  calls: Cell['calls'],
  from: Cell['from'],
  gateways: Cell['gateways'],
  delayMs: Cell['delayMs'],
): Cell => ({
  calls,
  from,
  gateways,
  delayMs,
})

const SHORT: readonly Group[] = [
  { mode: 'static', pool: 2, cells: [cell(50, 'cold', 2, 0), cell(500, 'warm', 1, 200), cell(50, 'refused', 2, 200)] },
  { mode: 'grace', pool: 10, cells: [cell(500, 'cold', 1, 0), cell(500, 'refused', 2, 200), cell(50, 'warm', 2, 200)] },
  {
    mode: 'strict',
    pool: 2,
    cells: [
      cell(500, 'cold', 2, 25_000),
      cell(500, 'cold', 2, 200),
      cell(500, 'warm', 2, 0),
      cell(50, 'warm', 1, 200),
      cell(50, 'cold', 1, 0),
    ],
  },
]

const every = (): Cell[] =>
  ([50, 500] as const).flatMap((calls) =>
    (['cold', 'warm', 'refused'] as const).flatMap((from) =>
      ([1, 2] as const).flatMap((gateways) =>
        ([0, 200, 25_000] as const).map((delayMs) => cell(calls, from, gateways, delayMs)),
      ),
    ),
  )
const FULL: readonly Group[] = (['static', 'grace', 'strict', 'family_revoke'] as const).flatMap((mode) =>
  ([2, 10] as const).map((pool) => ({ mode, pool, cells: every() })),
)

let db: TestDatabases
let dataDir: string
let world: RefreshWorld | undefined
beforeAll(async () => {
  db = await createTestDatabases({ max: 2 })
  dataDir = await mkdtemp(path.join(tmpdir(), 'portcullis-stampede-'))
})
afterEach(async () => {
  await world?.close()
  world = undefined
})
afterAll(async () => {
  await db.close()
  await rm(dataDir, { recursive: true, force: true })
})

const nameOf = ({ calls, from, gateways, delayMs }: Cell) =>
  `${calls} ${from}, ${gateways} gateway${gateways === 1 ? '' : 's'}, provider ${delayMs} ms`

const vault = (assignments: string, connection: TestConnection) =>
  db.adminQuery('vault', `UPDATE credential SET ${assignments} WHERE connection_id = $1`, [connection.connectionId])

/** Every gateway has the connection's row, key and token in memory, and the token ends while they have. */
async function letEndWarm(connections: readonly TestConnection[], gateways: readonly Driver[]): Promise<void> {
  for (const connection of connections)
    await vault(`issued_at = now(), access_expires_at = now() + interval '8 seconds', refresh_at = NULL`, connection)
  await Promise.all(
    gateways.flatMap((gateway) =>
      connections.map(async (connection) =>
        expect(await gateway.ask('calls', connection), 'was used before').toEqual([
          { token: connection.grant.first.access, generation: 1 },
        ]),
      ),
    ),
  )
  // By the database's clock, which says when it ends.
  await db.adminQuery(
    'vault',
    'SELECT pg_sleep_for(max(access_expires_at) - clock_timestamp()) FROM credential WHERE connection_id = ANY($1)',
    [connections.map(({ connectionId }) => connectionId)],
  )
}

interface Seen {
  readonly cell: string
  readonly succeeded: number
  readonly others: readonly (string | undefined)[]
  readonly tokenCalls: number
  readonly reuses: number
  readonly generation: unknown
  readonly state: unknown
  readonly lease: unknown
}
interface Outcome {
  readonly seen: Seen
  readonly ms: number
}

/** What became of a cell. Everything but the time must be as it has to be. */
async function stampede(at: {
  readonly cell: Cell
  readonly connection: TestConnection
  readonly gateways: readonly Driver[]
  readonly workers: readonly Driver[]
}): Promise<Outcome> {
  const { cell, connection, gateways, workers } = at
  const { grant } = connection
  // Due only now, so that the workers leave it alone until the calls come.
  await vault(`refresh_at = now() - interval '1 second'`, connection)
  const began = performance.now()
  const op = cell.from === 'refused' ? 'refused' : 'calls'
  const used = gateways.slice(0, cell.gateways)
  const [answers] = await Promise.all([
    Promise.all(used.map((gateway) => gateway.ask(op, connection, cell.calls / used.length))),
    Promise.all(workers.map((worker) => worker.ask('due', connection, 200))),
  ])
  const ms = Math.round(performance.now() - began)
  const results = answers.flat()
  const row = await connection.row()
  return {
    ms,
    seen: {
      cell: nameOf(cell),
      succeeded: results.filter(({ token }) => token === grant.newest().access).length,
      others: [...new Set(results.map(({ token, code }) => code ?? token))].filter(
        (it) => it !== grant.newest().access,
      ),
      tokenCalls: grant.calls(),
      reuses: grant.reuses(),
      generation: row['generation'],
      state: row['state'],
      lease: row['lease_owner'],
    },
  }
}

const expected = (cell: Cell): Seen => ({
  cell: nameOf(cell),
  succeeded: cell.calls,
  others: [],
  tokenCalls: 1,
  reuses: 0,
  generation: 2,
  state: 'active',
  lease: null,
})

it.each(isFull ? FULL : SHORT)(
  'calls that meet an expired token all succeed with one token call and no reuse, and no transaction waits: $mode, pool of $pool',
  { timeout: 600_000 },
  async ({ mode, pool, cells }) => {
    const here = (world = await createRefreshWorld({ db, dataDir, mode, max: pool }))
    const gateways = await Promise.all([here.spawn(), here.spawn()])
    const workers = await Promise.all([here.spawn(), here.spawn()])
    const prepared = await Promise.all(cells.map(async (cell) => ({ cell, connection: await here.connection() })))
    const watch = await watchBackends([db.admin.app, db.admin.vault])

    for (const { cell, connection } of prepared) {
      connection.grant.delay(cell.delayMs)
      if (cell.from === 'cold')
        await vault(
          `issued_at = now() - interval '2 hours', access_expires_at = now() - interval '1 hour', refresh_at = NULL`,
          connection,
        )
      if (cell.from !== 'refused') continue
      // Good for an hour by all we know, and refused by the provider.
      await vault(`issued_at = now() - interval '10 minutes', refresh_at = NULL`, connection)
      await Promise.all(gateways.map((gateway) => gateway.ask('calls', connection)))
    }
    await letEndWarm(
      prepared.filter(({ cell }) => cell.from === 'warm').map(({ connection }) => connection),
      gateways,
    )
    const run = (one: (typeof prepared)[number]) => stampede({ ...one, gateways, workers })
    // One after the other; those in which everybody does little but wait, a few at a time.
    const outcomes: Outcome[] = []
    for (const one of prepared) if (one.cell.delayMs !== 25_000) outcomes.push(await run(one))
    const slow = prepared.filter(({ cell }) => cell.delayMs === 25_000)
    for (const calls of [50, 500] as const) {
      const these = slow.filter(({ cell }) => cell.calls === calls)
      const together = calls === 50 ? 6 : 3
      for (let n = 0; n < these.length; n += together)
        outcomes.push(...(await Promise.all(these.slice(n, n + together).map(run))))
    }

    const seen = await watch.stop()
    if (isFull)
      for (const { seen: it, ms } of outcomes)
        console.info(`${mode}, pool ${pool}, ${it.cell}: ${it.succeeded} ok, ${it.tokenCalls} token call, ${ms} ms`)
    const rank = ({ delayMs, calls }: Cell) => (delayMs === 25_000 ? calls : 0)
    const inOrder = [...cells].sort((a, b) => rank(a) - rank(b))
    expect(outcomes.map((outcome) => outcome.seen)).toEqual(inOrder.map(expected))
    expect(seen.samples).toBeGreaterThan(1)
    expect(seen.idleInTransactionMs).toBeLessThan(1_000)
  },
)
