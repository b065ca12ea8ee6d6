/**
 * The chain over the audit trail, put together for the worker, which continues it, and for the command line, which reads it.
 *
 * @module
 */
import path from 'node:path'

import { createCheckpoints, type Checkpoints } from '@/lib/audit/chain/checkpoints'
import { createChainRetention } from '@/lib/audit/chain/retention'
import { createSequencer, type Sequencer } from '@/lib/audit/chain/sequencer'
import { createFileSink, createS3Sink, createWebhookSink, type CheckpointSink } from '@/lib/audit/chain/sinks'
import { newChainKeyFile, readChainKeys, type ChainKeys } from '@/lib/audit/chain/statement'
import { createChainStore, type ChainStore } from '@/lib/audit/chain/store'
import type { Clock } from '@/lib/clock'
import type { Config } from '@/lib/config'
import { createOperatorEgress, type OperatorEgress } from '@/lib/egress/operator'
import { AppError } from '@/lib/errors'
import type { Log } from '@/lib/log'
import { signWebhook } from '@/lib/notifications/webhook-signature'
import { createPrivate, privateFolder, readPrivate } from '@/lib/vault/private-file'

/** In the data folder. */
const KEY_FILE = 'keys/audit-signing.json'
const CHECKPOINT_FOLDER = 'audit/checkpoints'

export const chainKeyFile = (config: Pick<Config, 'dataDir'>) => path.join(config.dataDir, KEY_FILE)
export const checkpointFolder = (config: Pick<Config, 'dataDir'>) => path.join(config.dataDir, CHECKPOINT_FOLDER)

/**
 * The key that signs; made on the first run. Of several processes that start at once one wins, and all use its key.
 *
 * @throws AppError `config.invalid` when the file holds something else
 */
export async function openChainKeys(config: Pick<Config, 'dataDir'>, clock: Clock): Promise<ChainKeys> {
  const file = chainKeyFile(config)
  await privateFolder(path.dirname(file))
  const content = await readPrivate(file)
  if (content !== undefined) return readChainKeys(content)
  await createPrivate(file, newChainKeyFile(clock.now()))
  return readChainKeys((await readPrivate(file)) ?? Buffer.alloc(0))
}

/** The key there is, for whoever only reads. Undefined when none was made yet. */
export async function findChainKeys(config: Pick<Config, 'dataDir'>): Promise<ChainKeys | undefined> {
  const content = await readPrivate(chainKeyFile(config))
  return content === undefined ? undefined : readChainKeys(content)
}

export interface AuditChain {
  readonly store: ChainStore
  readonly sequencer: Sequencer
  readonly checkpoints: Checkpoints
  readonly keys: ChainKeys
  /** Removes what workspaces keep no longer. */
  removeOld(): Promise<number>
  close(): Promise<void>
}

/** @throws AppError `config.invalid` when DATABASE_URL is missing, or a place for checkpoints cannot be used */
export async function createAuditChain({
  config,
  clock,
  log,
}: {
  readonly config: Config
  readonly clock: Clock
  readonly log: Log
}): Promise<AuditChain> {
  if (config.databaseUrl === undefined) throw new AppError('config.invalid', 'DATABASE_URL: is needed')
  const keys = await openChainKeys(config, clock)
  const { sinks, egresses } = sinksOf(config, clock)
  const store = createChainStore(config.databaseUrl)
  const { everySeconds } = config.auditCheckpoints
  const checkpoints = createCheckpoints({ store, keys, sinks, everySeconds, clock, log })
  return {
    store,
    sequencer: createSequencer({ store, log }),
    checkpoints,
    keys,
    removeOld: createChainRetention({ store, keys, checkpoints, clock, log }),
    close: async () => {
      await store.close()
      await Promise.all(egresses.map((egress) => egress.close()))
    },
  }
}

function sinksOf(config: Config, clock: Clock) {
  const { s3, webhook } = config.auditCheckpoints
  const sinks: CheckpointSink[] = [createFileSink(checkpointFolder(config))]
  const egresses: OperatorEgress[] = []
  const egressTo = (setting: string, url: string) => {
    const egress = createOperatorEgress({ setting, url })
    egresses.push(egress)
    return egress
  }
  if (s3 !== undefined) sinks.push(createS3Sink({ ...s3, egress: egressTo('AUDIT_CHECKPOINT_S3_URL', s3.url), clock }))
  if (webhook !== undefined) {
    const { url, secret } = webhook
    sinks.push(
      createWebhookSink({
        url,
        sign: (id, at, body) => ({ ...signWebhook(secret, id, at, body) }),
        egress: egressTo('AUDIT_CHECKPOINT_WEBHOOK_URL', url),
        clock,
      }),
    )
  }
  return { sinks, egresses }
}
