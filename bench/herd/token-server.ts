/**
 * A token endpoint in a process of its own: rotating refresh tokens that work once, and a limit it enforces.
 *
 * The limit is a bucket of one second's worth. What goes beyond it gets 429, as providers do it.
 *
 * @module
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ServerOptions {
  readonly perSecond: number
  readonly expiresIn: number
  readonly delayMs: number
}

export interface ServerStats {
  readonly calls: number
  /** Refresh tokens that were spent when they came. */
  readonly reuses: number
  /** Requests beyond the limit. */
  readonly limited: number
  /** Most requests within any second. */
  readonly mostInASecond: number
  /** Grants by how often each was refreshed. */
  readonly timesRefreshed: Readonly<Record<string, number>>
  readonly firstToLastMs: number
}

export type ServerReport = { readonly port: number } | { readonly stats: ServerStats }

const options = JSON.parse(process.argv[2] ?? '{}') as ServerOptions // written by herd.ts
const newest = new Map<string, number>()
const arrivals: number[] = []
let [calls, reuses, limited] = [0, 0, 0]
let tokens = options.perSecond
let filledAt = performance.now()

const server = createServer((request, response) => {
  let form = ''
  request.setEncoding('utf8').on('data', (chunk: string) => (form += chunk))
  request.on('end', () => {
    const now = performance.now()
    calls += 1
    arrivals.push(now)
    tokens = Math.min(options.perSecond, tokens + ((now - filledAt) / 1_000) * options.perSecond)
    filledAt = now
    const send = (status: number, body: object, headers: Record<string, string> = {}) =>
      setTimeout(() => {
        response.writeHead(status, { 'content-type': 'application/json', ...headers })
        response.end(JSON.stringify(body))
      }, options.delayMs)
    if (tokens < 1) {
      limited += 1
      send(429, { error: 'slow_down' }, { 'retry-after': '1' })
      return
    }
    tokens -= 1
    const [, name = '', generation] = (new URLSearchParams(form).get('refresh_token') ?? '').split('.')
    const expected = newest.get(name) ?? 1
    if (Number(generation) !== expected) {
      reuses += 1
      send(400, { error: 'invalid_grant' })
      return
    }
    newest.set(name, expected + 1)
    send(200, {
      access_token: `at.${name}.${expected + 1}`,
      refresh_token: `rt.${name}.${expected + 1}`,
      token_type: 'bearer',
      expires_in: options.expiresIn,
    })
  })
})
server.keepAliveTimeout = 30_000
server.listen(0, '127.0.0.1', () => {
  process.send?.({ port: (server.address() as AddressInfo).port } satisfies ServerReport) // a TCP server has one
})
process.on('message', () => {
  process.send?.({ stats: stats() } satisfies ServerReport)
})
process.on('disconnect', () => process.exit(0))

function stats(): ServerStats {
  let mostInASecond = 0
  for (let first = 0, last = 0; last < arrivals.length; last += 1) {
    while ((arrivals[last] ?? 0) - (arrivals[first] ?? 0) >= 1_000) first += 1
    mostInASecond = Math.max(mostInASecond, last - first + 1)
  }
  const timesRefreshed: Record<string, number> = {}
  for (const generation of newest.values()) {
    const times = String(generation - 1)
    timesRefreshed[times] = (timesRefreshed[times] ?? 0) + 1
  }
  const firstToLastMs = (arrivals.at(-1) ?? 0) - (arrivals[0] ?? 0)
  return { calls, reuses, limited, mostInASecond, timesRefreshed, firstToLastMs }
}
