/**
 * The authorization server at the edge of HTTP: which paths there are, how large a body may be, and the two requests of
 * the consent page, which only a page of ours in the browser that started can make.
 *
 * @see RFC 8414 §3, RFC 7591 §3
 * @module
 */
import type { ServerResponse } from 'node:http'
import path from 'node:path'

import { z } from 'zod'

import { systemClock } from '@/lib/clock'
import { shownProduct } from '@/lib/doctor/shown'
import type { Detail, Observe } from '@/lib/doctor/step'
import { AppError, notFound } from '@/lib/errors'
import type { Authenticator } from '@/lib/identity/authenticate'
import { requireRecent } from '@/lib/identity/step-up'
import type { OauthClients } from '@/lib/oauth-server/clients/clients'
import type { Consents, ConsentVisitor } from '@/lib/oauth-server/consent'
import { errorPage } from '@/lib/oauth-server/error-page'
import type { OauthLimits } from '@/lib/oauth-server/limits'
import { authorizationServerMetadata, PATHS } from '@/lib/oauth-server/metadata'
import { observeProvider, registrationDetail } from '@/lib/oauth-server/observe'
import { OAUTH_KEY_FILE } from '@/lib/oauth-server/keys'
import { createOauthServer } from '@/lib/oauth-server/oauth-server'
import { servingNetwork } from '@/lib/oauth-server/network'
import { RESUME_COOKIE, type AuthorizationServer } from '@/lib/oauth-server/provider'

import type { GatewayDeps } from './deps'
import { createAccessPreview } from './oauth-preview'
import { checkSameOrigin, readBody, readJson, sendJson, type GatewayRequest, type RouteFamily } from './http'

export interface OauthRouteDependencies {
  readonly publicUrl: string
  readonly server: AuthorizationServer
  readonly clients: Pick<OauthClients, 'register'>
  readonly consents: Consents
  readonly authenticator: Pick<Authenticator, 'session'>
  /** False while the service may not make sessions. */
  readonly isReady: () => boolean
  /** How many requests may wait for an answer. Absent in measurements. */
  readonly limits?: OauthLimits
  /** Takes note of what clients do, for whoever wonders why one does not get through. */
  readonly observe?: Observe
}

const METADATA = '/.well-known/oauth-authorization-server'
const OPENID = '/.well-known/openid-configuration'
const MAX_BODY_BYTES = 16_384
const CONSENT = /^\/oauth\/authorize\/([A-Za-z0-9_-]{16,64})\/consent$/
const RESUME = /^\/oauth\/authorize\/[A-Za-z0-9_-]{16,64}$/
const FORMS: readonly string[] = [PATHS.token, PATHS.revocation, PATHS.introspection]

const answerBody = z.discriminatedUnion('decision', [
  z.strictObject({ decision: z.literal('approve'), proof: z.string().max(100) }),
  z.strictObject({ decision: z.literal('deny') }),
])

/** The authorization server of this gateway: opens its keys, or makes them on the first run. */
export async function openOauth(deps: GatewayDeps): Promise<RouteFamily> {
  const { core, authenticator, oauthClients: clients, registry } = deps
  const { appDb, config } = core
  const oauth = await createOauthServer({
    ...core,
    publicUrl: config.publicUrl,
    keyFile: path.join(config.dataDir, OAUTH_KEY_FILE),
    clients,
    personOf: async (request) => (await authenticator.session({ cookie: request.headers.cookie }))?.personId,
    preview: createAccessPreview({ appDb, registry }),
  })
  return createOauthRoutes({
    ...oauth,
    publicUrl: config.publicUrl,
    authenticator,
    isReady: () => core.notReady === undefined,
    limits: deps.oauthLimits,
    observe: deps.doctorRecorder.observe,
  })
}

