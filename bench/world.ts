/**
 * The processes of a measurement: one PostgreSQL, one provider, gateways as the product builds them. Everything listens on
 * loopback and ends with this process.
 *
 * @module
 */
import { fork, type ChildProcess, type ForkOptions } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import { build } from 'esbuild'

import { freePort, startPostgres } from '../launcher/postgres.mjs'
import { newRolePasswords, prepareDatabases, type RoleUrls } from '../lib/db/bootstrap'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')

export interface Target {
  readonly process: ChildProcess
  readonly ready: { readonly port: number; readonly agentId: string; readonly key: string; readonly token?: string }
  readonly origin: string
}

export interface BenchWorld {
  readonly urls: RoleUrls
  /** Gone afterwards. */
  readonly dataDir: string
  /** @param args  the mode of bench/gateway.ts, and what else it takes */
  start(mode: string, ...args: readonly string[]): Promise<Target>
  close(): Promise<void>
}

export async function createBenchWorld({ isProfiling = false } = {}): Promise<BenchWorld> {
  const dataDir = mkdtempSync(path.join(os.tmpdir(), 'portcullis-bench-'))
  const children: ChildProcess[] = []
  const built = await bundle()
  const postgres = await startPostgres({ dataDir, tether: true })
  const urls = await prepareDatabases({
    appAdminUrl: postgres.superuserUrl('portcullis'),
    vaultAdminUrl: postgres.superuserUrl('portcullis_vault'),
    passwords: newRolePasswords(),
    migrationsRoot: path.join(root, 'prisma'),
  })
  const provider = await child(path.join(built, 'provider.mjs'), [], {})
  const origin = `http://127.0.0.1:${provider.ready.port}`
  const overrides = path.join(dataDir, 'overrides.json')
  writeFileSync(overrides, JSON.stringify({ github: { apiBaseUrl: origin } }))

  function child(file: string, args: readonly string[], options: ForkOptions): Promise<Omit<Target, 'origin'>> {
    return new Promise((resolve, reject) => {
      const started = fork(file, args, {
        cwd: root,
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
        execArgv: [],
        ...options,
      })
      children.push(started)
      started.once('message', (ready) => {
        resolve({ process: started, ready: ready as Target['ready'] }) // what bench/gateway.ts sends
      })
      started.once('exit', (code) => {
        reject(new Error(`${file} ended with ${String(code)}`))
      })
    })
  }

  return {
    urls,
    dataDir,
    async start(mode, ...args) {
      const port = await freePort()
      const profile = ['--cpu-prof', '--cpu-prof-dir', path.join(root, '.data/prof')]
      const started = await child(path.join(built, 'gateway.mjs'), [mode, origin, ...args], {
        execArgv: ['--enable-source-maps', ...(isProfiling ? profile : [])],
        env: {
          PATH: process.env['PATH'],
          NODE_ENV: 'production',
          PORT: String(port),
          PUBLIC_URL: `http://127.0.0.1:${port}`,
          PORTCULLIS_DATA_DIR: path.join(dataDir, mode),
          DATABASE_URL: urls.app,
          VAULT_DATABASE_URL: urls.vault,
          GITHUB_CLIENT_ID: 'bench',
          GITHUB_CLIENT_SECRET: 'bench',
          PROVIDER_OVERRIDES: overrides,
          EGRESS_ALLOW: origin,
          EGRESS_ALLOW_UNSAFE: '1',
        },
      })
      return { ...started, origin: `http://127.0.0.1:${port}` }
    },
    async close() {
      for (const one of children) if (one.connected) one.disconnect()
      await postgres.stop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

/** As the product is built: one file for each process, packages beside it. Sources run through a loader weigh twice as much. */
async function bundle(): Promise<string> {
  const outdir = path.join(root, 'node_modules/.cache/bench')
  await build({
    absWorkingDir: root,
    entryPoints: ['bench/gateway.ts', 'bench/provider.ts'],
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    packages: 'external',
    alias: { '@': root },
    sourcemap: true,
    logLevel: 'error',
  })
  return outdir
}

export function usageOf(target: Target): Promise<{ cpu: NodeJS.CpuUsage; rss: number; live: number }> {
  return new Promise((resolve) => {
    target.process.once('message', (usage) => {
      resolve(usage as { cpu: NodeJS.CpuUsage; rss: number; live: number }) // what bench/gateway.ts answers
    })
    target.process.send('usage')
  })
}
