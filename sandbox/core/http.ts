/**
 * The little HTTP the fronts need: a request read whole and bounded, a reply as a value. Handlers never touch the socket,
 * so that a fault can be laid over any reply after its effect is committed.
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

const MAX_BODY_BYTES = 12 * 1024 * 1024

export interface Incoming {
  readonly method: string
  /** Decoded nowhere: segments are decoded one by one by the route that matches. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Buffer
}

export interface Reply {
  status: number
  headers?: Record<string, string>
  body?: string | Buffer
  /** How the bytes leave: at once, by cutting the connection, or in small pieces with a pause between them. */
  delivery?: { kind: 'reset' } | { kind: 'drip'; pauseMs: number }
}

export type Handler = (request: Incoming) => Promise<Reply>

export const JSON_TYPE = 'application/json; charset=utf-8'

export function json(status: number, value: unknown, headers: Record<string, string> = {}): Reply {
  return { status, headers: { 'content-type': JSON_TYPE, ...headers }, body: JSON.stringify(value) }
}

export function html(status: number, body: string): Reply {
  return {
    status,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-frame-options': 'DENY',
      'content-security-policy':
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    },
    body,
  }
}

/** 302 to an address with these parameters added. Existing parameters of the address are kept. */
export function redirect(target: string, parameters: Record<string, string | undefined> = {}): Reply {
  const url = new URL(target)
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) url.searchParams.set(name, value)
  return { status: 302, headers: { location: url.href, 'cache-control': 'no-store' } }
}

export const mediaType = (request: Incoming): string =>
  (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? ''

/** The form fields, or undefined when the body is not a form or a field is repeated (RFC 6749 §3.2 forbids repeats). */
export function form(request: Incoming): Map<string, string> | undefined {
  if (mediaType(request) !== 'application/x-www-form-urlencoded') return undefined
  return single(new URLSearchParams(request.body.toString('utf8')))
}

export function single(parameters: URLSearchParams): Map<string, string> | undefined {
  const fields = new Map<string, string>()
  for (const [name, value] of parameters) {
    if (fields.has(name)) return undefined
    fields.set(name, value)
  }
  return fields
}

/** The parsed JSON body; undefined when it is not JSON. */
export function parseJson(text: string | Buffer): unknown {
  try {
    const value: unknown = JSON.parse(text.toString())
    return value
  } catch {
    return undefined
  }
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The user and password of `Authorization: Basic`, form-decoded as RFC 6749 §2.3.1 wants. */
export function basicCredentials(request: Incoming): { id: string; secret: string } | undefined {
  const match = /^basic ([a-z0-9+/=]+)$/i.exec(request.headers.authorization ?? '')
  if (match?.[1] === undefined) return undefined
  const text = Buffer.from(match[1], 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 0) return undefined
  try {
    const decode = (part: string): string => decodeURIComponent(part.replaceAll('+', ' '))
    return { id: decode(text.slice(0, colon)), secret: decode(text.slice(colon + 1)) }
  } catch {
    return undefined
  }
}

export interface Listening {
  readonly url: string
  readonly port: number
  close(): Promise<void>
}

/**
 * Serves on loopback, on the wanted port when it is free and on any other when it is not.
 *
 * @param handler set before the first request can arrive
 */
export async function listen(handler: Handler, wantedPort = 0): Promise<Listening> {
  const server = createServer((request, response) => {
    void serve(handler, request, response)
  })
  server.keepAliveTimeout = 20_000
  if (!(await bind(server, wantedPort))) await bind(server, 0)
  const { port } = server.address() as AddressInfo // a TCP server that listens has a TCP address
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve()
        })
        server.closeAllConnections()
      }),
  }
}

function bind(server: Server, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      server.off('listening', bound)
      if (port !== 0 && (error.code === 'EADDRINUSE' || error.code === 'EACCES')) resolve(false)
      else reject(error)
    }
    const bound = (): void => {
      server.off('error', failed)
      resolve(true)
    }
    server.once('error', failed)
    server.once('listening', bound)
    server.listen(port, '127.0.0.1')
  })
}

async function serve(handler: Handler, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.on('error', () => undefined) // the caller went away: its answer has nowhere to go
  let reply: Reply
  try {
    const incoming = await read(request)
    reply = incoming === undefined ? { status: 413, body: 'Payload Too Large' } : await handler(incoming)
  } catch (error) {
    if (!request.readableAborted) process.stderr.write(`sandbox: ${error instanceof Error ? error.stack : 'fault'}\n`)
    reply = { status: 500, headers: { 'content-type': 'text/plain' }, body: 'The sandbox failed; its stderr says why.' }
  }
  deliver(reply, request, response)
}

async function read(request: IncomingMessage): Promise<Incoming | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) return undefined
    chunks.push(chunk)
  }
  const target = request.url ?? '/'
  const mark = target.indexOf('?')
  const headers: Record<string, string | undefined> = {}
  for (const [name, value] of Object.entries(request.headers)) {
    headers[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return {
    method: request.method ?? 'GET',
    path: mark < 0 ? target : target.slice(0, mark),
    query: new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1)),
    headers,
    body: Buffer.concat(chunks),
  }
}

function deliver(reply: Reply, request: IncomingMessage, response: ServerResponse): void {
  if (reply.delivery?.kind === 'reset') {
    request.socket.resetAndDestroy()
    return
  }
  const body = typeof reply.body === 'string' ? Buffer.from(reply.body) : (reply.body ?? Buffer.alloc(0))
  response.writeHead(reply.status, {
    ...reply.headers,
    ...(reply.status === 204 ? {} : { 'content-length': String(body.length) }),
  })
  if (reply.delivery?.kind !== 'drip') {
    response.end(request.method === 'HEAD' ? undefined : body)
    return
  }
  let sent = 0
  const pause = setInterval(() => {
    response.write(body.subarray(sent, sent + 1))
    sent += 1
    if (sent < body.length && !response.destroyed) return
    clearInterval(pause)
    response.end()
  }, reply.delivery.pauseMs)
  response.on('close', () => {
    clearInterval(pause)
  })
}
