/**
 * PostgreSQL for one measurement: its own folder and port, gone afterwards. Written to disk as in production.
 *
 * @module
 */
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

import pg from 'pg'

import { startPostgres } from '../../launcher/postgres.mjs'
import { newRolePasswords, prepareDatabases, type RoleUrls } from '../../lib/db/bootstrap'

export interface BenchDatabases {
  readonly dataDir: string
  readonly urls: RoleUrls
  readonly admin: { readonly app: pg.Client; readonly vault: pg.Client }
  readonly query: (
    database: 'app' | 'vault',
    sql: string,
    values?: readonly unknown[],
  ) => Promise<Record<string, unknown>[]>
  close(): Promise<void>
}

export async function createBenchDatabases(): Promise<BenchDatabases> {
  const dataDir = mkdtempSync(path.join(os.tmpdir(), 'portcullis-bench-'))
  const postgres = await startPostgres({ dataDir, tether: true })
  const adminUrls = { app: postgres.superuserUrl('portcullis'), vault: postgres.superuserUrl('portcullis_vault') }
  const urls = await prepareDatabases({
    appAdminUrl: adminUrls.app,
    vaultAdminUrl: adminUrls.vault,
    passwords: newRolePasswords(),
    migrationsRoot: path.resolve('prisma'),
  })
  const admin = {
    app: new pg.Client({ connectionString: adminUrls.app }),
    vault: new pg.Client({ connectionString: adminUrls.vault }),
  }
  await Promise.all([admin.app.connect(), admin.vault.connect()])
  return {
    dataDir,
    urls,
    admin,
    query: async (database, sql, values) =>
      (await admin[database].query<Record<string, unknown>>(sql, values === undefined ? undefined : [...values])).rows,
    close: async () => {
      await Promise.all([admin.app.end(), admin.vault.end()])
      await postgres.stop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

export const option = (name: string, fallback: number): number => {
  const at = process.argv.indexOf(`--${name}`)
  return at === -1 ? fallback : Number(process.argv[at + 1])
}
