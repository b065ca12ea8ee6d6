/**
 * What the connection flows stand on, and the few questions that several of them ask.
 *
 * @module
 */
import type { Audit } from '../audit/audit'
import type { Clock } from '../clock'
import type { AppDb } from '../db/app-db'
import type { VaultDb } from '../db/vault-db'
import { brand, type ConnectionId, type TenantId } from '../ids'
import type { Log } from '../log'
import type { ProviderClient, Providers } from '../providers/client'
import type { Credentials } from '../vault/credential'
import type { RevocationScope } from '../vault/revocation'
import type { Spool } from '../vault/spool'

export interface ConnectionsDeps {
  readonly appDb: AppDb
  readonly vaultDb: VaultDb
  readonly credentials: Credentials
  /** A folder of its own: answers to a consent, until they are in the vault and shown in the application. */
  readonly spool: Spool
  readonly providers: Providers
  readonly audit: Pick<Audit, 'event' | 'never'>
  /** Asks a worker to carry out a revocation soon. It finds the row by itself when this is lost. */
  readonly onRevocation: (tenantId: TenantId, revocationId: string) => Promise<unknown>
  /** Makes a version of the key that credentials of a workspace were sealed under unreadable for good. */
  readonly destroyVaultKey: (tenantId: TenantId, version: number) => Promise<void>
  readonly publicUrl: string
  readonly clock: Clock
  readonly log: Log
}

export interface Account {
  readonly provider: string
  readonly providerApp: string
  readonly subject: string
}

/** Other living connections to the same account through the same app, in any workspace: they may share one grant. */
export async function siblingsOf(appDb: AppDb, account: Account, self?: ConnectionId): Promise<number> {
  const rows = await appDb.global.$queryRaw<{ tenant_id: string; connection_id: string }[]>`
    SELECT tenant_id, connection_id FROM connections_by_subject(${account.provider}, ${account.providerApp}, ${account.subject})`
  return rows.filter((row) => brand<'connection'>(row.connection_id) !== self).length
}

/** How much may be ended at the provider without ending a sibling. Undefined: nothing. */
export function revocableScope(
  reach: ProviderClient['definition']['revocation']['reach'],
  siblings: number,
): RevocationScope | undefined {
  if (reach === 'none') return undefined
  if (siblings === 0) return reach === 'token' ? 'token' : 'grant'
  return reach === 'grant' ? undefined : 'token'
}
