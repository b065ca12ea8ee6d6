import { z } from 'zod'

import { AppError, notFound } from '@/lib/errors'
import type { Authenticator } from '@/lib/identity/authenticate'
import type { Credentials } from '@/lib/identity/credentials'
import { requireOwnSignIn } from '@/lib/identity/entry'
import type { People } from '@/lib/identity/people'
import type { PersonalDataReader } from '@/lib/identity/personal-data'
import type { WebSession, WebSessions } from '@/lib/identity/sessions'
import type { MemberPrincipal } from '@/lib/tenancy/principal'

import { time } from '../fields'
import { defineRoute, idParam, type AnyRoute } from '../route'

const account = z.object({
  id: z.string(),
  email: z.string(),
  name: z.string(),
  isEmailVerified: z.boolean(),
  hasPassword: z.boolean(),
  workspaceId: z.string(),
  role: z.enum(['owner', 'admin', 'member', 'auditor']),
})
const browserSession = z.object({
  id: z.string(),
  method: z.string(),
  network: z.string(),
  userAgent: z.string(),
  createdAt: time,
  lastUsedAt: time,
  expiresAt: time,
  isCurrent: z.boolean(),
})
const proof = z.string().max(1_024).optional()

/** A person's own affairs. Every route is for a signed-in person: an API key can neither read nor change them. */
export function accountRoutes(deps: {
  readonly people: People
  readonly personCredentials: Credentials
  readonly sessions: WebSessions
  readonly authenticator: Authenticator
  readonly personalData: PersonalDataReader
}): AnyRoute[] {
  const { people, personCredentials: credentials, sessions, authenticator, personalData } = deps
  const own = { permission: 'workspace.read', personOnly: true } as const

  return [
    defineRoute({
      ...own,
      id: 'account.show',
      method: 'GET',
      path: '/api/v1/account',
      summary: 'Shows the signed-in person.',
      response: account,
      handle: async ({ principal }) => {
        const session = sessionOf(principal)
        const person = await people.find(session.personId)
        if (person === undefined) throw notFound()
        return { ...person, workspaceId: principal.tenantId, role: principal.role }
      },
    }),
    defineRoute({
      ...own,
      id: 'account.update',
      method: 'PATCH',
      path: '/api/v1/account',
      summary: 'Changes the person’s name.',
      body: z.strictObject({ name: z.string().min(1).max(320) }),
      handle: async ({ principal, body }) => {
        const { personId, sessionId } = sessionOf(principal)
        await people.rename({ personId, webSessionId: sessionId, network: principal.network }, body.name)
        return undefined
      },
    }),
    defineRoute({
      ...own,
      id: 'account.change_password',
      method: 'POST',
      path: '/api/v1/account/password',
      summary: 'Changes the password, and ends the person’s other sessions and those of their agents.',
      body: z.strictObject({ currentPassword: proof, newPassword: z.string().min(1).max(1_024) }),
      handle: async ({ principal, body }) => {
        const session = sessionOf(principal)
        requireOwnSignIn(session)
        await credentials.changePassword(session, body.currentPassword, body.newPassword, principal.network)
        return undefined
      },
    }),
    defineRoute({
      ...own,
      id: 'account.change_email',
      method: 'POST',
      path: '/api/v1/account/email',
      summary: 'Sends a link to a new address. The address changes when that link is used.',
      body: z.strictObject({ email: z.string().min(3).max(254), currentPassword: proof }),
      handle: async ({ principal, body }) => {
        const session = sessionOf(principal)
        requireOwnSignIn(session)
        await credentials.askToChangeEmail(session, body.currentPassword, body.email, principal.network)
        return undefined
      },
    }),
    defineRoute({
      ...own,
      id: 'account.verify_email',
      method: 'POST',
      path: '/api/v1/account/email/verification',
      summary: 'Sends a link that verifies the present address.',
      body: z.strictObject({}),
      handle: async ({ principal }) => {
        await credentials.askToVerifyEmail(sessionOf(principal), principal.network)
        return undefined
      },
    }),
    defineRoute({
      ...own,
      stepUp: true,
      id: 'account.export',
      method: 'POST',
      path: '/api/v1/account/export',
      summary: 'Gives the person a copy of what is stored about them. Recorded in each workspace it covers.',
      body: z.strictObject({}),
      response: z.object({
        format: z.string(),
        generatedAt: time,
        person: z.record(z.string(), z.unknown()),
        signedIn: z.array(z.unknown()).readonly(),
        linkedSignIns: z.array(z.unknown()).readonly(),
        mails: z.array(z.unknown()).readonly(),
        workspaces: z.array(z.record(z.string(), z.unknown())).readonly(),
      }),
      handle: ({ principal }) => {
        const session = sessionOf(principal)
        requireOwnSignIn(session)
        const { personId, sessionId: webSessionId } = session
        return personalData.take({ personId, webSessionId, network: principal.network })
      },
    }),
    defineRoute({
      ...own,
      id: 'account.list_sessions',
      method: 'GET',
      path: '/api/v1/account/sessions',
      summary: 'Lists where the person is signed in.',
      response: z.object({ items: z.array(browserSession) }),
      handle: async ({ principal }) => {
        const session = sessionOf(principal)
        const items = await sessions.list(session.personId)
        return { items: items.map((one) => ({ ...one, isCurrent: one.id === session.sessionId })) }
      },
    }),
    defineRoute({
      ...own,
      id: 'account.end_session',
      method: 'DELETE',
      path: '/api/v1/account/sessions/{sessionId}',
      summary: 'Ends one of the person’s web sessions at its next request.',
      params: z.strictObject({ sessionId: idParam('webSession') }),
      handle: async ({ principal, params }) => {
        if (!(await credentials.endSession(sessionOf(principal), params.sessionId, principal.network))) throw notFound()
        return undefined
      },
    }),
    defineRoute({
      ...own,
      id: 'account.end_other_sessions',
      method: 'POST',
      path: '/api/v1/account/sessions/end-others',
      summary: 'Ends every web session of the person but this one.',
      body: z.strictObject({}),
      response: z.object({ ended: z.number().int() }),
      handle: async ({ principal }) => ({
        ended: await credentials.endOtherSessions(sessionOf(principal), principal.network),
      }),
    }),
    defineRoute({
      ...own,
      id: 'account.choose_workspace',
      method: 'PUT',
      path: '/api/v1/account/workspace',
      summary: 'Makes this web session act in another workspace of the person.',
      body: z.strictObject({ workspaceId: idParam('tenant') }),
      handle: async ({ principal, body }) => {
        const session = sessionOf(principal)
        if (!(await authenticator.chooseTenant(session, body.workspaceId, principal.network))) throw notFound()
        return undefined
      },
    }),
  ]
}

function sessionOf(principal: MemberPrincipal): WebSession {
  if (principal.kind !== 'person') throw new AppError('auth.forbidden', 'Only a signed-in person may do this.')
  return {
    sessionId: principal.webSessionId,
    personId: principal.personId,
    tenantId: principal.tenantId,
    authenticatedAt: principal.authenticatedAt,
    ...(principal.onlyTenantId == null ? {} : { onlyTenantId: principal.onlyTenantId }),
  }
}
