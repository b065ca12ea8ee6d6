/**
 * Proofs at the edge of HTTP: the one that step-up asks a signed-in person for, the second factor of a sign-in under way,
 * and the passkey that is a whole sign-in by itself.
 *
 * @module
 */
import type { ServerResponse } from 'node:http'

import { z } from 'zod'

import { AppError } from '@/lib/errors'
import type { Authenticator } from '@/lib/identity/authenticate'
import type { SignInCookies } from '@/lib/identity/cookies'
import type { Proof } from '@/lib/identity/proofs'
import type { Reauthentication } from '@/lib/identity/reauthentication'
import type { SecondFactor } from '@/lib/identity/second-factor'
import type { WaitingSession, WebSession, WebSessions } from '@/lib/identity/sessions'
import type { SignIn } from '@/lib/identity/sign-in'
import type { Ticket, Visitor } from '@/lib/identity/visitor'

import { readCookie, readJson, sendEmpty, sendJson, type GatewayRequest } from './http'
import type { SignInHandler } from './signin'

const base64url = z
  .string()
  .min(1)
  .max(8_192)
  .regex(/^[A-Za-z0-9_-]+$/)

/** An answer of `navigator.credentials.get` as JSON. What it says is verified elsewhere; this is its shape. */
const assertion = z.object({
  id: base64url.max(1_364),
  rawId: base64url.max(1_364),
  type: z.literal('public-key'),
  clientExtensionResults: z.object({}).default({}),
  authenticatorAttachment: z.string().max(32).optional(),
  response: z.object({
    clientDataJSON: base64url,
    authenticatorData: base64url,
    signature: base64url,
    userHandle: base64url.max(128).optional(),
  }),
})
/** And of `navigator.credentials.create`. */
export const attestation = z.object({
  id: base64url.max(1_364),
  rawId: base64url.max(1_364),
  type: z.literal('public-key'),
  clientExtensionResults: z.object({}).default({}),
  authenticatorAttachment: z.string().max(32).optional(),
  response: z.object({
    clientDataJSON: base64url,
    attestationObject: base64url,
    transports: z.array(z.string().max(32)).max(10).optional(),
  }),
})

const empty = z.strictObject({})
const next = z.string().max(2_048).optional()
const factor = [
  z.strictObject({ code: z.string().min(1).max(40), next }),
  z.strictObject({ recoveryCode: z.string().min(1).max(60), next }),
  z.strictObject({ passkey: assertion, next }),
] as const
const secondFactorBody = z.union(factor)
const stepUpBody = z.union([z.strictObject({ password: z.string().min(1).max(1_024) }), ...factor])

type Factor = Exclude<Proof, { kind: 'password' }>

function factorOf(body: z.infer<typeof secondFactorBody>): Factor {
  if ('code' in body) return { kind: 'code', code: body.code }
  if ('recoveryCode' in body) return { kind: 'recovery_code', code: body.recoveryCode }
  return { kind: 'passkey', response: body.passkey }
}

export interface ProofRouteDependencies {
  readonly cookies: SignInCookies
  readonly signIn: Pick<SignIn, 'askForPasskey' | 'withPasskey'>
  readonly sessions: Pick<WebSessions, 'lookupWaiting'>
  readonly authenticator: Pick<Authenticator, 'session'>
  readonly reauthentication: Reauthentication
  readonly secondFactor: SecondFactor
}

/** What the family of sign-in routes does for each of its steps. */
export interface Door {
  visitorOf(request: GatewayRequest, response: ServerResponse): Visitor
  admit(request: GatewayRequest, response: ServerResponse, ticket: Ticket, wanted: string | undefined): Promise<void>
}

export function proofHandlers(deps: ProofRouteDependencies, door: Door): Readonly<Record<string, SignInHandler>> {
  const { authenticator, cookies, reauthentication, secondFactor, sessions, signIn } = deps

  async function sessionOf(request: GatewayRequest): Promise<WebSession> {
    const session = await authenticator.session({ cookie: request.raw.headers.cookie })
    if (session === undefined) throw new AppError('auth.unauthenticated', 'Your session has ended. Sign in again.')
    return session
  }

  async function waitingOf(request: GatewayRequest): Promise<WaitingSession> {
    const session = await sessions.lookupWaiting(readCookie(request.raw, cookies.session))
    if (session === undefined) throw new AppError('auth.unauthenticated', 'This sign-in took too long. Begin again.')
    return session
  }

  return {
    '/signin/passkey/options': async (request, response) => {
      await readJson(request, empty)
      sendJson(response, 200, await signIn.askForPasskey(door.visitorOf(request, response)))
    },

    '/signin/passkey': async (request, response) => {
      const body = await readJson(request, z.strictObject({ passkey: assertion, next }))
      const ticket = await signIn.withPasskey(body.passkey, door.visitorOf(request, response))
      await door.admit(request, response, ticket, body.next)
    },

    '/signin/second-factor/methods': async (request, response) => {
      await readJson(request, empty)
      sendJson(response, 200, { methods: await secondFactor.methodsOf(await waitingOf(request)) })
    },

    '/signin/second-factor/passkey': async (request, response) => {
      await readJson(request, empty)
      sendJson(response, 200, await secondFactor.askPasskey(await waitingOf(request)))
    },

    '/signin/second-factor': async (request, response) => {
      const body = await readJson(request, secondFactorBody)
      const waiting = await waitingOf(request)
      const ticket = await secondFactor.give(waiting, factorOf(body), door.visitorOf(request, response))
      await door.admit(request, response, ticket, body.next)
    },

    '/signin/step-up/methods': async (request, response) => {
      await readJson(request, empty)
      sendJson(response, 200, { methods: await reauthentication.methodsOf(await sessionOf(request)) })
    },

    '/signin/step-up/passkey': async (request, response) => {
      await readJson(request, empty)
      sendJson(response, 200, await reauthentication.askPasskey(await sessionOf(request)))
    },

    '/signin/step-up': async (request, response) => {
      const body = await readJson(request, stepUpBody)
      const session = await sessionOf(request)
      const proof: Proof = 'password' in body ? { kind: 'password', password: body.password } : factorOf(body)
      await reauthentication.confirm(session, proof, request.network)
      sendEmpty(response, 204)
    },
  }
}
