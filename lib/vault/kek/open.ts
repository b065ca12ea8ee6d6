/**
 * The key-encryption keys as the configuration names them: one driver wraps, every other that is configured still opens
 * what it wrapped.
 *
 * @module
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'

import type { KekConfig } from '../../config'
import { createOperatorEgress } from '../../egress/operator'
import { AppError } from '../../errors'
import { createAwsKmsKek } from './aws-kms'
import { openFileKek } from './file'
import { combineKeks, KekError, type Kek, type KekDriver } from './kek'
import { createVaultTransitKek } from './vault-transit'

/**
 * @param options.createIfMissing  only for a first run, and only by the file driver
 * @throws AppError `vault.key_unavailable` with the reason; `config.invalid`
 */
export async function openKek(config: KekConfig, options: { readonly createIfMissing: boolean }): Promise<Kek> {
  const drivers: Partial<Record<KekConfig['provider'], KekDriver>> = {}
  if (config.awsKms !== undefined) drivers['aws-kms'] = await createAwsKmsKek(config.awsKms)
  if (config.vaultTransit !== undefined) {
    const { caFile, ...transit } = config.vaultTransit
    const ca = caFile === undefined ? undefined : await authority(caFile)
    const egress = createOperatorEgress({ setting: 'KEK_TRANSIT_ADDRESS', url: transit.address, ca })
    drivers['vault-transit'] = createVaultTransitKek({ ...transit, egress })
  }
  if (config.provider === 'file') drivers.file = await openFileKek(config.file, options)
  else {
    // Where the file came before the key service, it still opens what it wrapped.
    if (existsSync(config.file)) drivers.file = await openFileKek(config.file, { createIfMissing: false })
  }
  const active = drivers[config.provider]
  if (active === undefined) throw new AppError('config.invalid', 'KEK_PROVIDER: its settings are missing')
  return combineKeks(
    active,
    Object.values(drivers).filter((driver) => driver !== active),
  )
}

async function authority(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new KekError('refused', `KEK_TRANSIT_CA_FILE: ${file} cannot be read.`, cause)
  })
}
