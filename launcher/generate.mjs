// @ts-check
/**
 * Generates the two database clients when their schema, or the generator, changed.
 *
 * Generating needs no engine, but the generator looks for one on the network first; naming any program as the engine
 * stops it from looking.
 *
 * @module
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'

import { buildEnvironment } from './environment.mjs'
import { ROOT, readFileIfAny, run, step } from './steps.mjs'

/** @param {'app' | 'vault'} name */
function facts(name) {
  const output = join(ROOT, 'lib', 'db', 'internal', name)
  const hash = createHash('sha256')
  for (const path of [
    join(ROOT, 'prisma', name, 'schema.prisma'),
    join(ROOT, 'prisma', `${name}.config.ts`),
    join(ROOT, 'node_modules', 'prisma', 'package.json'),
    join(ROOT, 'node_modules', '@prisma', 'client', 'package.json'),
  ]) {
    hash.update(readFileSync(path))
  }
  return { output, stamp: join(output, '.generated'), wanted: hash.digest('hex') }
}

/** Both clients in lib/db/internal match their schemas. */
export async function generate() {
  const stale = /** @type {const} */ (['app', 'vault']).filter((name) => {
    if (!existsSync(join(ROOT, 'prisma', name, 'schema.prisma'))) return false
    const { output, stamp, wanted } = facts(name)
    return readFileIfAny(stamp) !== wanted || !existsSync(join(output, 'client.ts'))
  })
  if (stale.length === 0) return
  await step('generating database clients', async () => {
    await Promise.all(
      stale.map(async (name) => {
        const { output, stamp, wanted } = facts(name)
        rmSync(stamp, { force: true })
        await run(
          `prisma generate (${name})`,
          process.execPath,
          [
            join(ROOT, 'node_modules', 'prisma', 'build', 'index.js'),
            'generate',
            '--config',
            `prisma/${name}.config.ts`,
          ],
          {
            env: buildEnvironment({
              PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true',
              PRISMA_HIDE_UPDATE_MESSAGE: '1',
              CHECKPOINT_DISABLE: '1',
            }),
          },
        )
        if (!existsSync(join(output, 'client.ts'))) throw new Error(`prisma generate left nothing in ${output}`)
        writeFileSync(stamp, wanted) // last: an interrupted run is repeated
      }),
    )
  })
}
