/**
 * Applies the SQL migrations of one database, in name order, each in one transaction as `portcullis_owner`.
 *
 * The bookkeeping table is the one Prisma uses, so that its tools read the same history; its engine is not needed here,
 * because it is downloaded at install time and an air-gapped machine has none.
 *
 * @module
 */
import { createHash, randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

import type pg from 'pg'

import { AppError } from '../errors'

const HISTORY = `CREATE TABLE IF NOT EXISTS public._prisma_migrations (
  id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL, finished_at timestamptz, migration_name varchar(255) NOT NULL,
  logs text, rolled_back_at timestamptz, started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count integer NOT NULL DEFAULT 0)`

/**
 * Brings the database to the newest migration. The caller holds the advisory lock that keeps a second one out.
 *
 * @throws AppError `config.invalid` when an applied migration was edited afterwards or is not known to this version.
 */
export async function applyMigrations(client: pg.Client, folder: string, log?: (line: string) => void): Promise<void> {
  const names = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort()
  await asOwner(client, async () => {
    await client.query(HISTORY)
  })
  const { rows } = await client.query<{ migration_name: string; checksum: string }>(
    'SELECT migration_name, checksum FROM public._prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL',
  )
  const applied = new Map(rows.map((row) => [row.migration_name, row.checksum]))
  for (const known of applied.keys())
    if (!names.includes(known))
      throw new AppError(
        'config.invalid',
        `The database has a migration this version does not know: ${known}. Start a newer version.`,
      )
  for (const name of names) {
    const sql = readFileSync(path.join(folder, name, 'migration.sql'), 'utf8')
    const checksum = createHash('sha256').update(sql).digest('hex')
    const before = applied.get(name)
    if (before === checksum) continue
    if (before !== undefined)
      throw new AppError('config.invalid', `The migration ${name} was changed after it had been applied.`)
    log?.(`applying ${name}`)
    await asOwner(client, async () => {
      await client.query(sql)
      await client.query('SET LOCAL ROLE portcullis_owner')
      await client.query(
        'INSERT INTO public._prisma_migrations (id, checksum, finished_at, migration_name, applied_steps_count) VALUES ($1, $2, now(), $3, 1)',
        [randomUUID(), checksum, name],
      )
    })
  }
}

async function asOwner(client: pg.Client, work: () => Promise<void>): Promise<void> {
  await client.query('BEGIN')
  try {
    await client.query('SET LOCAL ROLE portcullis_owner')
    await work()
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  }
}
