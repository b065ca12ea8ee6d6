// @ts-check
/**
 * Builds what runs from what is written, when the two differ: the pages with Next, the other processes as one file each.
 *
 * "Differ" is decided by the contents of the sources and of the lockfile, never by times, so that a fresh clone, a
 * checkout and a copy all come out right. A stamp is removed before a build and written after it: what was interrupted is
 * built again.
 *
 * @module
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'

import { buildEnvironment } from './environment.mjs'
import { ROOT, StepFailed, exclusively, readFileIfAny, run, step } from './steps.mjs'

/** Entry file → bundle. */
export const BUNDLES = /** @type {const} */ ({
  'gateway/main.ts': '.build/gateway.mjs',
  'workers/main.ts': '.build/worker.mjs',
  'cli/main.ts': '.build/cli.mjs',
  'sandbox/main.ts': '.build/sandbox.mjs',
  'lib/db/migrate-main.ts': '.build/migrate.mjs',
  // The launcher asks it, too, so that a setting means the same everywhere.
  'lib/config.ts': '.build/config.mjs',
})

/** What the pages are made of, and what the other processes are; a test keeps both complete. */
export const WEB_SOURCES = ['app', 'components', 'lib', 'prisma', 'public']
export const BUNDLE_SOURCES = ['gateway', 'workers', 'wiring', 'cli', 'sandbox', 'lib', 'prisma']
const IGNORED = /(\.test\.tsx?|\.md)$|(^|\/)lib\/testing\//

/**
 * @param {readonly string[]} folders
 * @returns {string} one digest of every source file below them, and of the files that steer the build
 */
export function digestSources(folders) {
  const hash = createHash('sha256')
  const files = readdirSync(ROOT, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .filter((name) =>
      /^(package-lock\.json|tsconfig\.json|(next|postcss)\.config\.[a-z]+|(proxy|instrumentation)\.ts)$/.test(name),
    )
  for (const folder of folders) {
    if (!existsSync(join(ROOT, folder))) continue
    for (const entry of readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) files.push(relative(ROOT, join(entry.parentPath, entry.name)))
    }
  }
  for (const file of files.sort()) {
    if (IGNORED.test(file)) continue
    hash.update(`${file}\0`).update(
      createHash('sha256')
        .update(readFileSync(join(ROOT, file)))
        .digest(),
    )
  }
  return hash.digest('hex')
}

/** @returns {Promise<typeof import('esbuild')>} the bundler, which exists only once packages are installed */
export function loadEsbuild() {
  return import('esbuild')
}

/**
 * @param {readonly string[]} [entries]
 * @returns {import('esbuild').BuildOptions}
 */
export function bundleOptions(entries = presentEntries()) {
  return {
    absWorkingDir: ROOT,
    entryPoints: entries.map((entry) => ({
      in: entry,
      out: BUNDLES[/** @type {keyof typeof BUNDLES} */ (entry)].replace(/^\.build\//, '').replace(/\.mjs$/, ''),
    })),
    outdir: join(ROOT, '.build'),
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    packages: 'external',
    alias: { '@': ROOT },
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'silent',
  }
}

function presentEntries() {
  return Object.keys(BUNDLES).filter((entry) => {
    if (existsSync(join(ROOT, entry))) return true
    process.stderr.write(`  warning: ${entry} does not exist; not built\n`)
    return false
  })
}

/** @param {{ web?: boolean }} [what] */
export async function build({ web = true } = {}) {
  await buildBundles()
  if (web) await buildWeb()
}

/**
 * Rebuilds bundles when their sources change, for development.
 *
 * @param {(bundle: string) => void} onRebuilt
 * @returns {Promise<() => Promise<void>>} stops it
 */
export async function watchBundles(onRebuilt) {
  const { context } = await loadEsbuild()
  const contexts = await Promise.all(
    presentEntries().map(async (entry) => {
      const name = basename(BUNDLES[/** @type {keyof typeof BUNDLES} */ (entry)], '.mjs')
      let isFirst = true
      return context({
        ...bundleOptions([entry]),
        logLevel: 'error',
        plugins: [
          {
            name: 'restart',
            setup: (build) => {
              build.onEnd(({ errors }) => {
                if (!isFirst && errors.length === 0) onRebuilt(name)
                isFirst = false
              })
            },
          },
        ],
      })
    }),
  )
  // What runs now no longer answers to the stamp of the last full build.
  rmSync(join(ROOT, '.build', 'bundles.stamp'), { force: true })
  await Promise.all(contexts.map((one) => one.watch()))
  return async () => {
    await Promise.all(contexts.map((one) => one.dispose()))
  }
}

async function buildBundles() {
  const stamp = join(ROOT, '.build', 'bundles.stamp')
  const isFresh = () =>
    readFileIfAny(stamp) === digestSources(BUNDLE_SOURCES) &&
    Object.entries(BUNDLES).every(([entry, file]) => !existsSync(join(ROOT, entry)) || existsSync(join(ROOT, file)))
  if (isFresh()) return
  mkdirSync(join(ROOT, '.build'), { recursive: true })
  await step('building gateway, worker and command line', (say) =>
    exclusively(join(ROOT, '.build', 'bundles.lock'), say, async () => {
      if (isFresh()) return
      const wanted = digestSources(BUNDLE_SOURCES)
      rmSync(stamp, { force: true })
      const { build: bundle, formatMessages } = await loadEsbuild()
      try {
        await bundle(bundleOptions())
      } catch (error) {
        const errors = error instanceof Error && 'errors' in error && Array.isArray(error.errors) ? error.errors : []
        throw new StepFailed((await formatMessages(errors, { kind: 'error' })).join('\n') || String(error))
      }
      writeFileSync(stamp, wanted)
    }),
  )
}

async function buildWeb() {
  const stamp = join(ROOT, '.build', 'web.stamp')
  const isFresh = () =>
    readFileIfAny(stamp) === digestSources(WEB_SOURCES) && existsSync(join(ROOT, '.next', 'BUILD_ID'))
  if (!existsSync(join(ROOT, 'app'))) {
    process.stderr.write('  warning: app/ does not exist; no pages built\n')
    return
  }
  if (isFresh()) return
  mkdirSync(join(ROOT, '.build'), { recursive: true })
  await step('building the pages', (say) =>
    exclusively(join(ROOT, '.build', 'web.lock'), say, async () => {
      if (isFresh()) return
      const wanted = digestSources(WEB_SOURCES)
      rmSync(stamp, { force: true })
      await run('next build', process.execPath, [join(ROOT, 'node_modules', 'next', 'dist', 'bin', 'next'), 'build'], {
        env: buildEnvironment({ NODE_ENV: 'production' }),
      })
      writeFileSync(stamp, wanted)
    }),
  )
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { install, requireNode } = await import('./install.mjs')
  const { generate } = await import('./generate.mjs')
  try {
    requireNode()
    await install()
    await generate()
    await build()
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}
