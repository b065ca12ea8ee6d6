/**
 * What PostgreSQL, hashes and rotation with a grace cost the token endpoint: ours against the same library with its own
 * memory adapter, behind the same HTTP server, in the same run.
 *
 *     node bench/oauth-token.mjs [--seconds 4] [--rounds 3] [--connections 16]
 *
 * The two run one at a time and take turns; the median of the rounds counts. Fails below half of the memory adapter's rate.
 *
 * @module
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import process from 'node:process'

import { build } from 'esbuild'
import { Pool } from 'undici'

import { freePort } from '../launcher/postgres.mjs'
import { createBenchDatabases, option } from './herd/databases'
import type { TokenTarget, TokenTargetOptions } from './oauth-target'

const SECONDS = option('seconds', 4)
const ROUNDS = option('rounds', 3)
const CONNECTIONS = option('connections', 16)
const MINIMUM_RATIO = 0.5
const MODES = ['memory', 'portcullis'] as const
// The memory adapter forgets all but the last thousand artefacts: refreshing first, while its grants are in use.
const KINDS = ['refresh_token', 'client_credentials'] as const

interface Run {
  readonly rate: number
  readonly cpu: number
}

const db = await createBenchDatabases()
const children: ChildProcess[] = []
let isWithin = true
try {
  const outfile = path.resolve('node_modules/.cache/portcullis-bench/oauth-target.mjs')
  await build({
    entryPoints: ['bench/oauth-target.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    alias: { '@': process.cwd() },
    logLevel: 'error',
  })
  const targets: Record<string, TokenTarget & { readonly child: ChildProcess }> = {}
  for (const mode of MODES) {
    const options: TokenTargetOptions = {
      mode,
      port: await freePort(),
      appUrl: db.urls.app,
      vaultUrl: db.urls.vault,
      dataDir: db.dataDir,
      families: CONNECTIONS,
    }
    const child = fork(outfile, [JSON.stringify(options)], { env: { ...process.env, NODE_ENV: 'production' } })
    children.push(child)
    const [ready] = (await once(child, 'message')) as [TokenTarget] // what oauth-target.ts sends
    targets[mode] = { ...ready, child }
  }
  for (const kind of KINDS) {
    const runs = { memory: [] as Run[], portcullis: [] as Run[] }
    for (let round = 0; round < ROUNDS; round += 1)
      for (const mode of MODES) runs[mode].push(await measure(targets[mode], kind))
    const rate = (mode: (typeof MODES)[number]) => median(runs[mode].map((run) => run.rate))
    const cpu = (mode: (typeof MODES)[number]) => median(runs[mode].map((run) => run.cpu))
    const ratio = rate('portcullis') / rate('memory')
    if (ratio < MINIMUM_RATIO) isWithin = false
    const words = MODES.map((mode) => `${mode} ${rate(mode).toFixed(0)}/s (${cpu(mode).toFixed(0)} µs of its own each)`)
    console.log(`${kind.padEnd(20)} ${words.join(', ')}, ratio ${ratio.toFixed(2)} (at least ${MINIMUM_RATIO})`)
  }
} finally {
  for (const child of children) child.kill('SIGKILL')
  await db.close()
}
process.exitCode = isWithin ? 0 : 1

/** Requests a second, answered with tokens, over so many connections that each wait for their answer. */
async function measure(
  target: (TokenTarget & { readonly child: ChildProcess }) | undefined,
  kind: (typeof KINDS)[number],
): Promise<Run> {
  if (target === undefined) throw new Error('no target')
  const usedBefore = await cpuOf(target.child)
  const pool = new Pool(target.origin, { connections: CONNECTIONS, pipelining: 1 })
  const startedAt = performance.now()
  const until = startedAt + SECONDS * 1_000
  let answered = 0
  const one = async (at: number) => {
    while (performance.now() < until) {
      const form: Record<string, string> =
        kind === 'client_credentials'
          ? { grant_type: kind, ...target.headless }
          : { grant_type: kind, client_id: target.clientId, refresh_token: target.refreshTokens[at] ?? '' }
      const { statusCode, body } = await pool.request({
        method: 'POST',
        path: '/oauth/token',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams(form).toString(),
      })
      const answer = (await body.json()) as { access_token?: string; refresh_token?: string } // checked in the next line
      if (statusCode !== 200 || answer.access_token === undefined) throw new Error(JSON.stringify(answer))
      if (answer.refresh_token !== undefined) target.refreshTokens[at] = answer.refresh_token
      answered += 1
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, (_, at) => one(at)))
  const rate = (answered * 1_000) / (performance.now() - startedAt)
  await pool.close()
  return { rate, cpu: ((await cpuOf(target.child)) - usedBefore) / answered }
}

/** Microseconds of processor time so far. The database's own are not among them. */
async function cpuOf(child: ChildProcess): Promise<number> {
  child.send('cpu')
  const [used] = (await once(child, 'message')) as [NodeJS.CpuUsage] // what oauth-target.ts sends
  return used.user + used.system
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}
