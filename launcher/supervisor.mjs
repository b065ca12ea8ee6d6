// @ts-check
/**
 * Keeps processes running: one that dies is started again, later each time; one that keeps dying ends the whole, with the
 * reason it gave. Nothing it starts outlives it for long (tether.mjs), and what it started is written down so that the
 * next launcher can end what did.
 *
 * @module
 */
import { spawn } from 'node:child_process'
import { createWriteStream, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'

import { processIdentity, signalExactly, waitForEnd } from './processes.mjs'
import { ROOT, readFileIfAny } from './steps.mjs'

const TETHER = pathToFileURL(join(dirname(fileURLToPath(import.meta.url)), 'tether.mjs')).href
const CRASHES = 5
const WITHIN_MS = 60_000
const BACKOFF_MS = [250, 500, 1000, 2000, 4000]
const MAX_LOG_BYTES = 10 * 1024 * 1024
/** The exit status of a process whose environment is wrong: starting it again would only repeat that. */
const MISCONFIGURED = 2

/**
 * @typedef {object} Program
 * @property {string} name
 * @property {readonly string[]} args  for node
 * @property {() => Record<string, string>} env  asked at each start
 * @property {number} drainMs  how long it may take to stop
 * @property {(line: string) => boolean} [onLine]  sees each line of its standard output; true: keep it to yourself
 * @property {boolean} [quiet]  its standard output goes to its log alone
 */

/**
 * @typedef {object} Supervised
 * @property {string} name
 * @property {() => Promise<void>} stop
 * @property {() => void} restart  for development: a new build is in place
 * @property {() => number | undefined} pid
 */

/**
 * @param {object} options
 * @param {string} options.folder  where logs and the list of processes are kept
 * @param {(reason: string) => void} options.onFatal  a process cannot be kept running
 */
export function createSupervisor({ folder, onFatal }) {
  const list = join(folder, 'processes.json')
  const logs = join(folder, 'logs')
  mkdirSync(logs, { recursive: true, mode: 0o700 })
  /** @type {Map<string, { pid: number, identity: string }>} */
  const alive = new Map()

  function writeDown() {
    const temporary = `${list}.new`
    writeFileSync(temporary, JSON.stringify([...alive].map(([name, at]) => ({ name, ...at }))), { mode: 0o600 })
    renameSync(temporary, list)
  }

  /**
   * @param {Program} program
   * @returns {Supervised}
   */
  function start(program) {
    const log = openLog(join(logs, `${program.name}.log`))
    /** @type {number[]} */
    let crashes = []
    let stopping = false
    let restarting = false
    /** @type {import('node:child_process').ChildProcess | undefined} */
    let child
    /** @type {NodeJS.Timeout | undefined} */
    let timer
    /** @type {string[]} */
    let recent = []

    function launch() {
      recent = []
      restarting = false
      const current = spawn(process.execPath, ['--import', TETHER, ...program.args], {
        cwd: ROOT,
        env: /** @type {NodeJS.ProcessEnv} */ (program.env()),
        // Nothing is ever written to its standard input; that it closes tells a process that its launcher is gone.
        stdio: ['pipe', 'pipe', 'pipe', 'ipc'],
        // A Ctrl-C in the terminal is for the launcher, which stops its processes in order.
        detached: true,
      })
      child = current
      current.stdin?.on('error', () => {}) // it may close its end
      const identity = current.pid === undefined ? undefined : processIdentity(current.pid)
      if (current.pid !== undefined && identity !== undefined) alive.set(program.name, { pid: current.pid, identity })
      writeDown()
      if (current.stdout !== null) {
        createInterface({ input: current.stdout }).on('line', (line) => {
          if (program.onLine?.(line) === true) return
          log.write(line)
          if (program.quiet !== true) process.stdout.write(`${line}\n`)
        })
      }
      if (current.stderr !== null) {
        createInterface({ input: current.stderr }).on('line', (line) => {
          log.write(line)
          recent = [...recent, line].slice(-20)
          if (isForPeople(line)) process.stderr.write(`${program.name}: ${line}\n`)
        })
      }
      current.once('error', (error) => recent.push(error.message))
      // `close`, not `exit`: its last words have arrived by then.
      current.once('close', (code, signal) => {
        alive.delete(program.name)
        writeDown()
        if (child === current) child = undefined
        if (stopping) return
        if (restarting) {
          launch()
          return
        }
        const how = signal === null ? `exit ${code}` : signal
        const said = recent.length === 0 ? '' : `:\n${recent.join('\n')}`
        if (code === MISCONFIGURED) {
          onFatal(`${program.name} cannot run as it is configured${said}`)
          return
        }
        const now = Date.now()
        crashes = [...crashes.filter((at) => now - at < WITHIN_MS), now]
        if (crashes.length >= CRASHES) {
          onFatal(`${program.name} ended ${crashes.length} times within a minute (${how})${said}`)
          return
        }
        const wait = BACKOFF_MS[Math.min(crashes.length, BACKOFF_MS.length) - 1] ?? 4000
        process.stderr.write(`${program.name} ended (${how}); starting it again\n`)
        timer = setTimeout(launch, wait)
      })
    }

    launch()
    return {
      name: program.name,
      pid: () => child?.pid,
      restart: () => {
        restarting = true
        child?.kill('SIGTERM')
      },
      stop: async () => {
        stopping = true
        clearTimeout(timer)
        if (child !== undefined) await end(child, program.drainMs)
        log.close()
      },
    }
  }

  return {
    start,
    /** Everything at once and without a word: for the impatient. */
    kill: () => {
      for (const { pid, identity } of alive.values()) signalExactly(pid, identity, 'SIGKILL')
    },
    forget: () => {
      rmSync(list, { force: true })
    },
  }
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {number} drainMs
 */
async function end(child, drainMs) {
  if (child.exitCode !== null || child.signalCode !== null) return
  await new Promise((resolve) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), drainMs)
    child.once('close', () => {
      clearTimeout(timer)
      resolve(undefined)
    })
    child.kill('SIGTERM')
  })
}

