// @ts-check
/**
 * `npm start`: from a fresh clone, or a warm one, to a running product; and back to nothing when asked.
 *
 * In order: packages, database clients, builds, settings, database, migrations, sandbox and pages, gateway and worker.
 * Each is skipped when it is already as it should be. It ends in the reverse order, so that each process finds what it
 * needs until its last word. Settings that are wrong are named, and end it with status 1 before anything is started.
 *
 * On disk, below the data folder (0700): `postgres/`, `nextauth-secret` (0600), and `run/` with the lock of the one
 * launcher, the processes it started, their logs, and how the command line finds the databases (`local.json`, 0600).
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  openSync,
  closeSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  fsyncSync,
  linkSync,
} from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { join, resolve } from 'node:path'
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'

import { build, watchBundles } from './build.mjs'
import { environmentOf, loadEnvFile, providerNames } from './environment.mjs'
import { generate } from './generate.mjs'
import { install, requireNode } from './install.mjs'
import { startPostgres } from './postgres.mjs'
import { describeProcess, freePort, isPortFree, processIdentity, signalExactly, waitForEnd } from './processes.mjs'
import { ROOT, StepFailed, attempt, endRunning, readFileIfAny, seconds, step, tail, tryLock } from './steps.mjs'
import { createSupervisor, endLeftovers } from './supervisor.mjs'

const development = process.argv.includes('--dev')
/** Tests of failures turn the sandbox's clock and its moods. */
const sandboxControl = process.argv.includes('--sandbox-control')
const began = Date.now()
/** What the sandbox plays: with a real app of each there is nothing of it to show. */
const PLAYED = providerNames().filter((name) => existsSync(join(ROOT, 'sandbox', name)))
const NEXT = join(ROOT, 'node_modules', 'next', 'dist', 'bin', 'next')

/** Undone in reverse order at the end. @type {{ name: string, undo: () => Promise<void> | void }[]} */
const started = []
/** @type {ReturnType<typeof createSupervisor> | undefined} */
let supervisor
let ending = false
let ready = false
/** Exists while this launcher stops what it started. @type {string | undefined} */
let endingMark

/** Ends the launcher from anywhere; the first reason counts. @type {(reason: { status: number, message?: string }) => void} */
let finish = () => {}
const finished = new Promise((resolvePromise) => {
  finish = resolvePromise
})

async function main() {
  requireNode()
  watchSignals()
  watchStarter()
  loadEnvFile(ROOT)
  for (const prepare of [install, generate, () => build({ web: !development })]) {
    await prepare()
    checkpoint()
  }
  const config = await readSettings()

  makeDataFolder(config.dataDir)
  const run = join(config.dataDir, 'run')
  await becomeTheOnlyOne(run, config.dataDir)
  await endLeftovers(run, say)
  if (!(await isPortFree(config.port, '0.0.0.0'))) {
    throw new StepFailed(`PORT: ${config.port} is in use by another program; stop it, or set PORT to another one`)
  }
  supervisor = createSupervisor({ folder: run, onFatal: (message) => finish({ status: 1, message }) })
  started.push({ name: 'the list of processes', undo: supervisor.forget })

  const adminUrls = await openDatabases(config)
  const urls = await migrate(config, adminUrls)
  const nextAuthSecret = config.nextAuthSecret?.reveal() ?? secretFile(join(config.dataDir, 'nextauth-secret'))
  const webPort = await freePort()
  const facts = {
    from: process.env,
    publicUrl: config.publicUrl,
    port: config.port,
    webPort,
    dataDir: config.dataDir,
    urls,
    nextAuthSecret,
    development,
    /** @type {string | undefined} */
    sandboxProviders: undefined,
    hasSandbox: false,
  }
  started.push({ name: 'the databases’ addresses', undo: () => rmSync(join(run, 'local.json'), { force: true }) })
  rmSync(join(config.dataDir, 'signup-link'), { force: true }) // the gateway writes it anew while nobody has signed up

  await step('starting', async (tell) => {
    const wantsSandbox =
      (config.publicUrlIsLoopback || flag('SANDBOX')) && existsSync(join(ROOT, '.build', 'sandbox.mjs'))
    facts.hasSandbox = wantsSandbox && PLAYED.some((name) => config.providers[name] === undefined)
    const [sandbox] = await Promise.all([wantsSandbox ? startSandbox(facts, tell) : undefined, startWeb(facts, tell)])
    facts.sandboxProviders = sandbox?.providers
    writePrivate(
      join(run, 'local.json'),
      JSON.stringify({
        publicUrl: config.publicUrl,
        databaseUrl: urls.app,
        vaultDatabaseUrl: urls.vault,
        sandboxProviders: sandbox?.providers,
        sandboxControlUrl: sandbox?.controlUrl,
      }),
    )
    const worker = begin('worker', bundle('worker'), () => environmentOf('worker', facts), 75_000)
    const gateway = begin('gateway', bundle('gateway'), () => environmentOf('gateway', facts), 75_000)
    if (development) {
      const stopWatching = await watchBundles((built) => {
        if (built === 'worker') worker.restart()
        if (built === 'gateway') gateway.restart()
      })
      started.push({ name: 'the watcher of sources', undo: stopWatching })
    }
    await waitUntilReady(config.port, tell)
  })

  ready = true
  const link = readFileIfAny(join(config.dataDir, 'signup-link'))?.trim()
  const invitation =
    link === undefined || link === '' ? '' : ` — nobody has an account yet; make the first here, once: ${link}`
  process.stdout.write(`Portcullis is running at ${config.publicUrl}${invitation}\n`)
  if (process.stdout.isTTY) process.stdout.write(`  (${seconds(began)}; Ctrl-C stops everything)\n`)
}

