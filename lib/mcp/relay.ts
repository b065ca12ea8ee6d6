/**
 * Passes a request of a session on to the gateway that holds it, so that no balancer has to.
 *
 * The client's own request is repeated there, bearer and all, and the other gateway authenticates it anew: nothing is
 * believed because it came from here. One hop: what was passed on already is not passed on again. A gateway that does not
 * answer is taken for gone.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

/** Where the gateways of this installation are. */
export interface Instances {
  readonly ownId: string
  /** @returns the origin of a gateway that was alive moments ago and can be reached */
  originOf(instanceId: string): Promise<string | undefined>
}

/** Sends the request to another gateway. Resolves once the answer is under way or it is known that none comes. */
export type SendToPeer = (
  origin: string,
  request: {
    readonly method: string
    readonly path: string
    readonly headers: Readonly<Record<string, string>>
    readonly body: string | undefined
  },
  response: ServerResponse,
) => Promise<boolean>

export type Relay = (
  request: IncomingMessage,
  response: ServerResponse,
  instanceId: string,
  body: unknown,
) => Promise<boolean>

/** Marks a request that was passed on. Anybody may send it; then a session that is elsewhere is simply not found. */
const RELAYED = 'x-portcullis-relayed'
const PASSED = [
  'authorization',
  'accept',
  'content-type',
  'origin',
  'user-agent',
  'last-event-id',
  'mcp-session-id',
  'mcp-protocol-version',
  'mcp-method',
  'mcp-name',
]

export function createRelay(deps: {
  readonly instances: Instances
  readonly send: SendToPeer
  readonly publicUrl: string
}): Relay {
  const host = new URL(deps.publicUrl).host
  return async (request, response, instanceId, body) => {
    if (request.headers[RELAYED] !== undefined) return false
    const origin = await deps.instances.originOf(instanceId)
    if (origin === undefined) return false
    const headers: Record<string, string> = { host, [RELAYED]: deps.instances.ownId }
    for (const name of PASSED) {
      const value = request.headers[name]
      if (typeof value === 'string') headers[name] = value
    }
    return deps.send(
      origin,
      {
        method: request.method ?? 'POST',
        path: request.url ?? '/',
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
      },
      response,
    )
  }
}
