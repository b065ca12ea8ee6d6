/**
 * Invitations, from the side of who is invited: they may have no account, so these are steps of signing in. The secret
 * comes in the body; opening the page spends nothing.
 *
 * @module
 */
import type { ServerResponse } from 'node:http'

import { z } from 'zod'

import type { Invitations } from '@/lib/identity/invitations'
import type { People } from '@/lib/identity/people'
import type { WebSession } from '@/lib/identity/sessions'
import type { Ticket, Visitor } from '@/lib/identity/visitor'

import { readJson, sendJson, type GatewayRequest, type RouteHandler } from './http'

const secret = z.string().min(1).max(100)
const linkOnly = z.strictObject({ secret })

export function invitationHandlers(deps: {
  readonly invitations: Invitations
  readonly people: People
  readonly visitorOf: (request: GatewayRequest, response: ServerResponse) => Visitor
  readonly sessionOf: (request: GatewayRequest) => Promise<WebSession | undefined>
  readonly admit: (
    request: GatewayRequest,
    response: ServerResponse,
    ticket: Ticket,
    wanted: string | undefined,
  ) => Promise<void>
  readonly accepted: (response: ServerResponse) => void
}): Readonly<Record<string, RouteHandler>> {
  const { invitations, people, sessionOf } = deps
  return {
    /** What it is about, and who is looking. */
    '/signin/invitation': async (request, response) => {
      const body = await readJson(request, linkOnly)
      const shown = await invitations.inspect(body.secret, request.network)
      const session = await sessionOf(request)
      const viewer = session === undefined ? undefined : await people.find(session.personId)
      sendJson(response, 200, { ...shown, viewer: viewer === undefined ? null : { email: viewer.email } })
    },

    '/signin/invitation/mail': async (request, response) => {
      const body = await readJson(request, linkOnly)
      await invitations.sendMail(body.secret, deps.visitorOf(request, response))
      deps.accepted(response)
    },

    '/signin/invitation/accept': async (request, response) => {
      const body = await readJson(request, linkOnly)
      const session = await sessionOf(request)
      await invitations.accept(body.secret, session, request.network)
      sendJson(response, 200, { next: session === undefined ? '/login?notice=joined' : '/' })
    },

    '/signin/invitation/join': async (request, response) => {
      const body = await readJson(
        request,
        z.strictObject({ secret, name: z.string().min(1).max(320), password: z.string().min(1).max(1_024) }),
      )
      const ticket = await invitations.join(body.secret, body, deps.visitorOf(request, response))
      await deps.admit(request, response, ticket, undefined)
    },
  }
}
