import { z } from 'zod'

import { DEFAULT_INVITATION_DAYS, MAX_INVITATION_DAYS, type Invitations } from '@/lib/identity/invitations'
import { INVITATION_PATH } from '@/lib/identity/invitation-link'

import { time } from '../fields'
import { defineRoute, idParam, type AnyRoute } from '../route'

const role = z.enum(['owner', 'admin', 'member', 'auditor'])
const invitation = z.object({
  id: z.string(),
  email: z.string(),
  role,
  invitedBy: z.string().nullable(),
  createdAt: time,
  expiresAt: time,
  acceptedAt: time.nullable(),
  revokedAt: time.nullable(),
})

export function invitationRoutes({
  invitations,
  publicUrl,
}: {
  readonly invitations: Invitations
  readonly publicUrl: string
}): AnyRoute[] {
  return [
    defineRoute({
      id: 'invitation.list',
      method: 'GET',
      path: '/api/v1/invitations',
      summary: 'Lists who was invited, newest first, at most 500.',
      permission: 'invitation.read',
      response: z.object({ items: z.array(invitation).readonly() }),
      handle: async ({ principal }) => ({ items: await invitations.list(principal) }),
    }),
    defineRoute({
      id: 'invitation.create',
      method: 'POST',
      path: '/api/v1/invitations',
      summary:
        'Invites an address by mail, never into a role above one’s own. The link is in this answer and nowhere else; an open invitation to the same address ends.',
      permission: 'invitation.create',
      stepUp: true,
      body: z.strictObject({
        email: z.string().min(3).max(254),
        role: role.default('member'),
        expiresInDays: z.number().int().min(1).max(MAX_INVITATION_DAYS).default(DEFAULT_INVITATION_DAYS),
      }),
      response: invitation.extend({ url: z.string() }),
      status: 201,
      handle: async ({ principal, body }) => {
        const made = await invitations.create(principal, {
          email: body.email,
          role: body.role,
          days: body.expiresInDays,
        })
        return { ...made.invitation, url: `${publicUrl}${INVITATION_PATH}#${made.secret.reveal()}` }
      },
    }),
    defineRoute({
      id: 'invitation.revoke',
      method: 'DELETE',
      path: '/api/v1/invitations/{invitationId}',
      summary: 'Withdraws an invitation: its links open nothing from now on.',
      permission: 'invitation.revoke',
      params: z.strictObject({ invitationId: idParam('invitation') }),
      handle: async ({ principal, params }) => {
        await invitations.revoke(principal, params.invitationId)
        return undefined
      },
    }),
  ]
}
