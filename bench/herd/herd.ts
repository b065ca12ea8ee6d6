/**
 * Many connections around one strict provider, and workers that keep them fresh: the world of the measurements, and of
 * their short forms among the tests.
 *
 * @module
 */
import { systemClock } from '../../lib/clock'
import { newId, type ConnectionId, type TenantId } from '../../lib/ids'
import { Secret } from '../../lib/secret'
import { bundle, start, type TestProcess } from '../../lib/testing/process'
import { TEST_PROVIDER } from '../../lib/testing/refresh-client'
import { createEngine, type Engine } from '../../lib/testing/refresh-engine'
import type { ServerOptions, ServerReport, ServerStats } from './token-server'
import type { WorkerOptions, WorkerOrder, WorkerReport } from './worker'

export interface HerdOptions {
  readonly urls: { readonly app: string; readonly vault: string }
  readonly query: (
    database: 'app' | 'vault',
    sql: string,
    values?: readonly unknown[],
  ) => Promise<Record<string, unknown>[]>
  readonly dataDir: string
  readonly count: number
  readonly tenants: number
  readonly workers: number
  /** What the provider allows, and what the workers are told. */
  readonly perSecond: number
  readonly expiresIn: number
  readonly scanMs: number
  /** How long the provider takes to answer. */
  readonly delayMs: number
  readonly pool?: number
  readonly onProgress?: ((line: string) => void) | undefined
}

/** In megabytes. The heap is as it is after a collection. */
export interface Memory {
  readonly resident: number
  readonly heap: number
}

export interface Herd {
  readonly engine: Engine
  readonly connections: readonly { readonly tenantId: TenantId; readonly connectionId: ConnectionId }[]
  /** Of each worker, every few seconds. */
  readonly memory: readonly (readonly Memory[])[]
  work(): void
  stop(): Promise<void>
  /** All of them called at once, through the first worker. */
  callAll(): Promise<Extract<WorkerReport, { event: 'called' }>>
  stats(): Promise<ServerStats>
  close(): Promise<void>
}

type WorkerProcess = TestProcess<WorkerOrder, WorkerReport>

export async function createHerd(options: HerdOptions): Promise<Herd> {
  const { count, dataDir, delayMs, expiresIn, perSecond, query, scanMs, tenants, urls } = options
  const server: TestProcess<object, ServerReport> = start(await bundle('bench/herd/token-server.ts'), {
    perSecond,
    expiresIn,
    delayMs,
  } satisfies ServerOptions)
  const { port } = await server.receive((report): report is Extract<ServerReport, { port: number }> => 'port' in report)
  const engineOptions = {
    appUrl: urls.app,
    vaultUrl: urls.vault,
    dataDir,
    tokenUrl: `http://127.0.0.1:${port}/token`,
    mode: 'strict',
    max: options.pool ?? 10,
    timing: {},
  } as const
  const engine = await createEngine(engineOptions)
  const connections = await fill(engine, { query, count, tenants, onProgress: options.onProgress })
  const file = await bundle('bench/herd/worker.ts')
  const memory: Memory[][] = []
  const workers = await Promise.all(
    Array.from({ length: options.workers }, async (_, n): Promise<WorkerProcess> => {
      const worker: WorkerProcess = start(file, { ...engineOptions, perSecond, scanMs } satisfies WorkerOptions)
      const samples: Memory[] = []
      memory[n] = samples
      worker.child.on('message', (report: WorkerReport) => {
        if (report.event === 'memory') samples.push({ resident: report.rss / 1_048_576, heap: report.heap / 1_048_576 })
      })
      await worker.receive((report): report is Extract<WorkerReport, { event: 'ready' }> => report.event === 'ready')
      return worker
    }),
  )
  return {
    engine,
    connections,
    memory,
    work: () => {
      for (const worker of workers) worker.send({ op: 'work' })
    },
    async stop() {
      await Promise.all(
        workers.map(async (worker) => {
          worker.send({ op: 'stop' })
          await worker.receive(
            (report): report is Extract<WorkerReport, { event: 'stopped' }> => report.event === 'stopped',
          )
        }),
      )
    },
    async callAll() {
      const [worker] = workers
      if (worker === undefined) throw new Error('nobody to call')
      worker.send({ op: 'call', connections })
      return worker.receive((report): report is Extract<WorkerReport, { event: 'called' }> => report.event === 'called')
    },
    async stats() {
      server.send({})
      const { stats } = await server.receive(
        (report): report is Extract<ServerReport, { stats: ServerStats }> => 'stats' in report,
      )
      return stats
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.kill()))
      await engine.close()
      await server.kill()
    },
  }
}

