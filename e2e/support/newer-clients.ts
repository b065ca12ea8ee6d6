/**
 * MCP clients that need a newer Node than the product does. Each is installed from the registry with a Node of its own
 * into a folder of its own, so that neither enters the product's lockfile.
 *
 * @module
 */
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

import { cleanEnvironment } from './product'

const run = promisify(execFile)
const INSTALL_LIMIT_MS = 240_000

export interface Installed {
  /** The Node it came with. */
  readonly node: string
  /** Below its `node_modules`. */
  entry(file: string): string
}

/** Exact versions, of which one is `node`. Installed once per machine. */
export async function installed(packages: readonly string[]): Promise<Installed> {
  const digest = createHash('sha256').update(packages.join(' ')).digest('hex').slice(0, 16)
  const folder = path.join(tmpdir(), `portcullis-clients-${digest}`)
  if (!existsSync(folder)) {
    const draft = mkdtempSync(`${folder}-`)
    writeFileSync(path.join(draft, 'package.json'), '{"private":true}')
    try {
      await run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', '--save-exact', ...packages], {
        cwd: draft,
        // npm has settings of its own in the environment when it started this.
        env: { ...cleanEnvironment(), NODE_ENV: 'development' },
        timeout: INSTALL_LIMIT_MS,
      })
      renameSync(draft, folder)
    } catch (error) {
      rmSync(draft, { recursive: true, force: true })
      if (!existsSync(folder)) throw error
    }
  }
  const entry = (file: string) => path.join(folder, 'node_modules', file)
  return { node: entry('node/bin/node'), entry }
}

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Command {
  readonly client: Installed
  readonly entry: string
  readonly args: readonly string[]
  /** Where it keeps what it is given. */
  readonly home: string
  readonly env?: Readonly<Record<string, string>>
  /** Called once, with the first authorization address that it prints. */
  readonly consent?: (url: string) => Promise<void>
}

/** Runs a command line to its end; its browser is the test. */
export function runClient({ client, entry, args, home, env = {}, consent }: Command): Promise<Ended> {
  mkdirSync(home, { recursive: true })
  return new Promise((resolve, reject) => {
    const child = spawn(client.node, [client.entry(entry), ...args], {
      cwd: home,
      env: { ...cleanEnvironment(), HOME: home, BROWSER: '/bin/true', NO_COLOR: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [stdout, stderr] = ['', '']
    let asked: Promise<void> | undefined
    const look = () => {
      const url = /http\S+\/oauth\/authorize\?[^\s"'\u001b\u0007]+/.exec(stdout + stderr)?.[0]
      if (url === undefined || asked !== undefined || consent === undefined) return
      asked = consent(url).catch((error: unknown) => {
        child.kill()
        reject(error instanceof Error ? error : new Error(String(error)))
      })
    }
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
      look()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString()
      look()
    })
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
}