export function createOauthRoutes(deps: OauthRouteDependencies): RouteFamily {
  const { publicUrl, server, consents } = deps
  const metadata = authorizationServerMetadata(publicUrl)
  if (deps.observe !== undefined)
    observeProvider(server.provider, { observe: deps.observe, clock: systemClock, publicUrl })

  function note(
    { raw, network }: GatewayRequest,
    response: ServerResponse,
    step: 'server_metadata' | 'registration',
    facts: { readonly problem?: 'registration_refused' | undefined; readonly detail: Detail },
  ): void {
    const client = shownProduct(raw.headers['user-agent'])
    deps.observe?.({ at: systemClock.now(), network, client, status: response.statusCode, step, ...facts })
  }

  async function register(request: GatewayRequest, response: ServerResponse): Promise<void> {
    response.setHeader('access-control-allow-origin', '*')
    if (request.method === 'OPTIONS') {
      preflight(response, 'POST')
      return
    }
    allow(request, response, 'POST, OPTIONS')
    const type = (request.raw.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
    if (type !== 'application/json') {
      sendJson(response, 400, { error: 'invalid_client_metadata', error_description: 'send the metadata as JSON' })
      return
    }
    const bytes = await readBody(request.raw, MAX_BODY_BYTES)
    let body: unknown
    try {
      body = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    } catch {
      sendJson(response, 400, { error: 'invalid_client_metadata', error_description: 'the body is not JSON' })
      return
    }
    const result = await deps.clients.register(body, request.network)
    if (result.ok) sendJson(response, 201, result.answer)
    else sendJson(response, 400, { error: result.error, error_description: result.description })
    note(request, response, 'registration', {
      problem: result.ok ? undefined : 'registration_refused',
      detail: registrationDetail(body, result.ok ? undefined : result.error),
    })
  }

  async function visitorOf(
    request: GatewayRequest,
    response: ServerResponse,
    uid: string,
  ): Promise<ConsentVisitor & { readonly authenticatedAt: Date }> {
    // Only the browser that the request began in has this; a link to somebody else's consent leads nowhere.
    const cookie = server.provider.createContext(request.raw, response).cookies.get(RESUME_COOKIE, { signed: true })
    if (cookie !== uid) throw notFound()
    const session = await deps.authenticator.session({ cookie: request.raw.headers.cookie })
    if (session === undefined) throw new AppError('auth.unauthenticated', 'Sign in to answer this request.')
    const { personId, sessionId: webSessionId, authenticatedAt } = session
    return { personId, webSessionId, network: request.network, authenticatedAt }
  }

  async function consent(uid: string, request: GatewayRequest, response: ServerResponse): Promise<void> {
    if (request.method === 'GET') {
      sendJson(response, 200, await consents.describe(uid, await visitorOf(request, response, uid)))
      return
    }
    allow(request, response, 'GET, POST')
    checkSameOrigin(request.raw, publicUrl)
    const visitor = await visitorOf(request, response, uid)
    const answer = await readJson(request, answerBody)
    if (answer.decision === 'approve') {
      // It gives an agent as much as a session key does. Saying no asks for nothing.
      requireRecent({ kind: 'person', authenticatedAt: visitor.authenticatedAt })
      if (!deps.isReady())
        throw new AppError('service.unavailable', 'The service is not ready.', { retryAfterSeconds: 5 })
    }
    sendJson(response, 200, await consents.answer(uid, visitor, answer))
  }

  /** A person looks at this answer, so it is a page. */
  async function isTooMuch({ network }: GatewayRequest, response: ServerResponse): Promise<boolean> {
    try {
      await deps.limits?.count('authorize', network)
      return false
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      const { body, contentSecurityPolicy } = errorPage('temporarily_unavailable', error.message)
      response.setHeader('content-security-policy', contentSecurityPolicy)
      response.setHeader('content-type', 'text/html; charset=utf-8')
      if (error.retryAfterSeconds !== undefined) response.setHeader('retry-after', error.retryAfterSeconds)
      response.writeHead(error.status).end(body)
      return true
    }
  }

  return {
    prefixes: ['/oauth/', METADATA, OPENID, `${METADATA}/`, `${OPENID}/`],
    handle: (request, response) => servingNetwork(request.network, () => serve(request, response)),
  }

  async function serve(request: GatewayRequest, response: ServerResponse): Promise<void> {
    const { pathname } = request.url
    response.setHeader('cache-control', 'no-store')
    if (pathname === METADATA) {
      response.setHeader('access-control-allow-origin', '*')
      if (request.method === 'OPTIONS') {
        preflight(response, 'GET')
        return
      }
      allow(request, response, 'GET', 'HEAD')
      sendJson(response, 200, metadata, { 'cache-control': 'public, max-age=300' })
      note(request, response, 'server_metadata', { detail: {} })
      return
    }
    if (pathname === PATHS.registration) {
      await register(request, response)
      return
    }
    const uid = CONSENT.exec(pathname)?.[1]
    if (uid !== undefined) {
      await consent(uid, request, response)
      return
    }
    if (FORMS.includes(pathname)) {
      if (request.method !== 'POST' && request.method !== 'OPTIONS') {
        response.setHeader('allow', 'POST, OPTIONS')
        sendJson(response, 405, { error: 'invalid_request', error_description: 'this endpoint takes POST' })
        return
      }
      if (Number(request.raw.headers['content-length'] ?? 0) > MAX_BODY_BYTES)
        throw new AppError('request.too_large', `The body is larger than ${MAX_BODY_BYTES} bytes.`)
    } else if (pathname === PATHS.authorization || RESUME.test(pathname)) allow(request, response, 'GET')
    else throw notFound()
    if (pathname === PATHS.authorization && (await isTooMuch(request, response))) return
    await server.handle(request.raw, response)
  }
}

function allow(request: GatewayRequest, response: ServerResponse, ...methods: readonly string[]): void {
  const taken = methods.flatMap((one) => one.split(', '))
  if (taken.includes(request.method)) return
  response.setHeader('allow', taken.join(', '))
  throw new AppError('request.method_not_allowed', 'This path does not take that method.')
}

function preflight(response: ServerResponse, method: string): void {
  response.writeHead(204, {
    'access-control-allow-methods': method,
    'access-control-allow-headers': 'content-type, authorization, mcp-protocol-version',
    'access-control-max-age': '3600',
  })
  response.end()
}
