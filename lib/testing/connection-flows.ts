/**
 * The connection flows put together as gateway and worker do it, on a test's databases and folders and against whatever
 * answers at the given endpoints.
 *
 * @module
 */
import path from 'node:path'

import { createAudit } from '../audit/audit'
import { systemClock } from '../clock'
import type { ProviderAppConfig, ProviderName, ProviderOverride } from '../config'
import { createConnections } from '../connections/connections'
import { createAppDb } from '../db/app-db'
import { createVaultDb } from '../db/vault-db'
import { createEgress } from '../egress/egress'
import { createLog } from '../log'
import { createProviders } from '../providers/registry'
import { Secret } from '../secret'
import { createCredentials, type Credentials } from '../vault/credential'
import { createMirror } from '../vault/mirror'
import { openKeys } from '../vault/readiness'
import { createSpool, type Spool } from '../vault/spool'

export interface FlowOptions {
  readonly appUrl: string
  readonly vaultUrl: string
  readonly dataDir: string
  readonly publicUrl: string
  readonly apps: Partial<
    Record<
      ProviderName,
      { readonly clientId: string; readonly clientSecret: string; readonly overrides: ProviderOverride }
    >
  >
}

/** Gates around the steps, for stopping a process between two of them. */
export interface FlowGates {
  readonly spool?: (spool: Spool) => Spool
  readonly credentials?: (credentials: Credentials) => Credentials
}

export async function createTestFlows(options: FlowOptions, gates: FlowGates = {}) {
  const appDb = createAppDb(options.appUrl, { max: 8 })
  const vaultDb = createVaultDb(options.vaultUrl, { max: 8 })
  const log = createLog('test', 'silent')
  const opened = await openKeys({
    vaultDb,
    kekFile: path.join(options.dataDir, 'keys', 'kek.json'),
    keyStoreDir: path.join(options.dataDir, 'keys', 'store'),
  })
  if (!opened.ok) throw new Error(opened.reason)
  const { keys } = opened
  const audit = createAudit({
    databaseUrl: options.appUrl,
    appDb,
    vaultDb,
    keys: {
      audit: (tenantId) => keys.current(tenantId, 'audit'),
      auditAt: (tenantId, version) => keys.at(tenantId, 'audit', version),
    },
    clock: systemClock,
    log,
    spoolDir: path.join(options.dataDir, 'spool', 'audit'),
  })
  const origins = Object.values(options.apps).flatMap((app) =>
    Object.values(app.overrides).flatMap((url) => (typeof url === 'string' ? [new URL(url).origin] : [])),
  )
  const egressConfig = { allow: [...new Set(origins)], allowUnsafe: true }
  const egress = createEgress({ ...egressConfig, production: false })
  const configured: Partial<Record<ProviderName, ProviderAppConfig>> = {}
  for (const [name, app] of Object.entries(options.apps))
    configured[name as ProviderName] = {
      // keys of the record above
      clientId: app.clientId,
      clientSecret: new Secret(app.clientSecret),
      overrides: app.overrides,
      sandbox: true,
    }
  const providers = createProviders({
    config: { providers: configured, egress: egressConfig, production: false },
    egress,
    clock: systemClock,
  })
  const onIntegrityAlarm = () => undefined
  const mirror = createMirror(appDb)
  const plain = createCredentials({ vaultDb, keys, mirror, clock: systemClock, log, onIntegrityAlarm })
  const credentials = gates.credentials?.(plain) ?? plain
  const journal = createSpool({ folder: path.join(options.dataDir, 'spool', 'connect'), keys, onIntegrityAlarm, log })
  const spool = gates.spool?.(journal) ?? journal
  const queued: string[] = []
  const connections = createConnections({
    appDb,
    vaultDb,
    credentials,
    spool,
    providers,
    audit,
    onRevocation: (_tenantId, revocationId) => Promise.resolve(queued.push(revocationId)),
    destroyVaultKey: (tenantId, version) => keys.destroy(tenantId, 'vault', version),
    publicUrl: options.publicUrl,
    clock: systemClock,
    log,
  })
  return {
    keys,
    appDb,
    vaultDb,
    audit,
    providers,
    credentials,
    spool,
    connections,
    /** Revocations a worker was asked for. */
    queued,
    async close() {
      await credentials.settled()
      await audit.close()
      await egress.close()
      await Promise.all([appDb.close(), vaultDb.close()])
    },
  }
}

export type TestFlows = Awaited<ReturnType<typeof createTestFlows>>
