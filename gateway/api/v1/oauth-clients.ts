import { z } from 'zod'

import { PATHS } from '@/lib/oauth-server/metadata'
import type { OauthClients } from '@/lib/oauth-server/clients/clients'

import { time } from '../fields'
import { defineRoute, idParam, type AnyRoute } from '../route'

const client = z.object({
  id: z.string(),
  name: z.string(),
  kind: z.enum(['interactive', 'headless']),
  agentId: z.string().nullable(),
  redirectUris: z.array(z.string()).readonly(),
  authMethod: z.string(),
  hint: z.string().nullable(),
  personId: z.string().nullable(),
  createdAt: time,
  lastUsedAt: time.nullable(),
  expiresAt: time,
  revokedAt: time.nullable(),
})

export function oauthClientRoutes({
  oauthClients,
  publicUrl,
}: {
  readonly oauthClients: OauthClients
  readonly publicUrl: string
}): AnyRoute[] {
  return [
    defineRoute({
      id: 'client.create',
      method: 'POST',
      path: '/api/v1/oauth-clients',
      summary:
        'Makes an OAuth client: with redirect URIs for an application that people sign in with, or with an agent for a headless one (client credentials). The secret is in this answer and nowhere else.',
      permission: 'session.issue',
      body: z.strictObject({
        name: z.string().min(1).max(80),
        redirectUris: z.array(z.string().max(2_048)).min(1).max(10).optional(),
        agentId: idParam('agent').optional(),
        authMethod: z.enum(['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt']).optional(),
        jwks: z.object({ keys: z.array(z.record(z.string(), z.unknown())).min(1).max(10) }).optional(),
      }),
      response: client.extend({ clientSecret: z.string().nullable(), tokenEndpoint: z.string() }),
      status: 201,
      handle: async ({ principal, body }) => {
        const { secret, ...made } = await oauthClients.create(principal, body)
        return { ...made, clientSecret: secret?.reveal() ?? null, tokenEndpoint: publicUrl + PATHS.token }
      },
    }),
    defineRoute({
      id: 'client.list',
      method: 'GET',
      path: '/api/v1/oauth-clients',
      summary: 'Lists the OAuth clients of the workspace, live ones first.',
      permission: 'session.read',
      response: z.object({ items: z.array(client) }),
      handle: async ({ principal }) => ({ items: await oauthClients.list(principal) }),
    }),
    defineRoute({
      id: 'client.revoke',
      method: 'DELETE',
      path: '/api/v1/oauth-clients/{clientId}',
      summary: 'Ends a client and every session it has.',
      permission: 'session.revoke',
      params: z.strictObject({ clientId: idParam('oauthClient') }),
      response: client,
      handle: ({ principal, params }) => oauthClients.revoke(principal, params.clientId),
    }),
  ]
}
