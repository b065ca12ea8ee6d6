// @ts-check
/**
 * `npm test`: everything that must hold, from a fresh clone, in one command.
 *
 * Two lanes, because the machine it is measured on has two cores: the checks that read the sources and the build in one,
 * the tests in the other; then the browser, alone. A step that fails shows its last words and does not stop the others;
 * the last line counts tests, and everything else that failed as one each. The person's environment is not consulted:
 * a DATABASE_URL in the shell must never meet a test.
 *
 * `--full` adds the long forms: tests read PORTCULLIS_FULL and run every combination in its real time, and the
 * measurements of `bench/` that have a bound to hold are run, one after the other, on a machine that does nothing else.
 *
 * @module
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'

import { build } from './build.mjs'
import { buildEnvironment } from './environment.mjs'
import { generate } from './generate.mjs'
import { install, requireNode } from './install.mjs'
import { ROOT, StepFailed, attempt, endRunning, readFileIfAny, seconds, step, tail } from './steps.mjs'
import { requireSystem } from './system.mjs'
import { countPlaywright, countVitest } from './test-report.mjs'

const full = process.argv.includes('--full')
const mayInstall = process.argv.includes('--install') || isSet(process.env['CI'])
const MINUTE = 60_000
const patience = full ? 3 : 1
/** The long forms end within this, whatever hangs. */
const FULL_MS = 80 * MINUTE
const began = Date.now()
/** @param {number} ms  what a step may take @returns what is left for it */
const within = (ms) => (full ? Math.max(MINUTE, Math.min(ms, began + FULL_MS - Date.now())) : ms)

/** @type {{ title: string, reason: string, passed: number, failed: number, skipped: number }[]} */
const results = []

/** @param {string | undefined} value */
function isSet(value) {
  return value !== undefined && value !== '' && value !== '0' && value !== 'false'
}

/** @param {Record<string, string>} [extra] */
function testEnvironment(extra = {}) {
  return buildEnvironment({
    NODE_ENV: 'test',
    NO_COLOR: '1',
    ...(isSet(process.env['CI']) ? { CI: '1' } : {}),
    ...(full ? { PORTCULLIS_FULL: '1' } : {}),
    ...extra,
  })
}

/**
 * Runs a step to its end, whatever that is.
 *
 * @param {string} title
 * @param {() => Promise<{ passed: number, failed: number, skipped: number } | undefined>} work  throws when it fails
 */
async function record(title, work) {
  const result = { title, reason: '', passed: 0, failed: 0, skipped: 0 }
  results.push(result)
  try {
    await step(title, async () => {
      Object.assign(result, (await work()) ?? {})
      if (result.failed > 0) throw new StepFailed(result.reason)
    })
  } catch (error) {
    result.failed = Math.max(1, result.failed)
    result.reason = result.reason || (error instanceof Error ? error.message : String(error))
    process.stdout.write(`\n── ${title} ──\n${result.reason}\n\n`)
  }
}

/** @param {string} file */
const bin = (file) => join(ROOT, 'node_modules', file)

/**
 * A check that passes or fails as a whole.
 *
 * @param {string} title
 * @param {readonly string[]} args  for node
 */
function check(title, args) {
  return record(title, async () => {
    const { code, output } = await attempt(process.execPath, args, {
      env: buildEnvironment({ NO_COLOR: '1' }),
      timeoutMs: 15 * MINUTE,
    })
    if (code !== 0) throw new StepFailed(tail(output, 60))
    return undefined
  })
}

/**
 * @param {string} title
 * @param {readonly string[]} filters
 * @param {Record<string, string>} [env]
 */
