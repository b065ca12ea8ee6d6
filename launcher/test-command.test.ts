/** `npm test` itself: that it cannot be green by accident, and that no shell it is run from can change what it does. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { countPlaywright, countVitest } from './test-report.mjs'

describe('counting', () => {
  const vitest = (report: object) =>
    JSON.stringify({ numPassedTests: 5, numFailedTests: 0, numPendingTests: 1, testResults: [], ...report })

  it('takes the numbers of both runners', () => {
    expect(countVitest(vitest({ numFailedTests: 2 }), 1)).toEqual({ passed: 5, failed: 2, skipped: 1 })
    expect(countPlaywright('{"stats":{"expected":3,"unexpected":1,"flaky":0,"skipped":0}}', 1)).toEqual({
      passed: 3,
      failed: 1,
      skipped: 0,
    })
  })

  it('a test that passed at the second try failed', () => {
    expect(countPlaywright('{"stats":{"expected":3,"unexpected":0,"flaky":1,"skipped":0}}', 0).failed).toBe(1)
  })

  it.each([
    ['a file that could not be loaded', vitest({ testResults: [{ status: 'failed', assertionResults: [] }] }), 1],
    ['an error outside of any test', vitest({}), 1],
    ['no test at all', vitest({ numPassedTests: 0 }), 0],
    ['no report', undefined, 0],
    ['half a report', '{"numPassedTests": 5', 0],
  ])('%s is a failure', (_, report, code) => {
    expect(countVitest(report, code).failed).toBe(1)
    expect(countPlaywright(undefined, 0).failed).toBe(1)
  })
})

describe('the command', () => {
  let project: string
  const TOOLS = {
    format: 'prettier/bin/prettier.cjs',
    lint: 'eslint/bin/eslint.js',
    types: 'typescript/bin/tsc',
    layers: 'dependency-cruiser/bin/dependency-cruise.mjs',
    vitest: 'vitest/vitest.mjs',
    playwright: '@playwright/test/cli.js',
  }

  beforeAll(() => {
    project = mkdtempSync(path.join(tmpdir(), 'portcullis-test-'))
    const repository = path.resolve(import.meta.dirname, '..')
    cpSync(import.meta.dirname, path.join(project, 'launcher'), { recursive: true })
    mkdirSync(path.join(project, 'node_modules'))
    mkdirSync(path.join(project, 'lib/providers/catalog'), { recursive: true })
    symlinkSync(path.join(repository, 'node_modules/esbuild'), path.join(project, 'node_modules/esbuild'))
    writeFileSync(path.join(project, 'package.json'), '{"type":"module"}')
    writeFileSync(path.join(project, 'package-lock.json'), '{"packages":{}}')
    writeFileSync(path.join(project, 'node_modules/.package-lock.json'), '{"packages":{}}')
    for (const [name, file] of Object.entries(TOOLS)) {
      const target = path.join(project, 'node_modules', file)
      mkdirSync(path.dirname(target), { recursive: true })
      const report =
        name === 'vitest'
          ? `require('fs').writeFileSync(process.argv.find((a) => a.startsWith('--outputFile')).split('=')[1], JSON.stringify({ numPassedTests: 4, numFailedTests: broken ? 1 : 0, testResults: [] }))`
          : name === 'playwright'
            ? `require('fs').writeFileSync(process.env.PLAYWRIGHT_JSON_OUTPUT_NAME, JSON.stringify({ stats: { expected: 2, unexpected: 0, flaky: 0, skipped: 0 } }))`
            : ''
      const program = `
        const fs = require('fs')
        fs.appendFileSync(process.cwd() + '/seen', JSON.stringify({ name: '${name}', argv: process.argv.slice(2), env: process.env }) + '\\n')
        const broken = fs.existsSync(process.cwd() + '/broken-${name}')
        ${report}
        if (broken) { console.error('the reason of ${name}'); process.exit(1) }`
      writeFileSync(
        target,
        target.endsWith('.mjs')
          ? `import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)\n${program}`
          : program,
      )
    }
  })
  afterAll(() => {
    rmSync(project, { recursive: true, force: true })
  })

  async function npmTest(options: { broken?: keyof typeof TOOLS; args?: string[] } = {}) {
    writeFileSync(path.join(project, 'seen'), '')
    for (const name of Object.keys(TOOLS)) rmSync(path.join(project, `broken-${name}`), { force: true })
    if (options.broken !== undefined) writeFileSync(path.join(project, `broken-${options.broken}`), '')
    const child = spawn(process.execPath, [path.join(project, 'launcher/test.mjs'), ...(options.args ?? [])], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        NODE_ENV: 'production',
        PATH: process.env['PATH'],
        DATABASE_URL: 'postgresql://canary',
        PORTCULLIS_DATA_DIR: '/canary',
        REDIS_URL: 'redis://canary',
        PUBLIC_URL: 'https://canary.example',
        GITHUB_CLIENT_SECRET: 'canary',
        NODE_OPTIONS: '--no-deprecation',
      },
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    await once(child, 'close')
    const runs = readFileSync(path.join(project, 'seen'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { name: string; argv: string[]; env: Record<string, string> }) // written above
    return { code: child.exitCode, output, runs, closing: output.trimEnd().split('\n').at(-1) }
  }

  it('checks and tests everything, the queue on its second backend too, and closes with the sum', async () => {
    const { code, output, runs, closing } = await npmTest()
    expect(output).toContain('ok     lint')
    expect([code, closing]).toEqual([0, '10 passed, 0 failed'])
    expect(runs.map((run) => run.name).sort()).toEqual([
      'format',
      'layers',
      'lint',
      'playwright',
      'types',
      'vitest',
      'vitest',
    ])
    const queue = runs.find((run) => run.env['PORTCULLIS_TEST_QUEUE'] === 'redis')
    expect(queue?.argv).toContain('lib/queue')
    expect(runs.filter((run) => run.env['PORTCULLIS_FULL'] !== undefined)).toEqual([])
  })

  it('passes nothing of the shell’s settings to any tool', async () => {
    const { runs } = await npmTest()
    expect(JSON.stringify(runs.map((run) => run.env))).not.toMatch(/canary|no-deprecation|"NODE_ENV":"production"/)
  })

  it.each(['format', 'lint', 'types', 'layers', 'vitest', 'playwright'] as const)(
    'fails when %s does, shows why, and still runs the rest',
    async (broken) => {
      const { code, output, runs, closing } = await npmTest({ broken })
      expect(code).toBe(1)
      expect(closing).toMatch(broken === 'vitest' ? /^10 passed, 2 failed$/ : /^\d+ passed, 1 failed$/)
      expect(output).toContain(`the reason of ${broken}`)
      expect(runs).toHaveLength(7)
    },
  )

  it('--full runs the long forms, and the measurements that have a bound to hold', async () => {
    mkdirSync(path.join(project, 'bench'), { recursive: true })
    const seen = path.join(project, 'seen')
    const bench = (name: string, code: number) =>
      writeFileSync(
        path.join(project, 'bench', name),
        `import { appendFileSync } from 'node:fs'
         appendFileSync(${JSON.stringify(seen)}, JSON.stringify({ name: '${name}', argv: [], env: process.env }) + '\\n')
         console.log('the numbers of ${name}')
         process.exit(${code})`,
      )
    bench('refresh-storm.mjs', 0)
    bench('keys-rotation.mjs', 1)
    bench('tools-call.mjs', 0)
    const { runs, output, code } = await npmTest({ args: ['--full'] })
    for (const run of runs.filter(({ name }) => name === 'vitest' || name === 'playwright'))
      expect(run.env['PORTCULLIS_FULL']).toBe('1')
    expect(runs.map(({ name }) => name).filter((name) => name.endsWith('.mjs'))).toEqual([
      'keys-rotation.mjs',
      'refresh-storm.mjs',
    ])
    for (const name of ['keys-rotation.mjs', 'refresh-storm.mjs']) expect(output).toContain(`the numbers of ${name}`)
    expect(output).toMatch(/FAILED bench\/keys-rotation\.mjs/)
    expect(output).toMatch(/ok {4} bench\/refresh-storm\.mjs/)
    expect(code).toBe(1)
    // And the short form leaves them alone.
    const short = await npmTest()
    expect(short.runs.some(({ name }) => name.endsWith('.mjs'))).toBe(false)
    expect(short.code).toBe(0)
  })
})
