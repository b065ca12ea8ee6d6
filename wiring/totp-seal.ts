/**
 * Seals the secrets of authenticator apps with the vault's envelope, under a key of their own purpose. People belong to no
 * workspace, so the key is the installation's.
 *
 * @module
 */
import type { TotpSeal } from '@/lib/identity/totp'
import { open, seal, type Place } from '@/lib/vault/envelope'
import { INSTALLATION } from '@/lib/vault/key-store'
import type { TenantKeys } from '@/lib/vault/tenant-keys'

const keyName = (version: number) => `${INSTALLATION}/person/${version}`
const placeOf = (personId: string, generation: number): Place => ({
  tenantId: INSTALLATION,
  connectionId: personId,
  field: 'totp_secret',
  generation,
})

export function createTotpSeal(keys: Pick<TenantKeys, 'current' | 'at'>): TotpSeal {
  return {
    async seal(personId, generation, secret) {
      const { version, key } = await keys.current(INSTALLATION, 'person')
      try {
        const sealed = seal({ id: keyName(version), key }, secret, placeOf(personId, generation))
        return { sealed: new Uint8Array(sealed), keyVersion: version }
      } finally {
        key.fill(0)
      }
    },
    async open(personId, generation, { sealed, keyVersion }) {
      const key = await keys.at(INSTALLATION, 'person', keyVersion)
      try {
        return open({ id: keyName(keyVersion), key }, sealed, placeOf(personId, generation))
      } finally {
        key.fill(0)
      }
    },
  }
}
