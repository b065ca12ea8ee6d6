/**
 * The key-encryption key: wraps the tenants' keys and nothing else. The file driver keeps it in one 0600 file.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import path from 'node:path'

import { z } from 'zod'

import { AppError } from '../errors'
import { KEY_BYTES, open, seal, type Place } from './envelope'
import { createPrivate, privateFolder, readPrivate } from './private-file'

/** A driver for where the key lives. `unwrap` fails for what another key wrapped or what belongs to another place. */
export interface Kek {
  readonly id: string
  wrap(plain: Uint8Array, aad: Uint8Array): Promise<Uint8Array>
  /** The caller owns the result and should zero it. */
  unwrap(wrapped: Uint8Array, aad: Uint8Array): Promise<Buffer>
}

const fileSchema = z.strictObject({ format: z.literal(1), id: z.string().regex(/^kek_[0-9a-f]{16}$/), key: z.base64() })

/**
 * Opens the key file.
 *
 * @param options.createIfMissing  only for a first run: a new key opens nothing that an older one wrapped
 * @throws AppError `vault.key_unavailable` when the file is missing, damaged or readable by others
 */
export async function openFileKek(file: string, options: { readonly createIfMissing: boolean }): Promise<Kek> {
  let content = await readPrivate(file)
  if (content === undefined && options.createIfMissing) {
    await privateFolder(path.dirname(file))
    const key = randomBytes(KEY_BYTES)
    const id = `kek_${randomBytes(8).toString('hex')}`
    const json = Buffer.from(`${JSON.stringify({ format: 1, id, key: key.toString('base64') })}\n`)
    await createPrivate(file, json)
    key.fill(0)
    json.fill(0)
    content = await readPrivate(file) // another process may have been first
  }
  if (content === undefined) throw new AppError('vault.key_unavailable', `There is no key file at ${file}.`)
  try {
    return fromJson(content, file)
  } finally {
    content.fill(0)
  }
}

function fromJson(content: Buffer, file: string): Kek {
  const parsed = fileSchema.safeParse(parseJson(content.toString('utf8')))
  const key = parsed.success ? Buffer.from(parsed.data.key, 'base64') : Buffer.alloc(0)
  if (!parsed.success || key.length !== KEY_BYTES)
    throw new AppError('vault.key_unavailable', `The key file ${file} is damaged.`)
  const { id } = parsed.data
  // The caller's bytes are the whole place, so they stand in one field of it.
  const place = (aad: Uint8Array): Place => ({
    tenantId: '',
    connectionId: '',
    field: `kek:${Buffer.from(aad).toString('base64')}`,
    generation: 0,
  })
  return {
    id,
    wrap: (plain, aad) => Promise.resolve(seal({ id, key }, plain, place(aad))),
    // eslint-disable-next-line @typescript-eslint/require-await -- a throw inside becomes a rejection, as of a remote driver
    unwrap: async (wrapped, aad) => open({ id, key }, wrapped, place(aad)),
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
