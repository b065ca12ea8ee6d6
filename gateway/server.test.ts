import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import net from 'node:net'
import { once } from 'node:events'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { AppError } from '@/lib/errors'
import { createLog } from '@/lib/log'

import type { Readiness } from './health'
import { readBody, sendJson, type RouteFamily } from './http'
import { createWebProxy } from './proxy'
import { createGatewayServer, type GatewayServer } from './server'

const log = createLog('test', 'silent')

/** One raw exchange on a fresh connection, so that nothing between test and server tidies up the request. */
async function raw(port: number, text: string): Promise<string> {
  const socket = net.connect(port, '127.0.0.1')
  socket.end(text)
  let answer = ''
  for await (const chunk of socket) answer += String(chunk)
  return answer
}

function get(
  port: number,
  path: string,
  headers: Record<string, string>,
  method = 'GET',
  body?: string,
): Promise<{ status: number; headers: IncomingHttpHeaders; body: string }> {
  return new Promise((resolve, reject) => {
    const request = http.request({ port, host: '127.0.0.1', path, method, headers, agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk) => (text += String(chunk)))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }))
    })
    request.on('error', reject)
    request.end(body)
  })
}

describe('the gateway server', () => {
  let web: http.Server
  let seen: IncomingMessage[] = []
  let gate: { release: () => void; opened: Promise<void> }
  let gateway: GatewayServer
  let port = 0
  const publicUrl = 'http://localhost:3999'
  const host = 'localhost:3999'
  let readiness: Readiness = { ready: true }

  beforeAll(async () => {
    web = http.createServer((request, response) => {
      seen.push(request)
      if (request.url === '/stream') {
        response.writeHead(200, { 'content-type': 'text/plain' })
        response.write('first')
        void gate.opened.then(() => response.end('second'))
        return
      }
      request.resume()
      request.on('end', () => response.end('page'))
    })
    web.listen(0, '127.0.0.1')
    await once(web, 'listening')
    const address = web.address() as net.AddressInfo
    const family: RouteFamily = {
      prefixes: ['/api/v1/'],
      handle: async (request, response) => {
        if (request.url.pathname === '/api/v1/refuse') throw new AppError('resource.conflict', 'No.')
        if (request.url.pathname === '/api/v1/crash') throw new Error('secret detail')
        const body = await readBody(request.raw, 10)
        sendJson(response, 200, { address: request.clientAddress, network: request.network, body: body.toString() })
      },
    }
    gateway = createGatewayServer({
      publicUrl,
      publicUrlIsLoopback: true,
      trustedProxies: ['127.0.0.1', '10.0.0.0/8'],
      allowUpgrade: false,
      families: [family],
      web: createWebProxy({ webOrigin: `http://127.0.0.1:${address.port}`, publicUrl, log }),
      readiness: async () => readiness,
      log,
    })
    port = await gateway.listen(0, '127.0.0.1')
  })
  afterAll(async () => {
    await gateway.drain(100)
    web.close()
  })

  it('lets no smuggled header reach web, and tells web the public origin', async () => {
    seen = []
    await get(port, '/page', {
      host,
      'x-forwarded-host': 'evil.example',
      'x-forwarded-proto': 'https',
      'x-forwarded-port': '1',
      'x-forwarded-prefix': '/evil',
      forwarded: 'host=evil.example',
      'x-middleware-subrequest': 'middleware:middleware',
      'x-middleware-rewrite': 'https://evil.example',
      'x-nextjs-data': '1',
      'x-invoke-path': '/admin',
      'x-matched-path': '/admin',
      'x-original-url': '/admin',
      'x-real-ip': '6.6.6.6',
      connection: 'close, x-dropped',
      'x-dropped': 'named by Connection',
      'next-router-prefetch': '1',
      cookie: 'a=b',
    })
    const { headers } = seen[0]!
    expect(headers).toMatchObject({
      host,
      'x-forwarded-host': host,
      'x-forwarded-proto': 'http',
      cookie: 'a=b',
      'next-router-prefetch': '1',
    })
    const smuggled = [
      'forwarded',
      'x-forwarded-port',
      'x-forwarded-prefix',
      'x-middleware-subrequest',
      'x-middleware-rewrite',
      'x-nextjs-data',
      'x-invoke-path',
      'x-matched-path',
      'x-original-url',
      'x-real-ip',
      'x-dropped',
    ]
    for (const name of smuggled) expect(headers, name).not.toHaveProperty(name)
    expect(JSON.stringify(headers)).not.toContain('evil')
  })

  it('streams a page: its first bytes arrive before the last are written', async () => {
    let release = () => {}
    gate = { opened: new Promise<void>((resolve) => (release = resolve)), release: () => release() }
    const request = http.get({ port, host: '127.0.0.1', path: '/stream', headers: { host } })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    const [first] = (await once(response, 'data')) as [Buffer]
    expect(first.toString()).toBe('first')
    gate.release()
    const [second] = (await once(response, 'data')) as [Buffer]
    expect(second.toString()).toBe('second')
  })

  it.each(['evil.example', 'localhost:3998', 'localhost', '127.0.0.1:3999'])(
    'answers 421 to the foreign host %s',
    async (foreign) => {
      expect((await get(port, '/api/v1/x', { host: foreign })).status).toBe(421)
      expect((await get(port, '/page', { host: foreign }, 'POST')).status).toBe(421)
    },
  )

  it('sends a person who typed another loopback name to the public URL, and nobody else', async () => {
    const page = await get(port, '//evil.example/login', { host: '127.0.0.1:3999', accept: 'text/html' })
    expect([page.status, page.headers.location]).toEqual([307, `${publicUrl}/`])
    expect((await get(port, '/login', { host: '127.0.0.1:3999', accept: 'text/html' })).headers.location).toBe(
      `${publicUrl}/login`,
    )
  })

  it('believes X-Forwarded-For only as far as trusted proxies vouch for it', async () => {
    const from = async (forwarded: string) =>
      JSON.parse((await get(port, '/api/v1/x', { host, 'x-forwarded-for': forwarded })).body) as {
        address: string
        network: string
      }
    expect(await from('1.1.1.1, 8.8.8.8, 10.1.2.3')).toMatchObject({ address: '8.8.8.8' })
    expect(await from('2001:db8:1:2:3::4')).toEqual({
      address: '2001:db8:1:2:3::4',
      network: '2001:db8:1:2::/64',
      body: '',
    })
    expect(await from('not an address')).toMatchObject({ address: '127.0.0.1' })
    expect(await from('::ffff:9.9.9.9')).toMatchObject({ address: '9.9.9.9', network: '9.9.9.9' })
  })

  it('answers health probes under any host, and says why it is not ready', async () => {
    expect((await get(port, '/healthz', { host: 'probe' })).status).toBe(200)
    readiness = { ready: false, reason: 'keys are missing' }
    const answer = await get(port, '/readyz', { host: 'probe' })
    expect([answer.status, JSON.parse(answer.body)]).toEqual([503, { status: 'not_ready', reason: 'keys are missing' }])
    readiness = { ready: true }
  })

  it('refuses Upgrade, absolute-form targets and conflicting lengths', async () => {
    expect(
      await raw(port, `GET /page HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`),
    ).toMatch(/^HTTP\/1.1 400/)
    expect(await raw(port, `GET http://evil.example/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 400/,
    )
    expect(
      await raw(
        port,
        `POST /api/v1/x HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      ),
    ).toMatch(/^HTTP\/1.1 400/)
    expect(await raw(port, `GET /page HTTP/1.1\r\nHost: ${host}\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 431/,
    )
  })

  it('tells a refusal by its code and a fault by nothing', async () => {
    expect((await get(port, '/api/v1/refuse', { host })).body).toBe(
      '{"error":{"code":"resource.conflict","message":"No."}}',
    )
    expect((await get(port, '/api/v1/crash', { host })).body).toBe(
      '{"error":{"code":"internal","message":"Something went wrong on our side."}}',
    )
    expect((await get(port, '/api/v1/x', { host }, 'POST', 'more than ten bytes')).status).toBe(413)
  })
})
