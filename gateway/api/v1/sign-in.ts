import { z } from 'zod'

import { AppError } from '@/lib/errors'
import type { WebSession } from '@/lib/identity/sessions'
import type { SignInConfigs } from '@/lib/sso/config'
import type { SignInDomains } from '@/lib/sso/domains'
import type { SocialSignIn } from '@/lib/sso/social'
import type { MemberPrincipal } from '@/lib/tenancy/principal'

import { time } from '../fields'
import { defineRoute, idParam, type AnyRoute } from '../route'

const joinRole = z.enum(['admin', 'member', 'auditor']).nullable()
const config = z.object({
  id: z.string(),
  issuer: z.string(),
  clientId: z.string(),
  redirectUri: z.string(),
  signInUrl: z.string(),
  joinRole,
  isEnforced: z.boolean(),
  signedInAt: time.nullable(),
  updatedAt: time,
})
const domain = z.object({
  domain: z.string(),
  recordName: z.string(),
  recordValue: z.string(),
  verifiedAt: time.nullable(),
  checkedAt: time.nullable(),
  missingSince: time.nullable(),
})
const link = z.object({
  id: z.string(),
  personId: z.string(),
  name: z.string(),
  email: z.string(),
  label: z.string(),
  lastUsedAt: time,
})
const own = z.object({
  id: z.string(),
  provider: z.enum(['oidc', 'google', 'github']),
  workspaceId: z.string().nullable(),
  issuer: z.string(),
  label: z.string(),
  createdAt: time,
  lastUsedAt: time,
})
const domainName = z.strictObject({ domain: z.string().min(1).max(253) })

