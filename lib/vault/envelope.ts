/**
 * Authenticated encryption of one value under one key, bound to the place it belongs to.
 *
 * Shape, self-describing:
 *
 *     "PCE" | format version (1) | key id length (1) | key id | commitment (32) | nonce (12) | ciphertext (n) | tag (16)
 *
 * AES-256-GCM under a key derived for this one message: HKDF-SHA-256 over the given key, with the random 96-bit nonce as
 * salt and the associated data's digest as info, gives the message key and a commitment to key and place. GCM alone does
 * not commit: one ciphertext can be made to open under two keys, with two meanings (the "invisible salamander"); the
 * commitment, compared before anything is deciphered, rules that out. There is no other format and no plaintext.
 *
 * @see RFC 5116 §2; RFC 5869; NIST SP 800-38D §8.2.2
 * @module
 */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'

import { AppError } from '../errors'

const MAGIC = Buffer.from('PCE')
const FORMAT = 1
const COMMITMENT_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
export const KEY_BYTES = 32

/** Where a sealed value belongs. Authenticated, not encrypted. */
export interface Place {
  readonly tenantId: string
  readonly connectionId: string
  readonly field: string
  readonly generation: number
}

/** A key by its name. The name is in the header and in the associated data. */
export interface NamedKey {
  readonly id: string
  readonly key: Uint8Array
}

/** @returns the envelope; the caller still owns `key` and `plaintext` and should zero them */
export function seal({ id, key }: NamedKey, plaintext: Uint8Array, place: Place): Buffer<ArrayBuffer> {
  const nonce = randomBytes(NONCE_BYTES)
  const data = associatedData(id, place)
  const { messageKey, commitment } = derive(key, nonce, data)
  try {
    const cipher = createCipheriv('aes-256-gcm', messageKey, nonce, { authTagLength: TAG_BYTES })
    cipher.setAAD(data)
    const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
    return Buffer.concat([header(id), commitment, nonce, ciphertext, cipher.getAuthTag()])
  } finally {
    messageKey.fill(0)
  }
}

/**
 * @returns the plaintext, which the caller owns and should zero
 * @throws AppError `vault.unreadable` for another key, another place or any altered byte; which of them is not told
 */
export function open({ id, key }: NamedKey, sealed: Uint8Array, place: Place): Buffer {
  const expected = header(id)
  const nonceAt = expected.length + COMMITMENT_BYTES
  const bodyAt = nonceAt + NONCE_BYTES
  if (sealed.length < bodyAt + TAG_BYTES) throw unreadable(place)
  if (!expected.equals(sealed.subarray(0, expected.length))) throw unreadable(place)
  const nonce = sealed.subarray(nonceAt, bodyAt)
  const data = associatedData(id, place)
  const { messageKey, commitment } = derive(key, nonce, data)
  try {
    if (!timingSafeEqual(commitment, sealed.subarray(expected.length, nonceAt))) throw unreadable(place)
    const decipher = createDecipheriv('aes-256-gcm', messageKey, nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(data)
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
    const plaintext = decipher.update(sealed.subarray(bodyAt, -TAG_BYTES))
    try {
      decipher.final()
    } catch {
      plaintext.fill(0)
      throw unreadable(place)
    }
    return plaintext
  } finally {
    messageKey.fill(0)
  }
}

function derive(key: Uint8Array, nonce: Uint8Array, data: Uint8Array): { messageKey: Buffer; commitment: Buffer } {
  if (key.length !== KEY_BYTES) throw new AppError('vault.key_unavailable', 'A vault key has the wrong size.')
  const info = createHash('sha256').update('portcullis envelope 1').update(data).digest()
  const bytes = Buffer.from(hkdfSync('sha256', key, nonce, info, 32 + COMMITMENT_BYTES))
  return { messageKey: bytes.subarray(0, 32), commitment: bytes.subarray(32) }
}

/** A JSON array of strings and an integer is injective: no two places share an encoding. */
function associatedData(keyId: string, { tenantId, connectionId, field, generation }: Place): Buffer {
  return Buffer.from(JSON.stringify([FORMAT, tenantId, connectionId, field, generation, keyId]))
}

function header(keyId: string): Buffer {
  const id = Buffer.from(keyId)
  if (id.length > 255) throw new AppError('vault.key_unavailable', 'A vault key has too long a name.')
  return Buffer.concat([MAGIC, Buffer.from([FORMAT, id.length]), id])
}

function unreadable({ connectionId, field, generation }: Place): AppError {
  return new AppError('vault.unreadable', 'The stored credential could not be read.', {
    internal: { connectionId, field, generation },
  })
}
