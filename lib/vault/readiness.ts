/**
 * Whether the keys at hand are those the data was written under. Data without its keys is an operator's emergency and
 * never a first run: nothing is made anew, nothing is opened, and the reason is said.
 *
 * For each key-encryption key in use the vault database holds a canary: the key store's id, wrapped by that KEK. Every
 * one has to open, so that a ring restored from before a rotation is noticed at once. The key store names its own id.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import path from 'node:path'

import type { KekConfig } from '../config'
import type { VaultDb } from '../db/vault-db'
import { KekError, kekIdOf, type Kek } from './kek/kek'
import { openKek } from './kek/open'
import { createPrivate, privateFolder, readPrivate } from './private-file'
import { createTenantKeys, type OpenTenantKeys, type TenantKeysOptions } from './tenant-keys'

const CANARY = Buffer.from(JSON.stringify(['key-canary', 1]))

export type KeyCheck = { readonly ok: true } | { readonly ok: false; readonly reason: string }
export type OpenedKeys =
  | { readonly ok: true; readonly kek: Kek; readonly keys: OpenTenantKeys; readonly keyStoreDir: string }
  | { readonly ok: false; readonly reason: string }

export interface KeySources {
  readonly vaultDb: VaultDb
  /** Where the KEK lives; a path alone is that of a key file. */
  readonly kek?: KekConfig
  readonly kekFile?: string
  readonly keyStoreDir: string
  /** True when this tenant has sealed audit records; asked before its first audit key is made. */
  readonly hasAuditData?: (tenantId: string) => Promise<boolean>
  /** True when secrets of authenticator apps are kept; asked before the first key of the installation is made. */
  readonly hasPersonData?: () => Promise<boolean>
  readonly maxAgeMs?: number
  readonly maxKeys?: number
}

/**
 * Opens KEK and key store, makes both on a first run, and proves that they fit the data. Safe in several processes at once.
 *
 * @throws when the database does not answer; that says nothing about keys
 */
export async function openKeys(sources: KeySources): Promise<OpenedKeys> {
  const { vaultDb, keyStoreDir, hasAuditData, hasPersonData, maxAgeMs, maxKeys } = sources
  const isFirstRun = !(await hasData(vaultDb))
  let kek: Kek | undefined
  try {
    kek = await openKek(configOf(sources), { createIfMissing: isFirstRun })
    const check = await checkKeys({ vaultDb, kek, keyStoreDir })
    if (!check.ok) {
      await kek.close()
      return check
    }
  } catch (error) {
    await kek?.close()
    if (error instanceof KekError) return { ok: false, reason: error.message }
    throw error
  }
  const guard: NonNullable<TenantKeysOptions['hasData']> = async (tenantId, purpose) => {
    if (purpose === 'audit') return (await hasAuditData?.(tenantId)) ?? false
    // Nobody could sign in with the app they have, and a second key of the same number would hide why.
    if (purpose === 'person') return (await hasPersonData?.()) ?? false
    // The first answer is spooled long after the credential was made, and what is spooled lives for seconds.
    if (purpose === 'spool') return false
    // A signing secret that no longer opens stops its webhook and says so; a new one costs a person a minute.
    if (purpose === 'webhook') return false
    // A client secret that no longer opens is typed in again; until then the owners' own sign-in works.
    if (purpose === 'sign_in') return false
    // What travels through a client is made anew by the client that finds it closed.
    if (purpose === 'mcp') return false
    return vaultDb.tenant(tenantId, async (tx) => (await tx.credential.findFirst({ select: { state: true } })) !== null)
  }
  const keys = createTenantKeys({
    kek,
    keyStoreDir,
    hasData: guard,
    ...(maxAgeMs === undefined ? {} : { maxAgeMs }),
    ...(maxKeys === undefined ? {} : { maxKeys }),
  })
  return { ok: true, kek, keys, keyStoreDir }
}

function configOf({ kek, kekFile }: KeySources): KekConfig {
  if (kek !== undefined) return kek
  if (kekFile === undefined) throw new TypeError('a key-encryption key must be named')
  return { provider: 'file', file: kekFile }
}

