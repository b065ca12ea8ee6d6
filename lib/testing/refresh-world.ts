/**
 * Connections, a token endpoint and processes with refresh engines around one pair of databases: the world in which
 * refreshes are raced, stopped and killed.
 *
 * @module
 */
import { newId, type ConnectionId, type TenantId } from '../ids'
import type { RefreshMode } from '../providers/definition'
import { Secret } from '../secret'
import type { TestDatabases } from './database'
import { bundle, start, type TestProcess } from './process'
import { TEST_PROVIDER } from './refresh-client'
import type { CallResult, DriverOptions, Order, Report, Step } from './refresh-driver'
import { createEngine, type Engine, type EngineOptions } from './refresh-engine'
import { createTokenEndpoint, type Grant, type TokenEndpoint } from './token-endpoint'

export interface Driver {
  readonly process: TestProcess<Order, Report>
  /** The answers to `count` simultaneous calls, or what else was ordered. */
  ask(op: Order['op'], connection: TestConnection, count?: number): Promise<readonly CallResult[]>
  /** Resolves when the process waits at the step it was started with. */
  reached(step: Step): Promise<void>
  kill(): Promise<void>
}

export interface TestConnection {
  readonly tenantId: TenantId
  readonly connectionId: ConnectionId
  readonly grant: Grant
  /** Hours pass: the access token is over, and the refresh due. */
  expire(): Promise<void>
  row(): Promise<Readonly<Record<string, unknown>>>
  /** What was recorded of it, oldest first: action and reason. */
  events(): Promise<readonly string[]>
}

export interface RefreshWorld {
  readonly endpoint: TokenEndpoint
  readonly options: EngineOptions
  /** An engine in this process, to look at what became of things, and to act as one more process would. */
  readonly here: Engine
  connection(): Promise<TestConnection>
  spawn(extra?: Partial<DriverOptions>, limits?: { readonly maxFileBlocks: number }): Promise<Driver>
  /** Ends every process that is left. */
  close(): Promise<void>
}

export interface WorldOptions {
  readonly db: Pick<TestDatabases, 'urls' | 'adminQuery'>
  /** Keys and spools. Databases that share credentials share it. */
  readonly dataDir: string
  readonly mode: RefreshMode
  readonly max?: number
  readonly timing?: EngineOptions['timing']
}

let orders = 0

export async function createRefreshWorld(settings: WorldOptions): Promise<RefreshWorld> {
  const { db, dataDir, mode, max = 2, timing = {} } = settings
  const endpoint = await createTokenEndpoint(mode)
  const options = {
    appUrl: db.urls.app,
    vaultUrl: db.urls.vault,
    dataDir,
    tokenUrl: endpoint.url,
    mode,
    max,
    timing,
  }
  const file = await bundle('lib/testing/refresh-driver.ts')
  const here = await createEngine(options)
  const drivers: Driver[] = []

  return {
    endpoint,
    options,
    here,
    async connection() {
      const tenantId = newId('tenant')
      const connectionId = newId('connection')
      const grant = endpoint.grant()
      await here.credentials.create({
        tenantId,
        connectionId,
        provider: TEST_PROVIDER.name,
        providerApp: TEST_PROVIDER.app,
        subject: 'someone',
        tokens: {
          accessToken: new Secret(grant.first.access),
          refreshToken: new Secret(grant.first.refresh),
          accessExpiresAt: new Date(Date.now() + 3_600_000),
          refreshExpiresAt: null,
          grantedScopes: ['repo'],
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
         VALUES ($1, $2, $3, $4, 'someone', 'someone', 'allowed', 'active', 'epoch', 1)`,
        [tenantId, connectionId, TEST_PROVIDER.name, TEST_PROVIDER.app],
      )
      return {
        tenantId,
        connectionId,
        grant,
        async expire() {
          await db.adminQuery(
            'vault',
            `UPDATE credential SET issued_at = now() - interval '2 hours', access_expires_at = now() - interval '1 hour',
               refresh_at = now() - interval '90 minutes' WHERE connection_id = $1`,
            [connectionId],
          )
          here.credentials.evict(tenantId, connectionId)
        },
        async row() {
          const rows = await db.adminQuery('vault', 'SELECT * FROM credential WHERE connection_id = $1', [connectionId])
          return rows[0] ?? {}
        },
        async events() {
          const rows = await db.adminQuery(
            'vault',
            `SELECT record->>'action' AS action, record->>'reason' AS reason FROM audit_outbox WHERE tenant_id = $1 ORDER BY id`,
            [tenantId],
          )
          return rows.map(({ action, reason }) => `${String(action)} ${String(reason)}`)
        },
      }
    },
    async spawn(extra = {}, limits) {
      const process: Driver['process'] = start(file, { ...options, ...extra } satisfies DriverOptions, limits)
      const driver: Driver = {
        process,
        async ask(op, { tenantId, connectionId }, count = 1) {
          const id = ++orders
          process.send({ id, op, tenantId, connectionId, count })
          const isDone = (report: Report): report is Extract<Report, { event: 'done' }> =>
            report.event === 'done' && report.id === id
          return (await process.receive(isDone)).results
        },
        async reached(step) {
          const isThere = (report: Report): report is Extract<Report, { event: 'reached' }> =>
            report.event === 'reached' && report.step === step
          await process.receive(isThere)
        },
        kill: () => process.kill(),
      }
      drivers.push(driver)
      await process.receive((report): report is Extract<Report, { event: 'ready' }> => report.event === 'ready')
      return driver
    },
    async close() {
      await Promise.all(drivers.map((driver) => driver.kill()))
      await here.close()
      await endpoint.close()
    },
  }
}
