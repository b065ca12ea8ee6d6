/**
 * Stands before the product and adds a bearer to every request, for a judge that cannot send one. What is addressed to
 * the proxy is addressed to the product; a foreign Host or Origin arrives as it is.
 *
 * @module
 */
import http, { type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface BearerProxy {
  readonly origin: string
  close(): Promise<void>
}

export async function startBearerProxy(target: string, bearer: string): Promise<BearerProxy> {
  const to = new URL(target)
  const server = http.createServer((request, response) => {
    const onward = http.request(
      {
        host: to.hostname,
        port: to.port,
        method: request.method,
        path: request.url,
        headers: { ...translated(request.headers), authorization: `Bearer ${bearer}` },
      },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(response)
      },
    )
    onward.on('error', () => response.destroy())
    response.on('close', () => onward.destroy())
    request.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const own = `localhost:${(server.address() as AddressInfo).port}` // a TCP server has one

  function translated(headers: IncomingHttpHeaders): IncomingHttpHeaders {
    return {
      ...headers,
      ...(headers.host === own ? { host: to.host } : {}),
      ...(headers.origin === `http://${own}` ? { origin: to.origin } : {}),
    }
  }

  return {
    origin: `http://${own}`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
