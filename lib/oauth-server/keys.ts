/**
 * Keys of the authorization server, made on the first run and kept in one private file: secrets that sign its cookies
 * and prove what a consent page showed, and a signing key that the library insists on (tokens are opaque; nothing we
 * issue is signed today).
 *
 * Rotation puts a new key first and keeps the one before it, so that what is under way stays valid.
 *
 * @module
 */
import { createHmac, generateKeyPairSync, randomBytes, timingSafeEqual } from 'node:crypto'
import path from 'node:path'

import { z } from 'zod'

import { AppError } from '../errors'
import { createPrivate, privateFolder, readPrivate, replacePrivate } from '../vault/private-file'

/** In the data folder. */
export const OAUTH_KEY_FILE = 'oauth/keys.json'
const KEPT = 2
const secret = z.string().regex(/^[A-Za-z0-9_-]{43}$/)
const signingKey = z.object({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.string(),
  y: z.string(),
  d: z.string(),
  kid: z.string(),
})
const keyFile = z.object({
  version: z.literal(1),
  cookies: z.array(secret).min(1).max(KEPT),
  signing: z.array(signingKey).min(1).max(KEPT),
})
type KeyFile = z.infer<typeof keyFile>

export interface OauthKeys {
  /** Newest first. */
  readonly cookieKeys: readonly string[]
  readonly signingKeys: KeyFile['signing']
  /** A proof that these words were ours. */
  prove(words: string): string
  isProof(proof: string, words: string): boolean
}

/**
 * The keys in this file; makes them when there are none. Of several processes that start at once one wins, and all use its keys.
 *
 * @throws AppError `config.invalid` when the file holds something else
 */
export async function openOauthKeys(file: string): Promise<OauthKeys> {
  await privateFolder(path.dirname(file))
  let content = await readPrivate(file)
  if (content === undefined) {
    await createPrivate(file, serialize({ version: 1, cookies: [newCookieKey()], signing: [newSigningKey()] }))
    content = await readPrivate(file)
  }
  return keysOf(parse(content))
}

/**
 * From the next start on new keys are used and the newest of the old ones still count: a consent that is under way when
 * the gateways are restarted goes on. What was signed before the rotation before this one counts no more.
 */
export async function rotateOauthKeys(file: string): Promise<{ readonly kept: number }> {
  await openOauthKeys(file)
  const { cookies, signing } = parse(await readPrivate(file))
  const next: KeyFile = {
    version: 1,
    cookies: [newCookieKey(), ...cookies].slice(0, KEPT),
    signing: [newSigningKey(), ...signing].slice(0, KEPT),
  }
  await replacePrivate(file, serialize(next), { shred: true })
  return { kept: next.cookies.length - 1 }
}

function keysOf({ cookies, signing }: KeyFile): OauthKeys {
  const proofs = (words: string) =>
    cookies.map((key) => createHmac('sha256', key).update('consent\0', 'utf8').update(words, 'utf8').digest())
  return {
    cookieKeys: cookies,
    signingKeys: signing,
    prove: (words) => (proofs(words)[0] ?? Buffer.alloc(0)).toString('base64url'),
    isProof: (proof, words) => {
      const given = Buffer.from(proof, 'base64url')
      return proofs(words).some((right) => right.length === given.length && timingSafeEqual(right, given))
    },
  }
}

function parse(content: Buffer | undefined): KeyFile {
  try {
    return keyFile.parse(JSON.parse((content ?? Buffer.alloc(0)).toString('utf8')))
  } catch {
    // Neither the content nor what is wrong with it is repeated: it may be a key.
    throw new AppError('config.invalid', 'The file with the keys of the authorization server cannot be read.')
  }
}

const serialize = (keys: KeyFile) => Buffer.from(`${JSON.stringify(keys)}\n`)
const newCookieKey = () => randomBytes(32).toString('base64url')

function newSigningKey(): KeyFile['signing'][number] {
  const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
  return signingKey.parse({ ...jwk, kid: randomBytes(12).toString('base64url') })
}
