/**
 * Signing in and out, up to the point where next-auth writes the cookie: every step is a same-origin POST of JSON, and
 * success answers `{next}` and sets the ticket, which the page has next-auth redeem within a minute.
 *
 * Secrets come in bodies and leave in HttpOnly cookies; none is ever part of an address. Opening a link from a mail is a
 * GET of a page, which spends nothing, because mail scanners open every link.
 *
 * @module
 */
import type { ServerResponse } from 'node:http'

import { z } from 'zod'

import type { Noise } from '@/lib/audit/noise'
import { AppError, notFound, type ErrorCode } from '@/lib/errors'
import type { Authenticator } from '@/lib/identity/authenticate'
import {
  BROWSER_SECONDS,
  browserHash,
  isSecret,
  SECRET_PREFIX,
  TICKET_SECONDS,
  type SignInCookies,
} from '@/lib/identity/cookies'
import type { Credentials } from '@/lib/identity/credentials'
import type { Invitations } from '@/lib/identity/invitations'
import type { People } from '@/lib/identity/people'
import { safeReturnPath } from '@/lib/identity/return-path'
import type { SignIn } from '@/lib/identity/sign-in'
import type { SignUp } from '@/lib/identity/sign-up'
import type { WebSessions } from '@/lib/identity/sessions'
import type { Ticket, Visitor } from '@/lib/identity/visitor'
import { hashSecret, newSecret } from '@/lib/ids'
import type { Workspaces } from '@/lib/tenancy/workspaces'

import { invitationHandlers } from './signin-invitation'
import { workspaceHandlers } from './signin-workspace'
import {
  checkSameOrigin,
  readCookie,
  readJson,
  sendJson,
  sendSeeOther,
  setCookie,
  type GatewayRequest,
  type RouteFamily,
} from './http'
import { proofHandlers, type ProofRouteDependencies } from './signin-proofs'

export interface SignInRouteDependencies extends Pick<ProofRouteDependencies, 'reauthentication' | 'secondFactor'> {
  readonly publicUrl: string
  readonly cookies: SignInCookies
  readonly signIn: SignIn
  readonly signUp: SignUp
  readonly credentials: Credentials
  readonly invitations: Invitations
  readonly workspaces: Workspaces
  readonly people: People
  readonly authenticator: Authenticator
  readonly sessions: Pick<WebSessions, 'lookupWaiting'>
  /** Counts and samples what nobody known was refused. */
  readonly noise?: Pick<Noise, 'count'>
  /** Where mails lie when there is no mail server. Told to whoever asks for one, so given on loopback alone. */
  readonly mailFolder?: string
}

const email = z.string().min(3).max(254)
const password = z.string().min(1).max(1_024)
const secret = z.string().min(1).max(100)
const name = z.string().min(1).max(320)
const next = z.string().max(2_048).optional()
const linkOnly = z.strictObject({ secret })
const emailOnly = z.strictObject({ email })

/** What somebody who tries keys and passwords is answered, as opposed to somebody who mistyped a field. */
const COUNTED = new Set<ErrorCode>(['auth.unauthenticated', 'auth.link_invalid', 'request.rate_limited'])

export type SignInHandler = (request: GatewayRequest, response: ServerResponse) => Promise<void>

