/**
 * The tenants' keys, opened: for each purpose the newest to seal with, and any version that still exists to open with.
 *
 * What is opened stays in memory for a bounded number of keys and a bounded time, in buffers of this module's own that are
 * zeroed when they go. While a key service is away, what is in memory serves until its age; then calls fail with
 * `vault.key_unavailable`, which says nothing about the data.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'

import { LRUCache } from 'lru-cache'

import { AppError } from '../errors'
import type { TenantId } from '../ids'
import { KEY_BYTES } from './envelope'
import { KekError, kekIdOf, type Kek } from './kek/kek'
import { createKeyStore, type KeyPlace, type KeyPurpose, type KeyStore } from './key-store'

export type { KeyPurpose } from './key-store'

export interface TenantKey {
  readonly version: number
  /** The caller's own copy; zero it after use. */
  readonly key: Buffer
}

export interface TenantKeys {
  /** The newest key. Made when the tenant has none and nothing was written under an older one. */
  current(tenantId: TenantId, purpose: KeyPurpose): Promise<TenantKey>
  /**
   * @returns the caller's own copy; zero it after use
   * @throws AppError `vault.key_unavailable` when this version is not there or was destroyed, or when its KEK does not
   *   answer now; `vault.wrong_key` when the KEK does not open it
   */
  at(tenantId: TenantId, purpose: KeyPurpose, version: number): Promise<Buffer>
  /** Makes this version unreadable for good. Safe to repeat. */
  destroy(tenantId: TenantId, purpose: KeyPurpose, version: number): Promise<void>
}

export interface TenantKeysOptions {
  readonly kek: Kek
  readonly keyStoreDir: string
  /**
   * Asked before a tenant's first key is made: true when data of that purpose exists. Then its key was lost, and a new
   * one would only hide that.
   */
  readonly hasData?: (tenantId: TenantId, purpose: KeyPurpose) => Promise<boolean>
  /** How long an opened key may stay in memory. */
  readonly maxAgeMs?: number
  /** How many opened keys may. */
  readonly maxKeys?: number
}

/** Tenant keys whose memory can be emptied. */
export interface OpenTenantKeys extends TenantKeys {
  readonly store: KeyStore
  /** Zeroes everything that is in memory. What is asked for afterwards is opened again. */
  forget(): void
}

/** Each call seals an audit record, so which key is newest is asked now and then; for the others, each time. */
const NEWEST_MS = 5_000
const ALWAYS_FRESH: readonly KeyPurpose[] = ['vault', 'spool', 'webhook', 'sign_in']

export function createTenantKeys(options: TenantKeysOptions): OpenTenantKeys {
  const { kek, keyStoreDir, hasData, maxAgeMs = 60_000, maxKeys = 4_096 } = options
  const store = createKeyStore(keyStoreDir)
  const opened = new LRUCache<string, Buffer>({
    max: maxKeys,
    ttl: maxAgeMs,
    ttlAutopurge: true,
    dispose: (key) => key.fill(0),
  })
  const newest = new LRUCache<string, number>({ max: maxKeys, ttl: Math.min(NEWEST_MS, maxAgeMs) })
  const opening = new Map<string, Promise<void>>()

  /** Puts the key into memory; callers that ask together ask the KEK once. */
  const open = async (place: KeyPlace, name: string): Promise<void> => {
    const wrapped = await store.read(place)
    if (wrapped === undefined) throw missing(place)
    try {
      opened.set(name, await kek.unwrap(wrapped, aadOf(place)))
    } catch (error) {
      throw faultOf(place, error)
    }
  }

  const at: TenantKeys['at'] = async (tenantId, purpose, version) => {
    const name = `${tenantId}/${purpose}/${version}`
    // Twice: what was opened may have been evicted before this caller's turn.
    for (let attempt = 1; attempt <= 2; attempt += 1) {
      const cached = opened.get(name)
      if (cached !== undefined) return Buffer.from(cached)
      let underWay = opening.get(name)
      if (underWay === undefined) {
        underWay = open({ tenantId, purpose, version }, name).finally(() => opening.delete(name))
        opening.set(name, underWay)
      }
      await underWay
      const fresh = opened.get(name)
      if (fresh !== undefined) return Buffer.from(fresh)
    }
    throw new AppError('vault.key_unavailable', 'Too many workspaces are used at once.')
  }

  return {
    store,
    at,
    async current(tenantId, purpose) {
      const name = `${tenantId}/${purpose}`
      let version = ALWAYS_FRESH.includes(purpose) ? undefined : newest.get(name)
      if (version === undefined) {
        let found = await store.versions(tenantId, purpose)
        if (found.newest === undefined) {
          // A key is in the folder before anything is written under it, so look again after asking about data.
          const isLost = found.next === 1 && (await hasData?.(tenantId, purpose)) === true
          found = await store.versions(tenantId, purpose)
          if (found.newest === undefined) {
            if (isLost) throw missing({ tenantId, purpose, version: 1 })
            await makeKey(kek, store, { tenantId, purpose, version: found.next })
            found = await store.versions(tenantId, purpose)
          }
        }
        if (found.newest === undefined) throw missing({ tenantId, purpose, version: found.next })
        version = found.newest
        newest.set(name, version)
      }
      return { version, key: await at(tenantId, purpose, version) }
    },
    async destroy(tenantId, purpose, version) {
      await store.destroy({ tenantId, purpose, version })
      newest.delete(`${tenantId}/${purpose}`)
      opened.delete(`${tenantId}/${purpose}/${version}`)
    },
    forget() {
      opened.clear()
      newest.clear()
    },
  }
}

