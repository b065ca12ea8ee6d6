/**
 * From when on nothing may be written under an older version of a tenant's vault key. Whoever raises it waits for the
 * writers that passed before, and those that come after are refused by the database: no row can appear under a key that is
 * about to be destroyed, however long its writer slept.
 *
 * @module
 */
import type { TenantId } from '../../ids'
import type { RotationDeps } from './run'

export async function raiseFence(
  { vaultDb }: Pick<RotationDeps, 'vaultDb'>,
  tenantId: TenantId,
  minVersion: number,
): Promise<void> {
  await vaultDb.tenant(tenantId, async (tx) => {
    await tx.$queryRaw`
      SELECT 1 AS locked FROM pg_advisory_xact_lock(hashtextextended('portcullis key fence ' || ${tenantId}, 0))`
    await tx.$executeRaw`
      INSERT INTO key_fence (tenant_id, min_version) VALUES (${tenantId}, ${minVersion})
      ON CONFLICT (tenant_id) DO UPDATE SET min_version = GREATEST(key_fence.min_version, excluded.min_version)`
  })
}
