import { z } from 'zod'

import { AppError } from '@/lib/errors'
import { requireOwnSignIn } from '@/lib/identity/entry'
import { brand } from '@/lib/ids'
import type { Members } from '@/lib/tenancy/members'
import { LIFETIME_BOUNDS, type Tenants } from '@/lib/tenancy/tenants'
import type { Workspaces } from '@/lib/tenancy/workspaces'

import { time } from '../fields'
import { defineRoute, idParam, type AnyRoute } from '../route'

const tenant = z.object({
  id: z.string(),
  name: z.string(),
  slug: z.string(),
  createdAt: time,
  agentsSeeOwnerNames: z.boolean(),
  accessTokenMinutes: z.number(),
  sessionIdleDays: z.number(),
  sessionAbsoluteDays: z.number(),
})
const upTo = (most: number) => z.int().min(1).max(most).optional()
const role = z.enum(['owner', 'admin', 'member', 'auditor'])
const member = z.object({ personId: z.string(), email: z.string(), name: z.string(), role, joinedAt: time })

export function workspaceRoutes({
  tenants,
  members,
  workspaces,
}: {
  readonly tenants: Tenants
  readonly members: Members
  readonly workspaces: Workspaces
}): AnyRoute[] {
  return [
    defineRoute({
      id: 'workspace.show',
      method: 'GET',
      path: '/api/v1/workspace',
      summary: 'Shows the workspace of the caller.',
      permission: 'workspace.read',
      response: tenant,
      handle: ({ principal }) => tenants.load(principal),
    }),
    defineRoute({
      id: 'tenant.list',
      method: 'GET',
      path: '/api/v1/workspaces',
      summary: 'Lists the workspaces this caller may act in: with a key, the one of the key.',
      permission: 'workspace.read',
      response: z.object({ items: z.array(tenant) }),
      handle: async ({ principal }) => ({ items: [await tenants.load(principal)] }),
    }),
    defineRoute({
      id: 'workspace.update',
      method: 'PATCH',
      path: '/api/v1/workspace',
      summary:
        'Changes the name of the workspace, whether its agents are told whom to ask by name, or how long the tokens and sessions of its OAuth clients last at most.',
      permission: 'workspace.update',
      body: z.strictObject({
        name: z.string().min(1).max(80).optional(),
        agentsSeeOwnerNames: z.boolean().optional(),
        accessTokenMinutes: upTo(LIFETIME_BOUNDS.accessTokenMinutes),
        sessionIdleDays: upTo(LIFETIME_BOUNDS.sessionIdleDays),
        sessionAbsoluteDays: upTo(LIFETIME_BOUNDS.sessionAbsoluteDays),
      }),
      response: tenant,
      handle: ({ principal, body }) => tenants.update(principal, body),
    }),
    defineRoute({
      id: 'workspace.create',
      method: 'POST',
      path: '/api/v1/workspaces',
      summary: 'Makes another workspace, of which the person is the owner. Entering it is a step of its own.',
      permission: 'workspace.create',
      personOnly: true,
      body: z.strictObject({ name: z.string().min(1).max(320) }),
      response: z.object({ id: z.string() }),
      status: 201,
      handle: async ({ principal, body }) => {
        if (principal.kind !== 'person') throw new AppError('auth.forbidden', 'Only a signed-in person may do this.')
        requireOwnSignIn(principal)
        return { id: await workspaces.create(principal, body.name) }
      },
    }),
    defineRoute({
      id: 'workspace.delete',
      method: 'DELETE',
      path: '/api/v1/workspace',
      summary:
        'Closes the workspace at once, and destroys it after seven days, until which an owner may take it back. `confirmation` is its name.',
      permission: 'workspace.delete',
      personOnly: true,
      stepUp: true,
      body: z.strictObject({ confirmation: z.string().min(1).max(320) }),
      response: z.object({ id: z.string(), name: z.string(), purgeAt: time }),
      handle: ({ principal, body }) => workspaces.remove(principal, body.confirmation),
    }),
    defineRoute({
      id: 'member.list',
      method: 'GET',
      path: '/api/v1/members',
      summary: 'Lists the people of the workspace and their roles.',
      permission: 'member.read',
      response: z.object({ items: z.array(member).readonly() }),
      handle: async ({ principal }) => ({ items: await members.list(principal) }),
    }),
    defineRoute({
      id: 'member.change_role',
      method: 'PATCH',
      path: '/api/v1/members/{personId}',
      summary: 'Changes a member’s role, never above one’s own.',
      permission: 'member.manage',
      stepUp: true,
      params: z.strictObject({ personId: idParam('person') }),
      body: z.strictObject({ role }),
      response: member,
      handle: ({ principal, params, body }) =>
        members.changeRole(principal, brand<'person'>(params.personId), body.role),
    }),
    defineRoute({
      id: 'member.remove',
      method: 'DELETE',
      path: '/api/v1/members/{personId}',
      summary: 'Ends a membership, and with it the person’s keys and agent sessions here.',
      permission: 'member.read', // leaving is everybody’s right; removing somebody else is checked where it happens
      personOnly: true,
      params: z.strictObject({ personId: idParam('person') }),
      handle: async ({ principal, params }) => {
        await members.remove(principal, brand<'person'>(params.personId))
        return undefined
      },
    }),
  ]
}
