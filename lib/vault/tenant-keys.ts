/**
 * The tenants' keys, wrapped by the KEK, in a folder outside both databases and their dumps.
 *
 *     <folder>/<tenant>/<purpose>/<version>.key         the wrapped key
 *     <folder>/<tenant>/<purpose>/<version>.destroyed   it is gone for good, and the number is never used again
 *
 * Purposes have keys of their own, so that erasing what one protects leaves the others readable. A version is made once:
 * processes that need it at the same moment all get the one that reached the folder first.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import path from 'node:path'

import { LRUCache } from 'lru-cache'

import { AppError } from '../errors'
import { isId, type TenantId } from '../ids'
import { KEY_BYTES } from './envelope'
import type { Kek } from './kek'
import { createPrivate, ignore, privateFolder, readPrivate, shredPrivate } from './private-file'

export type KeyPurpose = 'vault' | 'audit' | 'spool'

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
   * @throws AppError `vault.key_unavailable` when this version is not there, was destroyed or was wrapped by another KEK
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
}

export function createTenantKeys(options: TenantKeysOptions): TenantKeys {
  const { kek, keyStoreDir, hasData, maxAgeMs = 60_000 } = options
  const limits = { max: 4_096, ttl: maxAgeMs, ttlAutopurge: true }
  const opened = new LRUCache<string, Buffer>({ ...limits, dispose: (key) => key.fill(0) })
  const newest = new LRUCache<string, number>(limits)

  const folderOf = (tenantId: TenantId, purpose: KeyPurpose): string => {
    // The id becomes part of a path.
    if (!isId('tenant', tenantId)) throw new AppError('internal', 'This is not a tenant.')
    return path.join(keyStoreDir, tenantId, purpose)
  }
  const aad = (tenantId: TenantId, purpose: KeyPurpose, version: number) =>
    Buffer.from(JSON.stringify(['tenant-key', tenantId, purpose, version]))

  const at: TenantKeys['at'] = async (tenantId, purpose, version) => {
    const name = `${tenantId}/${purpose}/${version}`
    const cached = opened.get(name)
    if (cached !== undefined) return Buffer.from(cached)
    const wrapped = await readPrivate(path.join(folderOf(tenantId, purpose), `${version}.key`))
    if (wrapped === undefined) throw unavailable(tenantId, purpose, version)
    let key: Buffer
    try {
      key = await kek.unwrap(wrapped, aad(tenantId, purpose, version))
    } catch (cause) {
      throw unavailable(tenantId, purpose, version, cause)
    }
    opened.set(name, key)
    return Buffer.from(key)
  }

  /** @returns the newest usable version and the number after the last one ever used */
  const versions = async (folder: string): Promise<{ newest: number | undefined; next: number }> => {
    const names = (await readdir(folder).catch(ignore('ENOENT'))) ?? []
    const numbers = (suffix: string) =>
      names
        .filter((name) => new RegExp(`^[1-9][0-9]{0,8}\\.${suffix}$`).test(name))
        .map((name) => Number.parseInt(name, 10))
    const destroyed = numbers('destroyed')
    const usable = numbers('key').filter((version) => !destroyed.includes(version))
    return {
      newest: usable.length === 0 ? undefined : Math.max(...usable),
      next: Math.max(0, ...usable, ...destroyed) + 1,
    }
  }

  const create = async (tenantId: TenantId, purpose: KeyPurpose, version: number): Promise<void> => {
    const key = randomBytes(KEY_BYTES)
    try {
      const folder = folderOf(tenantId, purpose)
      await privateFolder(keyStoreDir)
      await privateFolder(path.dirname(folder))
      await privateFolder(folder)
      await createPrivate(path.join(folder, `${version}.key`), await kek.wrap(key, aad(tenantId, purpose, version)))
    } finally {
      key.fill(0)
    }
  }

  return {
    at,
    async current(tenantId, purpose) {
      const name = `${tenantId}/${purpose}`
      let version = newest.get(name)
      if (version === undefined) {
        const folder = folderOf(tenantId, purpose)
        let found = await versions(folder)
        if (found.newest === undefined) {
          // A key is in the folder before anything is written under it, so look again after asking about data.
          const lost = found.next === 1 && (await hasData?.(tenantId, purpose)) === true
          found = await versions(folder)
          if (found.newest === undefined) {
            if (lost) throw unavailable(tenantId, purpose, 1)
            await create(tenantId, purpose, found.next)
            found = await versions(folder)
          }
        }
        if (found.newest === undefined) throw unavailable(tenantId, purpose, found.next)
        version = found.newest
        newest.set(name, version)
      }
      return { version, key: await at(tenantId, purpose, version) }
    },
    async destroy(tenantId, purpose, version) {
      const folder = folderOf(tenantId, purpose)
      await privateFolder(folder)
      await createPrivate(path.join(folder, `${version}.destroyed`), new Uint8Array())
      await shredPrivate(path.join(folder, `${version}.key`))
      newest.delete(`${tenantId}/${purpose}`)
      opened.delete(`${tenantId}/${purpose}/${version}`)
    },
  }
}

function unavailable(tenantId: TenantId, purpose: KeyPurpose, version: number, cause?: unknown): AppError {
  return new AppError('vault.key_unavailable', 'A key of this workspace is missing.', {
    internal: { tenantId, purpose, version },
    cause,
  })
}