/** Ends a step that was overtaken by the end of the whole. */
function checkpoint() {
  if (ending) throw new StepFailed('stopped')
}

/** @param {string} line */
function say(line) {
  process.stdout.write(`  ${line}\n`)
}

/** @param {string} name */
const bundle = (name) => ['--enable-source-maps', `.build/${name}.mjs`]

/** @param {string} name */
function flag(name) {
  return process.env[name] === '1' || process.env[name] === 'true'
}

/** @returns {Promise<import('../lib/config').Config>} */
async function readSettings() {
  const { loadConfig } = await import(pathToFileURL(join(ROOT, '.build', 'config.mjs')).href)
  const config = loadConfig(process.env)
  if ((config.databaseUrl === undefined) !== (config.vaultDatabaseUrl === undefined)) {
    throw new StepFailed('The environment is not valid:\n  DATABASE_URL, VAULT_DATABASE_URL: set both or neither')
  }
  return config
}

/** @param {string} path */
function makeDataFolder(path) {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    if (!statSync(path).isDirectory()) throw new Error('not a folder')
  } catch (error) {
    throw new StepFailed(
      `PORTCULLIS_DATA_DIR: ${path} cannot be used (${error instanceof Error ? error.message : 'unknown'})`,
    )
  }
  const { mode, uid } = statSync(path)
  if ((mode & 0o022) !== 0 || (process.geteuid !== undefined && process.geteuid() !== 0 && uid !== process.geteuid())) {
    throw new StepFailed(
      `PORTCULLIS_DATA_DIR: ${path} can be written by others; it holds keys, so make it yours alone (chmod 700)`,
    )
  }
}

/**
 * One launcher at a time on a data folder. A launcher whose own starter (npm) was killed is on its way out: it is told so,
 * and waited for.
 *
 * @param {string} run
 * @param {string} dataDir
 */
