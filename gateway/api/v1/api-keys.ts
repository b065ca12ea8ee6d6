import { z } from 'zod'

import type { ApiKeys } from '@/lib/identity/api-keys'

import { time } from '../fields'
import { defineRoute, idParam, type AnyRoute } from '../route'

const apiKey = z.object({
  id: z.string(),
  personId: z.string(),
  name: z.string(),
  role: z.enum(['owner', 'admin', 'member', 'auditor']),
  scopes: z.array(z.string()).readonly().nullable(),
  ipRanges: z.array(z.string()).readonly(),
  prefix: z.string(),
  createdAt: time,
  expiresAt: time,
  lastUsedAt: time.nullable(),
  revokedAt: time.nullable(),
  revokedReason: z.string().nullable(),
})

export function apiKeyRoutes({ apiKeys }: { readonly apiKeys: ApiKeys }): AnyRoute[] {
  return [
    defineRoute({
      id: 'api_key.list',
      method: 'GET',
      path: '/api/v1/api-keys',
      summary: 'Lists API keys: one’s own, or everybody’s for those who manage members.',
      permission: 'api_key.read',
      response: z.object({ items: z.array(apiKey).readonly() }),
      handle: async ({ principal }) => ({ items: await apiKeys.list(principal) }),
    }),
    defineRoute({
      id: 'api_key.create',
      method: 'POST',
      path: '/api/v1/api-keys',
      summary: 'Makes an API key. It is in this answer and nowhere else.',
      permission: 'api_key.create',
      stepUp: true,
      personOnly: true, // a key that could make keys would outlive its own revocation
      body: z.strictObject({
        name: z.string().min(1).max(80),
        role: z.enum(['owner', 'admin', 'member', 'auditor']).default('member'),
        expiresInDays: z.number().int().min(1).max(365).default(90),
        /** Names of permissions; absent: everything that the role may do. */
        scopes: z.array(z.string().max(64)).min(1).max(100).optional(),
        /** CIDR ranges; absent: from everywhere. */
        ipRanges: z.array(z.string().max(64)).max(20).optional(),
      }),
      response: apiKey.extend({ apiKey: z.string() }),
      status: 201,
      handle: async ({ principal, body }) => {
        const { key, secret } = await apiKeys.create(principal, {
          name: body.name,
          role: body.role,
          days: body.expiresInDays,
          scopes: body.scopes,
          ipRanges: body.ipRanges,
        })
        return { ...key, apiKey: secret.reveal() }
      },
    }),
    defineRoute({
      id: 'api_key.revoke',
      method: 'DELETE',
      path: '/api/v1/api-keys/{apiKeyId}',
      summary: 'Ends an API key at once.',
      permission: 'api_key.revoke',
      params: z.strictObject({ apiKeyId: idParam('apiKey') }),
      handle: async ({ principal, params }) => {
        await apiKeys.revoke(principal, params.apiKeyId)
        return undefined
      },
    }),
  ]
}
