/**
 * The application database. A tenant's rows are reached only inside `tenant()`, whose transaction carries the tenant to
 * row-level security; outside of it every tenant table looks empty.
 *
 * @module
 */
import { PrismaPg } from '@prisma/adapter-pg'

import type { PersonId, TenantId } from '../ids'
import { Prisma, PrismaClient } from './internal/app/client'
import { createRolePool, TRANSACTION } from './pool'
import { withRetry } from './retry'

/** A transaction of one tenant. Never keep it, never await the network inside it. */
export type AppTx = Prisma.TransactionClient
/** Parts of a statement, with their values apart from its text. */
export const { sql, join } = Prisma
export type Sql = Prisma.Sql

/** Tables without a tenant. The catalogue test holds the list against the database. */
type GlobalModel =
  | 'person'
  | 'personPassword'
  | 'uiPreference'
  | 'setupLink'
  | 'emailToken'
  | 'mail'
  | 'webSession'
  | 'rateLimit'
  | 'personIdentity'
  | 'signInAttempt'
export type GlobalDb = Pick<PrismaClient, GlobalModel | '$queryRaw' | '$executeRaw'>

export interface AppDb {
  /** Runs `work` in one transaction that sees this tenant's rows only. Retried when the database asks for it, so `work` must be repeatable. */
  tenant<T>(tenantId: TenantId, work: (tx: AppTx) => Promise<T>): Promise<T>
  /** As `tenant`, and the person's own rows too. With no tenant, theirs alone. */
  scoped<T>(
    scope: { readonly tenantId?: TenantId; readonly personId?: PersonId },
    work: (tx: AppTx) => Promise<T>,
  ): Promise<T>
  /** One transaction over the global tables. */
  transaction<T>(work: (tx: AppTx) => Promise<T>): Promise<T>
  /** Single statements on the global tables and on the resolver's functions. */
  readonly global: GlobalDb
  /**
   * One statement of the busiest paths, on a connection of the same pool: parsed and planned once for each connection.
   * A timestamp is a Date, `bytea` a Buffer, `jsonb` what it says, `bigint` a string.
   */
  prepared<R extends object>(statement: PreparedStatement, values: readonly unknown[]): Promise<R[]>
  close(): Promise<void>
}

/** Few, and none of them made at run time: a connection remembers each by its name. Must name its columns. */
export interface PreparedStatement {
  readonly name: string
  readonly text: string
}

/**
 * @param role  whose rights the pool has, whatever account the URL logs in as: an operator may give an administrator's
 *   URL, and row-level security must hold all the same
 * @param max  connections of the pool; a caller that finds none free in time fails
 */
export function createAppDb(
  url: string,
  {
    role = 'portcullis_app',
    max = 10,
  }: { readonly role?: 'portcullis_app' | 'portcullis_web'; readonly max?: number } = {},
): AppDb {
  const pool = createRolePool(url, role, max)
  const prisma = new PrismaClient({
    adapter: new PrismaPg(pool, { disposeExternalPool: true }),
    errorFormat: 'minimal',
  })
  const scoped: AppDb['scoped'] = (scope, work) =>
    withRetry(() =>
      prisma.$transaction(async (tx) => {
        await tx.$executeRaw`SELECT set_config('app.tenant_id', ${scope.tenantId ?? ''}, true), set_config('app.person_id', ${scope.personId ?? ''}, true)`
        return work(tx)
      }, TRANSACTION),
    )
  return {
    tenant: (tenantId, work) => scoped({ tenantId }, work),
    scoped,
    transaction: (work) => withRetry(() => prisma.$transaction(work, TRANSACTION)),
    global: prisma,
    prepared: async <R extends object>(statement: PreparedStatement, values: readonly unknown[]) =>
      (await pool.query<R>({ ...statement, values: [...values] })).rows,
    close: () => prisma.$disconnect(),
  }
}
