import { z } from 'zod'

import type { Check } from '@/lib/connections/check'
import type { Connections } from '@/lib/connections/connections'
import { AppError, notFound } from '@/lib/errors'
import type { Providers } from '@/lib/providers/client'

import { time } from '../fields'
import { defineRoute, idParam, type AnyRoute } from '../route'

const connection = z.object({
  id: z.string(),
  provider: z.string(),
  providerName: z.string(),
  account: z.string(),
  email: z.string().nullable(),
  ownerPersonId: z.string().nullable(),
  isOwn: z.boolean(),
  sharing: z.enum(['personal', 'workspace']),
  access: z.enum(['allowed', 'blocked']),
  state: z.string(),
  stateReason: z.string().nullable(),
  stateAt: time,
  requestedScopes: z.array(z.string()).readonly(),
  grantedScopes: z.array(z.string()).readonly(),
  missingScopes: z.array(z.string()).readonly(),
  sandbox: z.boolean(),
  createdAt: time,
  authorizedAt: time.nullable(),
  lastUsedAt: time.nullable(),
  accessExpiresAt: time.nullable(),
  refreshExpiresAt: time.nullable(),
  nextRefreshAt: time.nullable(),
  lastRefreshAt: time.nullable(),
  lastErrorCode: z.string().nullable(),
  lastErrorAt: time.nullable(),
  refreshTokenPresent: z.boolean().nullable(),
  failures: z.int(),
  traps: z
    .array(
      z.object({
        code: z.string(),
        severity: z.enum(['danger', 'warning', 'info']),
        title: z.string(),
        words: z.string(),
        advice: z.string().nullable(),
        action: z.enum(['reconnect', 'none']),
        at: time.nullable(),
      }),
    )
    .readonly(),
})
const checkResult = z.object({
  ok: z.boolean(),
  account: z.string(),
  latencyMs: z.int().nullable(),
  refreshed: z.boolean(),
  failure: z
    .object({ code: z.string(), words: z.string(), action: z.enum(['reconnect', 'wait', 'operator']) })
    .nullable(),
})
const params = z.strictObject({ connectionId: idParam('connection') })
const path = '/api/v1/connections/{connectionId}'

export function connectionRoutes(deps: {
  readonly connections: Pick<Connections, 'list' | 'show' | 'disconnect' | 'restore' | 'share'>
  readonly check: Check
  readonly providers: Pick<Providers, 'list'>
  readonly publicUrl: string
}): AnyRoute[] {
  const { connections, check, providers, publicUrl } = deps
  return [
    defineRoute({
      id: 'connection.list',
      method: 'GET',
      path: '/api/v1/connections',
      summary:
        "Lists connections, newest first: one's own and those that are shared, and everybody's for owners, admins and auditors.",
      permission: 'connection.read',
      response: z.object({ items: z.array(connection) }),
      handle: async ({ principal }) => ({ items: await connections.list(principal) }),
    }),
    defineRoute({
      id: 'connection.start',
      method: 'POST',
      path: '/api/v1/connections',
      summary: 'Says which page a signed-in person opens to connect an account. Consent needs a browser.',
      permission: 'connection.connect',
      body: z.strictObject({ provider: z.string().max(64), connectionId: idParam('connection').optional() }),
      response: z.object({ connectUrl: z.string(), provider: z.string() }),
      handle: async ({ principal, body }) => {
        const provider = providers.list().find(({ name }) => name === body.provider)
        if (provider === undefined) throw notFound()
        if (!provider.configured)
          throw new AppError('provider.misconfigured', `No ${provider.displayName} app is set up here.`)
        const url = new URL('/connections/new', publicUrl)
        url.searchParams.set('provider', provider.name)
        if (body.connectionId !== undefined) {
          const existing = await connections.show(principal, body.connectionId)
          if (existing.provider !== provider.name) throw notFound()
          url.searchParams.set('connection', existing.id)
        }
        return { connectUrl: url.href, provider: provider.name }
      },
    }),
    defineRoute({
      id: 'connection.show',
      method: 'GET',
      path,
      summary: 'Shows one connection.',
      permission: 'connection.read',
      params,
      response: connection,
      handle: ({ principal, params }) => connections.show(principal, params.connectionId),
    }),
    defineRoute({
      id: 'connection.share',
      method: 'PATCH',
      path,
      summary:
        'Shares a connection with the agents of everybody in the workspace, or takes that back. Its owner’s to do; owners and admins of the workspace may take it back too.',
      permission: 'connection.share',
      params,
      body: z.strictObject({ sharing: z.enum(['workspace', 'personal']) }),
      response: connection,
      handle: async ({ principal, params, body }) => {
        await connections.share(principal, params.connectionId, body.sharing)
        return connections.show(principal, params.connectionId)
      },
    }),
    defineRoute({
      id: 'connection.test',
      method: 'POST',
      path: `${path}/test`,
      summary:
        'Tests a connection now: renews its access if that is due, and asks the provider whose it is. A refusal is an answer, not an error.',
      permission: 'connection.test',
      params,
      body: z.strictObject({}),
      response: checkResult,
      handle: ({ principal, params }) => check(principal, params.connectionId),
    }),
    defineRoute({
      id: 'connection.restore',
      method: 'POST',
      path: `${path}/restore`,
      summary:
        'Takes a revocation back within seven days: of a connection that ended because its provider refused it three times for no documented reason.',
      permission: 'connection.restore',
      params,
      body: z.strictObject({}),
      response: z.object({ state: z.string() }),
      handle: ({ principal, params }) => connections.restore(principal, params.connectionId),
    }),
    defineRoute({
      id: 'connection.disconnect',
      method: 'DELETE',
      path,
      summary:
        'Ends a connection: once this is answered, no call of it is permitted. `provider` says what happens to the access there.',
      permission: 'connection.disconnect',
      params,
      response: z.object({ provider: z.enum(['queued', 'shared', 'none', 'later']) }),
      handle: ({ principal, params }) => connections.disconnect(principal, params.connectionId),
    }),
  ]
}
