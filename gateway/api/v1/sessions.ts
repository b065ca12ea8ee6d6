import { z } from 'zod'

import type { AgentSessions } from '@/lib/tenancy/agent-sessions'
import { mcpUrlOf } from '@/lib/tenancy/agents'

import { time } from '../fields'
import { defineRoute, idParam, type AnyRoute } from '../route'

const session = z.object({
  id: z.string(),
  agentId: z.string(),
  kind: z.enum(['key', 'oauth']),
  label: z.string(),
  hint: z.string(),
  personId: z.string().nullable(),
  actsFor: z.enum(['person', 'workspace']),
  scopes: z.array(z.string()).readonly(),
  createdAt: time,
  expiresAt: time,
  lastUsedAt: time.nullable(),
  endedAt: time.nullable(),
  endedReason: z.string().nullable(),
  clientName: z.string().nullable(),
  clientHost: z.string().nullable(),
  lastClient: z.string().nullable(),
  lastNetwork: z.string().nullable(),
})
/** Ids of calls that had been permitted; each ends within seconds, and its record says how. */
const callsUnderWay = z.array(z.string()).readonly()
const revoked = z.object({ sessions: z.array(session).readonly(), callsUnderWay })

const DAY_SECONDS = 86_400

export function sessionRoutes({
  agentSessions,
  publicUrl,
}: {
  readonly agentSessions: AgentSessions
  readonly publicUrl: string
}): AnyRoute[] {
  return [
    defineRoute({
      id: 'session.issue',
      method: 'POST',
      path: '/api/v1/agents/{agentId}/sessions',
      summary: 'Issues a session key for an agent. The key is in this answer and nowhere else.',
      permission: 'session.issue',
      stepUp: true,
      params: z.strictObject({ agentId: idParam('agent') }),
      body: z.strictObject({
        label: z.string().max(80).optional(),
        expiresInDays: z.number().int().min(1).max(365).default(90),
      }),
      response: session.extend({ sessionKey: z.string(), mcpUrl: z.string() }),
      status: 201,
      handle: async ({ principal, params, body }) => {
        const issued = await agentSessions.issue(principal, params.agentId, {
          label: body.label,
          expiresInSeconds: body.expiresInDays * DAY_SECONDS,
        })
        return { ...issued, sessionKey: issued.sessionKey.reveal(), mcpUrl: mcpUrlOf(publicUrl, issued.agentId) }
      },
    }),
    defineRoute({
      id: 'session.list',
      method: 'GET',
      path: '/api/v1/sessions',
      summary: 'Lists agent sessions, live ones first.',
      permission: 'session.read',
      query: z.strictObject({ agentId: idParam('agent').optional() }),
      response: z.object({ items: z.array(session) }),
      handle: async ({ principal, query }) => ({ items: await agentSessions.list(principal, query.agentId) }),
    }),
    defineRoute({
      id: 'session.revoke',
      method: 'DELETE',
      path: '/api/v1/sessions/{sessionId}',
      summary:
        'Ends a session: once this is answered, no call of it is permitted. Those under way are listed and end within seconds.',
      permission: 'session.revoke',
      params: z.strictObject({ sessionId: idParam('agentSession') }),
      response: session.extend({ callsUnderWay }),
      handle: ({ principal, params }) => agentSessions.revoke(principal, params.sessionId),
    }),
    defineRoute({
      id: 'session.revoke_agent',
      method: 'POST',
      path: '/api/v1/agents/{agentId}/sessions/revoke',
      summary: 'Ends all sessions of an agent, keys and sign-ins alike.',
      permission: 'session.revoke',
      params: z.strictObject({ agentId: idParam('agent') }),
      response: revoked,
      handle: ({ principal, params }) => agentSessions.revokeAll(principal, params),
    }),
    defineRoute({
      id: 'session.revoke_person',
      method: 'POST',
      path: '/api/v1/members/{personId}/sessions/revoke',
      summary: 'Ends all agent sessions that act for a member of this workspace.',
      permission: 'session.revoke',
      params: z.strictObject({ personId: idParam('person') }),
      response: revoked,
      handle: ({ principal, params }) => agentSessions.revokeAll(principal, params),
    }),
  ]
}
