/**
 * A worker in a process of its own, with nothing in it but the refresh engine: it looks for what is due, or carries calls
 * out as a gateway would, and says how much memory it has.
 *
 * @module
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { systemClock } from '../../lib/clock'
import { createAppDb } from '../../lib/db/app-db'
import { createVaultDb } from '../../lib/db/vault-db'
import type { ConnectionId, TenantId } from '../../lib/ids'
import { createLog } from '../../lib/log'
import { createIdle } from '../../lib/refresh/idle'
import { createProactive } from '../../lib/refresh/proactive'
import { createProviderApps } from '../../lib/refresh/provider-apps'
import { TEST_PROVIDER } from '../../lib/testing/refresh-client'
import { createEngine, type EngineOptions } from '../../lib/testing/refresh-engine'

export interface WorkerOptions extends EngineOptions {
  readonly perSecond: number
  readonly scanMs: number
}

export type WorkerOrder =
  | { readonly op: 'work' }
  | { readonly op: 'stop' }
  | {
      readonly op: 'call'
      readonly connections: readonly { readonly tenantId: TenantId; readonly connectionId: ConnectionId }[]
    }

export type WorkerReport =
  | { readonly event: 'ready' }
  | { readonly event: 'memory'; readonly rss: number; readonly heap: number }
  | { readonly event: 'stopped' }
  | { readonly event: 'called'; readonly succeeded: number; readonly failures: readonly string[]; readonly ms: number }

/** A collection takes some tens of milliseconds, which are the worker's. */
const SAMPLE_MS = 5_000
const options = JSON.parse(process.argv[2] ?? '{}') as WorkerOptions // written by herd.ts
const tell = (report: WorkerReport) => process.send?.(report)
const log = createLog('worker', 'silent')
const vaultDb = createVaultDb(options.vaultUrl, { max: 4 })
const appDb = createAppDb(options.appUrl, { max: 2 })
const apps = createProviderApps({
  vaultDb,
  appDb,
  clock: systemClock,
  log,
  limits: { [TEST_PROVIDER.name]: { perSecond: options.perSecond } },
})
const engine = await createEngine(options, undefined, undefined, apps)
const { credentials, refresher } = engine
const proactive = createProactive({
  vaultDb,
  refresher,
  apps,
  idle: createIdle({ vaultDb, appDb, credentials, clock: systemClock, log }),
  isConfigured: (_provider, appKey) => appKey === TEST_PROVIDER.app,
  log,
})
let scans: NodeJS.Timeout | undefined

process.on('message', (order: WorkerOrder) => {
  void carryOut(order)
})
process.on('disconnect', () => process.exit(0))
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void // there once the flag is set
setInterval(() => {
  const { rss } = process.memoryUsage()
  collect() // what is left is alive
  tell({ event: 'memory', rss, heap: process.memoryUsage().heapUsed })
}, SAMPLE_MS).unref()
tell({ event: 'ready' })

async function carryOut(order: WorkerOrder): Promise<void> {
  switch (order.op) {
    case 'work':
      void proactive.start()
      scans = setInterval(() => void proactive.start(), options.scanMs)
      return
    case 'stop':
      clearInterval(scans)
      await proactive.stop()
      await refresher.drain()
      tell({ event: 'stopped' })
      return
    case 'call': {
      const startedAt = performance.now()
      const results = await Promise.all(
        order.connections.map(({ tenantId, connectionId }) =>
          refresher.accessToken(tenantId, connectionId, { minGeneration: 1 }).then(
            () => undefined,
            (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : String(error)),
          ),
        ),
      )
      const failures = results.filter((it) => it !== undefined)
      tell({
        event: 'called',
        succeeded: results.length - failures.length,
        failures: [...new Set(failures)],
        ms: performance.now() - startedAt,
      })
    }
  }
}
