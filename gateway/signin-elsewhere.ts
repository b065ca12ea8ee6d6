/**
 * Signing in at somebody else's, at the edge of HTTP: through a workspace's issuer (`/signin/sso`), or with a person's own
 * Google or GitHub account (`/signin/with/…`).
 *
 * A start is a same-origin POST of JSON and answers where to go; the return is the one GET here that does something. It
 * ends in a redirect at once, so that code and state stay in no address bar, and carries nothing of the issuer's but a
 * name out of a fixed list for what went wrong. As with every sign-in, next-auth activates the session from its ticket.
 *
 * @see RFC 9700 §4.2.4
 * @module
 */
import type { ServerResponse } from 'node:http'

import { z } from 'zod'

import type { Noise } from '@/lib/audit/noise'
import { AppError, notFound } from '@/lib/errors'
import type { Authenticator } from '@/lib/identity/authenticate'
import { BROWSER_SECONDS, browserHash, SECRET_PREFIX, TICKET_SECONDS, type SignInCookies } from '@/lib/identity/cookies'
import { requireOwnSignIn } from '@/lib/identity/entry'
import { safeReturnPath } from '@/lib/identity/return-path'
import type { WebSession } from '@/lib/identity/sessions'
import type { SignIn } from '@/lib/identity/sign-in'
import { requireRecent } from '@/lib/identity/step-up'
import type { Ticket, Visitor } from '@/lib/identity/visitor'
import { hashSecret, idPattern, newSecret } from '@/lib/ids'
import type { EnterpriseSignIn, SignInProblem } from '@/lib/sso/enterprise'
import type { SocialProblem, SocialSignIn } from '@/lib/sso/social'

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

export interface SignInElsewhereDependencies {
  readonly publicUrl: string
  readonly cookies: SignInCookies
  readonly authenticator: Pick<Authenticator, 'session'>
  readonly signIn: Pick<SignIn, 'signOut'>
  readonly enterprise: EnterpriseSignIn
  readonly social: SocialSignIn
  /** False while keys are missing: nothing is started that could not be finished. */
  readonly isReady: () => boolean
  readonly noise?: Pick<Noise, 'count'>
}

const next = z.string().max(2_048).optional()
const common = { next, link: z.boolean().optional() }
const ssoBody = z.union([
  z.strictObject({ email: z.string().min(3).max(254), ...common }),
  z.strictObject({ workspace: z.string().min(1).max(48), ...common }),
])
const withBody = z.strictObject(common)
const CALLBACK = /^\/signin\/sso\/callback\/([^/]+)$/
const WITH = /^\/signin\/with\/([a-z]{1,20})(\/callback)?$/

