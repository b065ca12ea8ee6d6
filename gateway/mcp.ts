/**
 * Routes `/mcp/{agentId}` and its metadata to the endpoint, and gives it what it remembers and where other gateways are.
 *
 * @module
 */
import { createMcpEndpoint, sendProtectedResource, type McpEndpointDependencies } from '@/lib/mcp/endpoint'
import { createInstances } from '@/lib/mcp/instances'
import type { McpObserver } from '@/lib/mcp/observe'
import { createRelay } from '@/lib/mcp/relay'
import { createMcpState, newInstanceId, type McpState } from '@/lib/mcp/state'
import type { Core } from '@/wiring/core'

import type { RouteFamily } from './http'
import { createPeers } from './peer'

const ENDPOINT = '/mcp/'
const METADATA = '/.well-known/oauth-protected-resource/mcp/'

export function createMcpRoutes(deps: McpEndpointDependencies & { readonly observer?: McpObserver }): RouteFamily {
  const { observer } = deps
  const endpoint = createMcpEndpoint(deps)
  return {
    prefixes: [ENDPOINT, METADATA],
    async handle({ raw, network, signal }, response) {
      const path = (raw.url ?? '').split('?', 1)[0] ?? ''
      if (path.startsWith(METADATA)) {
        const agentId = path.slice(METADATA.length)
        sendProtectedResource(raw, response, { publicUrl: deps.publicUrl, agentId })
        observer?.readMetadata(raw, response, { agentId, network })
        return
      }
      const agentId = path.slice(ENDPOINT.length)
      const trace = observer?.follow(raw, response, { agentId, network })
      await endpoint(raw, response, { agentId, network, signal, ...(trace === undefined ? {} : { trace }) })
    },
  }
}

export interface McpRuntime {
  readonly state: McpState
  /** Other gateways find this one from now on. */
  start(): Promise<void>
  close(): Promise<void>
}

export function createMcpRuntime({ appDb, keys, clock, log, config }: Core): McpRuntime {
  const instanceId = newInstanceId()
  // On one machine everybody reaches everybody.
  const ownUrl = config.publicUrlIsLoopback ? `http://127.0.0.1:${config.port}` : undefined
  const instances = createInstances({ appDb, log, ownId: instanceId, advertiseUrl: config.advertiseUrl ?? ownUrl })
  const peers = createPeers()
  const relay = createRelay({ instances, send: peers.send, publicUrl: config.publicUrl })
  return {
    state: createMcpState({ appDb, keys, clock, log, instanceId, relay }),
    start: () => instances.start(),
    async close() {
      peers.close()
      await instances.close()
    },
  }
}
