/**
 * The port for Prometheus alone: `GET /metrics` and nothing else. It asks nobody who they are, so it is for a network that
 * only the operator's own programs reach; what it says names no workspace and no person.
 *
 * @module
 */
import http from 'node:http'

import type { Metrics } from '@/lib/metrics'

const TIMEOUT_MS = 10_000
const MAX_CONNECTIONS = 32

export interface MetricsServer {
  /** @returns the port it got */
  listen(port: number, host?: string): Promise<number>
  /** Does nothing when it never listened. */
  close(): Promise<void>
}

export function createMetricsServer(metrics: Metrics): MetricsServer {
  const server = http.createServer({ requestTimeout: TIMEOUT_MS, headersTimeout: TIMEOUT_MS }, (request, response) => {
    const end = (status: number, body: string, type = 'text/plain; charset=utf-8') => {
      response.writeHead(status, {
        'content-type': type,
        'content-length': Buffer.byteLength(body),
        'cache-control': 'no-store',
        ...(status === 405 ? { allow: 'GET' } : {}),
      })
      response.end(body)
    }
    request.resume()
    if (request.url !== '/metrics') end(404, 'There is only /metrics here.\n')
    else if (request.method !== 'GET') end(405, 'Only GET.\n')
    else
      metrics.text().then(
        (text) => end(200, text, metrics.contentType),
        () => end(500, 'The metrics could not be read.\n'),
      )
  })
  server.maxConnections = MAX_CONNECTIONS
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
    close: () =>
      new Promise((resolve) => {
        if (server.listening) {
          server.close(() => resolve())
          server.closeAllConnections()
        } else resolve()
      }),
  }
}