async function becomeTheOnlyOne(run, dataDir) {
  mkdirSync(run, { recursive: true, mode: 0o700 })
  const lock = join(run, 'launcher.json')
  for (let told = false; ;) {
    const { release, holder } = tryLock(lock, { starter: starterIdentity() })
    if (release !== undefined) {
      const mark = join(run, 'ending')
      rmSync(mark, { force: true })
      endingMark = mark
      started.push({
        name: 'the lock',
        undo: () => {
          rmSync(mark, { force: true })
          release()
        },
      })
      return
    }
    const starter = holder['starter']
    const isAbandoned =
      typeof starter === 'string' && starter !== '' && processIdentity(Number(starter.split(':')[0])) !== starter
    const isEnding = existsSync(join(run, 'ending'))
    if (!isAbandoned && !isEnding) {
      throw new StepFailed(
        `Portcullis is already running on ${dataDir} (process ${holder.pid}); stop it, or set PORTCULLIS_DATA_DIR`,
      )
    }
    if (!told) say('waiting for the end of an earlier start')
    told = true
    if (isAbandoned) signalExactly(holder.pid, holder.identity, 'SIGTERM')
    if (!(await waitForEnd(holder.pid, holder.identity, 100_000))) {
      signalExactly(holder.pid, holder.identity, 'SIGKILL')
      await waitForEnd(holder.pid, holder.identity, 5000)
    }
  }
}

/** @param {import('../lib/config').Config} config */
async function openDatabases(config) {
  if (config.databaseUrl !== undefined && config.vaultDatabaseUrl !== undefined) {
    return { app: config.databaseUrl, vault: config.vaultDatabaseUrl }
  }
  return step('starting PostgreSQL', async (tell) => {
    const folder = join(config.dataDir, 'postgres')
    const postgres = await startPostgres({ dataDir: folder, log: tell })
    keepDatabase(folder, postgres)
    return { app: postgres.superuserUrl('portcullis'), vault: postgres.superuserUrl('portcullis_vault') }
  })
}

/**
 * Starts the server again, at the address the processes know, when it ends without being asked to. They wait for it by
 * themselves. One that keeps ending ends the whole.
 *
 * @param {string} folder
 * @param {import('./postgres.mjs').RunningPostgres} server
 */
function keepDatabase(folder, server) {
  const { port } = server
  let current = server
  let identity = processIdentity(server.pid)
  /** @type {Promise<void>} */
  let starting = Promise.resolve()
  /** @type {number[]} */
  let ends = []
  let isStarting = false

  const startAgain = async () => {
    const now = Date.now()
    ends = [...ends.filter((at) => now - at < 60_000), now]
    if (ends.length > 3)
      throw new StepFailed(`PostgreSQL ended ${ends.length} times within a minute; see its log in ${folder}`)
    process.stderr.write('PostgreSQL ended; starting it again\n')
    for (let attempt = 1; ; attempt += 1) {
      try {
        current = await startPostgres({ dataDir: folder, port, log: say })
        break
      } catch (error) {
        // What is left of a server that was killed lets go of its memory within moments.
        if (attempt >= 5 || ending) throw error
        await delay(500)
      }
    }
    identity = processIdentity(current.pid)
    if (current.port !== port) throw new StepFailed(`PostgreSQL could not come back: port ${port} was taken meanwhile`)
  }
  const timer = setInterval(() => {
    if (isStarting || ending || processIdentity(current.pid) === identity) return
    isStarting = true
    starting = startAgain()
      .catch((error) => {
        finish({ status: 1, message: describe(error) })
      })
      .finally(() => {
        isStarting = false
      })
  }, 500)
  timer.unref()
  started.push({
    name: 'PostgreSQL',
    undo: async () => {
      clearInterval(timer)
      await starting
      await current.stop()
    },
  })
}

/**
 * @param {import('../lib/config').Config} config
 * @param {{ app: string, vault: string }} adminUrls
 * @returns {Promise<{ web: string, app: string, vault: string }>}
 */
async function migrate(config, adminUrls) {
  return step('preparing the databases', async (tell) => {
    checkpoint()
    const { code, stdout, stderr } = await attempt(process.execPath, ['.build/migrate.mjs'], {
      env: /** @type {NodeJS.ProcessEnv} */ ({
        ...process.env,
        DATABASE_URL: adminUrls.app,
        VAULT_DATABASE_URL: adminUrls.vault,
        PORTCULLIS_DATA_DIR: config.dataDir,
      }),
      // Its standard output carries passwords: only what it says on the other channel is shown.
      onStderr: tell,
    })
    if (code !== 0) throw new StepFailed(`The databases could not be prepared:\n${tail(stderr, 20)}`)
    return JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
  })
}

