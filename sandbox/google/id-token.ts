/**
 * ID tokens as Google signs them: RS256 under a key of this sandbox, published as a JWKS.
 *
 * @see OpenID Connect Core 1.0 §2, §3.1.3.6 (at_hash)
 * @module
 */
import { createHash, createPrivateKey, generateKeyPairSync, type JsonWebKey, sign } from 'node:crypto'

import type { Store } from '@/sandbox/core/store'

interface StoredKey {
  readonly kid: string
  readonly jwk: JsonWebKey
}

export interface IdTokenSigner {
  /** A signed JWT with these claims. */
  sign(claims: Readonly<Record<string, unknown>>): string
  readonly jwks: { readonly keys: readonly Record<string, unknown>[] }
}

export function createIdTokenSigner(store: Store): IdTokenSigner {
  const { kid, jwk } = store.remember<StoredKey>('sandbox', 'google.key', () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const made = privateKey.export({ format: 'jwk' })
    return {
      kid: createHash('sha256')
        .update(made.n ?? '')
        .digest('hex')
        .slice(0, 40),
      jwk: made,
    }
  })
  const key = createPrivateKey({ key: jwk, format: 'jwk' })
  return {
    sign: (claims) => {
      const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
      const input = `${part({ alg: 'RS256', kid, typ: 'JWT' })}.${part(claims)}`
      return `${input}.${sign('sha256', Buffer.from(input), key).toString('base64url')}`
    },
    jwks: { keys: [{ kty: 'RSA', n: jwk.n, e: jwk.e, kid, alg: 'RS256', use: 'sig' }] },
  }
}

export const accessTokenHash = (accessToken: string): string =>
  createHash('sha256').update(accessToken).digest().subarray(0, 16).toString('base64url')
