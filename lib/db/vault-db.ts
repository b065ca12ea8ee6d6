/**
 * The vault database: sealed credentials. Only gateway and worker hold its URL.
 *
 * @module
 */
import { PrismaPg } from '@prisma/adapter-pg'

import type { TenantId } from '../ids'
import { Prisma, PrismaClient } from './internal/vault/client'
import { createRolePool, TRANSACTION } from './pool'
import { withRetry } from './retry'

export type VaultTx = Prisma.TransactionClient
/** A part of a statement, with its values apart from its text. */
export const { sql } = Prisma
export type Sql = Prisma.Sql

export interface VaultDb {
  /** Runs `work` in one transaction that sees this tenant's rows only; `work` must be repeatable. */
  tenant<T>(tenantId: TenantId, work: (tx: VaultTx) => Promise<T>): Promise<T>
  /** What belongs to no tenant (canaries, rotations) and the functions that name due work across tenants. */
  readonly global: Pick<PrismaClient, 'keyCanary' | 'keyRotation' | '$queryRaw' | '$executeRaw'>
  close(): Promise<void>
}

/** As `createAppDb`: always with the rights of `portcullis_vault`, whoever the URL logs in as. */
export function createVaultDb(url: string, { max = 10 }: { readonly max?: number } = {}): VaultDb {
  const prisma = new PrismaClient({
    adapter: new PrismaPg(createRolePool(url, 'portcullis_vault', max), { disposeExternalPool: true }),
    errorFormat: 'minimal',
  })
  return {
    tenant: (tenantId, work) =>
      withRetry(() =>
        prisma.$transaction(async (tx) => {
          await tx.$executeRaw`SELECT set_config('app.tenant_id', ${tenantId}, true)`
          return work(tx)
        }, TRANSACTION),
      ),
    global: prisma,
    close: () => prisma.$disconnect(),
  }
}
