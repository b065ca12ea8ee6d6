/**
 * A device that makes passkeys and signs with them, in software: what a browser would send, byte for byte, and wrong in the
 * ways that a test asks for.
 *
 * @see WebAuthn Level 3 §6.1, §6.5
 * @module
 */
import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'

export interface Misbehaviour {
  readonly origin?: string
  readonly rpId?: string
  readonly challenge?: string
  /** The person was there but did not unlock the device. */
  readonly isUnverified?: boolean
  readonly counter?: number
  readonly userHandle?: string
  /** Signs with a key of somebody else. */
  readonly hasOtherKey?: boolean
}

const b64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest()
const newKeys = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })

export function createAuthenticator(origin: string) {
  const rpId = new URL(origin).hostname
  const credentialId = randomBytes(32)
  const { publicKey, privateKey } = newKeys()
  const id = b64(credentialId)
  let counter = 0
  let userHandle = ''

  const clientData = (type: 'webauthn.create' | 'webauthn.get', challenge: string, wrong: Misbehaviour) =>
    Buffer.from(
      JSON.stringify({
        type,
        challenge: wrong.challenge ?? challenge,
        origin: wrong.origin ?? origin,
        crossOrigin: false,
      }),
    )
  const authData = (wrong: Misbehaviour, attested: Buffer | undefined) => {
    const count = Buffer.alloc(4)
    count.writeUInt32BE(wrong.counter ?? counter)
    const flags = 0x01 | (wrong.isUnverified === true ? 0 : 0x04) | (attested === undefined ? 0 : 0x40)
    return Buffer.concat([sha256(wrong.rpId ?? rpId), Buffer.from([flags]), count, attested ?? Buffer.alloc(0)])
  }

  return {
    id,
    credentialId,
    /** As `navigator.credentials.create`. */
    create(options: { readonly challenge: string; readonly user: { readonly id: string } }, wrong: Misbehaviour = {}) {
      userHandle = options.user.id
      const data = authData(wrong, attestedKey(credentialId, publicKey))
      // {"fmt": "none", "attStmt": {}, "authData": bytes}
      const attestationObject = Buffer.concat([
        Buffer.from([0xa3, 0x63]),
        Buffer.from('fmt'),
        Buffer.from([0x64]),
        Buffer.from('none'),
        Buffer.from([0x67]),
        Buffer.from('attStmt'),
        Buffer.from([0xa0, 0x68]),
        Buffer.from('authData'),
        Buffer.from([0x58, data.length]),
        data,
      ])
      return {
        id,
        rawId: id,
        type: 'public-key' as const,
        clientExtensionResults: {},
        response: {
          clientDataJSON: b64(clientData('webauthn.create', options.challenge, wrong)),
          attestationObject: b64(attestationObject),
          transports: ['internal'],
        },
      }
    },
    /** As `navigator.credentials.get`. Each signature has a higher counter. */
    get(options: { readonly challenge: string }, wrong: Misbehaviour = {}) {
      counter += 1
      const data = authData(wrong, undefined)
      const client = clientData('webauthn.get', options.challenge, wrong)
      const key = wrong.hasOtherKey === true ? newKeys().privateKey : privateKey
      return {
        id,
        rawId: id,
        type: 'public-key' as const,
        clientExtensionResults: {},
        response: {
          clientDataJSON: b64(client),
          authenticatorData: b64(data),
          signature: b64(sign('sha256', Buffer.concat([data, sha256(client)]), key)),
          userHandle: wrong.userHandle === undefined ? userHandle : b64(Buffer.from(wrong.userHandle)),
        },
      }
    },
  }
}

export type TestAuthenticator = ReturnType<typeof createAuthenticator>

/** AAGUID, credential id, COSE_Key. */
function attestedKey(credentialId: Buffer, publicKey: KeyObject): Buffer {
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
  const length = Buffer.alloc(2)
  length.writeUInt16BE(credentialId.length)
  return Buffer.concat([
    Buffer.alloc(16),
    length,
    credentialId,
    Buffer.from([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]),
    Buffer.from(x, 'base64url'),
    Buffer.from([0x22, 0x58, 0x20]),
    Buffer.from(y, 'base64url'),
  ])
}