/**
 * Ends what a launcher that was killed left running: exactly those processes, never others with the same ids.
 *
 * @param {string} folder
 * @param {(line: string) => void} log
 */
export async function endLeftovers(folder, log) {
  const text = readFileIfAny(join(folder, 'processes.json'))
  if (text === undefined) return
  /** @type {{ name: string, pid: number, identity: string }[]} */
  let left = []
  try {
    left = JSON.parse(text)
  } catch {
    // torn by a power loss: whatever it named is gone as well
  }
  const living = left.filter(({ pid, identity }) => processIdentity(pid) === identity)
  if (living.length > 0) log(`ending what an earlier start left running: ${living.map(({ name }) => name).join(', ')}`)
  await Promise.all(
    living.map(async ({ pid, identity }) => {
      signalExactly(pid, identity, 'SIGTERM')
      if (await waitForEnd(pid, identity, 5000)) return
      signalExactly(pid, identity, 'SIGKILL')
      await waitForEnd(pid, identity, 5000)
    }),
  )
  rmSync(join(folder, 'processes.json'), { force: true })
}

/**
 * Structured lines stay in the file unless they are warnings or worse; anything else was written for a person.
 *
 * @param {string} line
 */
function isForPeople(line) {
  if (!line.startsWith('{')) return line.trim() !== ''
  try {
    return JSON.parse(line).level >= 40
  } catch {
    return true
  }
}

/** @param {string} path */
function openLog(path) {
  let size = 0
  try {
    size = statSync(path).size
  } catch {
    // none yet
  }
  let stream = createWriteStream(path, { flags: 'a', mode: 0o600 })
  stream.on('error', () => {}) // a full disk must not end what is being logged
  return {
    /** @param {string} line */
    write: (line) => {
      if (size > MAX_LOG_BYTES) {
        stream.end()
        try {
          renameSync(path, `${path}.1`)
        } catch {
          // removed by somebody; a new one is made
        }
        stream = createWriteStream(path, { flags: 'a', mode: 0o600 })
        stream.on('error', () => {})
        size = 0
      }
      size += Buffer.byteLength(line) + 1
      stream.write(`${line}\n`)
    },
    close: () => {
      stream.end()
    },
  }
}
