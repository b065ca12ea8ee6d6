/**
 * Revocations at the provider that are still to be done. The tokens move into a row of their own, sealed for that row, so
 * that the credential itself can be destroyed at once.
 *
 * @module
 */
import { z } from 'zod'

import type { Clock } from '../clock'
import type { VaultDb, VaultTx } from '../db/vault-db'
import { newId, type TenantId } from '../ids'
import { Secret } from '../secret'
import { openField, sealFields, type CredentialPlace } from './sealing'
import type { Integrity } from './integrity'
import type { TenantKeys } from './tenant-keys'

export type RevocationScope = 'grant' | 'token'

export interface RevocableTokens {
  readonly accessToken?: Secret
  readonly refreshToken?: Secret
}

/** A revocation, opened for the one who carries it out. */
export interface OpenRevocation {
  readonly connectionId: string
  readonly provider: string
  readonly providerApp: string
  readonly scope: RevocationScope
  readonly tokens: RevocableTokens
  /** How often it was postponed. */
  readonly attempts: number
}

export interface Revocations {
  /** Undefined when it is done already. */
  open(tenantId: TenantId, revocationId: string): Promise<OpenRevocation | undefined>
  /** Drops the row with the sealed tokens. */
  finish(tenantId: TenantId, revocationId: string): Promise<void>
  postpone(tenantId: TenantId, revocationId: string, delayMs: number): Promise<void>
}

export interface SealedRevocation extends CredentialPlace {
  readonly id: string
  readonly scope: RevocationScope
  readonly keyVersion: number
  readonly dekWrapped: Uint8Array<ArrayBuffer>
  readonly tokenSealed: Uint8Array<ArrayBuffer>
}

const plainSchema = z.object({ access: z.string().optional(), refresh: z.string().optional() })

export async function sealRevocation(
  keys: TenantKeys,
  clock: Clock,
  place: CredentialPlace,
  tokens: RevocableTokens,
  scope: RevocationScope,
): Promise<SealedRevocation> {
  const id = newId('revocation', clock.now())
  const value = JSON.stringify({ access: tokens.accessToken?.reveal(), refresh: tokens.refreshToken?.reveal() })
  const { keyVersion, dekWrapped, sealed } = await sealFields(keys, inRow(place, id), [{ field: 'revocation', value }])
  const [tokenSealed] = sealed
  if (tokenSealed === undefined) throw new TypeError('sealFields lost a field')
  return { ...place, id, scope, keyVersion, dekWrapped, tokenSealed }
}

export async function insertRevocation(tx: VaultTx, revocation: SealedRevocation): Promise<void> {
  const { tenantId, id, connectionId, provider, providerApp, scope, generation, keyVersion, dekWrapped, tokenSealed } =
    revocation
  await tx.revocation.create({
    data: { tenantId, id, connectionId, provider, providerApp, scope, generation, keyVersion, dekWrapped, tokenSealed },
  })
}

export function createRevocations(deps: {
  readonly vaultDb: VaultDb
  readonly keys: TenantKeys
  readonly integrity: Integrity
}): Revocations {
  const { vaultDb, keys, integrity } = deps
  return {
    async open(tenantId, revocationId) {
      const row = await vaultDb.tenant(tenantId, (tx) =>
        tx.revocation.findFirst({ where: { tenantId, id: revocationId } }),
      )
      if (row === null) return undefined
      const { connectionId, provider, providerApp, generation, keyVersion, dekWrapped, attempts } = row
      const place = inRow({ tenantId, connectionId, provider, providerApp, subject: '', generation }, revocationId)
      const plain = await integrity.watch({ tenantId, connectionId, generation, field: 'revocation' }, () =>
        openField(keys, place, { keyVersion, dekWrapped, sealed: row.tokenSealed }, 'revocation'),
      )
      const { access, refresh } = plainSchema.parse(JSON.parse(plain.toString('utf8')))
      plain.fill(0)
      const tokens = {
        ...(access === undefined ? {} : { accessToken: new Secret(access) }),
        ...(refresh === undefined ? {} : { refreshToken: new Secret(refresh) }),
      }
      return { connectionId, provider, providerApp, scope: row.scope === 'grant' ? 'grant' : 'token', tokens, attempts }
    },
    async finish(tenantId, revocationId) {
      await vaultDb.tenant(tenantId, (tx) => tx.revocation.deleteMany({ where: { tenantId, id: revocationId } }))
    },
    async postpone(tenantId, revocationId, delayMs) {
      await vaultDb.tenant(
        tenantId,
        (tx) => tx.$executeRaw`
          UPDATE revocation SET attempts = attempts + 1, next_at = clock_timestamp() + ${delayMs}::float8 * interval '1 millisecond'
           WHERE tenant_id = ${tenantId} AND id = ${revocationId}`,
      )
    },
  }
}

/** A revocation's values belong to its row, which does not name the account. */
const inRow = (place: CredentialPlace, revocationId: string): CredentialPlace => ({
  ...place,
  subject: `revocation:${revocationId}`,
})
