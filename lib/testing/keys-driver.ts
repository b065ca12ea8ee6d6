/**
 * A process of its own that opens keys when told to, so that several do so at the same moment.
 *
 * @module
 */
import { createHash } from 'node:crypto'

import { createVaultDb } from '../db/vault-db'
import type { TenantId } from '../ids'
import { openKeys } from '../vault/readiness'

interface Options {
  readonly vaultUrl: string
  readonly kekFile: string
  readonly keyStoreDir: string
  readonly tenantId: TenantId
}

const { vaultUrl, kekFile, keyStoreDir, tenantId } = JSON.parse(process.argv[2] ?? '{}') as Options // written by the test
const vaultDb = createVaultDb(vaultUrl, { max: 1 })

process.once('message', () => {
  void openKeys({ vaultDb, kekFile, keyStoreDir }).then(async (opened) => {
    if (!opened.ok) return process.send?.({ made: opened.reason })
    const { version, key } = await opened.keys.current(tenantId, 'vault')
    return process.send?.({ made: `${createHash('sha256').update(key).digest('hex')}:${version}` })
  })
})
process.send?.({ ready: true })
