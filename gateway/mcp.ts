/**
 * Routes `/mcp/{agentId}` and its metadata to the endpoint.
 *
 * @module
 */
import { createMcpEndpoint, sendProtectedResource, type McpEndpointDependencies } from '@/lib/mcp/endpoint'

import type { RouteFamily } from './http'

const ENDPOINT = '/mcp/'
const METADATA = '/.well-known/oauth-protected-resource/mcp/'

export function createMcpRoutes(deps: McpEndpointDependencies): RouteFamily {
  const endpoint = createMcpEndpoint(deps)
  return {
    prefixes: [ENDPOINT, METADATA],
    async handle({ raw, network, signal }, response) {
      const path = (raw.url ?? '').split('?', 1)[0] ?? ''
      if (path.startsWith(METADATA)) {
        sendProtectedResource(raw, response, { publicUrl: deps.publicUrl, agentId: path.slice(METADATA.length) })
        return
      }
      await endpoint(raw, response, { agentId: path.slice(ENDPOINT.length), network, signal })
    },
  }
}
