/**
 * The same request again and again over so many connections that each wait for their answer, and what it cost.
 *
 * @module
 */
import { Pool } from 'undici'

import { usageOf, type Target } from './world'

const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
}
/** A call of a tool that makes one request to the provider. */
export const CALL = {
  method: 'tools/call',
  name: 'github_list_issues',
  params: { name: 'github_list_issues', arguments: { owner: 'acme', repo: 'app' }, _meta: META },
}
export const LIST = { method: 'tools/list', params: { _meta: META } }

export interface Load {
  readonly method: string
  readonly name?: string
  readonly params: object
}
export interface Run {
  readonly rate: number
  readonly p50: number
  readonly p99: number
  /** Microseconds for each request. */
  readonly cpu: number
  /** Megabytes. */
  readonly rss: number
}

/** The run in the middle, by rate. */
export function median(runs: readonly Run[]): Run {
  return [...runs].sort((a, b) => a.rate - b.rate)[Math.floor(runs.length / 2)]!
}

/** @param key  the bearer; the target's session key unless another is given */
export async function load(
  target: Target,
  { method, name, params }: Load,
  connections: number,
  seconds: number,
  key = target.ready.key,
): Promise<Run> {
  const pool = new Pool(target.origin, { connections, pipelining: 1 })
  const options = {
    method: 'POST' as const,
    path: `/mcp/${target.ready.agentId}`,
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(name === undefined ? {} : { 'mcp-name': name }),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  }
  const before = await usageOf(target)
  const startedAt = performance.now()
  const until = startedAt + seconds * 1_000
  const latencies: number[] = []
  let wrong = 0
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (performance.now() < until) {
        const sentAt = performance.now()
        const answer = await pool.request(options)
        const text = await answer.body.text()
        latencies.push(performance.now() - sentAt)
        if (answer.statusCode !== 200 || text.includes('"isError"') || !text.includes('"result"')) {
          wrong += 1
          if (wrong === 1) console.error(`wrong answer: ${answer.statusCode} ${text.slice(0, 300)}`)
        }
      }
    }),
  )
  const elapsed = (performance.now() - startedAt) / 1_000
  const after = await usageOf(target)
  await pool.close()
  if (wrong > 0) throw new Error(`${wrong} of ${latencies.length} answers were wrong`)
  latencies.sort((a, b) => a - b)
  const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0
  const cpu = after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system
  return {
    rate: latencies.length / elapsed,
    p50: at(0.5),
    p99: at(0.99),
    cpu: cpu / latencies.length,
    rss: after.rss / 1_048_576,
  }
}
