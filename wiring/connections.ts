/**
 * The connection flows, as gateway and worker both have them: one starts and ends consents, the other carries out what
 * they left to do.
 *
 * @module
 */
import path from 'node:path'

import { createConnections, type Connections } from '@/lib/connections/connections'
import type { JobQueue } from '@/lib/queue/queue'
import { createSpool } from '@/lib/vault/spool'

import type { Core } from './core'

export function createConnectionFlows(core: Core, queue: Pick<JobQueue, 'enqueue'>): Connections {
  const { appDb, audit, clock, config, credentials, keys, log, onIntegrityAlarm, providers, vaultDb } = core
  return createConnections({
    appDb,
    vaultDb,
    credentials,
    spool: createSpool({ folder: path.join(config.dataDir, 'spool', 'connect'), keys, onIntegrityAlarm, log }),
    providers,
    audit,
    onRevocation: (tenantId, revocationId) => queue.enqueue('revokeGrant', { tenantId, revocationId }),
    destroyVaultKey: (tenantId, version) => keys.destroy(tenantId, 'vault', version),
    publicUrl: config.publicUrl,
    clock,
    log,
  })
}