/** Compares the KEK and the key store with the canaries; writes the first one when there is no data yet. */
export async function checkKeys(options: {
  readonly vaultDb: VaultDb
  readonly kek: Kek
  readonly keyStoreDir: string
}): Promise<KeyCheck> {
  const { vaultDb, kek, keyStoreDir } = options
  const mayCreate = !(await hasData(vaultDb))
  const storeId = await readStoreId(keyStoreDir, mayCreate)
  if (storeId === undefined)
    return {
      ok: false,
      reason: `The key store ${keyStoreDir} is missing or empty, but sealed data exists. Restore it.`,
    }
  if (mayCreate) await putFirstCanary(vaultDb, kek, storeId)
  const canaries = await vaultDb.global.keyCanary.findMany()
  let opened = 0
  for (const { kekId, sealed } of canaries) {
    if (await kek.isRetired(kekId)) continue // from a backup older than that key's end
    const check = await openCanary(kek, kekId, sealed, { storeId, keyStoreDir })
    if (!check.ok) return check
    opened += 1
  }
  if (opened === 0)
    return {
      ok: false,
      reason: 'The vault database holds credentials but no key canary that fits. Restore the database.',
    }
  // A key that the operator has just named: nothing is wrapped under it yet.
  if (!(await hasCanary(vaultDb, await kek.activeId()))) await putCanary(vaultDb, kek, keyStoreDir)
  return { ok: true }
}

async function openCanary(
  kek: Kek,
  kekId: string,
  sealed: Uint8Array,
  expected: { readonly storeId: string; readonly keyStoreDir: string },
): Promise<KeyCheck> {
  try {
    const opened = await kek.unwrap(sealed, CANARY)
    if (opened.toString() === expected.storeId) return { ok: true }
    return { ok: false, reason: `The key store ${expected.keyStoreDir} belongs to other data. Restore the right one.` }
  } catch (error) {
    if (!(error instanceof KekError) || error.fault !== 'wrong') throw error
    const here = await kek.ids()
    if (!here.some((id) => kekId === id || kekId.startsWith(`${id}/`)))
      return {
        ok: false,
        reason: `The data was sealed under ${kekId}, but the keys configured here are ${here.join(', ')}.`,
      }
    return {
      ok: false,
      reason: `The key-encryption key ${kekId} does not open its key canary: it is not the one of this data.`,
    }
  }
}

export async function hasCanary(vaultDb: VaultDb, kekId: string): Promise<boolean> {
  return (await vaultDb.global.keyCanary.findFirst({ where: { kekId }, select: { kekId: true } })) !== null
}

/** From now on whoever starts must be able to open what the active KEK wraps. @returns that key's name */
export async function putCanary(vaultDb: VaultDb, kek: Kek, keyStoreDir: string): Promise<string> {
  const storeId = await readStoreId(keyStoreDir, false)
  if (storeId === undefined) throw new KekError('refused', `The key store ${keyStoreDir} has no name. Restore it.`)
  const { kekId, sealed } = await wrapCanary(kek, storeId)
  await vaultDb.global
    .$executeRaw`INSERT INTO key_canary (kek_id, sealed) VALUES (${kekId}, ${sealed}) ON CONFLICT DO NOTHING`
  return kekId
}

/** Of several processes at once the first one's canary stays, and all compare themselves with it. */
async function putFirstCanary(vaultDb: VaultDb, kek: Kek, storeId: string): Promise<void> {
  const { kekId, sealed } = await wrapCanary(kek, storeId)
  await vaultDb.global.$queryRaw`SELECT 1 AS done FROM put_first_canary(${kekId}, ${sealed})`
}

async function wrapCanary(kek: Kek, storeId: string): Promise<{ kekId: string; sealed: Uint8Array<ArrayBuffer> }> {
  const sealed = Uint8Array.from(await kek.wrap(Buffer.from(storeId), CANARY))
  const kekId = kekIdOf(sealed)
  if (kekId === undefined) throw new TypeError('a wrapped key names its KEK')
  return { kekId, sealed }
}

async function hasData(vaultDb: VaultDb): Promise<boolean> {
  const rows = await vaultDb.global.$queryRaw<{ found: boolean }[]>`
    SELECT has_credentials() OR EXISTS (SELECT 1 FROM key_canary) AS found`
  return rows[0]?.found !== false
}

async function readStoreId(folder: string, mayCreate: boolean): Promise<string | undefined> {
  const file = path.join(folder, 'store-id')
  if (mayCreate) {
    await privateFolder(folder)
    await createPrivate(file, Buffer.from(randomBytes(16).toString('hex')))
  }
  return (await readPrivate(file))?.toString()
}
