/** When packages are installed, and that a registry's bad moment is not the end. */
import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterEach, beforeEach, expect, it } from 'vitest'

let project: string
const file = (name: string) => path.join(project, name)

const lock = (version: string) => ({
  packages: {
    '': {},
    'node_modules/one': { version, integrity: `sha512-${version}` },
    'node_modules/mac': { version: '1', optional: true },
  },
})

beforeEach(() => {
  project = mkdtempSync(path.join(tmpdir(), 'portcullis-test-'))
  cpSync(import.meta.dirname, file('launcher'), { recursive: true })
  writeFileSync(file('package.json'), '{"type":"module"}')
  writeFileSync(file('package-lock.json'), JSON.stringify(lock('1.0.0')))
  // Stands in for npm: notes how it was called, fails as often as it is told, else installs what is locked.
  mkdirSync(file('bin'))
  writeFileSync(
    file('bin/npm-cli.js'),
    `import fs from 'node:fs'
     fs.appendFileSync('calls', process.argv.slice(2).join(' ') + '\\n')
     const failures = fs.existsSync('failures') ? Number(fs.readFileSync('failures', 'utf8')) : 0
     if (failures > 0) { fs.writeFileSync('failures', String(failures - 1)); console.error('npm error network ECONNRESET'); process.exit(1) }
     const { packages } = JSON.parse(fs.readFileSync('package-lock.json', 'utf8'))
     delete packages['']; delete packages['node_modules/mac']
     fs.mkdirSync('node_modules/one', { recursive: true })
     fs.writeFileSync('node_modules/.package-lock.json', JSON.stringify({ packages }))`,
  )
})
afterEach(() => {
  rmSync(project, { recursive: true, force: true })
})

function install(): Promise<{ failure: string | undefined; calls: string[] }> {
  rmSync(file('calls'), { force: true })
  const program = `const { install } = await import('./launcher/install.mjs'); await install().catch((error) => { console.error(error.message); process.exit(1) })`
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--input-type=module', '-e', program],
      { cwd: project, env: { NODE_ENV: 'test', PATH: process.env['PATH'], npm_execpath: file('bin/npm-cli.js') } },
      (error, _, stderr) => {
        const calls = existsSync(file('calls')) ? readFileSync(file('calls'), 'utf8').trim().split('\n') : []
        resolve({ failure: error === null ? undefined : stderr, calls })
      },
    )
  })
}

it('installs a fresh clone once, without letting packages run scripts', async () => {
  const first = await install()
  expect(first).toEqual({ failure: undefined, calls: [expect.stringMatching(/^ci .*--ignore-scripts.*--include=dev/)] })
  expect(await install()).toEqual({ failure: undefined, calls: [] })
})

it('installs again when the lockfile changed, or when what is installed is gone', async () => {
  await install()
  writeFileSync(file('package-lock.json'), JSON.stringify(lock('1.0.1')))
  expect((await install()).calls).toHaveLength(1)
  rmSync(file('node_modules'), { recursive: true })
  expect((await install()).calls).toHaveLength(1)
})

it('takes what somebody installed by hand, if it is what the lockfile says', async () => {
  mkdirSync(file('node_modules/one'), { recursive: true })
  const installed = (version: string) =>
    JSON.stringify({ packages: { 'node_modules/one': { version, integrity: `sha512-${version}` } } })
  writeFileSync(file('node_modules/.package-lock.json'), installed('0.9.0'))
  expect((await install()).calls).toHaveLength(1)

  rmSync(file('node_modules/.portcullis-installed'))
  writeFileSync(file('node_modules/.package-lock.json'), installed('1.0.0'))
  expect((await install()).calls).toEqual([])
})

it('tries once more without the cache when npm fails, then says what npm said, and starts over next time', async () => {
  writeFileSync(file('failures'), '1')
  const recovered = await install()
  expect(recovered.failure).toBeUndefined()
  expect(recovered.calls.map((call) => call.includes('--prefer-offline'))).toEqual([true, false])

  rmSync(file('node_modules'), { recursive: true })
  writeFileSync(file('failures'), '2')
  expect((await install()).failure).toMatch(/npm ci failed[\s\S]*ECONNRESET/)
  expect((await install()).calls).toHaveLength(1)
})
