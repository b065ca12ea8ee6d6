/**
 * `npm start` as people and service managers meet it: real processes, signals, database and migrations. The three
 * processes of the product are played by small ones that write down what they were told and when they ended.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'

import { freePort, processIdentity, waitForEnd } from './processes.mjs'

// Whole processes start and stop here, on machines that may be busy.
vi.setConfig({ testTimeout: 120_000 })

const repository = path.resolve(import.meta.dirname, '..')
let project: string
let dataDir: string
let port: number
const running: ChildProcess[] = []

/** What each stand-in does first: say what it was told, and note its end. `control.json` tells it how to behave. */
const preamble = (name: string) => `
  import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
  import http from 'node:http'
  const stage = process.cwd() + '/stage'
  writeFileSync(stage + '/${name}.env.json', JSON.stringify(process.env))
  appendFileSync(stage + '/started', '${name} ' + process.pid + '\\n')
  process.on('SIGTERM', () => { appendFileSync(stage + '/ended', '${name}\\n'); process.exit(0) })
  const control = () => existsSync(stage + '/control.json') ? JSON.parse(readFileSync(stage + '/control.json', 'utf8')) : {}
`
const STAND_INS: Record<string, string> = {
  'gateway/main.ts': `${preamble('gateway')}
    if (control().misconfigured) { process.stderr.write('The environment is not valid:\\n  KEK_FILE: nowhere\\n'); process.exit(2) }
    if (!existsSync(stage + '/has-people')) writeFileSync(process.env['PORTCULLIS_DATA_DIR'] + '/signup-link', process.env['PUBLIC_URL'] + '/sign-up#once\\n')
    http.createServer((_, response) => {
      const reason = control().notReady
      response.writeHead(reason ? 503 : 200).end(JSON.stringify(reason ? { status: 'not_ready', reason } : { status: 'ready' }))
    }).listen(Number(process.env['PORT']))
  `,
  'workers/main.ts': `${preamble('worker')}
    if (control().workerCrashes) { process.stderr.write('no use going on\\n'); process.exit(1) }
    setInterval(() => undefined, 1000)
  `,
  'sandbox/main.ts': `${preamble('sandbox')}
    const one = (name) => ({ clientId: name + '-id', clientSecret: name + '-secret' })
    process.stdout.write(JSON.stringify({ google: one('google'), github: one('github'), slack: one('slack'),
      overrides: { google: {}, github: { apiBaseUrl: 'http://127.0.0.1:1' }, slack: {} } }) + '\\n')
    process.stdin.on('end', () => process.exit(0)).resume()
    setInterval(() => undefined, 1000)
  `,
  'node_modules/next/dist/bin/next': `${preamble('web')}
    http.createServer((_, response) => response.end()).listen(Number(process.argv[process.argv.indexOf('--port') + 1]), '127.0.0.1')
  `,
}

beforeAll(async () => {
  project = mkdtempSync(path.join(tmpdir(), 'portcullis-test-'))
  dataDir = path.join(project, 'data')
  port = await freePort()
  for (const [file, text] of Object.entries(STAND_INS)) {
    mkdirSync(path.dirname(path.join(project, file)), { recursive: true })
    writeFileSync(path.join(project, file), text)
  }
  for (const played of ['google', 'github', 'slack']) mkdirSync(path.join(project, 'sandbox', played))
  for (const name of readdirSync(path.join(repository, 'node_modules'))) {
    const target = path.join(project, 'node_modules', name)
    if (!name.startsWith('.') && !existsSync(target)) symlinkSync(path.join(repository, 'node_modules', name), target)
  }
  const take = [
    'launcher',
    'lib/providers/catalog',
    'tsconfig.json',
    'prisma/app/migrations',
    'prisma/vault/migrations',
  ]
  const leaves = ['config', 'errors', 'secret', 'db/bootstrap', 'db/migrate', 'db/migrate-main']
  for (const file of [...take, ...leaves.map((leaf) => `lib/${leaf}.ts`)])
    cpSync(path.join(repository, file), path.join(project, file), { recursive: true })
  writeFileSync(path.join(project, 'package.json'), '{"type":"module"}')
  writeFileSync(path.join(project, 'package-lock.json'), '{"packages":{}}')
  writeFileSync(path.join(project, 'node_modules', '.package-lock.json'), '{"packages":{}}')
  writeFileSync(path.join(project, 'node_modules/next/package.json'), '{"type":"module"}')
})

