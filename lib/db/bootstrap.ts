/**
 * Makes databases, roles and tables ready: safe to run at every start and by several processes at once.
 *
 * The account of the given URLs needs CREATEROLE and CREATEDB (a superuser is fine); no process of the product keeps it.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import path from 'node:path'

import pg from 'pg'

import { applyMigrations } from './migrate'

/** Passwords of the roles that log in. */
export interface RolePasswords {
  readonly web: string
  readonly app: string
  readonly vault: string
}

export interface RoleUrls {
  /** Reads the pages' data. Given to web. */
  readonly web: string
  /** Gateway and worker, on the application database. */
  readonly app: string
  /** Gateway and worker, on the vault database. */
  readonly vault: string
}

export const newRolePasswords = (): RolePasswords => ({ web: password(), app: password(), vault: password() })

const password = () => randomBytes(24).toString('base64url')
const LOCK = 4_823_017_551 // any constant: one bootstrap per server at a time

const LOGIN_ROLES = { web: 'portcullis_web', app: 'portcullis_app', vault: 'portcullis_vault' } as const
const NOLOGIN_ROLES = ['portcullis_owner', 'portcullis_resolver', 'portcullis_audit_writer'] as const

interface Target {
  readonly adminUrl: string
  readonly migrations: string
  /** Login roles that may connect to this database. */
  readonly roles: readonly ('web' | 'app' | 'vault')[]
}

/**
 * Creates what is missing and applies outstanding migrations of both databases.
 *
 * @returns one URL per login role, with the admin's host and database and the role's own name and password
 */
export async function prepareDatabases(input: {
  readonly appAdminUrl: string
  readonly vaultAdminUrl: string
  readonly passwords: RolePasswords
  readonly migrationsRoot: string
  readonly log?: (line: string) => void
}): Promise<RoleUrls> {
  await prepare(
    {
      adminUrl: input.appAdminUrl,
      migrations: path.join(input.migrationsRoot, 'app/migrations'),
      roles: ['web', 'app'],
    },
    input,
  )
  await prepare(
    {
      adminUrl: input.vaultAdminUrl,
      migrations: path.join(input.migrationsRoot, 'vault/migrations'),
      roles: ['vault'],
    },
    input,
  )
  return {
    web: roleUrl(input.appAdminUrl, LOGIN_ROLES.web, input.passwords.web),
    app: roleUrl(input.appAdminUrl, LOGIN_ROLES.app, input.passwords.app),
    vault: roleUrl(input.vaultAdminUrl, LOGIN_ROLES.vault, input.passwords.vault),
  }
}

async function prepare(
  target: Target,
  input: { readonly passwords: RolePasswords; readonly log?: (line: string) => void },
): Promise<void> {
  await ensureDatabase(target.adminUrl)
  const client = new pg.Client({ connectionString: target.adminUrl })
  await client.connect()
  try {
    await client.query('SELECT pg_advisory_lock($1)', [LOCK])
    await ensureRoles(client, input.passwords)
    await ensureDatabaseGrants(client, target)
    await applyMigrations(client, target.migrations, input.log)
  } finally {
    await client.end()
  }
}

/** Creates the database of the URL when the server has none of that name. */
async function ensureDatabase(adminUrl: string): Promise<void> {
  const url = new URL(adminUrl)
  const name = decodeURIComponent(url.pathname.slice(1))
  const direct = new pg.Client({ connectionString: adminUrl })
  try {
    await direct.connect()
    await direct.end()
    return
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== '3D000') throw error // 3D000: no such database
  }
  url.pathname = '/postgres'
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  try {
    await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`)
  } catch (error) {
    // 42P04, 23505: another process made it just now.
    if (!(error instanceof pg.DatabaseError) || (error.code !== '42P04' && error.code !== '23505')) throw error
  } finally {
    await client.end()
  }
}

async function ensureRoles(client: pg.Client, passwords: RolePasswords): Promise<void> {
  const { rows } = await client.query<{ rolname: string }>(
    "SELECT rolname FROM pg_roles WHERE rolname LIKE 'portcullis\\_%'",
  )
  const existing = new Set(rows.map((row) => row.rolname))
  const plain = 'NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT'
  for (const role of NOLOGIN_ROLES) if (!existing.has(role)) await client.query(`CREATE ROLE ${role} NOLOGIN ${plain}`)
  for (const [name, role] of Object.entries(LOGIN_ROLES) as [keyof RolePasswords, string][]) {
    // keys of a const object
    if (!existing.has(role)) await client.query(`CREATE ROLE ${role} LOGIN ${plain}`)
    await client.query(`ALTER ROLE ${role} LOGIN PASSWORD ${client.escapeLiteral(passwords[name])}`)
  }
  await client.query('GRANT portcullis_owner TO CURRENT_USER WITH INHERIT TRUE, SET TRUE')
  // The owner hands functions to the resolver; the application sends audit records as the writer. Neither inherits rights.
  await client.query('GRANT portcullis_resolver TO portcullis_owner WITH INHERIT FALSE, SET TRUE')
  await client.query('GRANT portcullis_audit_writer TO portcullis_app WITH INHERIT FALSE, SET TRUE')
}

async function ensureDatabaseGrants(client: pg.Client, target: Target): Promise<void> {
  const { rows } = await client.query<{ name: string }>('SELECT current_database() AS name')
  const database = client.escapeIdentifier(rows[0]?.name ?? '')
  await client.query(`REVOKE ALL ON DATABASE ${database} FROM PUBLIC`)
  await client.query(`GRANT CONNECT, CREATE ON DATABASE ${database} TO portcullis_owner`)
  for (const role of target.roles) await client.query(`GRANT CONNECT ON DATABASE ${database} TO ${LOGIN_ROLES[role]}`)
  await client.query('ALTER SCHEMA public OWNER TO portcullis_owner')
  if (target.roles.includes('app')) {
    // The queue library keeps its own tables here; they hold ids and schedules only.
    await client.query('GRANT portcullis_app TO CURRENT_USER WITH SET TRUE')
    await client.query('CREATE SCHEMA IF NOT EXISTS bullmq AUTHORIZATION portcullis_app')
  }
}

function roleUrl(adminUrl: string, role: string, rolePassword: string): string {
  const url = new URL(adminUrl)
  url.username = role
  url.password = rolePassword
  return url.href
}
