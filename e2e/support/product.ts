/**
 * The product as its users start it: `npm start` on a folder and a port of its own, with nothing of this machine's
 * environment but what a test asks for.
 *
 * @module
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { isPortFree } from '../../launcher/processes.mjs'

export interface Product {
  readonly url: string
  readonly port: number
  readonly dataDir: string
  /** The one-time sign-up link printed on first run; undefined once somebody has signed up. */
  readonly signUpLink: string | undefined
  /** Everything printed so far, on both streams. */
  output(): string
  /** Milliseconds from spawn to the line that says it runs. */
  readonly startedInMs: number
  /** Ids of the running processes by name, as the launcher recorded them. */
  processes(): { name: string; pid: number }[]
  /** Ctrl-C, and waits for the end. @returns the exit status */
  stop(): Promise<number | null>
  /** kill -9 of the launcher alone. */
  kill(): Promise<void>
}

export interface StartOptions {
  readonly dataDir?: string
  readonly port?: number
  readonly env?: Readonly<Record<string, string>>
  /** Opens the control of the sandbox: its clock, its faults, its counts. */
  readonly sandboxControl?: boolean
}

const START_LIMIT_MS = 240_000 // a cold start builds first
const ROOT = path.resolve(import.meta.dirname, '../..')

/** What a program needs to run at all; no setting of the product is inherited. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'USER', 'npm_config_cache']
  const inherited = Object.fromEntries(kept.map((name) => [name, process.env[name]]))
  return { ...inherited, NODE_ENV: 'production' }
}

export async function startProduct(options: StartOptions = {}): Promise<Product> {
  const port = options.port ?? (await quietPort())
  const dataDir = options.dataDir ?? mkdtempSync(path.join(tmpdir(), 'portcullis-e2e-'))
  const began = performance.now()
  const child = spawn(
    process.execPath,
    ['launcher/start.mjs', ...(options.sandboxControl === true ? ['--sandbox-control'] : [])],
    {
      cwd: ROOT,
      env: {
        ...cleanEnvironment(),
        PORT: String(port),
        PORTCULLIS_DATA_DIR: dataDir,
        LOG_LEVEL: 'info',
        ...options.env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let output = ''
  const line = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`not running after ${START_LIMIT_MS} ms:\n${output}`)),
      START_LIMIT_MS,
    )
    const read = (chunk: Buffer) => {
      output += chunk.toString()
      const running = /^Portcullis is running at .*$/m.exec(output)
      if (running !== null && output.includes('\n', running.index)) {
        clearTimeout(timer)
        resolve(running[0])
      }
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.once('exit', (code) => {
      clearTimeout(timer)
      reject(new Error(`ended with ${code}:\n${output}`))
    })
  })
  return {
    url: `http://localhost:${port}`,
    port,
    dataDir,
    signUpLink: /https?:\/\/\S+\/sign-up#\S+/.exec(line)?.[0],
    output: () => output + processLogs(dataDir),
    startedInMs: performance.now() - began,
    processes: () => recordedProcesses(dataDir),
    stop: () => end(child, 'SIGINT'),
    kill: async () => {
      await end(child, 'SIGKILL')
    },
  }
}

/**
 * A port for the gateway that nothing takes by chance while the product is built: below the range from which the system
 * gives out ports by itself.
 */
async function quietPort(): Promise<number> {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 15_000)
    if (await isPortFree(port, '0.0.0.0')) return port
  }
}

/** Removes what a test left on disk, once its product has stopped. */
export function removeData(product: Product): void {
  rmSync(product.dataDir, { recursive: true, force: true })
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
  child.kill(signal)
  return ended
}

function processLogs(dataDir: string): string {
  return ['gateway', 'worker', 'web', 'sandbox']
    .map((name) => readIfAny(path.join(dataDir, 'run', 'logs', `${name}.log`)))
    .join('')
}

function recordedProcesses(dataDir: string): { name: string; pid: number }[] {
  return JSON.parse(readIfAny(path.join(dataDir, 'run', 'processes.json')) || '[]') as { name: string; pid: number }[] // written by our own launcher
}

function readIfAny(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
