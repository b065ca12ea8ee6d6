/**
 * The two databases of a running product as their superuser sees them: above row security, to look at what is stored and
 * to age it.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'

import pg from 'pg'

export type DatabaseName = 'portcullis' | 'portcullis_vault'
export type Row = Record<string, unknown>

export function superuserUrl(dataDir: string, database: DatabaseName): string {
  const cluster = path.join(dataDir, 'postgres', 'cluster')
  const password = readFileSync(path.join(cluster, 'superuser-password'), 'utf8').trim()
  const port = readFileSync(path.join(cluster, 'data', 'postmaster.pid'), 'utf8').split('\n')[3] ?? ''
  return `postgresql://postgres:${password}@127.0.0.1:${port.trim()}/${database}`
}

/** The id of the server process itself. */
export function postmasterPid(dataDir: string): number {
  const file = path.join(dataDir, 'postgres', 'cluster', 'data', 'postmaster.pid')
  return Number(readFileSync(file, 'utf8').split('\n')[0])
}

/** Runs with one connection that is closed afterwards. */
export async function withDatabase<T>(
  dataDir: string,
  database: DatabaseName,
  work: (query: (sql: string, values?: readonly unknown[]) => Promise<Row[]>) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: superuserUrl(dataDir, database) })
  client.on('error', () => undefined) // tests end servers; what was being asked fails by itself
  await client.connect()
  try {
    return await work(async (sql, values = []) => (await client.query<Row>(sql, [...values])).rows)
  } finally {
    await client.end().catch(() => undefined)
  }
}

export function query(
  dataDir: string,
  database: DatabaseName,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  return withDatabase(dataDir, database, (run) => run(sql, values))
}
