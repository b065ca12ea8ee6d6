/**
 * next-auth as the layer that writes the session cookie, and nothing more. What it calls a JWT is our opaque secret: there
 * is nothing in the cookie to trust, so nothing to forge, and a session that has ended is no session at the next request.
 *
 * Signing in has one provider, `ticket`: it takes no credentials, only the cookie that the gateway set a moment ago.
 *
 * @module
 */
import type { AuthOptions } from 'next-auth'

import { findCookie, SESSION_ABSOLUTE_SECONDS, type SignInCookies } from './cookies'
import type { SessionReader } from './session-reader'

export interface NextAuthDependencies {
  readonly reader: SessionReader
  readonly cookies: SignInCookies
  /** Signs next-auth's own CSRF cookie. Sessions do not depend on it. */
  readonly secret: string
  /** Told the code of a fault inside next-auth. Never its details, which may quote a cookie. */
  readonly onFault: (code: string) => void
}

/** The parts of next-auth that are used. All else, its sign-out included, would leave the session's row alive. */
export function isUsedAction(method: string, path: readonly string[]): boolean {
  const action = path.join('/')
  return method === 'GET'
    ? action === 'csrf' || action === 'providers' || action === 'session'
    : method === 'POST' && action === 'callback/ticket'
}

export function createAuthOptions(deps: NextAuthDependencies): AuthOptions {
  const { reader, cookies } = deps
  return {
    secret: deps.secret,
    useSecureCookies: cookies.secure,
    pages: { signIn: '/login', error: '/login' },
    session: { strategy: 'jwt', maxAge: SESSION_ABSOLUTE_SECONDS },
    providers: [
      {
        id: 'ticket',
        name: 'ticket',
        type: 'credentials',
        credentials: {},
        // The first argument is the body, which anybody can write; the cookies are in the second.
        async authorize(_, request) {
          const header: unknown = request.headers?.['cookie']
          const cookie = typeof header === 'string' ? header : undefined
          const ticket = findCookie(cookie, cookies.ticket)
          const personId = await reader.redeem(ticket, findCookie(cookie, cookies.browser))
          return personId === undefined || ticket === undefined ? null : { id: personId, ticket }
        },
      },
    ],
    callbacks: {
      jwt: ({ token, user }) => {
        const ticket = ticketOf(user)
        return ticket === undefined ? token : { secret: ticket }
      },
      session: ({ session, token }) => ({
        expires: session.expires,
        sessionId: token['sessionId'],
        personId: token['personId'],
        tenantId: token['tenantId'],
      }),
    },
    jwt: {
      maxAge: SESSION_ABSOLUTE_SECONDS,
      // Runs on every read; the cookie is given back what it held.
      encode: ({ token }) => Promise.resolve(typeof token?.['secret'] === 'string' ? token['secret'] : ''),
      async decode({ token }) {
        const found = await reader.find(token)
        return found === undefined ? null : { secret: token, ...found }
      },
    },
    logger: {
      // An ended session is an everyday matter, and next-auth reports it as an error.
      error: (code) => {
        if (code !== 'JWT_SESSION_ERROR') deps.onFault(code)
      },
      warn: () => undefined,
      debug: () => undefined,
    },
  }
}

/** The user is there when somebody has just signed in, and absent on every read, whatever its type says. */
function ticketOf(user: unknown): string | undefined {
  return typeof user === 'object' && user !== null && 'ticket' in user && typeof user.ticket === 'string'
    ? user.ticket
    : undefined
}