export function createSignInElsewhereRoutes(deps: SignInElsewhereDependencies): RouteFamily {
  const { publicUrl, cookies, authenticator, enterprise, social } = deps

  function visitorOf(request: GatewayRequest, response: ServerResponse): Visitor {
    let hash = browserHash(readCookie(request.raw, cookies.browser))
    if (hash === undefined) {
      const fresh = newSecret(SECRET_PREFIX.browser)
      setCookie(response, cookies.browser, fresh, { path: '/', maxAge: BROWSER_SECONDS, secure: cookies.secure })
      hash = hashSecret(fresh)
    }
    return { network: request.network, userAgent: request.raw.headers['user-agent'] ?? '', browserHash: hash }
  }

  const sessionOf = (request: GatewayRequest) => authenticator.session({ cookie: request.raw.headers.cookie })

  /** Who links has to be there, themself and just now: what is linked opens their account from then on. */
  function linkingSession(session: WebSession | undefined): WebSession {
    if (session === undefined) throw new AppError('auth.unauthenticated', 'Sign in to link another way to sign in.')
    requireOwnSignIn(session)
    requireRecent({ kind: 'person', authenticatedAt: session.authenticatedAt })
    return session
  }

  function checkReady(): void {
    if (!deps.isReady())
      throw new AppError('service.unavailable', 'The service is not ready.', { retryAfterSeconds: 5 })
  }

  async function startSso(request: GatewayRequest, response: ServerResponse): Promise<void> {
    const body = await readJson(request, ssoBody)
    checkReady()
    const session = await sessionOf(request)
    const isLink = body.link === true
    const location = await enterprise.start('email' in body ? { email: body.email } : { workspace: body.workspace }, {
      visitor: visitorOf(request, response),
      next: safeReturnPath(body.next, publicUrl),
      ...(isLink ? { link: linkingSession(session) } : {}),
      // Somebody who is here that way already comes to prove it again.
      renew: !isLink && session?.onlyTenantId != null,
    })
    sendJson(response, 200, { location: location.href })
  }

  async function startWith(provider: string, request: GatewayRequest, response: ServerResponse): Promise<void> {
    const body = await readJson(request, withBody)
    const session = body.link === true ? linkingSession(await sessionOf(request)) : undefined
    const location = await social.start(provider, {
      visitor: visitorOf(request, response),
      next: safeReturnPath(body.next, publicUrl),
      ...(session === undefined ? {} : { link: session }),
    })
    sendJson(response, 200, { location: location.href })
  }

  /** The session this browser had before ends: no session outlives a sign-in over it. */
  async function admit(
    request: GatewayRequest,
    response: ServerResponse,
    before: WebSession | undefined,
    ticket: Ticket,
    wanted: string | null,
  ): Promise<void> {
    if (before !== undefined) await deps.signIn.signOut(before, request.network)
    const options = { path: '/', maxAge: TICKET_SECONDS, secure: cookies.secure }
    setCookie(response, cookies.ticket, ticket.secret.reveal(), options)
    const path = safeReturnPath(wanted ?? undefined, publicUrl)
    // Somebody else's issuer says who they are; what they set up here beside it is asked for here.
    const page = ticket.isWaiting ? 'second-factor' : 'continue'
    sendSeeOther(response, `${publicUrl}/login/${page}?${new URLSearchParams({ next: path }).toString()}`)
  }

  function refuse(
    request: GatewayRequest,
    response: ServerResponse,
    problem: SignInProblem | SocialProblem | 'too_many' | 'unavailable',
    isLink: boolean,
  ): void {
    deps.noise?.count(`sign_in.${problem}`, request.network)
    sendSeeOther(response, `${publicUrl}/${isLink ? 'settings/account' : 'login'}?problem=${problem}`)
  }

  async function finish(request: GatewayRequest, response: ServerResponse, how: Finish): Promise<void> {
    response.setHeader('referrer-policy', 'no-referrer')
    try {
      const session = await sessionOf(request)
      const outcome = await how(visitorOf(request, response), session)
      if (outcome.kind === 'refused') refuse(request, response, outcome.problem, outcome.isLink)
      else if (outcome.kind === 'linked')
        sendSeeOther(response, `${publicUrl}${safeReturnPath(outcome.next ?? '/settings/account', publicUrl)}`)
      else await admit(request, response, session, outcome.ticket, outcome.next)
    } catch (error) {
      // A person stands here in a browser: they get a page, whatever it was.
      if (!(error instanceof AppError) || error.code === 'resource.not_found') throw error
      refuse(request, response, error.code === 'request.rate_limited' ? 'too_many' : 'unavailable', false)
    }
  }

  return {
    prefixes: ['/signin/available', '/signin/sso', '/signin/sso/', '/signin/with/'],
    async handle(request, response) {
      const { pathname, search } = request.url
      if (pathname === '/signin/available') {
        allow(request, response, 'GET')
        sendJson(response, 200, { items: social.available })
        return
      }
      const configId = CALLBACK.exec(pathname)?.[1]
      const [, provider, isCallback] = WITH.exec(pathname) ?? []
      if (configId !== undefined || isCallback !== undefined) {
        allow(request, response, 'GET')
        if (configId !== undefined && !idPattern('signInConfig').test(configId)) throw notFound()
        await finish(request, response, (visitor, session) =>
          configId === undefined
            ? social.finish(provider ?? '', request.url, visitor, session)
            : enterprise.finish(configId, search, visitor, session),
        )
        return
      }
      if (pathname !== '/signin/sso' && provider === undefined) throw notFound()
      if (request.method === 'GET' || request.method === 'HEAD') {
        // Following a link starts nothing; the page asks.
        sendSeeOther(response, `${publicUrl}${provider === undefined ? '/login/sso' : '/login'}`)
        return
      }
      allow(request, response, 'POST')
      checkSameOrigin(request.raw, publicUrl)
      if (provider === undefined) await startSso(request, response)
      else await startWith(provider, request, response)
    },
  }
}

type Finish = (
  visitor: Visitor,
  session: WebSession | undefined,
) => Promise<Awaited<ReturnType<EnterpriseSignIn['finish']>> | Awaited<ReturnType<SocialSignIn['finish']>>>

function allow(request: GatewayRequest, response: ServerResponse, method: string): void {
  if (request.method === method) return
  response.setHeader('allow', method)
  throw new AppError('request.method_not_allowed', 'This path does not take that method.')
}
