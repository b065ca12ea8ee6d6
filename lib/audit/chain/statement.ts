/**
 * What is said about a chain to places outside the database, signed: a checkpoint ("this chain had this hash at this
 * position"), and a cut ("everything up to here was removed because its time was over").
 *
 * A signature is Ed25519 (RFC 8032) over the line `portcullis-audit/v1` and the canonical JSON of the statement without its
 * signature. The key is named by the first 16 hex digits of the SHA-256 of its public half in SPKI form.
 *
 * @module
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto'

import { z } from 'zod'

import { AppError } from '../../errors'
import { isId, type TenantId } from '../../ids'
import { canonicalJson } from '../canonical'

const DOMAIN = 'portcullis-audit/v1\n'
const digits = z.string().regex(/^[0-9a-f]{64}$/)

export const statementSchema = z.strictObject({
  v: z.literal(1),
  kind: z.enum(['checkpoint', 'cut']),
  tenant: z.string().refine((value): value is TenantId => isId('tenant', value)),
  position: z.int().positive(),
  /** Of the link at the position, in hex. */
  hash: digits,
  at: z.iso.datetime(),
  key: z.string().regex(/^[0-9a-f]{16}$/),
  /** Base64url. */
  signature: z.string().regex(/^[A-Za-z0-9_-]{86}$/),
})
export type Statement = z.infer<typeof statementSchema>
export type Unsigned = Omit<Statement, 'v' | 'key' | 'signature'>

const keyFileSchema = z.strictObject({
  version: z.literal(1),
  /** Newest first; the first one signs. */
  keys: z
    .array(z.strictObject({ publicKey: z.base64(), privateKey: z.base64(), createdAt: z.iso.datetime() }))
    .min(1)
    .max(20),
})

export interface ChainKeys {
  /** The key that signs, by name. */
  readonly keyId: string
  /** In PEM form, for whoever verifies elsewhere. */
  readonly publicKey: string
  sign(statement: Unsigned): Statement
  isSigned(statement: Statement): boolean
}

/** The content of a new key file. */
export function newChainKeyFile(now: Date): Buffer {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const key = {
    publicKey: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
    createdAt: now.toISOString(),
  }
  return Buffer.from(`${JSON.stringify({ version: 1, keys: [key] }, null, 2)}\n`)
}

/** @throws AppError `config.invalid` when the file holds something else */
export function readChainKeys(content: Uint8Array): ChainKeys {
  const parsed = keyFileSchema.safeParse(parseJson(Buffer.from(content).toString('utf8')))
  const first = parsed.data?.keys[0]
  if (!parsed.success || first === undefined) throw notAKeyFile()
  try {
    const known = publicKeys(parsed.data.keys.map(({ publicKey }) => Buffer.from(publicKey, 'base64')))
    const privateKey = createPrivateKey({ key: Buffer.from(first.privateKey, 'base64'), type: 'pkcs8', format: 'der' })
    const publicKey = createPublicKey(privateKey)
    const keyId = idOf(publicKey)
    if (!known.has(keyId)) throw notAKeyFile()
    return {
      keyId,
      publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
      sign: (statement) => {
        const body = { v: 1 as const, ...statement, key: keyId }
        return { ...body, signature: sign(null, signed(body), privateKey).toString('base64url') }
      },
      isSigned: (statement) => isSignedBy(known, statement),
    }
  } catch (cause) {
    throw cause instanceof AppError ? cause : notAKeyFile(cause)
  }
}

/**
 * For whoever holds public halves alone.
 *
 * @param pem  one or more public keys
 * @throws AppError `config.invalid` when there is none
 */
export function readPublicKeys(pem: string): Pick<ChainKeys, 'isSigned'> {
  const blocks = pem.match(/-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/g) ?? []
  try {
    const known = publicKeys(blocks.map((block) => createPublicKey(block).export({ type: 'spki', format: 'der' })))
    if (known.size === 0) throw notAKeyFile()
    return { isSigned: (statement) => isSignedBy(known, statement) }
  } catch (cause) {
    throw cause instanceof AppError ? cause : notAKeyFile(cause)
  }
}

function publicKeys(keys: readonly Buffer[]): ReadonlyMap<string, KeyObject> {
  return new Map(
    keys.map((key) => {
      const made = createPublicKey({ key, type: 'spki', format: 'der' })
      if (made.asymmetricKeyType !== 'ed25519') throw notAKeyFile()
      return [idOf(made), made]
    }),
  )
}

function isSignedBy(known: ReadonlyMap<string, KeyObject>, { signature, ...body }: Statement): boolean {
  const key = known.get(body.key)
  return key !== undefined && verify(null, signed(body), key, Buffer.from(signature, 'base64url'))
}

const idOf = (key: KeyObject) =>
  createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, 16)

const signed = (body: Omit<Statement, 'signature'>) => Buffer.from(DOMAIN + canonicalJson(body), 'utf8')

const notAKeyFile = (cause?: unknown) =>
  new AppError(
    'config.invalid',
    'The key that signs audit checkpoints cannot be read.',
    cause === undefined ? {} : { cause },
  )

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