export function createSignInRoutes(deps: SignInRouteDependencies): RouteFamily {
  const { publicUrl, cookies, signIn, signUp, credentials, authenticator } = deps

  /** Who is at the door. A browser that has no name yet gets one with the answer. */
  function visitorOf(request: GatewayRequest, response: ServerResponse): Visitor {
    const sent = readCookie(request.raw, cookies.browser)
    let hash = browserHash(sent)
    if (hash === undefined) {
      const fresh = newSecret(SECRET_PREFIX.browser)
      setCookie(response, cookies.browser, fresh, { path: '/', maxAge: BROWSER_SECONDS, secure: cookies.secure })
      hash = hashSecret(fresh)
    }
    return { network: request.network, userAgent: request.raw.headers['user-agent'] ?? '', browserHash: hash }
  }

  const sessionOf = (request: GatewayRequest) => authenticator.session({ cookie: request.raw.headers.cookie })

  /** Hands the new session to the page. The one this browser had before ends: no session outlives a sign-in over it. */
  async function admit(
    request: GatewayRequest,
    response: ServerResponse,
    ticket: Ticket,
    wanted: string | undefined,
  ): Promise<void> {
    await endSession(request)
    setCookie(response, cookies.ticket, ticket.secret.reveal(), {
      path: '/',
      maxAge: TICKET_SECONDS,
      secure: cookies.secure,
    })
    const next = safeReturnPath(wanted, publicUrl)
    sendJson(response, 200, {
      next: ticket.isWaiting ? `/login/second-factor?next=${encodeURIComponent(next)}` : next,
    })
  }

  /** The session that this browser has, whole or half made. */
  async function endSession(request: GatewayRequest): Promise<void> {
    const session =
      (await sessionOf(request)) ?? (await deps.sessions.lookupWaiting(readCookie(request.raw, cookies.session)))
    if (session !== undefined) await signIn.signOut(session, request.network)
  }

  /** The same bytes whether or not anything was sent. */
  const accepted = (response: ServerResponse) =>
    sendJson(response, 202, {
      status: 'accepted',
      ...(deps.mailFolder === undefined ? {} : { mailFolder: deps.mailFolder }),
    })

  const handlers: Readonly<Record<string, SignInHandler>> = {
    ...proofHandlers(deps, { visitorOf, admit }),

    '/signin/password': async (request, response) => {
      const body = await readJson(request, z.strictObject({ email, password, next }))
      const ticket = await signIn.withPassword(body.email, body.password, visitorOf(request, response))
      await admit(request, response, ticket, body.next)
    },

    ...workspaceHandlers({ workspaces: deps.workspaces, sessionOf }),
    ...invitationHandlers({ ...deps, visitorOf, sessionOf, admit, accepted }),

    '/signin/magic-link': async (request, response) => {
      const body = await readJson(request, emailOnly)
      await signIn.askForMagicLink(body.email, visitorOf(request, response))
      accepted(response)
    },

    '/signin/magic-link/confirm': async (request, response) => {
      const body = await readJson(request, z.strictObject({ secret, next }))
      const ticket = await signIn.withMagicLink(body.secret, visitorOf(request, response))
      await admit(request, response, ticket, body.next)
    },

    '/signin/setup': async (request, response) => {
      const body = await readJson(request, z.strictObject({ secret, workspaceName: name, name, email, password }))
      const ticket = await signUp.useFirstLink(body.secret, body, visitorOf(request, response))
      await admit(request, response, ticket, undefined)
    },

    '/signin/sign-up': async (request, response) => {
      const body = await readJson(request, emailOnly)
      await signUp.askToSignUp(body.email, visitorOf(request, response))
      accepted(response)
    },

    '/signin/sign-up/confirm': async (request, response) => {
      const body = await readJson(request, z.strictObject({ secret, workspaceName: name, name, password }))
      const ticket = await signUp.useSignUpLink(body.secret, body, visitorOf(request, response))
      await admit(request, response, ticket, undefined)
    },

    '/signin/reset': async (request, response) => {
      const body = await readJson(request, emailOnly)
      await credentials.askToResetPassword(body.email, visitorOf(request, response))
      accepted(response)
    },

    '/signin/reset/confirm': async (request, response) => {
      const body = await readJson(request, z.strictObject({ secret, password }))
      await credentials.resetPassword(body.secret, body.password, visitorOf(request, response))
      sendJson(response, 200, { next: '/login?notice=password-changed' })
    },

    '/signin/verify-email/confirm': async (request, response) => {
      const body = await readJson(request, linkOnly)
      const session = await sessionOf(request)
      await credentials.confirmEmail(body.secret, session, request.network)
      sendJson(response, 200, { next: session === undefined ? '/login?notice=email-confirmed' : '/' })
    },

    /** What a link is for, so that its page can say so before anybody presses anything. Spends nothing. */
    '/signin/link': async (request, response) => {
      const body = await readJson(request, linkOnly)
      const link = isSecret(SECRET_PREFIX.setupLink, body.secret)
        ? await signUp.inspectFirstLink(body.secret, request.network)
        : await signUp.inspectLink(body.secret, request.network)
      sendJson(response, 200, link)
    },

    '/signin/sign-out': async (request, response) => {
      await readJson(request, z.strictObject({}))
      // The row first: a cookie that survives, in a copy or a backup, then opens nothing.
      await endSession(request)
      for (const gone of [cookies.session, cookies.ticket])
        setCookie(response, gone, '', { path: '/', maxAge: 0, secure: cookies.secure })
      sendJson(response, 200, { next: '/login' })
    },
  }

  return {
    prefixes: ['/signin/'],
    async handle(request, response) {
      const handler = Object.hasOwn(handlers, request.url.pathname) ? handlers[request.url.pathname] : undefined
      if (handler === undefined) throw notFound()
      if (request.method === 'GET' || request.method === 'HEAD') {
        // Somebody typed or followed the address of a step: its page is where it begins.
        sendSeeOther(response, `${publicUrl}/login`)
        return
      }
      if (request.method !== 'POST') {
        response.setHeader('allow', 'POST')
        throw new AppError('request.method_not_allowed', 'This path takes POST.')
      }
      checkSameOrigin(request.raw, publicUrl)
      try {
        await handler(request, response)
      } catch (error) {
        if (error instanceof AppError && COUNTED.has(error.code))
          deps.noise?.count(`sign_in.${error.code}`, request.network)
        throw error
      }
    },
  }
}
