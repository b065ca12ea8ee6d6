/**
 * The domains put together once, for gateway, worker and command line alike.
 *
 * @module
 */
import path from 'node:path'

import { createAudit, type Audit } from '@/lib/audit/audit'
import { createAuditReader, type AuditReader } from '@/lib/audit/read'
import type { AuditKeys } from '@/lib/audit/seal'
import { systemClock, type Clock } from '@/lib/clock'
import type { Config } from '@/lib/config'
import { createAppDb, type AppDb } from '@/lib/db/app-db'
import { createVaultDb, type VaultDb } from '@/lib/db/vault-db'
import { createEgress, type Egress } from '@/lib/egress/egress'
import { AppError } from '@/lib/errors'
import { brand } from '@/lib/ids'
import type { Log } from '@/lib/log'
import type { Providers } from '@/lib/providers/client'
import { createProviders } from '@/lib/providers/registry'
import { createProviderApps, type ProviderApps } from '@/lib/refresh/provider-apps'
import { createRefresher, type Refresher } from '@/lib/refresh/refresher'
import { createCredentials, type Credentials } from '@/lib/vault/credential'
import type { OnIntegrityAlarm } from '@/lib/vault/integrity'
import { openKeyAccess, type KeyAccess } from '@/lib/vault/key-access'
import { createMirror, type Mirror } from '@/lib/vault/mirror'
import { createSpool, type Spool } from '@/lib/vault/spool'
import type { TenantKeys } from '@/lib/vault/tenant-keys'
import { createUsage } from '@/lib/vault/usage'

export interface Core {
  readonly config: Config
  readonly log: Log
  readonly clock: Clock
  readonly appDb: AppDb
  readonly vaultDb: VaultDb
  /** Why no credential may be opened now; undefined when they may. Ask each time: keys come back by themselves. */
  readonly notReady: string | undefined
  readonly keyAccess: KeyAccess
  readonly egress: Egress
  readonly providers: Providers
  readonly audit: Audit
  readonly auditReader: AuditReader
  readonly keys: TenantKeys
  readonly credentials: Credentials
  readonly mirror: Mirror
  readonly spool: Spool
  readonly refresher: Refresher
  /** Circuit and pace of each provider app, shared with the other processes. */
  readonly providerApps: ProviderApps
  readonly onIntegrityAlarm: OnIntegrityAlarm
  /** Finishes refreshes and records under way, then lets go of databases and sockets. */
  close(): Promise<void>
}

/**
 * Opens databases and keys. With keys missing it still answers, every use of one fails with `vault.key_unavailable`
 * (data without its keys must not be taken for a first run), and it goes on by itself once they are there.
 *
 * @throws AppError `config.invalid` when a database URL is missing
 */
export async function createCore(
  config: Config,
  log: Log,
  options: { readonly poolSize?: number } = {},
): Promise<Core> {
  const { databaseUrl, vaultDatabaseUrl } = config
  if (databaseUrl === undefined || vaultDatabaseUrl === undefined)
    throw new AppError('config.invalid', 'DATABASE_URL, VAULT_DATABASE_URL: both are needed')
  const clock = systemClock
  const pool = { max: options.poolSize ?? 10 }
  const appDb = createAppDb(databaseUrl, pool)
  const vaultDb = createVaultDb(vaultDatabaseUrl, pool)
  const keyAccess = await openKeyAccess(
    {
      vaultDb,
      kek: config.kek,
      keyStoreDir: config.keyStoreDir,
      maxAgeMs: config.keyCacheSeconds * 1_000,
      hasAuditData: (tenantId) => hasAuditData(appDb, tenantId),
      hasPersonData: () => hasPersonData(appDb),
    },
    log,
  )
  const { keys } = keyAccess

  const audit = createAudit({
    databaseUrl,
    appDb,
    vaultDb,
    keys: auditKeys(keys),
    clock,
    log,
    spoolDir: path.join(config.dataDir, 'spool', 'audit'),
  })
  const onIntegrityAlarm: OnIntegrityAlarm = (alarm) =>
    audit.never(null, {
      tenantId: alarm.tenantId,
      action: 'vault.integrity_alarm',
      actor: { kind: 'system' },
      connectionId: brand<'connection'>(alarm.connectionId),
      reason: alarm.reason,
      detail: { field: alarm.field, generation: alarm.generation },
    })
  const egress = createEgress({ ...config.egress, production: config.production })
  const providers = createProviders({ config, egress, clock })
  const mirror = createMirror(appDb)
  const usage = createUsage({ appDb, vaultDb, log })
  const credentials = createCredentials({ vaultDb, keys, mirror, usage, clock, log, onIntegrityAlarm })
  const spool = createSpool({ folder: path.join(config.dataDir, 'spool', 'refresh'), keys, onIntegrityAlarm, log })
  const providerApps = createProviderApps({ vaultDb, appDb, clock, log })
  const refresher = createRefresher({
    vaultDb,
    credentials,
    mirror,
    providers,
    apps: providerApps,
    journal: spool,
    log,
  })

  return {
    config,
    log,
    clock,
    appDb,
    vaultDb,
    get notReady() {
      return keyAccess.notReady
    },
    keyAccess,
    egress,
    providers,
    audit,
    auditReader: createAuditReader({ appDb, audit }),
    keys,
    credentials,
    mirror,
    spool,
    refresher,
    providerApps,
    onIntegrityAlarm,
    async close() {
      await refresher.drain()
      await credentials.settled()
      await providerApps.settled()
      await usage.close()
      await audit.close()
      await egress.close()
      await keyAccess.close()
      await Promise.all([appDb.close(), vaultDb.close()])
    },
  }
}

/** The audit's view of the tenant keys: its own purpose and nothing else. */
function auditKeys(keys: TenantKeys): AuditKeys {
  return {
    audit: (tenantId) => keys.current(tenantId, 'audit'),
    auditAt: (tenantId, version) => keys.at(tenantId, 'audit', version),
  }
}

async function hasAuditData(appDb: AppDb, tenantId: string): Promise<boolean> {
  const id = brand<'tenant'>(tenantId)
  return appDb.tenant(id, async (tx) => {
    const sealed = await tx.auditRecord.findFirst({
      where: { tenantId: id, keyVersion: { not: null } },
      select: { id: true },
    })
    return sealed !== null
  })
}

async function hasPersonData(appDb: AppDb): Promise<boolean> {
  return (await appDb.global.$queryRaw<unknown[]>`SELECT 1 FROM person_totp LIMIT 1`).length > 0
}
