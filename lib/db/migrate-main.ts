/**
 * Entry of `npm run migrate`: prepares both databases with the admin URLs in DATABASE_URL and VAULT_DATABASE_URL and
 * prints the URL of each login role as one line of JSON.
 *
 * Role passwords come from the environment where an operator sets them, else from a 0600 file in the data folder.
 *
 * @module
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import { z } from 'zod'

import { loadConfig } from '../config'
import { AppError } from '../errors'
import { newRolePasswords, prepareDatabases, type RolePasswords } from './bootstrap'

const passwordFile = z.strictObject({ web: z.string().min(16), app: z.string().min(16), vault: z.string().min(16) })

async function main(): Promise<void> {
  const config = loadConfig()
  if (config.databaseUrl === undefined || config.vaultDatabaseUrl === undefined)
    throw new AppError('config.invalid', 'DATABASE_URL and VAULT_DATABASE_URL: both are needed to migrate')
  const passwords = { ...storedPasswords(config.dataDir), ...config.rolePasswords }
  const urls = await prepareDatabases({
    appAdminUrl: config.databaseUrl,
    vaultAdminUrl: config.vaultDatabaseUrl,
    passwords,
    migrationsRoot: path.resolve('prisma'),
    log: (line) => process.stderr.write(`${line}\n`),
  })
  process.stdout.write(`${JSON.stringify(urls)}\n`)
}

function storedPasswords(dataDir: string): RolePasswords {
  const file = path.join(dataDir, 'database-roles.json')
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  if (!existsSync(file)) writeFileSync(file, JSON.stringify(newRolePasswords()), { mode: 0o600, flag: 'wx' })
  return passwordFile.parse(JSON.parse(readFileSync(file, 'utf8')))
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : 'The databases could not be prepared.'}\n`)
  process.exitCode = error instanceof AppError && error.code === 'config.invalid' ? 2 : 1
})
