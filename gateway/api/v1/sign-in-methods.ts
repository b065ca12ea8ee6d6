import { z } from 'zod'

import { AppError } from '@/lib/errors'
import type { SignInMethods } from '@/lib/identity/sign-in-methods'
import { requireOwnSignIn } from '@/lib/identity/entry'
import type { WebSession } from '@/lib/identity/sessions'
import type { MemberPrincipal } from '@/lib/tenancy/principal'

import { attestation } from '../../signin-proofs'
import { time } from '../fields'
import { defineRoute, idParam, type AnyRoute } from '../route'

const passkey = z.object({
  id: z.string(),
  name: z.string(),
  isSynced: z.boolean(),
  createdAt: time,
  lastUsedAt: time.nullable(),
})
/** Shown once; null where there are some already. */
const newCodes = z.array(z.string()).readonly().nullable()

/** How a person signs in. For a signed-in person alone; whatever adds or takes away asks for a fresh proof first. */
export function signInMethodRoutes({ signInMethods }: { readonly signInMethods: SignInMethods }): AnyRoute[] {
  const own = { permission: 'workspace.read', personOnly: true } as const
  const change = { ...own, stepUp: true } as const

  return [
    defineRoute({
      ...own,
      id: 'account.list_sign_in_methods',
      method: 'GET',
      path: '/api/v1/account/sign-in-methods',
      summary:
        'Lists the person’s passkeys, whether there is an authenticator app, and how many recovery codes are left.',
      response: z.object({
        hasPassword: z.boolean(),
        totpSince: time.nullable(),
        passkeys: z.array(passkey).readonly(),
        recoveryCodesLeft: z.number().int(),
      }),
      handle: ({ principal }) => signInMethods.list(sessionOf(principal)),
    }),
    defineRoute({
      ...change,
      id: 'account.begin_totp',
      method: 'POST',
      path: '/api/v1/account/totp',
      summary:
        'Makes the secret of an authenticator app. It is in this answer and nowhere else, and counts once confirmed.',
      body: z.strictObject({}),
      response: z.object({ secret: z.string(), uri: z.string(), qr: z.array(z.string()).readonly() }),
      handle: async ({ principal }) => {
        const { secret, uri, qr } = await signInMethods.beginTotp(ownSessionOf(principal))
        return { secret: secret.reveal(), uri: uri.reveal(), qr: qr.reveal() }
      },
    }),
    defineRoute({
      ...change,
      id: 'account.confirm_totp',
      method: 'POST',
      path: '/api/v1/account/totp/confirmation',
      summary: 'Takes the first code of the authenticator app, which counts from then on.',
      body: z.strictObject({ code: z.string().min(1).max(40) }),
      response: z.object({ recoveryCodes: newCodes }),
      handle: async ({ principal, body }) => {
        const codes = await signInMethods.confirmTotp(ownSessionOf(principal), body.code, principal.network)
        return { recoveryCodes: codes?.reveal() ?? null }
      },
    }),
    defineRoute({
      ...change,
      id: 'account.remove_totp',
      method: 'DELETE',
      path: '/api/v1/account/totp',
      summary: 'Removes the authenticator app.',
      handle: async ({ principal }) => {
        await signInMethods.removeTotp(ownSessionOf(principal), principal.network)
        return undefined
      },
    }),
    defineRoute({
      ...change,
      id: 'account.make_recovery_codes',
      method: 'POST',
      path: '/api/v1/account/recovery-codes',
      summary: 'Makes new recovery codes. They are in this answer and nowhere else; those before no longer work.',
      body: z.strictObject({}),
      response: z.object({ recoveryCodes: z.array(z.string()).readonly() }),
      handle: async ({ principal }) => {
        const codes = await signInMethods.newRecoveryCodes(ownSessionOf(principal), principal.network)
        return { recoveryCodes: codes.reveal() }
      },
    }),
    defineRoute({
      ...change,
      id: 'account.ask_passkey',
      method: 'POST',
      path: '/api/v1/account/passkeys/options',
      summary: 'What the person’s device is to make a passkey from. Good once, for three minutes, in this web session.',
      body: z.strictObject({}),
      response: z.looseObject({ challenge: z.string() }),
      handle: async ({ principal }) => ({ ...(await signInMethods.askToAddPasskey(ownSessionOf(principal))) }),
    }),
    defineRoute({
      ...change,
      id: 'account.add_passkey',
      method: 'POST',
      path: '/api/v1/account/passkeys',
      summary:
        'Adds a passkey. The first second factor brings recovery codes, which are in this answer and nowhere else.',
      body: z.strictObject({ name: z.string().min(1).max(80), passkey: attestation }),
      response: passkey.extend({ recoveryCodes: newCodes }),
      status: 201,
      handle: async ({ principal, body }) => {
        const added = await signInMethods.addPasskey(
          ownSessionOf(principal),
          body.name,
          body.passkey,
          principal.network,
        )
        return { ...added.passkey, recoveryCodes: added.codes?.reveal() ?? null }
      },
    }),
    defineRoute({
      ...own,
      id: 'account.rename_passkey',
      method: 'PATCH',
      path: '/api/v1/account/passkeys/{passkeyId}',
      summary: 'Changes the name of a passkey.',
      params: z.strictObject({ passkeyId: idParam('passkey') }),
      body: z.strictObject({ name: z.string().min(1).max(80) }),
      handle: async ({ principal, params, body }) => {
        await signInMethods.renamePasskey(ownSessionOf(principal), params.passkeyId, body.name)
        return undefined
      },
    }),
    defineRoute({
      ...change,
      id: 'account.remove_passkey',
      method: 'DELETE',
      path: '/api/v1/account/passkeys/{passkeyId}',
      summary: 'Removes a passkey, unless it is the last way to sign in.',
      params: z.strictObject({ passkeyId: idParam('passkey') }),
      handle: async ({ principal, params }) => {
        await signInMethods.removePasskey(ownSessionOf(principal), params.passkeyId, principal.network)
        return undefined
      },
    }),
  ]
}

/** What is added here opens the person's whole account: whoever came in by an organization's word adds nothing. */
function ownSessionOf(principal: MemberPrincipal): WebSession {
  const session = sessionOf(principal)
  requireOwnSignIn(session)
  return session
}

function sessionOf(principal: MemberPrincipal): WebSession {
  if (principal.kind !== 'person') throw new AppError('auth.forbidden', 'Only a signed-in person may do this.')
  const { webSessionId: sessionId, personId, tenantId, authenticatedAt, onlyTenantId = null } = principal
  return { sessionId, personId, tenantId, authenticatedAt, onlyTenantId }
}
