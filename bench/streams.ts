/**
 * Two thousand open `subscriptions/listen` streams at one gateway: what they cost in memory, and whether those who call
 * beside them notice. Memory and the ratio of the callers' p99 decide.
 *
 * @module
 */
import http from 'node:http'
import process from 'node:process'

import { createBenchWorld, usageOf, type Target } from './world'

const option = (name: string, fallback: number): number => {
  const at = process.argv.indexOf(`--${name}`)
  return at === -1 ? fallback : Number(process.argv[at + 1])
}
const STREAMS = option('streams', 2_000)
const SECONDS = option('seconds', 6)
const CALLERS = 4
/** Of the whole process, for all of them. */
const MAX_MEGABYTES = 100
const MAX_P99_RATIO = 2
/** Nobody listens so quickly that a connection would be refused. */
const AT_ONCE = 50

const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
}
const say = (line: string) => process.stdout.write(`${line}\n`)

function ask(
  target: Target,
  agent: http.Agent | false,
  method: string,
  params: object,
  name?: string,
): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = http.request(`${target.origin}/mcp/${target.ready.agentId}`, {
      method: 'POST',
      agent,
      headers: {
        authorization: `Bearer ${target.ready.key}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': method,
        ...(name === undefined ? {} : { 'mcp-name': name }),
      },
    })
    request.on('response', resolve).on('error', reject)
    request.end(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: META } }))
  })
}

async function textOf(response: http.IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += String(chunk)
  return text
}

/** Calls for so long. @returns milliseconds of the slowest hundredth */
async function callersP99(target: Target): Promise<{ readonly p99: number; readonly count: number }> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CALLERS })
  const took: number[] = []
  const until = performance.now() + SECONDS * 1_000
  await Promise.all(
    Array.from({ length: CALLERS }, async () => {
      while (performance.now() < until) {
        const startedAt = performance.now()
        const params = { name: 'github_list_issues', arguments: { owner: 'acme', repo: 'app' } }
        const text = await textOf(await ask(target, agent, 'tools/call', params, 'github_list_issues'))
        if (!text.includes('"result"') || text.includes('"isError"'))
          throw new Error(`a call failed: ${text.slice(0, 300)}`)
        took.push(performance.now() - startedAt)
      }
    }),
  )
  agent.destroy()
  took.sort((a, b) => a - b)
  return { p99: took[Math.floor(took.length * 0.99)] ?? 0, count: took.length }
}

const world = await createBenchWorld()
try {
  const target = await world.start('portcullis', String(STREAMS))
  await callersP99(target) // warm
  const alone = await callersP99(target)
  const before = await usageOf(target)

  const open: http.IncomingMessage[] = []
  const startedAt = performance.now()
  while (open.length < STREAMS) {
    const batch = Array.from({ length: Math.min(AT_ONCE, STREAMS - open.length) }, async () => {
      const stream = await ask(target, false, 'subscriptions/listen', { notifications: { toolsListChanged: true } })
      if (stream.statusCode !== 200) throw new Error(`a stream was answered ${String(stream.statusCode)}`)
      // Open is what has been acknowledged.
      await new Promise((resolve) => stream.once('data', resolve))
      stream.on('error', () => undefined)
      return stream
    })
    open.push(...(await Promise.all(batch)))
  }
  const openedMs = performance.now() - startedAt
  const beside = await callersP99(target)
  const after = await usageOf(target)
  const alive = open.filter((stream) => !stream.closed && !stream.destroyed).length
  for (const stream of open) stream.destroy()

  const megabytes = (after.rss - before.rss) / 1_048_576
  const live = (after.live - before.live) / 1_048_576
  const ratio = beside.p99 / alone.p99
  say(
    `${STREAMS} listen streams, opened in ${(openedMs / 1_000).toFixed(1)} s, ${alive} open at the end: ` +
      `${megabytes.toFixed(0)} MB resident more (${live.toFixed(0)} MB live heap), at most ${MAX_MEGABYTES}`,
  )
  say(
    `callers beside them: p99 ${beside.p99.toFixed(1)} ms instead of ${alone.p99.toFixed(1)} ms (${ratio.toFixed(2)}×, at most ` +
      `${MAX_P99_RATIO}×), ${beside.count} calls instead of ${alone.count} in ${SECONDS} s`,
  )
  if (alive < STREAMS || megabytes > MAX_MEGABYTES || ratio > MAX_P99_RATIO) process.exitCode = 1
} finally {
  await world.close()
}