/**
 * @param {string} name
 * @param {readonly string[]} args
 * @param {() => Record<string, string>} env
 * @param {number} drainMs
 * @param {Pick<import('./supervisor.mjs').Program, 'onLine' | 'quiet'>} [output]
 */
function begin(name, args, env, drainMs, output = {}) {
  checkpoint()
  if (supervisor === undefined) throw new Error('a process was started before its supervisor')
  const child = supervisor.start({ name, args, env, drainMs, ...output })
  started.push({ name, undo: child.stop })
  return child
}

/**
 * @param {import('./environment.mjs').Facts} facts
 * @param {(line: string) => void} tell
 * @returns {Promise<{ providers: string, controlUrl: string | undefined }>} what gateway and worker are told about it
 */
async function startSandbox(facts, tell) {
  tell('sandbox providers')
  /** @type {(line: string) => void} */
  let found = () => {}
  /** @type {Promise<string>} */
  const announced = new Promise((resolvePromise) => {
    found = resolvePromise
  })
  const args = ['--data-dir', join(facts.dataDir, 'sandbox'), '--public-url', facts.publicUrl]
  if (sandboxControl) args.push('--control')
  begin('sandbox', [...bundle('sandbox'), ...args], () => environmentOf('sandbox', facts), 5000, {
    onLine: (line) => {
      if (!line.startsWith('{')) return false
      found(line) // it holds the sandbox's client secrets
      return true
    },
  })
  const ready = JSON.parse(await within(announced, 30_000, 'the sandbox did not start within 30 s'))
  return {
    providers: JSON.stringify(
      Object.fromEntries(
        PLAYED.map((name) => [
          name,
          { clientId: ready[name].clientId, clientSecret: ready[name].clientSecret, overrides: ready.overrides[name] },
        ]),
      ),
    ),
    controlUrl: typeof ready.controlUrl === 'string' ? ready.controlUrl : undefined,
  }
}

/**
 * @param {import('./environment.mjs').Facts} facts
 * @param {(line: string) => void} tell
 */
async function startWeb(facts, tell) {
  tell('pages')
  const command = development ? 'dev' : 'start'
  const args = [NEXT, command, '--port', String(facts.webPort), '--hostname', '127.0.0.1']
  begin('web', args, () => environmentOf('web', facts), 10_000, { quiet: !development })
  const deadline = Date.now() + 60_000
  while (!(await answers(facts.webPort))) {
    checkpoint()
    if (Date.now() > deadline) throw new StepFailed('the pages did not start within 60 s')
    await delay(50)
  }
}

/**
 * @param {number} port
 * @returns {Promise<boolean>}
 */
function answers(port) {
  return new Promise((resolvePromise) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolvePromise(true)
    })
    socket.once('error', () => {
      resolvePromise(false)
    })
  })
}

/**
 * The gateway is up. A reason it gives for not being ready that stays the same is not about to go away: missing keys.
 *
 * @param {number} port
 * @param {(line: string) => void} tell
 */
async function waitUntilReady(port, tell) {
  tell('gateway')
  const deadline = Date.now() + 60_000
  let reason = 'it does not answer'
  let since = Date.now()
  while (!ending) {
    const answer = await readiness(port)
    if (answer?.status === 200) return
    const now = answer === undefined ? 'it does not answer' : (answer.reason ?? `status ${answer.status}`)
    if (now !== reason) since = Date.now()
    reason = now
    const isSettled = answer !== undefined && Date.now() - since > 3000
    if (isSettled || Date.now() > deadline) throw new StepFailed(`Portcullis is not ready: ${reason}`)
    await delay(50)
  }
  throw new StepFailed('stopped')
}

/**
 * @param {number} port
 * @returns {Promise<{ status: number, reason: string | undefined } | undefined>}
 */
