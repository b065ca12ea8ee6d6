/**
 * Keys in a 0600 file: a ring with one active key and those it follows.
 *
 *     {"format":1,"id":"kek_…","key":"…"}                                          one key, as a first run makes it
 *     {"format":2,"active":"kek_…","keys":[{"id","key","madeAt"}],"retired":["…"]}  after the first rotation
 *
 * The file is replaced whole, so a reader sees the ring before or after a change. Every process reads it before it wraps
 * and whenever it meets a name it does not know: a rotation needs no restart.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import path from 'node:path'

import { z } from 'zod'

import { systemClock, type Clock } from '../../clock'
import { AppError } from '../../errors'
import { KEY_BYTES, open, seal, type Place } from '../envelope'
import { createPrivate, privateFolder, readPrivate, replacePrivate, shredDrafts } from '../private-file'
import { KekError, kekIdOf, notOurs, type KekDriver } from './kek'

const keyId = z.string().regex(/^kek_[0-9a-f]{16}$/)
const single = z.strictObject({ format: z.literal(1), id: keyId, key: z.base64() })
const ring = z.strictObject({
  format: z.literal(2),
  active: keyId,
  keys: z
    .array(z.strictObject({ id: keyId, key: z.base64(), madeAt: z.iso.datetime().optional() }))
    .min(1)
    .max(100),
  retired: z.array(keyId).max(1_000),
})
type Ring = z.infer<typeof ring>

const isFileKey = (id: string): boolean => keyId.safeParse(id).success

/**
 * Opens the key file.
 *
 * @param options.createIfMissing  only for a first run: a new key opens nothing that an older one wrapped
 * @throws AppError `vault.key_unavailable` when the file is missing, damaged or readable by others
 */
export async function openFileKek(
  file: string,
  options: { readonly createIfMissing: boolean; readonly clock?: Clock },
): Promise<KekDriver> {
  const { createIfMissing, clock = systemClock } = options
  if (createIfMissing) await createRing(file)
  let known = await readRing(file)
  let isClosed = false

  /** The ring as the file has it now. A key that stays keeps its buffer, so that nobody's is zeroed while it is used. */
  const reload = async (): Promise<OpenRing> => {
    const fresh = await readRing(file)
    for (const [id, key] of known.keys) {
      const again = fresh.keys.get(id)
      if (again?.equals(key) === true) {
        again.fill(0)
        fresh.keys.set(id, key)
      } else key.fill(0)
    }
    return (known = fresh)
  }
  /** For use at once, without waiting for anything in between. */
  const keyOf = ({ keys }: OpenRing, id: string): Buffer | undefined => {
    if (isClosed) throw new KekError('unavailable', 'The keys are being let go of.')
    return keys.get(id)
  }
  const change = async (edit: (content: Ring) => Ring): Promise<OpenRing> => {
    const content = await readContent(file)
    const json = Buffer.from(`${JSON.stringify(edit(content))}\n`)
    try {
      await replacePrivate(file, json, { shred: true })
      await shredDrafts(file)
    } finally {
      json.fill(0)
    }
    return reload()
  }

  return {
    owns: isFileKey,
    activeId: async () => (await reload()).active,
    ids: async () => [...(await reload()).keys.keys()],
    isRetired: async (id) => (await reload()).retired.includes(id),

    async wrap(plain, aad) {
      const now = await reload()
      const key = keyOf(now, now.active)
      if (key === undefined) throw damaged(file)
      return seal({ id: now.active, key }, plain, placeOf(aad))
    },

    async unwrap(wrapped, aad) {
      const id = kekIdOf(wrapped)
      if (id === undefined || !isFileKey(id)) throw notOurs()
      const key = keyOf(known, id) ?? keyOf(await reload(), id)
      if (key === undefined) throw new KekError('wrong', `The key file ${file} has no key ${id}.`)
      try {
        return open({ id, key }, wrapped, placeOf(aad))
      } catch (cause) {
        if (cause instanceof AppError && cause.code === 'vault.unreadable') throw notOurs(cause)
        throw cause
      }
    },

    async rotate() {
      const id = newKeyId()
      const key = randomBytes(KEY_BYTES)
      try {
        const made = { id, key: key.toString('base64'), madeAt: clock.now().toISOString() }
        await change((content) => ({ ...content, active: id, keys: [...content.keys, made] }))
      } finally {
        key.fill(0)
      }
      return id
    },

    async retire(id) {
      const { active, keys } = await reload()
      if (id === active) throw new KekError('refused', 'The active key cannot be retired.')
      if (keys.has(id))
        await change((content) => ({
          ...content,
          keys: content.keys.filter((key) => key.id !== id),
          retired: [...content.retired.filter((one) => one !== id), id],
        }))
      return 'destroyed'
    },

    close: () => {
      isClosed = true
      for (const key of known.keys.values()) key.fill(0)
      return Promise.resolve()
    },
  }
}

interface OpenRing {
  readonly active: string
  readonly keys: Map<string, Buffer>
  readonly retired: readonly string[]
}

async function readRing(file: string): Promise<OpenRing> {
  const { active, keys, retired } = await readContent(file)
  const opened = new Map(keys.map(({ id, key }) => [id, Buffer.from(key, 'base64')]))
  if (!opened.has(active) || [...opened.values()].some((key) => key.length !== KEY_BYTES)) throw damaged(file)
  return { active, keys: opened, retired }
}

/** Two tries: a file that is just being replaced may show its old bytes overwritten. */
async function readContent(file: string): Promise<Ring> {
  return (await parsedFile(file)) ?? (await parsedFile(file)) ?? fail(damaged(file))
}

async function parsedFile(file: string): Promise<Ring | undefined> {
  const content = await readPrivate(file)
  if (content === undefined) throw new KekError('refused', `There is no key file at ${file}.`)
  try {
    const json = parseJson(content.toString('utf8'))
    const one = single.safeParse(json)
    if (one.success) {
      const { id, key } = one.data
      return { format: 2, active: id, keys: [{ id, key }], retired: [] }
    }
    return ring.safeParse(json).data
  } finally {
    content.fill(0)
  }
}

/** Of several processes at once the first one's key stays. */
async function createRing(file: string): Promise<void> {
  const there = await readPrivate(file)
  there?.fill(0)
  if (there !== undefined) return
  await privateFolder(path.dirname(file))
  const key = randomBytes(KEY_BYTES)
  const json = Buffer.from(`${JSON.stringify({ format: 1, id: newKeyId(), key: key.toString('base64') })}\n`)
  try {
    await createPrivate(file, json)
  } finally {
    key.fill(0)
    json.fill(0)
  }
}

const newKeyId = () => `kek_${randomBytes(8).toString('hex')}`
const damaged = (file: string) => new KekError('refused', `The key file ${file} is damaged.`)

function fail(error: Error): never {
  throw error
}

/** The caller's bytes are the whole place, so they stand in one field of it. */
const placeOf = (aad: Uint8Array): Place => ({
  tenantId: '',
  connectionId: '',
  field: `kek:${Buffer.from(aad).toString('base64')}`,
  generation: 0,
})

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
