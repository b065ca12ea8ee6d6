/**
 * Sealing of what a record must not show, and digests of what it must not hold, under a tenant's audit key.
 *
 * From each key version two keys are derived (HKDF-SHA-256, RFC 5869), so that the digest and the seal can never be used
 * against each other. A digest is HMAC-SHA-256: arguments are short and guessable, and a bare hash of them would be
 * readable by anybody with a list of guesses.
 *
 * Sealed bytes: `0x01 | salt 16 | nonce 12 | ciphertext | tag 16`, AES-256-GCM. Each value has a key of its own, made from
 * the salt, because a busy tenant may seal more values than random nonces under one key allow (NIST SP 800-38D §8.3).
 * Associated data: format, field, tenant, record, key version; a value moved to another row does not open.
 *
 * @module
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto'

import { LRUCache } from 'lru-cache'

import { AppError } from '../errors'
import type { TenantId } from '../ids'

/** The tenant's audit keys, from the key store. A version that was destroyed is gone: what it sealed stays closed. */
export interface AuditKeys {
  audit(tenantId: TenantId): Promise<{ readonly version: number; readonly key: Uint8Array }>
  auditAt(tenantId: TenantId, version: number): Promise<Uint8Array>
}

/**
 * `record`: free fields of a record, by its id. `arguments`: the canonical arguments of a call, by the call's id.
 * `export`: a part of an export, by its id and number. `stream`: the secret of a stream, by its id.
 */
export type SealedField = 'record' | 'arguments' | 'export' | 'stream'

export interface TenantSeal {
  readonly keyVersion: number
  /** HMAC-SHA-256 under the tenant's digest key. */
  digest(text: string): Buffer
  seal(field: SealedField, id: string, plain: Uint8Array): Buffer
  /** @throws AppError `vault.unreadable` when the bytes are not what was sealed for exactly this place. */
  open(field: SealedField, id: string, sealed: Uint8Array): Buffer
}

export interface AuditSeals {
  current(tenantId: TenantId): Promise<TenantSeal>
  at(tenantId: TenantId, version: number): Promise<TenantSeal>
}

const FORMAT = 1
const SALT = 16
const NONCE = 12
const TAG = 16
const HEADER = 1 + SALT + NONCE

/** Derived keys are kept for a minute at most, so that a destroyed key stops opening and sealing soon after. */
export function createAuditSeals(keys: AuditKeys): AuditSeals {
  const derived = new LRUCache<string, TenantSeal>({ max: 1_000, ttl: 60_000 })
  const sealOf = (tenantId: TenantId, version: number, key: Uint8Array): TenantSeal => {
    const name = `${tenantId}:${version}`
    const known = derived.get(name)
    if (known !== undefined) return known
    const made = deriveTenantSeal(tenantId, version, key)
    derived.set(name, made)
    return made
  }
  return {
    current: async (tenantId) => {
      const { version, key } = await keys.audit(tenantId)
      return sealOf(tenantId, version, key)
    },
    at: async (tenantId, version) =>
      derived.get(`${tenantId}:${version}`) ?? sealOf(tenantId, version, await keys.auditAt(tenantId, version)),
  }
}

/** @param key  32 bytes, one version of the tenant's audit key */
export function deriveTenantSeal(tenantId: TenantId, keyVersion: number, key: Uint8Array): TenantSeal {
  if (key.length !== 32) throw new AppError('vault.key_unavailable', 'The audit key is not usable.')
  const derive = (purpose: string) =>
    Buffer.from(hkdfSync('sha256', key, Buffer.from(tenantId), `portcullis/audit/${purpose}/v1`, 32))
  const digestKey = derive('digest')
  const sealKey = derive('seal')
  const valueKey = (salt: Uint8Array) => createHmac('sha256', sealKey).update(salt).digest()
  const associated = (field: SealedField, id: string) =>
    Buffer.from(JSON.stringify(['portcullis-audit', FORMAT, field, tenantId, id, keyVersion]))

  return {
    keyVersion,
    digest: (text) => createHmac('sha256', digestKey).update(text, 'utf8').digest(),
    seal: (field, id, plain) => {
      const random = randomBytes(SALT + NONCE)
      const salt = random.subarray(0, SALT)
      const nonce = random.subarray(SALT)
      const cipher = createCipheriv('aes-256-gcm', valueKey(salt), nonce, { authTagLength: TAG })
      cipher.setAAD(associated(field, id))
      return Buffer.concat([Buffer.of(FORMAT), random, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
    },
    open: (field, id, sealed) => {
      if (sealed.length < HEADER + TAG || sealed[0] !== FORMAT) throw unreadable()
      const salt = sealed.subarray(1, 1 + SALT)
      const nonce = sealed.subarray(1 + SALT, HEADER)
      const decipher = createDecipheriv('aes-256-gcm', valueKey(salt), nonce, { authTagLength: TAG })
      decipher.setAAD(associated(field, id))
      decipher.setAuthTag(sealed.subarray(sealed.length - TAG))
      try {
        return Buffer.concat([decipher.update(sealed.subarray(HEADER, sealed.length - TAG)), decipher.final()])
      } catch (cause) {
        throw unreadable(cause)
      }
    },
  }
}

const unreadable = (cause?: unknown) =>
  new AppError('vault.unreadable', 'The record could not be opened.', cause === undefined ? {} : { cause })
