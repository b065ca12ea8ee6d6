/**
 * Passes page requests on to web, and pages back, without buffering either.
 *
 * Web believes the forwarded headers it gets, so none of the client's own may reach it: neither those that say where a
 * request came from (host-header attacks on links) nor those by which the framework talks to itself (CVE-2025-29927).
 *
 * @module
 */
import http, { type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import net from 'node:net'
import type { Duplex } from 'node:stream'

import type { Log } from '@/lib/log'

import type { GatewayRequest } from './http'

/** RFC 9110 §7.6.1: these describe one connection and are not passed on. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
const CLAIMS = new Set([
  'forwarded',
  'host',
  'x-real-ip',
  'x-client-ip',
  'x-original-host',
  'x-original-url',
  'x-rewrite-url',
  'x-host',
  'via',
  'x-matched-path',
  'x-now-route-matches',
])
const CLAIM_PREFIXES = ['x-forwarded-', 'x-middleware-', 'x-nextjs-', 'x-invoke-', 'x-vercel-', 'cf-']

/** The headers web sees: the client's own, less every claim about origin or routing, plus ours. */
export function headersForWeb(
  headers: IncomingHttpHeaders,
  publicUrl: URL,
  clientAddress: string,
): Record<string, string | string[]> {
  const named = new Set((headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()))
  const out: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || HOP_BY_HOP.has(name) || named.has(name) || CLAIMS.has(name)) continue
    if (CLAIM_PREFIXES.some((prefix) => name.startsWith(prefix))) continue
    out[name] = value
  }
  out['host'] = publicUrl.host
  out['x-forwarded-host'] = publicUrl.host
  out['x-forwarded-proto'] = publicUrl.protocol.slice(0, -1)
  out['x-forwarded-for'] = clientAddress
  return out
}

export interface WebProxy {
  forward(request: GatewayRequest, response: ServerResponse): void
  /** Development only: the page's live-reload socket. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, clientAddress: string): void
  close(): void
}

export function createWebProxy(options: {
  readonly webOrigin: string
  readonly publicUrl: string
  readonly log: Log
}): WebProxy {
  const web = new URL(options.webOrigin)
  const publicUrl = new URL(options.publicUrl)
  const agent = new http.Agent({ keepAlive: true, maxSockets: 256, maxFreeSockets: 32 })
  const target = { host: web.hostname, port: web.port }

  return {
    forward(request, response) {
      const headers = headersForWeb(request.raw.headers, publicUrl, request.clientAddress)
      const upstream = http.request({
        ...target,
        agent,
        method: request.method,
        path: request.raw.url ?? '/',
        headers,
        signal: request.signal,
      })
      upstream.on('response', (answer) => {
        response.writeHead(answer.statusCode ?? 502, headersForClient(answer))
        // Headers leave at once: a page that streams shows its frame before its data.
        response.flushHeaders()
        answer.pipe(response)
        answer.on('error', () => response.destroy())
      })
      upstream.on('error', (error) => {
        if (request.signal.aborted) return
        options.log.warn({ err: error, requestId: request.requestId }, 'web did not answer')
        if (response.headersSent) response.destroy()
        else sendUnavailable(response)
      })
      request.raw.pipe(upstream)
    },
    upgrade(request, socket, head, clientAddress) {
      const upstream = net.connect(Number(web.port), web.hostname, () => {
        const headers = {
          ...headersForWeb(request.headers, publicUrl, clientAddress),
          connection: 'Upgrade',
          upgrade: 'websocket',
        }
        const lines = Object.entries(headers).flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${one}`))
        upstream.write([`GET ${request.url ?? '/'} HTTP/1.1`, ...lines, '', ''].join('\r\n'))
        upstream.write(head)
        socket.pipe(upstream).pipe(socket)
      })
      upstream.on('error', () => socket.destroy())
      socket.on('error', () => upstream.destroy())
    },
    close: () => agent.destroy(),
  }
}

function headersForClient(answer: IncomingMessage): Record<string, string | string[]> {
  const out: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(answer.headers))
    if (value !== undefined && !HOP_BY_HOP.has(name) && name !== 'x-powered-by') out[name] = value
  return out
}

function sendUnavailable(response: ServerResponse): void {
  const page =
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>One moment</title><h1>The pages are not up yet</h1><p>Agents are not affected. Reload in a few seconds.</p></html>'
  response.writeHead(503, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'retry-after': '3',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  })
  response.end(page)
}