afterEach(async () => {
  for (const child of running.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
  rmSync(stage('control.json'), { force: true })
})

afterAll(() => {
  rmSync(project, { recursive: true, force: true })
})

const stage = (file: string) => path.join(project, 'stage', file)
const lines = (file: string) => (existsSync(stage(file)) ? readFileSync(stage(file), 'utf8').trim().split('\n') : [])

interface Launched {
  readonly child: ChildProcess
  output(): string
  /** Resolves at the line that says it runs; rejects when it ends before. */
  readonly ready: Promise<string>
  readonly ended: Promise<number | null>
}

function launch(env: Record<string, string> = {}, through: readonly string[] = []): Launched {
  mkdirSync(path.join(project, 'stage'), { recursive: true })
  for (const file of ['started', 'ended']) rmSync(stage(file), { force: true })
  const child = spawn(process.execPath, [...through, path.join(project, 'launcher/start.mjs')], {
    cwd: project,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      NODE_ENV: 'test',
      PORT: String(port),
      PORTCULLIS_DATA_DIR: dataDir,
      ...env,
    },
  })
  running.push(child)
  let output = ''
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const ready = new Promise<string>((resolve, reject) => {
    const collect = (chunk: Buffer) => {
      output += chunk.toString()
      const line = /^Portcullis is running.*$/m.exec(output)?.[0]
      if (line !== undefined) resolve(line)
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    void ended.then(() => {
      reject(new Error(`ended early:\n${output}`))
    })
  })
  ready.catch(() => undefined) // tests of failures wait for the end instead
  return { child, output: () => output, ready, ended }
}

/** Every process the launcher wrote down, by name. */
function processes(): Record<string, { pid: number; identity: string }> {
  // The file is the launcher's own.
  const list = JSON.parse(readFileSync(path.join(dataDir, 'run/processes.json'), 'utf8')) as {
    name: string
    pid: number
    identity: string
  }[]
  return Object.fromEntries(list.map((one) => [one.name, one]))
}

function postgres(): { pid: number; identity: string } {
  const pid = Number(readFileSync(path.join(dataDir, 'postgres/cluster/data/postmaster.pid'), 'utf8').split('\n')[0])
  return { pid, identity: processIdentity(pid) ?? '' }
}

const toldTo = (name: string) => JSON.parse(readFileSync(stage(`${name}.env.json`), 'utf8')) as Record<string, string> // the stand-in's

const isAlive = ({ pid, identity }: { pid: number; identity: string }) => processIdentity(pid) === identity

describe('from nothing', () => {
  it('comes up, says where in one line with the first sign-up link, tells each process only what it must know, and stops in order at Ctrl-C', async () => {
    const one = launch({
      GITHUB_CLIENT_ID: 'real',
      GITHUB_CLIENT_SECRET: 'canary-github',
      REDIS_URL: '',
      PGPASSWORD: 'canary-pg',
    })
    expect(await one.ready).toBe(
      `Portcullis is running at http://localhost:${port} — nobody has an account yet; make the first here, once: http://localhost:${port}/sign-up#once`,
    )
    expect(one.output().split(`http://localhost:${port} `).length).toBe(2)

    const web = toldTo('web')
    expect(Object.keys(web).sort()).toEqual(
      [
        'DATABASE_URL',
        'HOME',
        'NEXTAUTH_SECRET',
        'NEXTAUTH_URL',
        'NEXT_TELEMETRY_DISABLED',
        'NODE_ENV',
        'PATH',
        'PUBLIC_URL',
        'SANDBOX_LABEL',
        '__NEXT_PROCESSED_ENV',
      ].sort(),
    )
    expect(web['DATABASE_URL']).toMatch(/^postgresql:\/\/portcullis_web:[^@]{16,}@127\.0\.0\.1:\d+\/portcullis$/)
    const gateway = toldTo('gateway')
    expect(gateway).toMatchObject({ GITHUB_CLIENT_SECRET: 'canary-github', NEXTAUTH_SECRET: web['NEXTAUTH_SECRET'] })
    expect(gateway['DATABASE_URL']).toMatch(/\/\/portcullis_app:/)
    expect(gateway['VAULT_DATABASE_URL']).toMatch(/\/\/portcullis_vault:.*\/portcullis_vault$/)
    expect(JSON.parse(gateway['SANDBOX_PROVIDERS'] ?? '')).toMatchObject({
      github: { clientId: 'github-id', clientSecret: 'github-secret', overrides: { apiBaseUrl: 'http://127.0.0.1:1' } },
    })
    for (const name of ['gateway', 'worker', 'web', 'sandbox']) {
      const text = JSON.stringify(toldTo(name))
      expect(text, name).not.toContain('canary-pg')
      expect(text, name).not.toContain('postgresql://postgres:') // the account that migrates
    }
    for (const secret of [web['NEXTAUTH_SECRET'], web['DATABASE_URL'], gateway['VAULT_DATABASE_URL'], 'github-secret'])
      expect(one.output()).not.toContain(secret)
    expect(statSync(dataDir).mode & 0o777).toBe(0o700)
    expect(statSync(path.join(dataDir, 'nextauth-secret')).mode & 0o777).toBe(0o600)
    expect(statSync(path.join(dataDir, 'run/local.json')).mode & 0o777).toBe(0o600)

    const everybody = [...Object.values(processes()), postgres()]
    expect(everybody.filter(isAlive)).toHaveLength(5)
    process.kill(-Number(one.child.pid), 'SIGINT')
    expect(await one.ended).toBe(0)
    expect(lines('ended')).toEqual(['gateway', 'worker', 'web', 'sandbox'])
    expect(everybody.filter(isAlive)).toEqual([])
    expect(readdirSync(path.join(dataDir, 'run')).sort()).toEqual(['logs'])
  })

  it('comes up warm with the same secret, and without a link once somebody has signed up', async () => {
    const secret = readFileSync(path.join(dataDir, 'nextauth-secret'), 'utf8').trim()
    writeFileSync(stage('has-people'), '')
    const one = launch()
    expect(await one.ready).toBe(`Portcullis is running at http://localhost:${port}`)
    expect(toldTo('web')['NEXTAUTH_SECRET']).toBe(secret)
    expect(one.output()).not.toContain('building')
  })
})

describe('a kill -9', () => {
  it('of the launcher: the processes end by themselves, the database is taken over, and the next start works', async () => {
    const first = launch()
    await first.ready
    const left = Object.values(processes())
    const database = postgres()
    first.child.kill('SIGKILL')
    await first.ended
    for (const one of left) expect(await waitForEnd(one.pid, one.identity, 10_000)).toBe(true)
    expect(isAlive(database)).toBe(true)

    const second = launch()
    await second.ready
    expect(postgres()).toEqual(database)
    second.child.kill('SIGTERM')
    expect(await second.ended).toBe(0)
    expect(isAlive(database)).toBe(false)
  })

  it('of the launcher and a process that hears nothing: the next start ends that process, and no innocent one', async () => {
    const first = launch()
    await first.ready
    const { gateway } = processes()
    if (gateway === undefined) throw new Error('no gateway')
    process.kill(gateway.pid, 'SIGSTOP')
    first.child.kill('SIGKILL')
    await first.ended
    const innocent = spawn('sleep', ['600'])
    running.push(innocent)
    await once(innocent, 'spawn')
    const listFile = path.join(dataDir, 'run/processes.json')
    writeFileSync(
      listFile,
      JSON.stringify([
        { name: 'gateway', ...gateway },
        { name: 'worker', pid: innocent.pid, identity: `${innocent.pid}:1:somebody-else` },
      ]),
    )

    const second = launch()
    await second.ready
    expect(isAlive(gateway)).toBe(false)
    expect(innocent.exitCode ?? innocent.signalCode).toBeNull()
  })

  it('of npm, which cannot pass it on: the launcher ends, and a start at the same moment waits for that', async () => {
    const npm = path.join(project, 'npm.mjs')
    writeFileSync(
      npm,
      `import { spawn } from 'node:child_process'
       const child = spawn(process.execPath, process.argv.slice(2), { stdio: 'inherit', env: { ...process.env, npm_lifecycle_event: 'start' } })
       child.on('exit', (code) => process.exit(code ?? 1))`,
    )
    const first = launch({}, [npm])
    await first.ready
    const before = Object.values(processes())
    first.child.kill('SIGKILL')
    const second = launch()
    await second.ready
    expect(before.filter(isAlive)).toEqual([])
  })

  it('of one process: it is started again and the others are not', async () => {
    const one = launch()
    await one.ready
    const before = processes()
    process.kill(before['worker']?.pid ?? 0, 'SIGKILL')
    await until(() => lines('started').filter((line) => line.startsWith('worker')).length === 2)
    await until(() => processes()['worker'] !== undefined)
    const after = processes()
    expect(after['worker']?.pid).not.toBe(before['worker']?.pid)
    expect(after['gateway']).toEqual(before['gateway'])
  })
})

describe('what cannot work ends with a reason, status 1, and nothing left running', () => {
  const cases: { name: string; control?: object; env?: Record<string, string>; says: RegExp }[] = [
    {
      name: 'keys that are missing although data exists',
      control: { notReady: 'there are credentials but no keys' },
      says: /not ready: there are credentials but no keys/,
    },
    {
      name: 'a process that keeps dying',
      control: { workerCrashes: true },
      says: /worker ended 5 times.*\nno use going on/s,
    },
    {
      name: 'a setting that only a process can judge',
      control: { misconfigured: true },
      says: /gateway cannot run as it is configured:\nThe environment is not valid:\n {2}KEK_FILE: nowhere/,
    },
  ]
  it.each(cases)('$name', async ({ control, says }) => {
    mkdirSync(path.join(project, 'stage'), { recursive: true })
    writeFileSync(stage('control.json'), JSON.stringify(control))
    const one = launch()
    expect(await one.ended).toBe(1)
    expect(one.output()).toMatch(says)
    expect(existsSync(path.join(dataDir, 'postgres/cluster/data/postmaster.pid'))).toBe(false)
    for (const line of lines('started')) expect(processIdentity(Number(line.split(' ')[1])), line).toBeUndefined()
  })

  it.each([
    ['a port that is none', { PORT: 'canary' }, /PORT/],
    ['a public URL that is none', { PUBLIC_URL: 'canary' }, /PUBLIC_URL/],
    [
      'one database without the other',
      { DATABASE_URL: 'postgresql://canary@127.0.0.1:1/x' },
      /VAULT_DATABASE_URL.*both or neither/,
    ],
    [
      'databases that do not answer',
      {
        DATABASE_URL: 'postgresql://u:canary@127.0.0.1:1/x',
        VAULT_DATABASE_URL: 'postgresql://u:canary@127.0.0.1:1/y',
      },
      /databases could not be prepared/,
    ],
    ['half a provider app', { SLACK_CLIENT_SECRET: 'canary' }, /SLACK_CLIENT_ID/],
  ])('%s is named, its value is not printed', async (_, env, says) => {
    const one = launch(env)
    expect(await one.ended).toBe(1)
    expect(one.output()).toMatch(says)
    expect(one.output()).not.toContain('canary')
    expect(lines('started')).toEqual([])
  })

  it('a port in use', async () => {
    const busy = createServer().listen(port)
    await once(busy, 'listening')
    try {
      const one = launch()
      expect(await one.ended).toBe(1)
      expect(one.output()).toMatch(/PORT: \d+ is in use/)
    } finally {
      busy.close()
    }
  })

  it('a data folder that others may write', async () => {
    const open = path.join(project, 'open')
    mkdirSync(open)
    chmodSync(open, 0o777)
    const one = launch({ PORTCULLIS_DATA_DIR: open })
    expect(await one.ended).toBe(1)
    expect(one.output()).toMatch(/PORTCULLIS_DATA_DIR.*written by others/)
  })

  it('a second launcher on the same data folder, which leaves the first alone', async () => {
    const first = launch()
    await first.ready
    const before = processes()
    const second = launch({ PORT: String(await freePort()) })
    expect(await second.ended).toBe(1)
    expect(second.output()).toMatch(/already running/)
    expect(processes()).toEqual(before)
    expect(Object.values(before).filter(isAlive)).toHaveLength(4)
  })
})

/** Polls a fact of the file system that no event announces. The test's own time limit bounds it. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}