/** How the people of a workspace sign in, and how a person does elsewhere. Whoever changes it is there and proved it just now. */
export function signInRoutes(deps: {
  readonly signInConfigs: SignInConfigs
  readonly signInDomains: SignInDomains
  readonly social: SocialSignIn
}): AnyRoute[] {
  const { signInConfigs: configs, signInDomains: domains, social } = deps
  const read = { permission: 'sign_in.manage', personOnly: true } as const
  const write = { ...read, stepUp: true } as const

  return [
    defineRoute({
      ...read,
      id: 'sign_in.show',
      method: 'GET',
      path: '/api/v1/sign-in',
      summary: 'Shows the workspace’s single sign-on, its domains, and who is linked. Never the client secret.',
      response: z.object({ config: config.nullable(), domains: z.array(domain), links: z.array(link) }),
      handle: async ({ principal }) => ({
        config: (await configs.find(principal)) ?? null,
        domains: [...(await domains.list(principal))],
        links: [...(await configs.links(principal))],
      }),
    }),
    defineRoute({
      ...write,
      id: 'sign_in.save',
      method: 'PUT',
      path: '/api/v1/sign-in',
      summary: 'Sets the workspace’s OpenID Connect issuer. Without a client secret the stored one stays.',
      body: z.strictObject({
        issuer: z.string().min(1).max(500),
        clientId: z.string().min(1).max(300),
        clientSecret: z.string().min(1).max(1_000).optional(),
        joinRole,
      }),
      response: config,
      handle: ({ principal, body }) => configs.save(principal, body),
    }),
    defineRoute({
      ...write,
      id: 'sign_in.remove',
      method: 'DELETE',
      path: '/api/v1/sign-in',
      summary: 'Removes single sign-on, and ends every web session that came through it.',
      handle: async ({ principal }) => {
        await configs.remove(principal)
        return undefined
      },
    }),
    defineRoute({
      ...write,
      id: 'sign_in.enforce',
      method: 'PUT',
      path: '/api/v1/sign-in/enforcement',
      summary: 'Makes single sign-on the only way in for the people of the workspace’s domains, or no longer.',
      body: z.strictObject({ isEnforced: z.boolean() }),
      response: config,
      handle: ({ principal, body }) => configs.enforce(principal, body.isEnforced),
    }),
    defineRoute({
      ...read,
      id: 'sign_in.check',
      method: 'POST',
      path: '/api/v1/sign-in/check',
      summary: 'Tries what is set, step by step, and says what is wrong.',
      body: z.strictObject({}),
      response: z.object({
        ok: z.boolean(),
        steps: z.array(
          z.object({
            name: z.enum(['discovery', 'keys', 'client', 'domain']),
            problem: z.string().nullable(),
            detail: z.string().nullable(),
          }),
        ),
      }),
      handle: async ({ principal }) => {
        const { ok, steps } = await configs.check(principal)
        return { ok, steps: [...steps] }
      },
    }),
    defineRoute({
      ...write,
      id: 'sign_in.add_domain',
      method: 'POST',
      path: '/api/v1/sign-in/domains',
      summary: 'Names a domain; the answer holds the TXT record that proves it.',
      body: domainName,
      response: domain,
      status: 201,
      handle: ({ principal, body }) => domains.add(principal, body.domain),
    }),
    defineRoute({
      ...write,
      id: 'sign_in.verify_domain',
      method: 'POST',
      path: '/api/v1/sign-in/domains/verify',
      summary: 'Looks for the TXT record now.',
      body: domainName,
      response: z.object({
        result: z.enum(['verified', 'record_missing', 'record_other', 'no_answer', 'taken']),
        domain,
      }),
      handle: ({ principal, body }) => domains.verify(principal, body.domain),
    }),
    defineRoute({
      ...write,
      id: 'sign_in.remove_domain',
      method: 'POST',
      path: '/api/v1/sign-in/domains/remove',
      summary: 'Gives a domain up.',
      body: domainName,
      handle: async ({ principal, body }) => {
        await domains.remove(principal, body.domain)
        return undefined
      },
    }),
    defineRoute({
      ...write,
      id: 'sign_in.unlink',
      method: 'DELETE',
      path: '/api/v1/sign-in/links/{personId}',
      summary: 'Forgets who a member is at the issuer; they can link again.',
      params: z.strictObject({ personId: idParam('person') }),
      handle: async ({ principal, params }) => {
        await configs.unlink(principal, params.personId)
        return undefined
      },
    }),
    defineRoute({
      permission: 'workspace.read',
      personOnly: true,
      id: 'account.list_sign_ins',
      method: 'GET',
      path: '/api/v1/account/sign-ins',
      summary: 'Lists where else the person signs in, and where they could.',
      response: z.object({
        items: z.array(own),
        available: z.array(z.object({ name: z.enum(['google', 'github']), displayName: z.string() })),
        /** Of the workspace the person is in, where it has single sign-on. */
        workspace: z.string().nullable(),
      }),
      handle: async ({ principal }) => {
        const links = await social.links(sessionOf(principal).personId)
        return {
          items: links.map(({ tenantId, ...one }) => ({ ...one, workspaceId: tenantId })),
          available: [...social.available],
          workspace: (await configs.slugOf(principal)) ?? null,
        }
      },
    }),
    defineRoute({
      permission: 'workspace.read',
      personOnly: true,
      stepUp: true,
      id: 'account.unlink_sign_in',
      method: 'DELETE',
      path: '/api/v1/account/sign-ins/{linkId}',
      summary: 'Unlinks one, and ends the sessions that came that way.',
      params: z.strictObject({ linkId: idParam('personIdentity') }),
      handle: async ({ principal, params }) => {
        await social.unlink(sessionOf(principal), params.linkId, principal.network)
        return undefined
      },
    }),
  ]
}

function sessionOf(principal: MemberPrincipal): WebSession {
  if (principal.kind !== 'person') throw new AppError('auth.forbidden', 'Only a signed-in person may do this.')
  const { webSessionId: sessionId, personId, tenantId, authenticatedAt, onlyTenantId = null } = principal
  return { sessionId, personId, tenantId, authenticatedAt, onlyTenantId }
}
