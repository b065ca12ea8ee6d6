/** What no client of good will sends: every answer is one of the protocol’s, no call arrives, nothing piles up. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { createMcpWorld, type McpWorld } from '@/lib/testing/mcp-world'

const isFull = process.env['PORTCULLIS_FULL'] === '1' // the long form, for npm run test:full
const FUZZED = isFull ? 30_000 : 1_500
const MODERN = '2026-07-28'
const LEGACY = '2025-11-25'
const TOOL = 'github_create_issue'
const META = {
  'io.modelcontextprotocol/protocolVersion': MODERN,
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
}

let world: McpWorld
let agent: { readonly url: string; readonly key: string }
beforeAll(async () => {
  world = await createMcpWorld()
  const owner = await world.newOwner()
  await world.newConnection(owner, 'github', 'octocat')
  agent = await world.newAgent(owner, [TOOL])
})
afterAll(() => world.close())
beforeEach(() => {
  world.provider.seen.length = 0
})

const send = (body: string | Uint8Array, headers: Record<string, string>) =>
  fetch(agent.url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${agent.key}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
    },
    body: body as string, // bytes are a body too
    signal: AbortSignal.timeout(20_000),
  })

/** @returns what is wrong with an answer, if anything is */
async function faultOf(response: Response): Promise<string | undefined> {
  const text = await response.text()
  if (response.status >= 500) return `${response.status} ${text.slice(0, 200)}`
  if (text === '') return undefined
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true
  const messages = isStream ? text.split('\n').filter((line) => /^data: *[[{]/.test(line)) : [text]
  for (const message of messages) {
    const parsed: unknown = JSON.parse(message.replace(/^data: */, ''))
    for (const one of Array.isArray(parsed) ? (parsed as unknown[]) : [parsed]) {
      if (typeof one !== 'object' || one === null || !('jsonrpc' in one)) return `no JSON-RPC: ${text.slice(0, 200)}`
      const code = 'error' in one ? (one.error as { code?: unknown }).code : undefined // JSON-RPC's own shape
      if (code === -32603) return `an internal error: ${text.slice(0, 200)}`
    }
  }
  return undefined
}

const rpc = (method: unknown, params?: unknown, id: unknown = 1) =>
  JSON.stringify({ jsonrpc: '2.0', id, method, ...(params === undefined ? {} : { params }) })
const call = (args: string) =>
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${TOOL}","arguments":${args},"_meta":${JSON.stringify(META)}}}`

function bodies(): (string | Uint8Array)[] {
  const nested = (depth: number, open: string, close: string) => open.repeat(depth) + close.repeat(depth)
  const values = [
    ...['null', 'true', '0', '-0', '1e999', '-1e999', '1e-400', '123456789012345678901234567890', '""', '"\\u0000"'],
    ...['"\\ud800"', '[]', '{}', '[[[]]]', '{"__proto__":{"admin":true}}', '{"constructor":{"prototype":{"x":1}}}'],
    ...['{"toString":1}', '{"length":-1}', '{"then":1}', `"${'x'.repeat(70_000)}"`, nested(500, '[', ']')],
  ]
  const wellFormed = values.flatMap((value) => [
    value,
    `{"jsonrpc":"2.0","id":${value},"method":"tools/list"}`,
    `{"jsonrpc":"2.0","id":1,"method":${value}}`,
    `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":${value}}`,
    `{"jsonrpc":${value},"id":1,"method":"tools/list"}`,
    call(value),
    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":${value},"arguments":{}}}`,
    `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":${value},"capabilities":${value}}}`,
    `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":${value}}}`,
  ])
  return [
    ...wellFormed,
    ...['{', '}', '[', '"', '{"a"', '{"a":}', "{'a':1}", '{a:1}', '[1,]', '// {}', 'NaN', 'undefined', '\u0000', '﻿{}'],
    ...['{"jsonrpc":"2.0","jsonrpc":"1.0","id":1,"id":2,"method":"ping","method":"tools/call"}', 'ping', '\r\n\r\n'],
    nested(100_000, '[', ']'),
    nested(50_000, '{"a":', '}'),
    `[${Array.from({ length: 5_000 }, (_, id) => rpc('ping', undefined, id)).join(',')}]`,
    `{"jsonrpc":"2.0","id":1,"method":"ping","params":{${Array.from({ length: 20_000 }, (_, n) => `"k${n}":${n}`).join(',')}}}`,
    Buffer.from(rpc('tools/list'), 'utf16le'),
    Buffer.concat([Buffer.from([0xff, 0xfe, 0x00]), Buffer.from(rpc('tools/list'))]),
    Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x7d]),
    Buffer.alloc(900_000, 0x5b),
    Buffer.alloc(900_000, 0x20),
    ...[
      '__proto__',
      'constructor',
      'toString',
      '',
      ' tools/list',
      'TOOLS/LIST',
      'tools/list\u0000',
      '../tools/call',
    ].map((name) => rpc(name)),
    ...[
      'tools/call',
      'resources/read',
      'prompts/get',
      'completion/complete',
      'sampling/createMessage',
      'tasks/get',
    ].map((name) => rpc(name, { name: '../../etc/passwd', uri: 'file:///etc/passwd', ref: {}, cursor: '\u0000' })),
  ]
}