function readiness(port) {
  return new Promise((resolvePromise) => {
    const asked = request({ host: '127.0.0.1', port, path: '/readyz', timeout: 5000 }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk) => (body = (body + chunk).slice(0, 4096)))
      response.on('end', () => {
        let reason
        try {
          reason = String(JSON.parse(body).reason ?? 'another program answers on this port')
        } catch {
          reason = undefined
        }
        resolvePromise({ status: response.statusCode ?? 0, reason })
      })
    })
    asked.once('timeout', () => asked.destroy())
    asked.once('error', () => {
      resolvePromise(undefined)
    })
    asked.end()
  })
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {number} ms
 * @param {string} message
 * @returns {Promise<T>}
 */
async function within(promise, ms, message) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer
  try {
    return await Promise.race([
      promise,
      new Promise((_, reject) => {
        timer = setTimeout(() => {
          reject(new StepFailed(message))
        }, ms)
      }),
    ])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * @param {string} path
 * @returns {string} the secret in the file, made on first use; two launchers never make two
 */
function secretFile(path) {
  const existing = readFileIfAny(path)?.trim()
  if (existing !== undefined && existing.length >= 32) return existing
  const draft = `${path}.${process.pid}`
  writePrivate(draft, `${randomBytes(32).toString('base64url')}\n`)
  try {
    if (existing !== undefined) rmSync(path) // torn: nothing was ever signed with it
    linkSync(draft, path)
  } finally {
    rmSync(draft, { force: true })
  }
  return readFileSync(path, 'utf8').trim()
}

/**
 * @param {string} path
 * @param {string} text
 */
function writePrivate(path, text) {
  const temporary = `${path}.${process.pid}.new`
  rmSync(temporary, { force: true })
  const fd = openSync(temporary, 'wx', 0o600)
  try {
    writeFileSync(fd, text)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(temporary, path)
}

function watchSignals() {
  let first = 0
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => {
      const now = Date.now()
      if (first === 0) {
        first = now
        finish({ status: ready ? 0 : 130 })
      } else if (now - first > 1000 && signal === 'SIGINT') {
        // One Ctrl-C arrives twice: from the terminal and from npm. A second press is a person's wish.
        process.stderr.write('stopping at once\n')
        supervisor?.kill()
      }
    })
  }
}

/** The npm process that started us, as an identity; empty when a person or a service manager did. */
function starterIdentity() {
  if (process.env['npm_lifecycle_event'] === undefined) return ''
  let pid = process.ppid
  for (let level = 0; level < 3 && pid > 1; level += 1) {
    const { command } = describeProcess(pid)
    if (/\bnpm\b/.test(command) && !/^\S*sh\b/.test(command)) return processIdentity(pid) ?? ''
    const parent = parentOf(pid)
    if (parent === undefined) break
    pid = parent
  }
  return ''
}

/** @param {number} pid */
function parentOf(pid) {
  const stat = readFileIfAny(`/proc/${pid}/stat`)
  return stat === undefined ? undefined : Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
}

/** When npm is killed, which it cannot pass on, its child would stay behind and keep the port. */
function watchStarter() {
  const starter = starterIdentity()
  if (starter === '') return
  const pid = Number(starter.split(':')[0])
  setInterval(() => {
    if (processIdentity(pid) !== starter) finish({ status: ready ? 0 : 130 })
  }, 1000).unref()
}

/** @param {unknown} error */
function describe(error) {
  if (error instanceof StepFailed) return error.message
  if (error instanceof Error) {
    // What the settings' reader throws is meant for people as it is.
    return 'code' in error && error.code === 'config.invalid' ? error.message : (error.stack ?? error.message)
  }
  return String(error)
}

const work = main().catch((error) => {
  finish({ status: 1, message: describe(error) })
})

const { status, message } = await finished
ending = true
if (message !== undefined) process.stderr.write(`\n${message}\n`)
if (endingMark !== undefined) writeFileSync(endingMark, '')
if (started.length > 3) process.stdout.write('stopping\n')
endRunning()
await undoAll()
// A step that was under way may have started one thing more; it looks up after each.
await Promise.race([work, delay(15_000, undefined, { ref: false })])
await undoAll()
process.exit(status)

async function undoAll() {
  for (let last = started.pop(); last !== undefined; last = started.pop()) {
    try {
      await last.undo()
    } catch (error) {
      process.stderr.write(`${last.name}: ${describe(error)}\n`)
    }
  }
}
