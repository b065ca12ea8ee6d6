import { once } from 'node:events'
import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http'

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'

import { AppError, notFound } from '@/lib/errors'
import { brand, newId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import type { MemberPrincipal } from '@/lib/tenancy/principal'

import { createGatewayServer, type GatewayServer } from '../server'
import { openApiDocument } from './openapi'
import { createApi, defineRoute, idParam } from './route'

const publicUrl = 'http://localhost:3998'
const host = 'localhost:3998'
const own = newId('agent')

const person = (role: MemberPrincipal['role'] = 'owner'): MemberPrincipal => ({
  kind: 'person',
  tenantId: brand('ten_a'),
  personId: brand('per_a'),
  role,
  webSessionId: brand('ses_a'),
  authenticatedAt: new Date(0),
  network: '127.0.0.1',
})
const apiKey = (role: MemberPrincipal['role'] = 'owner'): MemberPrincipal => ({
  kind: 'api_key',
  tenantId: brand('ten_a'),
  apiKeyId: brand('key_a'),
  personId: brand('per_a'),
  role: role,
  scopes: null,
  network: '127.0.0.1',
})

/** How far the endless export was read, and whether it was let go. */
const endless = { lines: 0, ended: Promise.resolve(), onEnd: () => {} }
let handled: string[] = []

const routes = [
  defineRoute({
    id: 'session.issue',
    method: 'POST',
    path: '/api/v1/widening',
    summary: 'Widens access.',
    permission: 'session.issue',
    stepUp: true,
    body: z.strictObject({}),
    handle: () => {
      handled.push('session.issue')
      return Promise.resolve(undefined)
    },
  }),
  defineRoute({
    id: 'agent.show',
    method: 'GET',
    path: '/api/v1/agents/{agentId}',
    summary: 'Shows.',
    permission: 'agent.read',
    params: z.strictObject({ agentId: idParam('agent') }),
    response: z.object({ id: z.string(), inner: z.object({ shown: z.string() }) }),
    handle: ({ params }) => {
      handled.push('agent.show')
      if (params.agentId !== own) throw notFound()
      const row = { id: params.agentId, secretHash: 'canary-hash', inner: { shown: 'yes', hidden: 'canary-inner' } }
      return Promise.resolve(row)
    },
  }),
  defineRoute({
    id: 'agent.update',
    method: 'PATCH',
    path: '/api/v1/agents/{agentId}',
    summary: 'Changes.',
    permission: 'agent.update',
    params: z.strictObject({ agentId: idParam('agent') }),
    body: z.strictObject({ name: z.string().min(1).max(80) }),
    maxBodyBytes: 200,
    handle: () => {
      handled.push('agent.update')
      return Promise.resolve(undefined)
    },
  }),
  defineRoute({
    id: 'agent.list',
    method: 'GET',
    path: '/api/v1/agents',
    summary: 'Lists.',
    permission: 'agent.read',
    query: z.strictObject({ agentId: idParam('agent').optional() }),
    response: z.object({ items: z.array(z.string()) }),
    handle: ({ query }) => Promise.resolve({ items: query.agentId === undefined ? [] : [query.agentId] }),
  }),
  defineRoute({
    id: 'account.show',
    method: 'GET',
    path: '/api/v1/account',
    summary: 'One’s own.',
    permission: 'workspace.read',
    personOnly: true,
    response: z.object({}),
    handle: () => Promise.resolve({}),
  }),
  defineRoute({
    id: 'activity.export',
    method: 'GET',
    path: '/api/v1/activity/export',
    summary: 'Streams.',
    permission: 'audit.export',
    stream: { contentType: 'application/jsonl', filename: 'a.jsonl' },
    handle: () => Promise.resolve(lines()),
  }),
  defineRoute({
    id: 'agent.crash',
    method: 'POST',
    path: '/api/v1/crash',
    summary: 'Fails.',
    permission: 'agent.read',
    handle: () => Promise.reject(new AppError('policy.denied', 'No.')),
  }),
]

async function* lines(): AsyncIterable<string> {
  try {
    for (;;) {
      endless.lines += 1
      yield 'x'.repeat(10_000)
      await new Promise((resolve) => setImmediate(resolve)) // as a database would, between pages
    }
  } finally {
    endless.onEnd()
  }
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly code: string | undefined
  readonly field: string | undefined
}

describe('the router of the REST API', () => {
  let gateway: GatewayServer
  let port = 0
  let principal: MemberPrincipal | undefined
  let isReady = true
  let refused: string[] = []

  beforeAll(async () => {
    const api = createApi(routes, openApiDocument(routes, publicUrl), {
      publicUrl,
      authenticate: () => Promise.resolve(principal),
      isReady: () => isReady,
      onRefused: (who, routeId, code) => {
        refused.push(`${who.kind} ${routeId} ${code}`)
        return Promise.resolve()
      },
    })
    gateway = createGatewayServer({
      publicUrl,
      publicUrlIsLoopback: true,
      trustedProxies: [],
      allowUpgrade: false,
      families: [api],
      web: undefined,
      readiness: () => Promise.resolve({ ready: true }),
      log: createLog('test', 'silent'),
    })
    port = await gateway.listen(0, '127.0.0.1')
  })
  afterAll(() => gateway.drain(100))
  beforeEach(() => {
    principal = person()
    isReady = true
    refused = []
    handled = []
  })

  function send(
    method: string,
    path: string,
    { headers = {}, body }: { headers?: Record<string, string>; body?: string } = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = { host, origin: publicUrl, ...(body === undefined ? {} : { 'content-type': 'application/json' }) }
      const request = http.request({
        port,
        host: '127.0.0.1',
        method,
        path,
        agent: false,
        headers: { ...sent, ...headers },
      })
      request.on('response', (response) => {
        let text = ''
        response.on('data', (chunk) => (text += String(chunk)))
        response.on('end', () => {
          const error = /^\{"error"/.test(text)
            ? (JSON.parse(text) as { error: { code: string; field?: string } }).error // the one shape of an error
            : undefined
          const { statusCode = 0, headers: got } = response
          resolve({ status: statusCode, headers: got, body: text, code: error?.code, field: error?.field })
        })
      })
      request.on('error', reject)
      request.end(body)
    })
  }
  const path = `/api/v1/agents/${own}`

  it('gives the document to anybody and everything else to somebody', async () => {
    principal = undefined
    expect((await send('GET', '/api/v1/openapi.json')).status).toBe(200)
    for (const [method, target] of [
      ['GET', path],
      ['GET', '/api/v1/nothing'],
      ['DELETE', path],
      ['POST', '/api/v1/openapi.json'],
      ['OPTIONS', path],
    ] as const)
      expect(await send(method, target), `${method} ${target}`).toMatchObject({
        status: 401,
        code: 'auth.unauthenticated',
      })
    expect(handled).toEqual([])
  })

  it('asks a person whose proof is old for a new one where access is widened, and no API key', async () => {
    const widen = () => send('POST', '/api/v1/widening', { body: '{}' })
    expect(await widen()).toMatchObject({ status: 403, code: 'auth.step_up_required' })
    expect(handled).toEqual([])
    principal = { ...person(), authenticatedAt: new Date() } as MemberPrincipal // a person still
    expect((await widen()).status).toBe(204)
    principal = apiKey()
    expect((await widen()).status).toBe(204)
    expect(handled).toEqual(['session.issue', 'session.issue'])
    // Whoever may not do it at all is told that, and not asked for a password first.
    principal = person('auditor')
    expect(await widen()).toMatchObject({ status: 403, code: 'auth.forbidden' })
  })

  it('answers 405 and names the methods a path takes, and 404 where there is no path', async () => {
    const answer = await send('DELETE', path)
    expect(answer).toMatchObject({ status: 405, code: 'request.method_not_allowed' })
    expect(answer.headers.allow?.split(', ').sort()).toEqual(['GET', 'PATCH'])
    for (const target of [
      '/api/v1/nothing',
      '/api/v1/agents/',
      `${path}/`,
      `/api/v1/agents/${own}/x`,
      '/api/v1//agents',
    ])
      expect(await send('GET', target), target).toMatchObject({ status: 404, code: 'resource.not_found' })
  })

  it('takes JSON alone, no more than its limit, and no unknown field', async () => {
    const patch = (body: string, headers: Record<string, string> = {}) => send('PATCH', path, { body, headers })
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data',
      'application/jsonx',
      '',
    ])
      expect(await patch('{"name":"a"}', { 'content-type': type }), type).toMatchObject({ status: 415 })
    expect(await patch(`{"name":"${'a'.repeat(300)}"}`)).toMatchObject({ status: 413, code: 'request.too_large' })
    expect(await patch('{"name":"a","role":"owner"}')).toMatchObject({ status: 400, field: 'role' })
    expect(await patch('{"name":"a","__proto__":{"role":"owner"}}')).toMatchObject({ status: 400, field: '__proto__' })
    expect(await patch('{"name":1}')).toMatchObject({ status: 400, field: 'name' })
    for (const body of ['{"name"', '', 'null', '[]', '"a"', '1', '{"name":"a"}{}'])
      expect(await patch(body), body).toMatchObject({ status: 400, code: 'request.invalid' })
    expect(handled).toEqual([])
    expect(await patch('{"name":"a"}', { 'content-type': 'Application/JSON; charset=utf-8' })).toMatchObject({
      status: 204,
      body: '',
    })
    expect(handled).toEqual(['agent.update'])
  })

  it('stops reading a body that was announced small and is not', async () => {
    const request = http.request({ port, host: '127.0.0.1', method: 'PATCH', path, agent: false })
    for (const [name, value] of Object.entries({ host, origin: publicUrl, 'content-type': 'application/json' }))
      request.setHeader(name, value)
    request.on('error', () => {}) // the server may close while this writes
    request.write('{"name":"')
    request.write('a'.repeat(1_000)) // chunked: no length is announced, and the end never comes
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    expect([response.statusCode, response.headers.connection]).toEqual([413, 'close'])
    request.destroy()
  })

  it('drops every field of an answer that its contract does not name', async () => {
    const answer = await send('GET', path)
    expect(JSON.parse(answer.body)).toEqual({ id: own, inner: { shown: 'yes' } })
    expect(answer.headers['cache-control']).toBe('no-store')
  })

  it('answers a malformed, a missing and a foreign id with the same bytes', async () => {
    const bodies = new Set<string>()
    for (const id of [
      newId('agent'),
      newId('connection'),
      'null',
      '%00',
      '__proto__',
      '%E0%A4%A',
      `${own}x`,
      own.toUpperCase(),
    ]) {
      const answer = await send('GET', `/api/v1/agents/${id}`)
      expect(answer.status, id).toBe(404)
      bodies.add(answer.body)
    }
    expect(bodies.size).toBe(1)
  })

  it('takes a parameter once', async () => {
    expect(await send('GET', `/api/v1/agents?agentId=${own}`)).toMatchObject({ status: 200 })
    expect(await send('GET', `/api/v1/agents?agentId=${own}&agentId=${own}`)).toMatchObject({
      status: 400,
      field: 'agentId',
    })
    for (const query of ['agentId[]=a', '__proto__=a', 'constructor=a', 'role=owner'])
      expect(await send('GET', `/api/v1/agents?${query}`), query).toMatchObject({ status: 400 })
  })

  it('asks a cookie where it came from, and a key not', async () => {
    const evil = { body: '{"name":"a"}', headers: { origin: 'https://evil.example' } }
    expect(await send('PATCH', path, evil)).toMatchObject({ status: 403, code: 'request.origin_refused' })
    const none = { body: '{"name":"a"}', headers: { origin: publicUrl, 'sec-fetch-site': 'cross-site' } }
    expect(await send('PATCH', path, none)).toMatchObject({ status: 403, code: 'request.origin_refused' })
    expect(handled).toEqual([])
    principal = apiKey()
    expect(await send('PATCH', path, evil)).toMatchObject({ status: 204 })
  })

  it('asks the permission before anything else is read', async () => {
    principal = person('auditor')
    expect(await send('PATCH', path, { body: 'not even json' })).toMatchObject({ status: 403, code: 'auth.forbidden' })
    principal = apiKey()
    expect(await send('GET', '/api/v1/account')).toMatchObject({ status: 403, code: 'auth.forbidden' })
    expect(handled).toEqual([])
  })

  it('records who was refused, and what was not found, and nothing else', async () => {
    principal = person('auditor')
    await send('PATCH', path, { body: '{"name":"a"}' })
    await send('GET', `/api/v1/agents/${newId('agent')}`)
    await send('POST', '/api/v1/crash')
    await send('GET', path)
    await send('GET', '/api/v1/agents?x=1')
    expect(refused).toEqual([
      'person agent.update auth.forbidden',
      'person agent.show resource.not_found',
      'person agent.crash policy.denied',
    ])
  })

  it('reads but does not write while it is not ready', async () => {
    isReady = false
    expect(await send('GET', path)).toMatchObject({ status: 200 })
    const answer = await send('PATCH', path, { body: '{"name":"a"}' })
    expect([answer.status, answer.code, answer.headers['retry-after']]).toEqual([503, 'service.unavailable', '5'])
    expect(handled).toEqual(['agent.show'])
  })

  it('sends a stream no faster than it is read, and lets go when the reader leaves', async () => {
    endless.lines = 0
    const ended = new Promise<void>((resolve) => (endless.onEnd = resolve))
    const request = http.get({
      port,
      host: '127.0.0.1',
      path: '/api/v1/activity/export',
      agent: false,
      headers: { host },
    })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    expect(response.headers).toMatchObject({
      'content-type': 'application/jsonl',
      'content-disposition': 'attachment; filename="a.jsonl"',
      'cache-control': 'no-store',
    })
    // Nobody reads: once the buffers between the two are full, the source is asked for nothing more.
    let before = -1
    while (endless.lines !== before && endless.lines < 5_000) {
      before = endless.lines
      for (let turn = 0; turn < 500; turn += 1) await new Promise((resolve) => setImmediate(resolve))
    }
    expect(endless.lines).toBeLessThan(2_000) // 20 MB; without back pressure it never stands still
    response.destroy()
    await ended
  })

  it('says in its document what each operation needs', () => {
    const document = JSON.parse(JSON.stringify(openApiDocument(routes, publicUrl))) as {
      paths: Record<string, Record<string, Record<string, unknown>>>
    } // our own document
    expect(document.paths['/api/v1/account']?.['get']).toMatchObject({
      'x-permission': 'workspace.read',
      'x-person-only': true,
    })
    expect(document.paths['/api/v1/agents/{agentId}']?.['patch']).not.toHaveProperty('x-person-only')
    expect(document.paths['/api/v1/agents/{agentId}']?.['patch']).toMatchObject({ operationId: 'agent.update' })
  })
})