/** Sealed as in the product, each by itself; only the rows that people see are made in bulk. */
async function fill(
  engine: Engine,
  { query, count, tenants, onProgress }: Pick<HerdOptions, 'query' | 'count' | 'tenants' | 'onProgress'>,
): Promise<Herd['connections']> {
  const now = systemClock.now()
  const tenantIds = Array.from({ length: tenants }, () => newId('tenant', now))
  await query(
    'app',
    `INSERT INTO tenant (id, name, slug) SELECT id, 'w', replace(id, '_', '-') FROM unnest($1::text[]) id`,
    [tenantIds],
  )
  const connections = Array.from({ length: count }, (_, n) => ({
    tenantId: tenantIds[n % tenants] ?? newId('tenant'),
    connectionId: newId('connection', now),
  }))
  let next = 0
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let n = next++; n < count; n = next++) {
        const ids = connections[n]
        if (ids === undefined) return
        await engine.credentials.create({
          ...ids,
          provider: TEST_PROVIDER.name,
          providerApp: TEST_PROVIDER.app,
          subject: `s${n}`,
          tokens: {
            accessToken: new Secret(`at.${n}.1`),
            refreshToken: new Secret(`rt.${n}.1`),
            accessExpiresAt: new Date(systemClock.now().getTime() + 3_600_000),
            refreshExpiresAt: null,
            grantedScopes: ['repo'],
          },
        })
        if (n > 0 && n % 2_500 === 0) onProgress?.(`${n} connections are made`)
      }
    }),
  )
  await query(
    'app',
    `INSERT INTO connection (tenant_id, id, provider, provider_app, subject, account_label, access, state, state_at, credential_generation)
     SELECT t, c, $3, $4, 's' || n, 's', 'allowed', 'active', 'epoch', 1 FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS x (t, c, n)`,
    [
      connections.map(({ tenantId }) => tenantId),
      connections.map(({ connectionId }) => connectionId),
      TEST_PROVIDER.name,
      TEST_PROVIDER.app,
    ],
  )
  return connections
}

/** Dates as if every token had been received now, to live for so long, with the jitter of the product. */
export const issueAllNow = (query: HerdOptions['query'], lifeSeconds: number) =>
  query(
    'vault',
    `UPDATE credential SET issued_at = now(), access_expires_at = now() + $1 * interval '1 second',
       refresh_at = now() + $1 * (0.5 + 0.3 * random()) * interval '1 second'`,
    [lifeSeconds],
  )

export const allDueNow = (query: HerdOptions['query']) =>
  query(
    'vault',
    `UPDATE credential SET refresh_at = now() - interval '1 second', access_expires_at = now() + interval '20 minutes'`,
  )

export const allExpired = (query: HerdOptions['query']) =>
  query(
    'vault',
    `UPDATE credential SET issued_at = now() - interval '2 hours', access_expires_at = now() - interval '1 hour', refresh_at = now() - interval '1 hour'`,
  )

export interface Freshness {
  readonly left: number
  readonly expired: number
  readonly leastSeconds: number
}

/** Connections still at their first token, and how near the worst one is to its end. */
export async function freshness(query: HerdOptions['query']): Promise<Freshness> {
  const [row] = await query(
    'vault',
    `SELECT (count(*) FILTER (WHERE generation = 1))::int AS left, (count(*) FILTER (WHERE access_expires_at <= clock_timestamp()))::int AS expired,
       min(extract(epoch FROM access_expires_at - clock_timestamp()))::float8 AS least FROM credential`,
  )
  return { left: Number(row?.['left']), expired: Number(row?.['expired']), leastSeconds: Number(row?.['least']) }
}
