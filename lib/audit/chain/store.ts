/**
 * The connections of the chain: plain `pg`, because whole pages of rows go through, as the application's own role and
 * under its row security. A few connections, so that the chain can never crowd out the rest.
 *
 * @module
 */
import type pg from 'pg'

import { createRolePool } from '../../db/pool'
import type { TenantId } from '../../ids'

export interface ChainStore {
  /** Runs `work` in one transaction that sees this tenant's rows only. Times are written in UTC. */
  tenant<T>(tenantId: TenantId, work: (client: pg.PoolClient) => Promise<T>): Promise<T>
  /** One statement on a function that looks across tenants. */
  query<R extends pg.QueryResultRow>(text: string, values: readonly unknown[]): Promise<R[]>
  close(): Promise<void>
}

const CONNECTIONS = 2

/** @param databaseUrl  the application role's URL of the application database */
export function createChainStore(databaseUrl: string): ChainStore {
  const pool = createRolePool(databaseUrl, 'portcullis_app', CONNECTIONS)
  return {
    tenant: async (tenantId, work) => {
      const client = await pool.connect()
      let isBroken = true
      try {
        await client.query("BEGIN; SET LOCAL timezone = 'UTC'; SET LOCAL lock_timeout = '5s'")
        await client.query("SELECT set_config('app.tenant_id', $1, true)", [tenantId])
        const result = await work(client)
        await client.query('COMMIT')
        isBroken = false
        return result
      } catch (error) {
        isBroken = await client.query('ROLLBACK').then(
          () => false,
          () => true,
        )
        throw error
      } finally {
        client.release(isBroken)
      }
    },
    query: async <R extends pg.QueryResultRow>(text: string, values: readonly unknown[]) =>
      (await pool.query<R>(text, [...values])).rows,
    close: () => pool.end(),
  }
}
