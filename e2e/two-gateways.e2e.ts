/**
 * One installation, two gateways, no balancer that knows about sessions: a session that one of them holds is served
 * through the other, streams included; what changes at one is heard at the other; and a gateway that dies takes no more
 * with it than its own sessions, which clients make anew.
 */
import http from 'node:http'

import { expect, test } from '@playwright/test'

import { request, VERSION, type Agent } from './support/agent'
import { READS, startConnected, type Connected } from './support/connected'
import { startSecondGateway, type SecondGateway } from './support/gateway'

test.describe.configure({ mode: 'serial' })

const REVISION = '2025-11-25'
const { tool, args } = READS.github

let world: Connected
let second: SecondGateway
let agent: Agent
const open = new Set<http.ClientRequest>()

test.beforeAll(async () => {
  test.setTimeout(300_000)
  world = await startConnected({ providers: ['github'] })
  second = await startSecondGateway(world.product)
  agent = await world.newAgent('Router', [tool])
})

test.afterAll(async () => {
  for (const one of open) one.destroy()
  await second.kill()
  await world.close()
})

interface Stream {
  readonly status: number
  readonly text: () => string
  readonly ended: Promise<void>
}

/** A request whose answer goes on. */
function stream(port: number, method: string, headers: Record<string, string>, body?: unknown): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const outgoing = http.request({
      host: '127.0.0.1',
      port,
      method,
      path: `/mcp/${agent.agentId}`,
      agent: false,
      headers: {
        host: new URL(world.product.url).host,
        authorization: `Bearer ${agent.sessionKey}`,
        accept: 'application/json, text/event-stream',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
    })
    open.add(outgoing)
    outgoing.on('error', reject)
    outgoing.on('response', (response) => {
      let text = ''
      const ended = new Promise<void>((done) => response.once('close', done))
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('error', () => undefined) // a gateway that dies cuts its streams off
      resolve({ status: response.statusCode ?? 0, text: () => text, ended })
    })
    outgoing.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

const rpc = (method: string, params: Record<string, unknown>) => ({ jsonrpc: '2.0', id: 1, method, params })
const inSession = (id: string) => ({ 'mcp-session-id': id, 'mcp-protocol-version': REVISION })
const call = (session: string, port: number, by = agent) =>
  by.post(rpc('tools/call', { name: tool, arguments: args }), { port, headers: inSession(session) })

/** Begins a session at one gateway. */
async function begin(port: number): Promise<string> {
  const clientInfo = { name: 'e2e', version: '1' }
  const answer = await agent.post(rpc('initialize', { protocolVersion: REVISION, capabilities: {}, clientInfo }), {
    port,
  })
  expect(answer.status).toBe(200)
  const id = answer.headers['mcp-session-id']
  if (typeof id !== 'string') throw new Error('no session was made')
  return id
}

async function changeProfile(allow: readonly string[]): Promise<void> {
  const answer = await world.owner.send(`/api/v1/agents/${agent.agentId}/profile`, {
    method: 'PUT',
    json: { version: 1, tools: { allow } },
  })
  expect(answer.status, answer.body).toBe(200)
}

test('a session that one gateway holds is served through the other, as its own answer', async () => {
  const session = await begin(second.port)
  for (const port of [second.port, world.product.port, second.port]) {
    const answer = await call(session, port)
    expect(answer.status, answer.body).toBe(200)
    expect(answer.body).toContain('structuredContent')
  }
})

test('through the other gateway, the key of another agent finds no session, and no key is still 401', async () => {
  const session = await begin(second.port)
  const stranger = await world.newAgent('Stranger', [tool])
  expect((await call(session, world.product.port, stranger)).status).toBe(404)
  const nobody = await agent.post(rpc('tools/list', {}), {
    port: world.product.port,
    headers: { ...inSession(session), authorization: undefined },
  })
  expect(nobody.status).toBe(401)
})

test('a request that claims to be passed on already is not passed on: the session is not found', async () => {
  const session = await begin(second.port)
  const answer = await agent.post(rpc('tools/list', {}), {
    port: world.product.port,
    headers: { ...inSession(session), 'x-portcullis-relayed': 'gwi_another' },
  })
  expect(answer.status).toBe(404)
})

test('streams of either gateway, and one through the other, hear that the tools changed', async () => {
  const session = await begin(second.port)
  const relayed = await stream(world.product.port, 'GET', { ...inSession(session), accept: 'text/event-stream' })
  expect(relayed.status).toBe(200)
  const listen = (port: number) =>
    stream(
      port,
      'POST',
      { 'mcp-protocol-version': VERSION, 'mcp-method': 'subscriptions/listen' },
      request('listen', 'subscriptions/listen', { notifications: { toolsListChanged: true } }),
    )
  const listening = await Promise.all([listen(world.product.port), listen(second.port)])
  for (const one of listening) {
    expect(one.status).toBe(200)
    await expect.poll(one.text).toContain('subscriptions/acknowledged')
  }
  await changeProfile([tool, 'github_get_file'])
  for (const one of [relayed, ...listening])
    await expect.poll(one.text, { timeout: 10_000 }).toContain('notifications/tools/list_changed')
})

test('a gateway that is told to stop ends with its streams open, and says so to their clients', async () => {
  const third = await startSecondGateway(world.product)
  const session = await begin(third.port)
  const direct = await stream(third.port, 'GET', { ...inSession(session), accept: 'text/event-stream' })
  const relayed = await stream(world.product.port, 'GET', { ...inSession(session), accept: 'text/event-stream' })
  const startedAt = Date.now()
  await third.stop()
  await Promise.all([direct.ended, relayed.ended])
  expect(Date.now() - startedAt).toBeLessThan(15_000)
  // It is known to be gone: nobody waits for it.
  expect((await call(session, world.product.port)).status).toBe(404)
})

test('kill -9 of the gateway that holds a session: its streams end, the session is not found, a new one works at once', async () => {
  const session = await begin(second.port)
  const relayed = await stream(world.product.port, 'GET', { ...inSession(session), accept: 'text/event-stream' })
  expect((await call(session, world.product.port)).status).toBe(200)
  await second.kill()
  await relayed.ended
  expect((await call(session, world.product.port)).status).toBe(404)
  const next = await begin(world.product.port)
  expect((await call(next, world.product.port)).status).toBe(200)
})
