/**
 * Compares the gateway with everything on against what the SDK can do behind the same HTTP server.
 *
 * The targets run one at a time, take turns within each round, and the median of the rounds counts. Ratios are what is
 * comparable between machines; `--write` puts them into docs/performance.md. Everything listens on loopback and ends with
 * this process.
 *
 * @module
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import { option } from './herd/databases'
import { CALL, LIST, load, median, type Load, type Run } from './load'
import { createBenchWorld, type Target } from './world'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
const SECONDS = option('seconds', 4)
const ROUNDS = option('rounds', 3)
/** One number of connections, one kind of request: for a short look. */
const CONNECTIONS = process.argv.includes('--connections') ? [option('connections', 16)] : [16, 64]
const isCallsOnly = process.argv.includes('--calls')
const isProfiling = process.argv.includes('--prof')
const MODES = ['pass', 'sdk', 'wiring', 'portcullis'] as const
type Mode = (typeof MODES)[number]
const MINIMUM_RATIO = 0.5

type Result = { readonly kind: string; readonly connections: number } & Readonly<Record<Mode, Run>>

const world = await createBenchWorld({ isProfiling })
try {
  const targets = {
    pass: await world.start('pass'),
    sdk: await world.start('sdk'),
    wiring: await world.start('wiring'),
    portcullis: await world.start('portcullis'),
  }
  const results: Result[] = []
  for (const [kind, request] of [
    ['tools/call', CALL],
    ['tools/list', LIST],
  ] as const) {
    if (isCallsOnly && request !== CALL) continue
    for (const connections of CONNECTIONS)
      results.push({ kind, connections, ...(await compare(targets, request, connections)) })
  }
  report(results)
} finally {
  await world.close()
}

async function compare(targets: Record<Mode, Target>, request: Load, connections: number): Promise<Record<Mode, Run>> {
  const rounds: Record<Mode, Run[]> = { pass: [], sdk: [], wiring: [], portcullis: [] }
  for (const mode of MODES) await load(targets[mode], request, connections, 1.5) // warm
  for (let round = 0; round < ROUNDS; round += 1)
    for (const mode of MODES) rounds[mode].push(await load(targets[mode], request, connections, SECONDS))
  return {
    pass: median(rounds.pass),
    sdk: median(rounds.sdk),
    wiring: median(rounds.wiring),
    portcullis: median(rounds.portcullis),
  }
}

function report(results: readonly Result[]): void {
  const lines = results.map(({ kind, connections, pass, sdk, wiring, portcullis }) => {
    const cells = [
      kind,
      connections,
      (portcullis.rate / sdk.rate).toFixed(2),
      (portcullis.rate / wiring.rate).toFixed(2),
      // A pass-through has no list of its own to give.
      kind === 'tools/call' ? (portcullis.rate / pass.rate).toFixed(2) : '–',
      portcullis.rate.toFixed(0),
      sdk.rate.toFixed(0),
      wiring.rate.toFixed(0),
      pass.rate.toFixed(0),
      `${portcullis.cpu.toFixed(0)} / ${sdk.cpu.toFixed(0)} / ${wiring.cpu.toFixed(0)}`,
      `${portcullis.p50.toFixed(1)} / ${portcullis.p99.toFixed(1)}`,
    ]
    return `| ${cells.join(' | ')} |`
  })
  const rss = Math.max(...results.map(({ portcullis }) => portcullis.rss))
  const text = `# Performance

Measured by \`node bench/tools-call.mjs --write\` on ${new Date().toISOString().slice(0, 10)}: ${os.cpus().length} cores (${os.cpus()[0]?.model.trim() ?? 'unknown'}), Node ${process.versions.node}, load average ${os.loadavg()[0]?.toFixed(1)} at the end.
Load generator, provider and PostgreSQL share the machine, and the load average says with how much else. Absolute rates are of
this machine alone; the ratios are of one run, in which the targets took turns (${ROUNDS} rounds of ${SECONDS} s, the median counts).

- **portcullis**: everything on. Session, profile, audit intent committed before and outcome after each call (fsync on), sealed
  credential, one request to a provider on loopback, the answer shaped and scrubbed.
- **sdk**: the MCP SDK's own handler behind the same HTTP server; its tool makes one undici request and does nothing else. The
  limit that the budget is a share of: at least ${MINIMUM_RATIO}.
- **wiring**: our endpoint over a broker that does nothing but that request: the SDK's protocol layer without web-standard
  Request and Response objects. A harder limit, for information.
- **pass-through**: no MCP at all: bare node:http that checks a key and hands the provider's bytes back by undici. The floor of
  what any gateway costs; the goal is 0.25 of it, 0.5 later.

\`tools/list\` is of 40 tools.

| request | connections | ratio to sdk | ratio to wiring | ratio to pass-through | portcullis /s | sdk /s | wiring /s | pass-through /s | gateway CPU µs per request: portcullis / sdk / wiring | portcullis p50 / p99 ms |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
${lines.join('\n')}

Resident memory of the gateway under this load: ${rss.toFixed(0)} MB.
`
  process.stdout.write(text)
  if (process.argv.includes('--write')) {
    mkdirSync(path.join(root, 'docs'), { recursive: true })
    writeFileSync(path.join(root, 'docs/performance.md'), text)
  }
  const missed = results.filter(({ sdk, portcullis }) => portcullis.rate / sdk.rate < MINIMUM_RATIO)
  if (missed.length > 0) process.exitCode = 1
}