describe('hostile bodies', () => {
  const all = bodies()

  it.each([
    ['without a revision', {}],
    ['in a session’s revision', { 'mcp-protocol-version': LEGACY }],
    ['in the current revision', { 'mcp-protocol-version': MODERN, 'mcp-method': 'tools/call', 'mcp-name': TOOL }],
  ] as [string, Record<string, string>][])(
    `${all.length} of them %s: none is answered by a fault of ours, none reaches a provider`,
    async (_revision, headers) => {
      expect(all.length).toBeGreaterThanOrEqual(200)
      const faults: string[] = []
      for (const body of all) {
        const fault = await faultOf(await send(body, headers))
        if (fault !== undefined) faults.push(`${Buffer.from(body).toString('utf8').slice(0, 120)} → ${fault}`)
      }
      expect(faults).toEqual([])
      expect(world.provider.seen).toEqual([])
    },
    120_000,
  )
})

/** A generator of numbers that a seed repeats (mulberry32). */
function dice(seed: number) {
  let state = seed
  return (sides: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % sides
  }
}

/** A message of the grammar with a few of its parts exchanged for others, and headers that need not fit. */
function mutant(roll: (sides: number) => number): { readonly body: string; readonly headers: Record<string, string> } {
  const pick = <T>(from: readonly T[]): T => from[roll(from.length)] as T // the index is below the length
  const scalar = () =>
    pick<unknown>([null, true, -1, 0, 1.5, 2 ** 53, '', 'x', TOOL, MODERN, LEGACY, '\u0000', '💥', [], {}, [[]]])
  const method = pick([
    ...['initialize', 'notifications/initialized', 'notifications/cancelled', 'ping', 'tools/list', 'tools/call'],
    ...['server/discover', 'subscriptions/listen/', 'resources/list', 'prompts/list', 'logging/setLevel', 'nope'],
  ])
  const params: Record<string, unknown> = pick([
    {},
    // No rights in the repository and no title: it would be refused before it is sent.
    { name: pick([TOOL, 'nope', '__proto__']), arguments: { owner: scalar(), repo: scalar() } },
    {
      protocolVersion: pick([MODERN, LEGACY, '2025-06-18', '2025-03-26', 'x']),
      capabilities: {},
      clientInfo: scalar(),
    },
    { cursor: scalar(), level: scalar(), requestId: scalar(), reason: scalar() },
  ])
  if (roll(2) === 0) params['_meta'] = roll(3) === 0 ? scalar() : { ...META, progressToken: scalar() }
  const message: Record<string, unknown> = { jsonrpc: '2.0', id: roll(1_000), method, params }
  for (let changes = roll(3); changes > 0; changes -= 1) {
    const field = pick(['jsonrpc', 'id', 'method', 'params', 'result', 'error', '__proto__', 'extra'])
    if (roll(3) === 0) Reflect.deleteProperty(message, field)
    else message[field] = scalar()
  }
  let body = JSON.stringify(roll(12) === 0 ? Array.from({ length: roll(6) }, () => message) : message)
  if (roll(8) === 0) {
    const at = roll(body.length)
    body = body.slice(0, at) + pick(['', '"', '}', ',', '\\', '\u0000', body.slice(0, 40)]) + body.slice(at + roll(4))
  }
  const headers: Record<string, string> = {}
  if (roll(3) > 0)
    headers['mcp-protocol-version'] = pick([MODERN, LEGACY, '2025-06-18', '2025-03-26', '1', 'x'.repeat(99)])
  if (roll(2) === 0) headers['mcp-method'] = roll(4) === 0 ? pick(['', 'nope', '=?base64?AAAA?=']) : method
  if (roll(3) === 0) headers['mcp-name'] = pick([TOOL, 'nope', '=?base64?Z2l0?=', '=?base64?%%?='])
  if (roll(6) === 0)
    headers['mcp-session-id'] = pick(['x', 'a'.repeat(500), '!', '00000000-0000-0000-0000-000000000000'])
  if (roll(20) === 0) headers['accept'] = pick(['*/*', 'text/event-stream', 'application/json', 'text/html', ''])
  if (roll(30) === 0)
    headers['content-type'] = pick(['text/plain', 'application/json; charset=utf-16', 'application/json;'])
  return { body, headers }
}

describe('messages of the grammar with parts exchanged', () => {
  it(
    `${FUZZED} of them: none is answered by a fault of ours, none reaches a provider, and memory comes back`,
    { timeout: 900_000 },
    async () => {
      setFlagsFromString('--expose-gc')
      const collect = runInNewContext('gc') as () => void // V8's own, once it is exposed
      const heap = () => {
        collect()
        return process.memoryUsage().heapUsed / 1_048_576
      }
      const seed = Number(process.env['PORTCULLIS_SEED'] ?? 20_260_728) // a run to repeat; no setting of the product
      const roll = dice(seed)
      const faults: string[] = []
      let afterWarmUp = 0
      for (let sent = 0; sent < FUZZED; sent += 25) {
        if (sent >= FUZZED / 3 && afterWarmUp === 0) afterWarmUp = heap()
        await Promise.all(
          Array.from({ length: 25 }, async () => {
            const { body, headers } = mutant(roll)
            const fault = await send(body, headers).then(faultOf, (error: unknown) => `no answer: ${String(error)}`)
            if (fault !== undefined) faults.push(`seed ${seed}: ${JSON.stringify(headers)} ${body} → ${fault}`)
          }),
        )
        world.logged.length = 0
      }
      expect(faults.slice(0, 5)).toEqual([])
      expect(world.provider.seen).toEqual([])
      await world.audit.settled()
      expect(heap() - afterWarmUp).toBeLessThan(4) // 1.3 with 1,000 after warming up and with 20,000
    },
  )
})
