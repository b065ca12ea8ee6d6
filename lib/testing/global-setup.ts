/**
 * One PostgreSQL for a test run: its own folder, its own port, gone afterwards. Migrated once into two template
 * databases that each test file clones.
 *
 * @module
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import type { TestProject } from 'vitest/node'

import { startPostgres } from '../../launcher/postgres.mjs'
import { newRolePasswords, prepareDatabases, type RolePasswords } from '../db/bootstrap'

declare module 'vitest' {
  interface ProvidedContext {
    postgres: { readonly adminUrl: string; readonly passwords: RolePasswords }
  }
}

export const APP_TEMPLATE = 'template_app'
export const VAULT_TEMPLATE = 'template_vault'

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'portcullis-test-'))
  const postgres = await startPostgres({
    dataDir,
    tether: true,
    settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300' },
  })
  const passwords = newRolePasswords()
  await prepareDatabases({
    appAdminUrl: postgres.superuserUrl(APP_TEMPLATE),
    vaultAdminUrl: postgres.superuserUrl(VAULT_TEMPLATE),
    passwords,
    migrationsRoot: path.resolve('prisma'),
  })
  project.provide('postgres', { adminUrl: postgres.superuserUrl('postgres'), passwords })
  return async () => {
    await postgres.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
}
