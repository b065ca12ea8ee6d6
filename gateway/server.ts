/**
 * The only public port: checks the Host, establishes who is calling, and hands the request to one route family; what no
 * family claims is a page and goes to web.
 *
 * @module
 */
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import { AppError } from '@/lib/errors'
import { newId } from '@/lib/ids'
import type { Log } from '@/lib/log'

import { canonicalNetwork, clientAddress, parseTrustedProxies } from './client-address'
import { sendHealth, sendReadiness, type Readiness } from './health'
import { sendError, type GatewayRequest, type RouteFamily } from './http'
import type { WebProxy } from './proxy'

type Client = Pick<GatewayRequest, 'clientAddress' | 'network'>

export interface GatewayServerOptions {
  readonly publicUrl: string
  readonly publicUrlIsLoopback: boolean
  readonly trustedProxies: readonly string[]
  /** True under `npm run dev`: the page's live-reload socket is let through. */
  readonly allowUpgrade: boolean
  readonly families: readonly RouteFamily[]
  readonly web: WebProxy | undefined
  readonly readiness: () => Promise<Readiness>
  /** Told of a request under another name than ours, before it is refused. */
  readonly onForeignHost?: (request: IncomingMessage, network: string) => void
  readonly log: Log
}

export interface GatewayServer {
  listen(port: number, host?: string): Promise<number>
  /** Stops accepting, lets answers under way finish for at most `graceMs`, then closes what is left. */
  drain(graceMs: number): Promise<void>
}

const FAULT = new AppError('internal', 'Something went wrong on our side.')
const HEADER_LIMIT_BYTES = 16_384
const MAX_CONNECTIONS = 10_000

export function createGatewayServer(options: GatewayServerOptions): GatewayServer {
  const publicUrl = new URL(options.publicUrl)
  const trusted = parseTrustedProxies(options.trustedProxies)
  const server = http.createServer({
    maxHeaderSize: HEADER_LIMIT_BYTES,
    headersTimeout: 15_000,
    requestTimeout: 120_000,
    keepAliveTimeout: 65_000,
  })
  server.maxConnections = MAX_CONNECTIONS

  const addressOf = (raw: IncomingMessage) =>
    clientAddress(raw.socket.remoteAddress, [raw.headers['x-forwarded-for']].flat().join(','), trusted)
  /** Who stands at the other end of a connection does not change. */
  const peers = new WeakMap<Socket, Client>()
  const clientOf = (raw: IncomingMessage): Client => {
    const isPeer = raw.headers['x-forwarded-for'] === undefined
    const known = isPeer ? peers.get(raw.socket) : undefined
    if (known !== undefined) return known
    const clientAddress = addressOf(raw)
    const client = { clientAddress, network: canonicalNetwork(clientAddress) }
    if (isPeer) peers.set(raw.socket, client)
    return client
  }

  async function serve(raw: IncomingMessage, response: ServerResponse): Promise<void> {
    // Absolute-form targets (RFC 9112 §3.2.2) are for forward proxies, which this is not.
    if (raw.url?.startsWith('/') !== true) throw new AppError('request.invalid', 'The request target must be a path.')
    const path = raw.url.split('?', 1)[0] ?? '/'
    if (path === '/healthz') {
      sendHealth(response)
      return
    }
    if (path === '/readyz') {
      sendReadiness(response, await options.readiness())
      return
    }
    if (raw.headers.host?.toLowerCase() !== publicUrl.host) {
      options.onForeignHost?.(raw, clientOf(raw).network)
      refuseHost(raw, response)
      return
    }

    const controller = new AbortController()
    response.on('close', () => {
      if (!response.writableFinished) controller.abort()
    })
    const request: GatewayRequest = {
      raw,
      method: raw.method ?? 'GET',
      url: new URL(options.publicUrl + raw.url),
      requestId: newId('request'),
      ...clientOf(raw),
      signal: controller.signal,
    }
    response.setHeader('x-request-id', request.requestId)
    response.setHeader('x-content-type-options', 'nosniff')
    if (publicUrl.protocol === 'https:')
      response.setHeader('strict-transport-security', 'max-age=31536000; includeSubDomains')

    const family = options.families.find(({ prefixes }) =>
      prefixes.some((prefix) => path === prefix || (prefix.endsWith('/') && path.startsWith(prefix))),
    )
    if (family !== undefined) {
      response.setHeader('referrer-policy', 'no-referrer')
      response.setHeader('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
      try {
        await family.handle(request, response)
      } catch (error) {
        if (controller.signal.aborted) return
        if (!(error instanceof AppError))
          options.log.error({ err: error, requestId: request.requestId, path }, 'request failed')
        fail(response, error)
      }
    } else if (options.web === undefined) throw new AppError('resource.not_found', 'There is no such resource.')
    else options.web.forward(request, response)
  }

  /** A Host that is not ours could steer links and cookies elsewhere. On loopback a person who typed 127.0.0.1 is helped. */
  function refuseHost(raw: IncomingMessage, response: ServerResponse): void {
    const isPage = raw.method === 'GET' && (raw.headers.accept ?? '').includes('text/html')
    const isOurs = !options.families.some(({ prefixes }) => prefixes.some((prefix) => raw.url?.startsWith(prefix)))
    if (options.publicUrlIsLoopback && isPage && isOurs) {
      response.writeHead(307, {
        location: options.publicUrl + (raw.url?.startsWith('//') === true ? '/' : (raw.url ?? '/')),
        'cache-control': 'no-store',
      })
      response.end()
      return
    }
    response.writeHead(421, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
    response.end('{"error":{"code":"request.invalid","message":"This host is not served here."}}')
  }

  server.on('request', (raw, response) => {
    serve(raw, response).catch((error: unknown) => {
      if (!(error instanceof AppError)) options.log.error({ err: error }, 'request failed')
      fail(response, error)
    })
  })
  server.on('upgrade', (raw: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (options.allowUpgrade && options.web !== undefined && raw.headers.host?.toLowerCase() === publicUrl.host)
      options.web.upgrade(raw, socket, head, addressOf(raw))
    else socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) return
    const status = error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request'
    socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
  })

  return {
    listen: (port, host) =>
      new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen(port, host, () => {
          server.off('error', reject)
          const address = server.address()
          resolve(typeof address === 'object' && address !== null ? address.port : port)
        })
      }),
    drain: (graceMs) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => server.closeAllConnections(), graceMs)
        server.close(() => {
          clearTimeout(timer)
          options.web?.close()
          resolve()
        })
        server.closeIdleConnections()
      }),
  }
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  // The rest of a refused body is not read, so the connection cannot be used again.
  if (!response.req.complete) response.setHeader('connection', 'close')
  sendError(response, error instanceof AppError ? error : FAULT)
}
