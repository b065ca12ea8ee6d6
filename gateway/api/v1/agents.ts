import { z } from 'zod'

import type { Agents } from '@/lib/tenancy/agents'

import { time } from '../fields'
import { defineRoute, idParam, type AnyRoute } from '../route'

const agent = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string(),
  mcpUrl: z.string(),
  profileVersion: z.number().int(),
  disabled: z.boolean(),
  createdAt: time,
  createdBy: z.string().nullable(),
  lastUsedAt: time.nullable(),
})
const name = z.string().min(1).max(80)
const description = z.string().max(500)
const params = z.strictObject({ agentId: idParam('agent') })
const path = '/api/v1/agents/{agentId}'

export function agentRoutes({ agents }: { readonly agents: Agents }): AnyRoute[] {
  return [
    defineRoute({
      id: 'agent.list',
      method: 'GET',
      path: '/api/v1/agents',
      summary: 'Lists the agents of the workspace, newest first.',
      permission: 'agent.read',
      response: z.object({ items: z.array(agent) }),
      handle: async ({ principal }) => ({ items: await agents.list(principal) }),
    }),
    defineRoute({
      id: 'agent.create',
      method: 'POST',
      path: '/api/v1/agents',
      summary: 'Makes an agent with its own MCP URL. Without a profile it may call nothing.',
      permission: 'agent.create',
      body: z.strictObject({ name, description: description.optional(), profile: z.unknown().optional() }),
      response: agent,
      status: 201,
      handle: ({ principal, body }) => agents.create(principal, body),
    }),
    defineRoute({
      id: 'agent.show',
      method: 'GET',
      path,
      summary: 'Shows one agent.',
      permission: 'agent.read',
      params,
      response: agent,
      handle: ({ principal, params }) => agents.show(principal, params.agentId),
    }),
    defineRoute({
      id: 'agent.update',
      method: 'PATCH',
      path,
      summary: 'Changes what an agent is called.',
      permission: 'agent.update',
      params,
      body: z.strictObject({ name: name.optional(), description: description.optional() }),
      response: agent,
      handle: ({ principal, params, body }) => agents.update(principal, params.agentId, body),
    }),
    defineRoute({
      id: 'agent.disable',
      method: 'POST',
      path: `${path}/disable`,
      summary: 'Stops an agent: once this is answered, no call of it is permitted.',
      permission: 'agent.disable',
      params,
      response: agent,
      handle: ({ principal, params }) => agents.disable(principal, params.agentId),
    }),
    defineRoute({
      id: 'agent.enable',
      method: 'POST',
      path: `${path}/enable`,
      summary: 'Lets a disabled agent call again.',
      permission: 'agent.disable',
      params,
      response: agent,
      handle: ({ principal, params }) => agents.enable(principal, params.agentId),
    }),
  ]
}
