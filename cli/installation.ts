/**
 * What `doctor` looks at: that this installation can do its work, and whose rights it does it with. Each thing is looked
 * at by itself, so that a database that is away is one line of the answer and not the end of it.
 *
 * @module
 */
import { stat } from 'node:fs/promises'

import type { Config } from '@/lib/config'
import { createAppDb, type AppDb } from '@/lib/db/app-db'
import { createVaultDb, type VaultDb } from '@/lib/db/vault-db'
import { openKeys } from '@/lib/vault/readiness'

export interface Check {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
}

const PATIENCE_MS = 8_000

export async function checkInstallation(config: Config): Promise<{ readonly checks: readonly Check[] }> {
  const { databaseUrl, vaultDatabaseUrl } = config
  return {
    checks: await Promise.all([
      check('application database', () => roleAt(databaseUrl, 'DATABASE_URL', createAppDb, 'portcullis_app')),
      check('vault database', () => roleAt(vaultDatabaseUrl, 'VAULT_DATABASE_URL', createVaultDb, 'portcullis_vault')),
      check('keys', () => keysOf(config)),
      ...(config.kek.provider === 'file' ? [check('key file', () => privateFile(config.kek.file))] : []),
      check('data folder', () => privateFile(config.dataDir)),
      check('public URL', () => Promise.resolve(ok(config.publicUrl))),
      check('providers', () => {
        const names = Object.entries(config.providers).map(([name, app]) => `${name}${app.sandbox ? ' (sandbox)' : ''}`)
        return Promise.resolve(ok(names.length === 0 ? 'none is set in this environment' : names.join(', ')))
      }),
      check('gateway', () => answersAt(config.publicUrl)),
    ]),
  }
}

type Finding = Omit<Check, 'name'>
const ok = (detail: string): Finding => ({ ok: true, detail })
const bad = (detail: string): Finding => ({ ok: false, detail })

/** Looks, and takes any failure for one finding in words that hold nothing of an address's password. */
export async function check(name: string, look: () => Promise<Finding>): Promise<Check> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Finding>((resolve) => {
    timer = setTimeout(() => resolve(bad('does not answer in time')), PATIENCE_MS)
  })
  try {
    return { name, ...(await Promise.race([look(), late])) }
  } catch {
    return { name, ...bad('does not answer') }
  } finally {
    clearTimeout(timer)
  }
}

async function roleAt(
  url: string | undefined,
  variable: string,
  open: (url: string, options: { readonly max: number }) => AppDb | VaultDb,
  expected: string,
): Promise<Finding> {
  if (url === undefined) return bad(`${variable} is not set`)
  const database = open(url, { max: 1 })
  const { host, pathname } = new URL(url)
  const place = `${pathname.slice(1)} at ${host}`
  try {
    const [row] = await database.global.$queryRaw<{ role: string; is_over: boolean }[]>`
      SELECT current_user::text AS role, rolsuper OR rolbypassrls AS is_over FROM pg_roles WHERE rolname = current_user`
    if (row?.role !== expected) return bad(`works as ${row?.role ?? 'nobody'}, not as ${expected}`)
    return row.is_over ? bad(`${expected} is above row security`) : ok(`${place}, as ${expected}`)
  } catch {
    return bad(`${place} cannot be used as ${expected}; is ${variable} right, and is it running and migrated?`)
  } finally {
    await database.close()
  }
}

async function keysOf(config: Config): Promise<Finding> {
  if (config.vaultDatabaseUrl === undefined) return bad('not looked at without the vault database')
  const vaultDb = createVaultDb(config.vaultDatabaseUrl, { max: 1 })
  try {
    const opened = await openKeys({ vaultDb, kek: config.kek, keyStoreDir: config.keyStoreDir })
    if (!opened.ok) return bad(opened.reason)
    await opened.kek.close()
    return ok('the key opens this data')
  } catch {
    return bad('not looked at without the vault database')
  } finally {
    await vaultDb.close()
  }
}

async function privateFile(file: string): Promise<Finding> {
  const { mode } = await stat(file).catch(() => ({ mode: undefined }))
  if (mode === undefined) return bad(`${file} is not there`)
  return (mode & 0o077) === 0
    ? ok(`${file} is readable by its owner alone`)
    : bad(`${file} is readable by others; chmod go-rwx`)
}

/** Ready means: it may open credentials and reaches its databases. */
export async function answersAt(url: string): Promise<Finding> {
  const response = await fetch(`${url}/readyz`, { redirect: 'error', signal: AbortSignal.timeout(3_000) }).catch(
    () => undefined,
  )
  if (response === undefined) return bad(`${url} does not answer`)
  return response.ok ? ok(`${url} is ready`) : bad(`${url} answers ${response.status}`)
}
