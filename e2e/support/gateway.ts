/**
 * A further gateway of a running installation: the same program with the very environment of the first, on another port.
 *
 * @module
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import path from 'node:path'

import { freePort } from '../../launcher/processes.mjs'
import type { Product } from './product'

const ROOT = path.resolve(import.meta.dirname, '../..')
const START_LIMIT_MS = 60_000

export interface SecondGateway {
  readonly port: number
  stop(): Promise<void>
  /** kill -9 */
  kill(): Promise<void>
}

/** The environment that a process was started with. */
export function environmentOf(pid: number): Record<string, string> {
  const entries = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
  return Object.fromEntries(
    entries
      .filter((entry) => entry !== '')
      .map((entry) => [entry.split('=', 1)[0] ?? '', entry.slice(entry.indexOf('=') + 1)]),
  )
}

export function pidOf(product: Product, name: string): number {
  const found = product.processes().find((process) => process.name === name)
  if (found === undefined) throw new Error(`${name} does not run`)
  return found.pid
}

export async function startSecondGateway(product: Product): Promise<SecondGateway> {
  const port = await freePort()
  const child = spawn(process.execPath, ['--enable-source-maps', '.build/gateway.mjs'], {
    cwd: ROOT,
    env: { NODE_ENV: 'production', ...environmentOf(pidOf(product, 'gateway')), PORT: String(port) },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const until = Date.now() + START_LIMIT_MS
  while (!(await isReady(port))) {
    if (child.exitCode !== null || Date.now() > until) throw new Error(`the second gateway does not run: ${said}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const end = (signal: NodeJS.Signals) =>
    new Promise<void>((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) {
        resolve()
        return
      }
      child.once('exit', () => resolve())
      child.kill(signal)
    })
  return { port, stop: () => end('SIGTERM'), kill: () => end('SIGKILL') }
}

/** True when the gateway on this port says that it can work. */
export function isReady(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = http.get({ host: '127.0.0.1', port, path: '/readyz', agent: false, timeout: 5_000 }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    asked.on('timeout', () => asked.destroy())
    asked.on('error', () => resolve(false))
  })
}
