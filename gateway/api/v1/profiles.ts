import { z } from 'zod'

import type { Agents, ProfileView } from '@/lib/tenancy/agents'

import { time } from '../fields'
import { defineRoute, idParam, type AnyRoute } from '../route'

const profile = z.object({
  agentId: z.string(),
  profileVersion: z.number().int(),
  document: z.looseObject({ version: z.number() }),
  createdAt: time,
  createdBy: z.string().nullable(),
})
const params = z.strictObject({ agentId: idParam('agent') })
const path = '/api/v1/agents/{agentId}/profile'

const view = ({ version, ...rest }: ProfileView) => ({ ...rest, profileVersion: version })

export function profileRoutes({ agents }: { readonly agents: Agents }): AnyRoute[] {
  return [
    defineRoute({
      id: 'profile.show',
      method: 'GET',
      path,
      summary: 'Shows the permission profile an agent follows, or an earlier version of it.',
      permission: 'profile.read',
      params,
      query: z.strictObject({ version: z.coerce.number().int().min(1).optional() }),
      response: profile,
      handle: async ({ principal, params, query }) =>
        view(await agents.profile(principal, params.agentId, query.version)),
    }),
    defineRoute({
      id: 'profile.apply',
      method: 'PUT',
      path,
      summary: 'Makes this document the profile of the agent, from its next call on.',
      permission: 'profile.apply',
      params,
      query: z.strictObject({ expectedVersion: z.coerce.number().int().min(1).optional() }),
      body: z.unknown(),
      response: profile,
      maxBodyBytes: 262_144,
      handle: async ({ principal, params, query, body }) =>
        view(await agents.applyProfile(principal, params.agentId, body, query)),
    }),
  ]
}
