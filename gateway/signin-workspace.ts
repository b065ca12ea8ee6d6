/**
 * Taking back a workspace before it is destroyed. Whoever deleted their only one is in none, and so no member of anything:
 * it is asked by session alone, and answered by what the session's person owned.
 *
 * @module
 */
import { z } from 'zod'

import { AppError } from '@/lib/errors'
import { requireOwnSignIn } from '@/lib/identity/entry'
import type { WebSession } from '@/lib/identity/sessions'
import type { Workspaces } from '@/lib/tenancy/workspaces'

import { readJson, sendJson, type GatewayRequest, type RouteHandler } from './http'

export function workspaceHandlers(deps: {
  readonly workspaces: Workspaces
  readonly sessionOf: (request: GatewayRequest) => Promise<WebSession | undefined>
}): Readonly<Record<string, RouteHandler>> {
  return {
    '/signin/workspace/restore': async (request, response) => {
      const body = await readJson(request, z.strictObject({ workspaceId: z.string().max(64) }))
      const session = await deps.sessionOf(request)
      if (session === undefined) throw new AppError('auth.unauthenticated', 'Sign in first.')
      requireOwnSignIn(session)
      const { personId, sessionId: webSessionId } = session
      await deps.workspaces.restore({ personId, webSessionId, network: request.network }, body.workspaceId)
      sendJson(response, 200, { next: '/' })
    },
  }
}