function vitest(title, filters, env = {}) {
  return record(title, async () => {
    const report = join(scratch, `${title.replaceAll(/\W+/g, '-')}.json`)
    const { code, output } = await attempt(
      process.execPath,
      [
        bin('vitest/vitest.mjs'),
        'run',
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${report}`,
        ...filters,
      ],
      { env: testEnvironment(env), timeoutMs: within(20 * MINUTE * patience) },
    )
    return { ...countVitest(readFileIfAny(report), code), reason: tail(output, 80) }
  })
}

function playwright() {
  return record('browser tests', async () => {
    const report = join(scratch, 'playwright.json')
    const { code, output } = await attempt(
      process.execPath,
      [bin('@playwright/test/cli.js'), 'test', '--reporter=line,json'],
      {
        env: testEnvironment({ PLAYWRIGHT_JSON_OUTPUT_NAME: report, PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD: '1' }),
        timeoutMs: within(20 * MINUTE * patience),
      },
    )
    return { ...countPlaywright(readFileIfAny(report), code), reason: tail(output, 80) }
  })
}

/** The measurements with a verdict of their own: their numbers are shown, and a number out of its bounds fails. */
async function benches() {
  const folder = join(ROOT, 'bench')
  const files = existsSync(folder)
    ? readdirSync(folder).filter((name) => /^(?:audit|keys|refresh|streams)\b.*\.mjs$/.test(name))
    : []
  for (const name of files.sort()) {
    if (interrupted) return
    await record(`bench/${name}`, async () => {
      const { code, output } = await attempt(process.execPath, [join(folder, name)], {
        env: testEnvironment(),
        timeoutMs: within(20 * MINUTE),
      })
      if (code !== 0) throw new StepFailed(tail(output, 80))
      process.stdout.write(`\n${tail(output, 40)}\n\n`)
      return { passed: 1, failed: 0, skipped: 0 }
    })
  }
}

const scratch = mkdtempSync(join(tmpdir(), 'portcullis-npm-test-'))
let interrupted = false
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => {
    interrupted = true
    endRunning()
  })
}

async function main() {
  requireNode()
  if (!existsSync(join(ROOT, 'package-lock.json'))) throw new StepFailed('package-lock.json is missing')
  await requireSystem({ mayInstall })
  await install()
  await generate()
  mkdirSync(join(ROOT, '.build'), { recursive: true })

  const lanes = [
    async () => {
      await check('format', [bin('prettier/bin/prettier.cjs'), '--check', '--log-level', 'warn', '.'])
      await check('lint', [bin('eslint/bin/eslint.js'), '--max-warnings', '0', '.'])
      await check('types', [bin('typescript/bin/tsc'), '--noEmit'])
      await check('layers', [
        bin('dependency-cruiser/bin/dependency-cruise.mjs'),
        ...['--config', '.dependency-cruiser.mjs'],
        ...['app', 'components', 'gateway', 'workers', 'wiring', 'lib', 'cli', 'sandbox'].filter((folder) =>
          existsSync(join(ROOT, folder)),
        ),
      ])
    },
    async () => {
      await vitest('tests', [])
      await vitest('queue tests on Redis', ['lib/queue', 'workers'], { PORTCULLIS_TEST_QUEUE: 'redis' })
    },
  ]
  // The tests start the bundles as processes, so these come first; the pages are needed by the browser alone.
  await record('build', async () => {
    await build()
    return undefined
  })
  if (!interrupted) await Promise.all(lanes.map((lane) => lane()))
  if (!interrupted) await playwright()
  if (full) await benches()
}

/** @type {string | undefined} */
let stopped
try {
  await main()
} catch (error) {
  stopped =
    error instanceof StepFailed
      ? error.message
      : error instanceof Error
        ? (error.stack ?? error.message)
        : String(error)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

const passed = results.reduce((sum, result) => sum + result.passed, 0)
const failed = results.reduce((sum, result) => sum + result.failed, 0) + (stopped === undefined ? 0 : 1)
const skipped = results.reduce((sum, result) => sum + result.skipped, 0)
if (stopped !== undefined) process.stderr.write(`\n${stopped}\n`)
if (interrupted) process.stderr.write('\ninterrupted\n')
process.stdout.write('\n')
for (const result of results) {
  const counts =
    result.passed + result.failed > 0 && result.passed > 0 ? `, ${result.passed} passed, ${result.failed} failed` : ''
  process.stdout.write(`  ${result.failed === 0 ? 'ok    ' : 'FAILED'} ${result.title}${counts}\n`)
}
process.stdout.write(
  `  in ${seconds(began)}${skipped > 0 ? `; ${skipped} tests are for other conditions and did not run` : ''}\n\n`,
)
process.stdout.write(`${passed} passed, ${failed} failed\n`)
process.exit(failed === 0 && !interrupted ? 0 : 1)
