/**
 * The vault and the refresh engine put together as gateway and worker do it, on a test's databases and folders.
 *
 * @module
 */
import path from 'node:path'

import { systemClock } from '../clock'
import { createAppDb } from '../db/app-db'
import { createVaultDb } from '../db/vault-db'
import { createLog } from '../log'
import type { RefreshMode } from '../providers/definition'
import {
  type ProviderApps,
  createRefresher,
  type Refresher,
  type RefreshingProviders,
  type RefreshTiming,
} from '../refresh/refresher'
import { createCredentials, type Credentials } from '../vault/credential'
import type { IntegrityAlarm } from '../vault/integrity'
import { createMirror } from '../vault/mirror'
import { openKeys } from '../vault/readiness'
import { createSpool, type Spool } from '../vault/spool'
import { createTestProviders } from './refresh-client'

export interface EngineOptions {
  readonly appUrl: string
  readonly vaultUrl: string
  readonly dataDir: string
  readonly tokenUrl: string
  readonly mode: RefreshMode
  readonly max: number
  readonly timing: Partial<RefreshTiming>
  /** Another machine's disk: where this engine spools its answers. Beside the keys when absent. */
  readonly spoolDir?: string
}

export interface Engine {
  readonly credentials: Credentials
  readonly refresher: Refresher
  readonly journal: Spool
  readonly alarms: readonly IntegrityAlarm[]
  close(): Promise<void>
}

/**
 * @param wrapJournal  a gate around the journal, for stopping a process between its answer and its commit
 * @param wrapProviders  a gate around the provider, for stopping it between its claim and its request
 */
export async function createEngine(
  options: EngineOptions,
  wrapJournal = (journal: Spool) => journal,
  wrapProviders = (providers: RefreshingProviders) => providers,
  apps?: ProviderApps,
): Promise<Engine> {
  const appDb = createAppDb(options.appUrl, { max: options.max })
  const vaultDb = createVaultDb(options.vaultUrl, { max: options.max })
  const log = createLog('test', 'silent')
  const opened = await openKeys({
    vaultDb,
    kekFile: path.join(options.dataDir, 'keys', 'kek.json'),
    keyStoreDir: path.join(options.dataDir, 'keys', 'store'),
  })
  if (!opened.ok) throw new Error(opened.reason)
  const { keys } = opened
  const mirror = createMirror(appDb)
  const alarms: IntegrityAlarm[] = []
  const onIntegrityAlarm = (alarm: IntegrityAlarm) => void alarms.push(alarm)
  const credentials = createCredentials({ vaultDb, keys, mirror, clock: systemClock, log, onIntegrityAlarm })
  const journal = wrapJournal(
    createSpool({ folder: options.spoolDir ?? path.join(options.dataDir, 'spool'), keys, log, onIntegrityAlarm }),
  )
  const providers = wrapProviders(createTestProviders(options.tokenUrl, options.mode))
  const refresher = createRefresher({
    credentials,
    providers,
    vaultDb,
    mirror,
    journal,
    log,
    timing: options.timing,
    ...(apps === undefined ? {} : { apps }),
  })
  return {
    credentials,
    refresher,
    journal,
    alarms,
    close: async () => {
      await refresher.drain()
      await Promise.all([appDb.close(), vaultDb.close()])
    },
  }
}
