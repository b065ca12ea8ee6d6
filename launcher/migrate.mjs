// @ts-check
/**
 * `npm run migrate`: both databases exist and have the newest tables. On DATABASE_URL and VAULT_DATABASE_URL, whose
 * account may create roles, or on the embedded PostgreSQL when neither is set.
 *
 * @module
 */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import process from 'node:process'

import { build } from './build.mjs'
import { loadEnvFile } from './environment.mjs'
import { generate } from './generate.mjs'
import { install, requireNode } from './install.mjs'
import { startPostgres } from './postgres.mjs'
import { ROOT, StepFailed, attempt, step, tail } from './steps.mjs'

try {
  requireNode()
  loadEnvFile(ROOT)
  if (existsSync(join(ROOT, 'package-lock.json'))) await install()
  await generate()
  await build({ web: false })
  const hasOwn = Boolean(process.env['DATABASE_URL'] || process.env['VAULT_DATABASE_URL'])
  const dataDir = resolve(process.env['PORTCULLIS_DATA_DIR'] || '.data')
  const postgres = hasOwn ? undefined : await startPostgres({ dataDir: join(dataDir, 'postgres') })
  try {
    await step('preparing the databases', async (tell) => {
      const urls =
        postgres === undefined
          ? {}
          : {
              DATABASE_URL: postgres.superuserUrl('portcullis'),
              VAULT_DATABASE_URL: postgres.superuserUrl('portcullis_vault'),
            }
      const { code, stderr } = await attempt(process.execPath, ['.build/migrate.mjs'], {
        env: { ...process.env, ...urls },
        onStderr: tell,
      })
      if (code !== 0) throw new StepFailed(tail(stderr, 20))
    })
  } finally {
    await postgres?.stop()
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
