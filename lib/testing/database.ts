/**
 * A pair of databases of its own for a test: real PostgreSQL, real roles, real row-level security.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'

import pg from 'pg'
import { inject } from 'vitest'

import { createAppDb, type AppDb } from '../db/app-db'
import type { RoleUrls } from '../db/bootstrap'
import { createVaultDb, type VaultDb } from '../db/vault-db'

export interface TestDatabases {
  readonly urls: RoleUrls
  /** Superuser URLs, for arranging faults and for reading what the product must not show. */
  readonly admin: { readonly app: string; readonly vault: string }
  readonly app: AppDb
  readonly vault: VaultDb
  /** One statement as superuser. */
  adminQuery(database: 'app' | 'vault', sql: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>
  close(): Promise<void>
}

/** Clones the migrated templates. Close it in `afterAll`. */
export async function createTestDatabases(options: { readonly max?: number } = {}): Promise<TestDatabases> {
  const { adminUrl, passwords } = inject('postgres')
  const suffix = randomBytes(6).toString('hex')
  const names = { app: `app_${suffix}`, vault: `vault_${suffix}` }
  await withClient(adminUrl, async (client) => {
    await client.query(`CREATE DATABASE ${names.app} TEMPLATE template_app`)
    await client.query(`CREATE DATABASE ${names.vault} TEMPLATE template_vault`)
    // A clone takes the schema, not the database's own privileges.
    for (const name of Object.values(names)) await client.query(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`)
    await client.query(`GRANT CONNECT ON DATABASE ${names.app} TO portcullis_web, portcullis_app`)
    await client.query(`GRANT CONNECT ON DATABASE ${names.vault} TO portcullis_vault`)
  })
  const at = (database: string, user?: string, password?: string) => {
    const url = new URL(adminUrl)
    url.pathname = `/${database}`
    if (user !== undefined && password !== undefined) {
      url.username = user
      url.password = password
    }
    return url.href
  }
  const admin = { app: at(names.app), vault: at(names.vault) }
  const urls = {
    web: at(names.app, 'portcullis_web', passwords.web),
    app: at(names.app, 'portcullis_app', passwords.app),
    vault: at(names.vault, 'portcullis_vault', passwords.vault),
  }
  const app = createAppDb(urls.app, options)
  const vault = createVaultDb(urls.vault, options)
  return {
    urls,
    admin,
    app,
    vault,
    adminQuery: (database, sql, values) =>
      withClient(
        admin[database],
        async (client) =>
          (await client.query<Record<string, unknown>>(sql, values === undefined ? undefined : [...values])).rows,
      ),
    close: async () => {
      await Promise.all([app.close(), vault.close()])
      await withClient(adminUrl, async (client) => {
        await client.query(`DROP DATABASE ${names.app} WITH (FORCE)`)
        await client.query(`DROP DATABASE ${names.vault} WITH (FORCE)`)
      })
    },
  }
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
