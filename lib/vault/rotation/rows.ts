/**
 * The rows that a tenant's vault key protects: credentials and revocations under way. Each is read, prepared outside of
 * any transaction, and written only if it is still what was read. A refresh is never kept waiting, and a row that a refresh
 * was faster with is simply looked at again.
 *
 * @module
 */
import type { VaultDb, VaultTx } from '../../db/vault-db'
import { AppError } from '../../errors'
import { brand, type TenantId } from '../../ids'
import { lockRow, readRow } from '../row'
import { resealFields, rewrapDek, type CredentialPlace } from '../sealing'
import type { TenantKeys } from '../tenant-keys'
import { advance } from './run'

export type RowOutcome = 'done' | 'nothing_to_do' | 'unreadable'

const TRIES = 20

interface Deps {
  readonly vaultDb: VaultDb
  readonly keys: TenantKeys
}

/** Credentials whose data key is wrapped under another version than this, or all of them, in the order of their ids. */
export async function credentialIds(
  { vaultDb }: Deps,
  tenantId: TenantId,
  options: { readonly notVersion?: number; readonly after?: string; readonly only?: string; readonly limit: number },
): Promise<string[]> {
  const { notVersion = -1, after = '', only = '', limit } = options
  const rows = await vaultDb.tenant(
    tenantId,
    (tx) => tx.$queryRaw<{ connection_id: string }[]>`
      SELECT connection_id FROM credential
       WHERE tenant_id = ${tenantId} AND dek_wrapped IS NOT NULL AND key_version <> ${notVersion}
         AND connection_id > ${after} AND (${only} = '' OR connection_id = ${only})
       ORDER BY connection_id LIMIT ${limit}`,
  )
  return rows.map((row) => row.connection_id)
}

export async function revocationIds(
  { vaultDb }: Deps,
  tenantId: TenantId,
  options: { readonly notVersion: number; readonly after: string; readonly limit: number },
): Promise<string[]> {
  const rows = await vaultDb.tenant(
    tenantId,
    (tx) => tx.$queryRaw<{ id: string }[]>`
      SELECT id FROM revocation WHERE tenant_id = ${tenantId} AND key_version <> ${options.notVersion} AND id > ${options.after}
       ORDER BY id LIMIT ${options.limit}`,
  )
  return rows.map((row) => row.id)
}

/** Wraps the credential's data key under the newest version. The sealed tokens stay as they are. */
export function rewrapCredential(deps: Deps, tenantId: TenantId, connectionId: string): Promise<RowOutcome> {
  const { vaultDb, keys } = deps
  return untilStill(async () => {
    const row = await readRow(vaultDb.global, tenantId, connectionId)
    if (row === undefined || row.dekWrapped === null) return 'nothing_to_do'
    const { generation, keyVersion, dekWrapped } = row
    const next = await rewrapDek(keys, row, { keyVersion, dekWrapped })
    if (next === undefined) return 'nothing_to_do'
    const written = await vaultDb.tenant(
      tenantId,
      (tx) => tx.$executeRaw`
        UPDATE credential SET key_version = ${next.keyVersion}, dek_wrapped = ${next.dekWrapped}
         WHERE tenant_id = ${tenantId} AND connection_id = ${connectionId} AND generation = ${generation}
           AND key_version = ${keyVersion} AND dek_wrapped = ${bytes(dekWrapped)} AND attempt_id IS NOT DISTINCT FROM ${row.attemptId}`,
    )
    return written === 1 ? 'done' : undefined
  })
}

export function rewrapRevocation(deps: Deps, tenantId: TenantId, id: string): Promise<RowOutcome> {
  const { vaultDb, keys } = deps
  return untilStill(async () => {
    const row = await vaultDb.tenant(tenantId, (tx) => tx.revocation.findFirst({ where: { tenantId, id } }))
    if (row === null) return 'nothing_to_do'
    const { provider, providerApp, connectionId, generation, keyVersion, dekWrapped } = row
    const place: CredentialPlace = {
      tenantId,
      connectionId,
      provider,
      providerApp,
      generation,
      subject: `revocation:${id}`,
    }
    const next = await rewrapDek(keys, place, { keyVersion, dekWrapped })
    if (next === undefined) return 'nothing_to_do'
    const written = await vaultDb.tenant(
      tenantId,
      (tx) => tx.$executeRaw`
        UPDATE revocation SET key_version = ${next.keyVersion}, dek_wrapped = ${next.dekWrapped}
         WHERE tenant_id = ${tenantId} AND id = ${id} AND key_version = ${keyVersion} AND dek_wrapped = ${bytes(dekWrapped)}`,
    )
    return written === 1 ? 'done' : undefined
  })
}

/** A new data key, and the tokens sealed anew under it, with the place in the rotation in the same commit. */
export function resealCredential(
  deps: Deps,
  tenantId: TenantId,
  connectionId: string,
  scope: string,
): Promise<RowOutcome> {
  const { vaultDb, keys } = deps
  return untilStill(async () => {
    const row = await readRow(vaultDb.global, tenantId, connectionId)
    if (row === undefined || row.dekWrapped === null) return 'nothing_to_do'
    const { generation, keyVersion, dekWrapped, accessSealed, refreshSealed, attemptId } = row
    const next = await resealFields(keys, row, { keyVersion, dekWrapped }, [
      { field: 'access_token', sealed: accessSealed },
      { field: 'refresh_token', sealed: refreshSealed },
    ])
    const [access = null, refresh = null] = next.sealed
    const isStill = async (tx: VaultTx): Promise<boolean> => {
      const now = await lockRow(tx, tenantId, brand<'connection'>(connectionId))
      return (
        now !== undefined &&
        now.dekWrapped !== null &&
        now.generation === generation &&
        now.keyVersion === keyVersion &&
        now.attemptId === attemptId &&
        Buffer.from(now.dekWrapped).equals(dekWrapped)
      )
    }
    return vaultDb.tenant(tenantId, async (tx) => {
      if (!(await isStill(tx))) return undefined
      await tx.$executeRaw`
        UPDATE credential SET key_version = ${next.keyVersion}, dek_wrapped = ${next.dekWrapped},
            access_sealed = ${access}, refresh_sealed = ${refresh}
         WHERE tenant_id = ${tenantId} AND connection_id = ${connectionId}`
      await advance(tx, scope, connectionId)
      return 'done'
    })
  })
}

/** Again while the row moves; what does not open is the integrity check's business, not the rotation's end. */
async function untilStill(attempt: () => Promise<RowOutcome | undefined>): Promise<RowOutcome> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    try {
      const outcome = await attempt()
      if (outcome !== undefined) return outcome
    } catch (error) {
      if (error instanceof AppError && (error.code === 'vault.unreadable' || error.code === 'vault.wrong_key'))
        return 'unreadable'
      if (error instanceof AppError && error.code === 'vault.key_unavailable' && 'version' in error.internal)
        return 'unreadable'
      throw error
    }
  }
  throw new AppError('resource.conflict', 'A credential changes all the time. Run the same command again: it goes on.')
}

const bytes = (value: Uint8Array): Uint8Array<ArrayBuffer> => Uint8Array.from(value)
