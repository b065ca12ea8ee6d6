/**
 * The tenants' keys as the KEK wrapped them, in a folder outside both databases and their dumps.
 *
 *     <folder>/<tenant>/<purpose>/<version>.key         the wrapped key
 *     <folder>/<tenant>/<purpose>/<version>.destroyed   it is gone for good, and the number is never used again
 *
 * A version is made once: processes that need it at the same moment all get the one that reached the folder first. What
 * is there may be wrapped anew, never by another key's bytes.
 *
 * @module
 */
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'

import { AppError } from '../errors'
import { brand, isId, type TenantId } from '../ids'
import {
  createPrivate,
  ignore,
  privateFolder,
  readPrivate,
  replacePrivate,
  shredDrafts,
  shredPrivate,
} from './private-file'

/** Purposes have keys of their own, so that destroying what one protects leaves the others readable. */
export const PURPOSES = ['vault', 'audit', 'spool', 'webhook', 'mcp', 'sign_in', 'person'] as const
export type KeyPurpose = (typeof PURPOSES)[number]

/** Whose keys those are that belong to no workspace: people's. No workspace gets this id; a real one begins with its time. */
export const INSTALLATION: TenantId = brand<'tenant'>(`ten_${'0'.repeat(26)}`)

export interface KeyPlace {
  readonly tenantId: TenantId
  readonly purpose: KeyPurpose
  readonly version: number
}

export interface KeyVersions {
  /** Ascending. */
  readonly usable: readonly number[]
  readonly destroyed: readonly number[]
  readonly newest: number | undefined
  /** The number after the last one ever used. */
  readonly next: number
}

export interface KeyStore {
  read(place: KeyPlace): Promise<Buffer | undefined>
  /** False when that version is there already. */
  create(place: KeyPlace, wrapped: Uint8Array): Promise<boolean>
  /** Puts another wrapping of the same key in place of the old one. A version that was destroyed stays destroyed. */
  replace(place: KeyPlace, wrapped: Uint8Array): Promise<void>
  /** For good. Safe to repeat. */
  destroy(place: KeyPlace): Promise<void>
  versions(tenantId: TenantId, purpose: KeyPurpose): Promise<KeyVersions>
  /** When the version was made or last wrapped anew. */
  changedAt(place: KeyPlace): Promise<Date | undefined>
  tenants(): Promise<TenantId[]>
  /** Every key that can be read, tenant by tenant. */
  list(): AsyncGenerator<KeyPlace>
}

export function createKeyStore(folder: string): KeyStore {
  const folderOf = (tenantId: TenantId, purpose: KeyPurpose): string => {
    // The id becomes part of a path.
    if (!isId('tenant', tenantId)) throw new AppError('internal', 'This is not a tenant.')
    return path.join(folder, tenantId, purpose)
  }
  const fileOf = ({ tenantId, purpose, version }: KeyPlace, suffix: 'key' | 'destroyed' = 'key') =>
    path.join(folderOf(tenantId, purpose), `${version}.${suffix}`)

  const versions: KeyStore['versions'] = async (tenantId, purpose) => {
    const names = (await readdir(folderOf(tenantId, purpose)).catch(ignore('ENOENT'))) ?? []
    const numbers = (suffix: string) =>
      names
        .filter((name) => new RegExp(`^[1-9][0-9]{0,8}\\.${suffix}$`).test(name))
        .map((name) => Number.parseInt(name, 10))
        .sort((a, b) => a - b)
    const destroyed = numbers('destroyed')
    const usable = numbers('key').filter((version) => !destroyed.includes(version))
    return { usable, destroyed, newest: usable.at(-1), next: Math.max(0, ...usable, ...destroyed) + 1 }
  }
  const tenants: KeyStore['tenants'] = async () => {
    const names = (await readdir(folder).catch(ignore('ENOENT'))) ?? []
    return names
      .filter((name) => isId('tenant', name))
      .sort()
      .map((name) => brand<'tenant'>(name))
  }

  return {
    versions,
    tenants,
    read: (place) => readPrivate(fileOf(place)),

    async create(place, wrapped) {
      const target = fileOf(place)
      await privateFolder(folder)
      await privateFolder(path.dirname(path.dirname(target)))
      await privateFolder(path.dirname(target))
      return createPrivate(target, wrapped)
    },

    async replace(place, wrapped) {
      await replacePrivate(fileOf(place), wrapped, { shred: true })
      // Destroyed meanwhile: the marker is older than this file, and it wins.
      if (await isThere(fileOf(place, 'destroyed'))) await shredPrivate(fileOf(place))
    },

    async destroy(place) {
      await privateFolder(folderOf(place.tenantId, place.purpose))
      await createPrivate(fileOf(place, 'destroyed'), new Uint8Array())
      await shredPrivate(fileOf(place))
      await shredDrafts(fileOf(place))
    },

    async changedAt(place) {
      return (await stat(fileOf(place)).catch(ignore('ENOENT')))?.mtime
    },

    async *list() {
      for (const tenantId of await tenants())
        for (const purpose of PURPOSES)
          for (const version of (await versions(tenantId, purpose)).usable) yield { tenantId, purpose, version }
    },
  }
}

async function isThere(file: string): Promise<boolean> {
  return (await stat(file).catch(ignore('ENOENT'))) !== undefined
}
