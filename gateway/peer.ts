/**
 * Sends a request on to another gateway of this installation and hands its answer through as it comes.
 *
 * The only way a gateway speaks to a gateway. The origin is what that gateway wrote into the table of instances from its
 * own configuration; nothing a client says becomes one. Certificates are checked as anywhere; redirects are answers.
 *
 * @module
 */
import http from 'node:http'
import https from 'node:https'

import type { SendToPeer } from '@/lib/mcp/relay'

const CONNECT_MS = 3_000
/** As long as a call may take, and its wait for a user. */
const ANSWER_MS = 120_000
const HANDED_ON = ['content-type', 'cache-control', 'www-authenticate', 'mcp-session-id', 'retry-after', 'allow']

export function createPeers(): { readonly send: SendToPeer; close(): void } {
  const agents = {
    'http:': new http.Agent({ keepAlive: true, maxSockets: 1_024, maxFreeSockets: 16 }),
    'https:': new https.Agent({ keepAlive: true, maxSockets: 1_024, maxFreeSockets: 16 }),
  }
  return {
    send: (origin, { method, path, headers, body }, response) =>
      new Promise((resolve) => {
        const url = new URL(origin)
        const isTls = url.protocol === 'https:'
        const peer = (isTls ? https : http).request({
          agent: agents[isTls ? 'https:' : 'http:'],
          host: url.hostname,
          port: url.port,
          ...(isTls ? { servername: url.hostname } : {}),
          method,
          path,
          headers: { ...headers, ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }) },
        })
        const noConnection = setTimeout(() => peer.destroy(), CONNECT_MS)
        peer.on('socket', (socket) => {
          if (!socket.connecting) clearTimeout(noConnection)
          else
            socket.once('connect', () => {
              clearTimeout(noConnection)
            })
        })
        // Streams are silent for long; what never begins is given up.
        peer.setTimeout(ANSWER_MS, () => {
          if (!response.headersSent) peer.destroy()
        })
        const onGone = () => peer.destroy()
        response.once('close', onGone)
        peer.on('response', (answer) => {
          for (const name of HANDED_ON) {
            const value = answer.headers[name]
            if (value !== undefined) response.setHeader(name, value)
          }
          response.writeHead(answer.statusCode ?? 502)
          response.flushHeaders()
          answer.pipe(response)
          answer.on('error', () => response.destroy())
          resolve(true)
        })
        peer.on('error', () => {
          clearTimeout(noConnection)
          response.off('close', onGone)
          if (response.headersSent) response.destroy()
          resolve(response.headersSent || response.destroyed)
        })
        peer.end(body)
      }),
    close() {
      agents['http:'].destroy()
      agents['https:'].destroy()
    },
  }
}