/** Makes a new key at this place unless somebody else was first. */
export async function makeKey(kek: Kek, store: KeyStore, place: KeyPlace): Promise<void> {
  const key = randomBytes(KEY_BYTES)
  try {
    const isOurs = await store.create(place, await wrapKey(kek, place, key))
    // Whoever rotates the KEK meanwhile may have looked before this file was there, and given the old KEK up.
    if (isOurs) await followKek(kek, store, place, key)
  } catch (error) {
    throw faultOf(place, error)
  } finally {
    key.fill(0)
  }
}

async function followKek(kek: Kek, store: KeyStore, place: KeyPlace, key: Buffer): Promise<void> {
  const wrapped = await store.read(place)
  if (wrapped === undefined || kekIdOf(wrapped) === (await kek.activeId())) return
  await store.replace(place, await wrapKey(kek, place, key))
}

/** Wraps under the active KEK, and believes it only when it opens again: what replaces a key must be that key. */
export async function wrapKey(kek: Kek, place: KeyPlace, key: Buffer): Promise<Buffer<ArrayBuffer>> {
  const wrapped = await kek.wrap(key, aadOf(place))
  const opened = await kek.unwrap(wrapped, aadOf(place))
  try {
    if (!opened.equals(key)) throw new KekError('refused', 'The key-encryption key does not open what it just wrapped.')
    return wrapped
  } finally {
    opened.fill(0)
  }
}

/** @returns the key, which the caller owns. @throws AppError as `TenantKeys.at` */
export async function unwrapKey(kek: Kek, place: KeyPlace, wrapped: Uint8Array): Promise<Buffer> {
  try {
    return await kek.unwrap(wrapped, aadOf(place))
  } catch (error) {
    throw faultOf(place, error)
  }
}

const aadOf = ({ tenantId, purpose, version }: KeyPlace) =>
  Buffer.from(JSON.stringify(['tenant-key', tenantId, purpose, version]))

function missing(place: KeyPlace): AppError {
  return new AppError('vault.key_unavailable', 'A key of this workspace is missing.', { internal: { ...place } })
}

/** Only what is wrong with the key itself names its version: that is an alarm. A service that is away is none. */
function faultOf(place: KeyPlace, error: unknown): unknown {
  if (!(error instanceof KekError)) return error
  if (error.fault === 'wrong')
    return new AppError('vault.wrong_key', 'A key of this workspace does not open.', {
      internal: { ...place },
      cause: error,
    })
  return new AppError('vault.key_unavailable', 'The keys of this workspace cannot be had at the moment.', {
    internal: { fault: error.fault },
    cause: error,
    retryAfterSeconds: 5,
  })
}
