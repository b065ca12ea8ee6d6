/**
 * Moving one transaction from tenant to tenant: for the few acts of a person that span all their workspaces and must
 * happen together or not at all, such as a changed password that ends every agent session.
 *
 * @module
 */
import type { TenantId } from '../ids'
import type { AppTx } from './app-db'

/** From here on the transaction sees this tenant's rows only. Undone with the transaction, so a pooled connection keeps nothing. */
export async function enterTenant(tx: AppTx, tenantId: TenantId): Promise<void> {
  await tx.$executeRaw`SELECT set_config('app.tenant_id', ${tenantId}, true)`
}

/** The workspaces of a person that are not disabled, oldest membership first. Needs no tenant. */
export async function tenantsOf(tx: Pick<AppTx, '$queryRaw'>, personId: string): Promise<TenantId[]> {
  const rows = await tx.$queryRaw<{ tenant_id: TenantId }[]>`SELECT tenant_id FROM memberships_of(${personId})`
  return rows.map((row) => row.tenant_id)
}
