/**
 * What `doctor` looks at: that this installation can do its work, and whose rights it does it with.
 *
 * @module
 */
import { stat } from 'node:fs/promises'

import type { Core } from '@/wiring/core'

interface Check {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
}

export async function checkInstallation(core: Core): Promise<{ readonly checks: readonly Check[] }> {
  const { config } = core
  return {
    checks: await Promise.all([
      check('application database', async () => roleOf(core.appDb.global, 'portcullis_app')),
      check('vault database', async () => roleOf(core.vaultDb.global, 'portcullis_vault')),
      check('keys', () =>
        Promise.resolve(core.notReady === undefined ? ok('the key opens this data') : bad(core.notReady)),
      ),
      check('key file', async () => privateFile(config.kek.file)),
      check('data folder', async () => privateFile(config.dataDir)),
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

async function check(name: string, look: () => Promise<Finding>): Promise<Check> {
  try {
    return { name, ...(await look()) }
  } catch {
    return { name, ...bad('does not answer') }
  }
}

async function roleOf(
  database: Core['appDb']['global'] | Core['vaultDb']['global'],
  expected: string,
): Promise<Finding> {
  const [row] = await database.$queryRaw<{ role: string; is_over: boolean }[]>`
    SELECT current_user::text AS role, rolsuper OR rolbypassrls AS is_over FROM pg_roles WHERE rolname = current_user`
  if (row?.role !== expected) return bad(`works as ${row?.role ?? 'nobody'}, not as ${expected}`)
  return row.is_over ? bad(`${expected} is above row security`) : ok(`as ${expected}`)
}

async function privateFile(file: string): Promise<Finding> {
  const { mode } = await stat(file)
  return (mode & 0o077) === 0
    ? ok(`${file} is readable by its owner alone`)
    : bad(`${file} is readable by others; chmod go-rwx`)
}

async function answersAt(url: string): Promise<Finding> {
  const response = await fetch(`${url}/readyz`, { redirect: 'error', signal: AbortSignal.timeout(3_000) })
  return response.ok ? ok('ready') : bad(`answers ${response.status}`)
}
