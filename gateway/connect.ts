/**
 * The consent flows at the edge of HTTP: a start that only a page of ours can cause, and the return from the provider.
 *
 * What the person sees is always a page: the return redirects to one at once, so that code and state do not stay in the
 * address bar, in the history or in a referrer. Nothing of the provider's is ever put into an address.
 *
 * @see RFC 9700 §4.2.4
 * @module
 */
import type { ServerResponse } from 'node:http'

import { z } from 'zod'

import type { Connections } from '@/lib/connections/connections'
import { AppError, notFound } from '@/lib/errors'
import type { Authenticator } from '@/lib/identity/authenticate'
import { browserHash, type SignInCookies } from '@/lib/identity/cookies'
import { requireRecent } from '@/lib/identity/step-up'
import type { Providers } from '@/lib/providers/client'

import {
  checkSameOrigin,
  readBody,
  readCookie,
  readJson,
  sendJson,
  sendSeeOther,
  validate,
  type GatewayRequest,
  type RouteFamily,
} from './http'

export interface ConnectRouteDependencies {
  readonly publicUrl: string
  readonly cookies: SignInCookies
  readonly authenticator: Pick<Authenticator, 'member' | 'session'>
  readonly connections: Pick<Connections, 'start' | 'callback'>
  readonly providers: Pick<Providers, 'list'>
  /** False while credentials may not be opened: nothing is started that could not be finished. */
  readonly isReady: () => boolean
}

const startBody = z.strictObject({
  scopes: z.array(z.string().min(1).max(200)).max(50).optional(),
  connectionId: z.string().max(64).optional(),
})
const MAX_BODY_BYTES = 16_384

export function createConnectRoutes(deps: ConnectRouteDependencies): RouteFamily {
  const { authenticator, connections, cookies, providers, publicUrl } = deps

  const browserOf = (request: GatewayRequest) => browserHash(readCookie(request.raw, cookies.browser))

  async function start(provider: string, request: GatewayRequest, response: ServerResponse): Promise<void> {
    checkSameOrigin(request.raw, publicUrl)
    const { cookie } = request.raw.headers
    // Only a browser can come back, so only a person's session starts: never an API key.
    const principal = await authenticator.member({
      cookie,
      authorization: undefined,
      network: request.network,
      address: request.clientAddress,
    })
    const browser = browserOf(request)
    if (principal?.kind !== 'person' || browser === undefined)
      throw new AppError('auth.unauthenticated', 'Sign in to connect an account.')
    requireRecent(principal)
    if (!deps.isReady())
      throw new AppError('service.unavailable', 'The service is not ready.', { retryAfterSeconds: 5 })
    const { body, isForm } = await readStart(request)
    const { location, attemptId } = await connections.start(principal, browser, { provider, ...body })
    if (isForm) sendSeeOther(response, location)
    else sendJson(response, 200, { location, attemptId })
  }

  async function callback(provider: string, request: GatewayRequest, response: ServerResponse): Promise<void> {
    const session = await authenticator.session({ cookie: request.raw.headers.cookie })
    response.setHeader('referrer-policy', 'no-referrer')
    const result = await connections.callback(provider, request.url, {
      session: session === undefined ? undefined : { sessionId: session.sessionId, personId: session.personId },
      browserHash: browserOf(request),
      network: request.network,
    })
    sendSeeOther(
      response,
      result.kind === 'attempt'
        ? `/connections/result?attempt=${result.attemptId}`
        : `/connections/result?problem=${result.problem}`,
    )
  }

  return {
    prefixes: ['/connect/'],
    async handle(request, response) {
      const [, , first, second, ...rest] = request.url.pathname.split('/')
      if (first === undefined || first === '' || rest.length > 0) throw notFound()
      const isCallback = first === 'callback'
      const provider = isCallback ? second : first
      if ((!isCallback && second !== undefined) || !providers.list().some(({ name }) => name === provider))
        throw notFound()
      if (provider === undefined) throw notFound()

      if (isCallback) {
        allow(request, response, 'GET')
        await callback(provider, request, response)
        return
      }
      if (request.method === 'GET') {
        // Following a link starts nothing; the page says what would happen and asks.
        sendSeeOther(response, `/connections/new?provider=${provider}`)
        return
      }
      allow(request, response, 'POST')
      await start(provider, request, response)
    },
  }
}

function allow(request: GatewayRequest, response: ServerResponse, method: string): void {
  if (request.method === method) return
  response.setHeader('allow', method === 'POST' ? 'GET, POST' : method)
  throw new AppError('request.method_not_allowed', 'This path does not take that method.')
}

async function readStart(
  request: GatewayRequest,
): Promise<{ readonly body: z.infer<typeof startBody>; readonly isForm: boolean }> {
  const type = (request.raw.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/x-www-form-urlencoded')
    return { body: await readJson(request, startBody, MAX_BODY_BYTES), isForm: false }
  const form = new URLSearchParams((await readBody(request.raw, MAX_BODY_BYTES)).toString('utf8'))
  const scopes = form.getAll('scopes')
  const connectionId = form.get('connectionId')
  const body = validate(startBody, {
    ...(scopes.length === 0 ? {} : { scopes }),
    ...(connectionId === null || connectionId === '' ? {} : { connectionId }),
  })
  return { body, isForm: true }
}
