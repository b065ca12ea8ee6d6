/**
 * The key-encryption key: wraps the tenants' keys and nothing else. One interface, a driver for each place where such a
 * key may live.
 *
 * A wrapped key names the KEK that wrapped it, so that several can be in use while one follows another:
 *
 *     "PCE" | 1 | id length (1) | id | …      an envelope of our own (file driver)
 *     "PCK" | 1 | id length (1) | id | …      bytes of a key service
 *
 * The name is a claim: a driver opens only under keys that its operator configured, so nobody can hand in a key of theirs.
 *
 * @module
 */
import { createHash, timingSafeEqual } from 'node:crypto'

import { AppError } from '../../errors'

export interface Kek {
  /** Name of the key that wraps from now on. Asked anew each time, because an operator may have changed it. */
  activeId(): Promise<string>
  /** Names of the keys that this installation may open with. For display. */
  ids(): Promise<readonly string[]>
  /** Whether the key of that name was retired here: what it wrapped is not expected to open any more. */
  isRetired(id: string): Promise<boolean>
  /** @param aad  where the result belongs; it opens nowhere else */
  wrap(plain: Uint8Array, aad: Uint8Array): Promise<Buffer<ArrayBuffer>>
  /** The caller owns the result and should zero it. @throws KekError */
  unwrap(wrapped: Uint8Array, aad: Uint8Array): Promise<Buffer>
  /** Makes a new key the active one. @throws KekError `refused` where only the operator of the key service can */
  rotate(): Promise<string>
  /** Gives a key up that wraps nothing any more. @returns whether it is gone, or still to be ended at its service */
  retire(id: string): Promise<'destroyed' | 'left_to_its_service'>
  close(): Promise<void>
}

/** One kind of place; `owns` tells its key names from those of others. */
export interface KekDriver extends Kek {
  owns(id: string): boolean
}

/**
 * `unavailable`: no answer now, ask again. `refused`: an operator must act (rights, a disabled key), and nothing is lost.
 * `wrong`: this key does not open these bytes, however often it is asked.
 */
export type KekFault = 'unavailable' | 'refused' | 'wrong'

export class KekError extends AppError {
  readonly fault: KekFault

  constructor(fault: KekFault, message: string, cause?: unknown) {
    super(fault === 'wrong' ? 'vault.wrong_key' : 'vault.key_unavailable', message, { cause, internal: { fault } })
    this.fault = fault
  }
}

const MAGICS = ['PCE', 'PCK'] as const
const FORMAT = 1

/** The name of the key that wrapped these bytes; undefined when they are not a wrapped key. */
export function kekIdOf(wrapped: Uint8Array): string | undefined {
  const bytes = Buffer.from(wrapped)
  const length = bytes[4]
  if (length === undefined || bytes[3] !== FORMAT || bytes.length <= 5 + length) return undefined
  const magic = bytes.toString('latin1', 0, 3)
  return MAGICS.some((known) => known === magic) ? bytes.toString('utf8', 5, 5 + length) : undefined
}

/** What a key service returned, with the name of its key before it. */
export function labelled(id: string, bytes: Uint8Array): Buffer<ArrayBuffer> {
  const name = Buffer.from(id)
  if (name.length > 255) throw new KekError('refused', 'The name of a key-encryption key is too long.')
  return Buffer.concat([Buffer.from('PCK'), Buffer.from([FORMAT, name.length]), name, bytes])
}

/** The service's own bytes. @throws KekError `wrong` when they are not labelled with that name */
export function unlabelled(id: string, wrapped: Uint8Array): Buffer {
  if (kekIdOf(wrapped) !== id || wrapped[2] !== 'K'.charCodeAt(0)) throw notOurs()
  return Buffer.from(wrapped).subarray(5 + Buffer.byteLength(id))
}

/**
 * Binds a key to its place by itself, whatever the service makes of associated data: an old or foreign server that
 * ignores it must not make two tenants' keys exchangeable.
 */
export function placed(plain: Uint8Array, aad: Uint8Array): Buffer {
  return Buffer.concat([digest(aad), plain])
}

/** Takes the buffer over. @throws KekError `wrong` when it belongs to another place */
export function unplaced(bytes: Buffer, aad: Uint8Array): Buffer {
  try {
    if (bytes.length < DIGEST_BYTES || !timingSafeEqual(bytes.subarray(0, DIGEST_BYTES), digest(aad))) throw notOurs()
    return Buffer.from(bytes.subarray(DIGEST_BYTES))
  } finally {
    bytes.fill(0)
  }
}

const DIGEST_BYTES = 32
const digest = (aad: Uint8Array) => createHash('sha256').update('portcullis kek place').update(aad).digest()

export const notOurs = (cause?: unknown): KekError =>
  new KekError('wrong', 'The key-encryption key does not open this.', cause)

/** Several drivers as one: the first wraps, each opens what it wrapped itself. So an installation can move. */
export function combineKeks(active: KekDriver, others: readonly KekDriver[]): Kek {
  const all = [active, ...others]
  const ownerOf = (id: string | undefined): KekDriver | undefined =>
    id === undefined ? undefined : all.find((driver) => driver.owns(id))
  return {
    activeId: () => active.activeId(),
    ids: async () => (await Promise.all(all.map((driver) => driver.ids()))).flat(),
    isRetired: async (id) => (await ownerOf(id)?.isRetired(id)) ?? false,
    wrap: (plain, aad) => active.wrap(plain, aad),
    async unwrap(wrapped, aad) {
      const id = kekIdOf(wrapped)
      const owner = ownerOf(id)
      if (owner === undefined)
        throw new KekError('wrong', `This was wrapped under ${id ?? 'no key'}, which is not configured here.`)
      return owner.unwrap(wrapped, aad)
    },
    rotate: () => active.rotate(),
    async retire(id) {
      return (await ownerOf(id)?.retire(id)) ?? 'left_to_its_service'
    },
    close: async () => {
      await Promise.all(all.map((driver) => driver.close()))
    },
  }
}
