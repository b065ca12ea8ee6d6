/**
 * Whether the keys at hand are those the data was written under. Data without its keys is an operator's emergency and
 * never a first run: nothing is made anew, nothing is opened, and the reason is said.
 *
 * The canary in the vault database names the key store's id and is wrapped by the KEK; the key store names its own.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import path from 'node:path'

import type { VaultDb } from '../db/vault-db'
import { AppError } from '../errors'
import { openFileKek, type Kek } from './kek'
import { createPrivate, privateFolder, readPrivate } from './private-file'
import { createTenantKeys, type TenantKeys, type TenantKeysOptions } from './tenant-keys'

const CANARY = Buffer.from(JSON.stringify(['key-canary', 1]))

export type KeyCheck = { readonly ok: true } | { readonly ok: false; readonly reason: string }
export type OpenedKeys =
  { readonly ok: true; readonly kek: Kek; readonly keys: TenantKeys } | { readonly ok: false; readonly reason: string }

/**
 * Opens KEK and key store, makes both on a first run, and proves that they fit the data. Safe in several processes at once.
 *
 * @throws when the database does not answer; that says nothing about keys
 */
export async function openKeys(options: {
  readonly vaultDb: VaultDb
  readonly kekFile: string
  readonly keyStoreDir: string
  /** True when this tenant has sealed audit records; asked before its first audit key is made. */
  readonly hasAuditData?: (tenantId: string) => Promise<boolean>
}): Promise<OpenedKeys> {
  const { vaultDb, kekFile, keyStoreDir, hasAuditData } = options
  const isFirstRun = !(await hasData(vaultDb))
  try {
    const kek = await openFileKek(kekFile, { createIfMissing: isFirstRun })
    const check = await checkKeys({ vaultDb, kek, keyStoreDir })
    if (!check.ok) return check
    const guard: NonNullable<TenantKeysOptions['hasData']> = async (tenantId, purpose) => {
      if (purpose === 'audit') return (await hasAuditData?.(tenantId)) ?? false
      // The first answer is spooled long after the credential was made, and what is spooled lives for seconds.
      if (purpose === 'spool') return false
      return vaultDb.tenant(
        tenantId,
        async (tx) => (await tx.credential.findFirst({ select: { state: true } })) !== null,
      )
    }
    return { ok: true, kek, keys: createTenantKeys({ kek, keyStoreDir, hasData: guard }) }
  } catch (error) {
    if (error instanceof AppError && error.code === 'vault.key_unavailable') return { ok: false, reason: error.message }
    throw error
  }
}

/** Compares the KEK and the key store with the canary; writes the canary when there is no data yet. */
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
  if (mayCreate) {
    const sealed = Uint8Array.from(await kek.wrap(Buffer.from(storeId), CANARY))
    // Of several processes the first one's canary stays, and all compare themselves with it.
    await vaultDb.global
      .$executeRaw`INSERT INTO key_canary (kek_id, sealed) VALUES (${kek.id}, ${sealed}) ON CONFLICT DO NOTHING`
  }
  const canary = await vaultDb.global.keyCanary.findFirst()
  if (canary === null)
    return { ok: false, reason: 'The vault database holds credentials but no key canary. Restore the database.' }
  if (canary.kekId !== kek.id)
    return { ok: false, reason: `The data was sealed under ${canary.kekId}, but the key file holds ${kek.id}.` }
  try {
    const expected = await kek.unwrap(canary.sealed, CANARY)
    if (expected.toString() !== storeId)
      return { ok: false, reason: `The key store ${keyStoreDir} belongs to other data. Restore the right one.` }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return { ok: false, reason: 'The key-encryption key does not open the key canary: it is not the one of this data.' }
  }
  return { ok: true }
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
