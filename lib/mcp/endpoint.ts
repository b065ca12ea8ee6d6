/**
 * The MCP endpoint of an agent: one POST, one answer, no state between them, for clients of the 2026-07-28 revision and
 * of those from 2025.
 *
 * Who is asking is settled first and says the same whatever the body is. A session belongs to one agent's URL; the same
 * answer for a wrong one, an ended one and an agent that does not exist.
 *
 * @see MCP 2026-07-28 and 2025-11-25, Streamable HTTP
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

import {
  classifyInboundRequest,
  isInitializeRequest,
  isJsonContentType,
  isJSONRPCNotification,
  isJSONRPCRequest,
  type JSONRPCMessage,
  type JSONRPCRequest,
  type RequestId,
} from '@modelcontextprotocol/server'

import type { Broker } from '../broker/call'
import { shownProduct } from '../doctor/shown'
import { isId } from '../ids'
import type { Log } from '../log'
import type { AgentSessions } from '../tenancy/agent-sessions'
import type { AgentPrincipal } from '../tenancy/principal'
import {
  acceptedForms,
  INTERNAL_ERROR,
  INVALID_PARAMS,
  INVALID_REQUEST,
  METHOD_NOT_FOUND,
  MISSING_CAPABILITY,
  PARSE_ERROR,
  rpcError,
  sendEvents,
  sendJson,
  sendRpcError,
  SERVER_ERROR,
  SESSION_NOT_FOUND,
  UNSUPPORTED_VERSION,
} from './answer'
import { bindBackend } from './backend'
import { MAX_BODY_BYTES, readBody } from './body'
import { challenge, protectedResource, SCOPE_TOO_SMALL, scopeChallenge } from './challenge'
import type { CanAsk } from './connect'
import { createEventStream, type EventStream } from './event-stream'
import { exchange, type Reply } from './exchange'
import { findHeaderMismatch, HEADER_MISMATCH } from './headers'
import type { McpTrace } from './observe'
import { createServer, declaresUrls, LEGACY_VERSIONS, MODERN_VERSION } from './server'
import type { McpSession } from './sessions'
import type { McpState } from './state'

export interface McpEndpointDependencies {
  readonly sessions: Pick<AgentSessions, 'lookup' | 'touch'>
  readonly broker: Pick<Broker, 'call' | 'list' | 'isReady'>
  readonly state: McpState
  readonly publicUrl: string
  readonly log: Log
  /** Counts what nobody authenticated does. */
  readonly onUnauthenticated?: (network: string) => void
  /** Told when a known agent sent what is no valid request: nothing of it reached a tool, so no call records it. */
  readonly onRefused?: (principal: AgentPrincipal, status: number) => void
}

export interface McpRequestContext {
  /** The path segment after `/mcp/`, as it came. */
  readonly agentId: string
  readonly network: string
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal
  /** Told what the request turns out to be. */
  readonly trace?: McpTrace
}

export type McpEndpoint = (
  request: IncomingMessage,
  response: ServerResponse,
  context: McpRequestContext,
) => Promise<void>

/** Errors of the envelope have an HTTP status of their own; what a handler answers is 200. */
const PROTOCOL_STATUS: ReadonlyMap<number, number> = new Map([
  [PARSE_ERROR, 400],
  [INVALID_REQUEST, 400],
  [METHOD_NOT_FOUND, 404],
  [UNSUPPORTED_VERSION, 400],
  [MISSING_CAPABILITY, 400],
  [HEADER_MISMATCH, 400],
])

const MAX_BATCH = 20

export function createMcpEndpoint(deps: McpEndpointDependencies): McpEndpoint {
  const { sessions, broker, publicUrl, log } = deps
  const { mcpSessions, streams, requests, relay } = deps.state

  async function authenticate(
    request: IncomingMessage,
    context: McpRequestContext,
  ): Promise<Authenticated | 'missing' | 'invalid'> {
    // A credential in a URL ends in logs, histories and referrers; one that was sent so is not accepted even beside a good one.
    if (holdsCredential(request.url ?? '')) return 'invalid'
    const { authorization } = request.headers
    if (authorization === undefined || !/^bearer /i.test(authorization)) return 'missing'
    const session = await sessions.lookup(authorization.slice(7).trim())
    if (session === undefined || session.agentId !== context.agentId) return 'invalid'
    sessions.touch(session, { network: context.network, client: shownProduct(request.headers['user-agent']) })
    return {
      expiresAt: session.expiresAt,
      principal: {
        kind: 'agent',
        tenantId: session.tenantId,
        agentId: session.agentId,
        agentSessionId: session.agentSessionId,
        personId: session.personId,
        scopes: session.scopes,
        network: context.network,
      },
    }
  }

  function refuse(response: ServerResponse, context: McpRequestContext, reason: 'missing' | 'invalid'): void {
    deps.onUnauthenticated?.(context.network)
    const error = reason === 'invalid' ? 'invalid_token' : undefined
    const agentId = isId('agent', context.agentId) ? context.agentId : undefined
    response.setHeader('www-authenticate', challenge(publicUrl, agentId, error))
    sendJson(response, 401, {
      error: error ?? 'unauthorized',
      error_description:
        'Send an access token or a session key of this agent in the Authorization header, as a bearer token.',
    })
  }

  return async (request, response, context) => {
    const { origin } = request.headers
    if (origin !== undefined && origin !== publicUrl) {
      // A page of another site, perhaps by DNS rebinding.
      sendRpcError(response, 403, SERVER_ERROR, 'Forbidden: this origin may not call the endpoint')
      return
    }
    if (!isId('agent', context.agentId) && !holdsCredential(request.url ?? '')) {
      sendJson(response, 404, { error: { code: 'resource.not_found', message: 'There is no such resource.' } })
      return
    }
    const authenticated = await authenticate(request, context)
    if (typeof authenticated === 'string') {
      refuse(response, context, authenticated)
      return
    }
    const { principal } = authenticated
    if (context.trace !== undefined) context.trace.principal = principal
    response.once('finish', () => {
      // A scope that is too small was recorded as the refusal of its call.
      if (response.statusCode >= 400 && response.statusCode !== 403) deps.onRefused?.(principal, response.statusCode)
    })
    const sessionId = single(request.headers['mcp-session-id'])
    if (sessionId !== undefined && (request.method === 'GET' || request.method === 'DELETE')) {
      const session = await sessionOf(sessionId, principal, request, response, undefined)
      if (session === undefined) return
      if (request.method === 'GET') await resumeStream(session, authenticated, request, response)
      else {
        mcpSessions.end(session)
        response.writeHead(204, { 'cache-control': 'no-store' }).end()
      }
      return
    }
    if (request.method !== 'POST') {
      response.setHeader('allow', 'POST')
      sendRpcError(response, 405, SERVER_ERROR, 'Method not allowed.')
      return
    }
    if (!isJsonContentType(request.headers['content-type'] ?? null)) {
      sendRpcError(response, 415, SERVER_ERROR, 'Unsupported Media Type: Content-Type must be application/json')
      return
    }
    const accept = acceptedForms(request.headers.accept)
    if (!accept.json && !accept.stream) {
      sendRpcError(response, 406, SERVER_ERROR, 'Not Acceptable: accept application/json or text/event-stream')
      return
    }
    const body = await readBody(request)
    if (body.kind === 'too_large') {
      response.setHeader('connection', 'close')
      sendRpcError(response, 413, SERVER_ERROR, `Payload Too Large: at most ${MAX_BODY_BYTES} bytes`)
      return
    }
    if (body.kind === 'invalid') {
      sendRpcError(response, 400, PARSE_ERROR, 'Parse error: the body is not UTF-8 JSON of a sane depth')
      return
    }
    if (context.trace !== undefined) context.trace.body = body.value

    const headers = {
      version: single(request.headers['mcp-protocol-version']),
      method: single(request.headers['mcp-method']),
      name: single(request.headers['mcp-name']),
    }
    let session: McpSession | undefined
    // The revision of 2026 has no sessions: there the header means nothing.
    if (sessionId !== undefined && !hasEnvelope(body.value) && !isInitialize(body.value)) {
      session = await sessionOf(sessionId, principal, request, response, body.value)
      if (session === undefined) return
      // Some clients name the newest revision on a connection that agreed on an older one, or none at all.
      if (headers.version === undefined || headers.version === MODERN_VERSION) headers.version = session.version
    }
    const live = accept.stream ? createLive(response, session) : undefined
    const answer = await serve(body.value, headers, { principal, session, live, signal: context.signal })
    if (answer.kind === 'subscription') {
      await subscribe(answer, authenticated, accept.stream, response)
      return
    }
    if (live?.stream !== undefined) {
      if (answer.kind === 'body')
        for (const message of Array.isArray(answer.body) ? (answer.body as unknown[]) : [answer.body])
          live.stream.send(message)
      live.stream.end()
      return
    }
    if (context.signal.aborted) return
    if (answer.kind === 'unauthenticated') refuse(response, context, 'invalid')
    else if (answer.kind === 'insufficient_scope') {
      response.setHeader('www-authenticate', scopeChallenge(publicUrl, context.agentId, answer.scopes))
      sendJson(response, 403, { error: 'insufficient_scope', error_description: SCOPE_TOO_SMALL })
    } else if (answer.kind === 'accepted')
      response.writeHead(202, { 'cache-control': 'no-store', 'content-length': '0' }).end()
    else (accept.json ? sendJson : sendEvents)(response, answer.status, answer.body, answer.headers)
  }

  /** The session of this id, when it is this principal's and here. Otherwise the request has been answered. */
  async function sessionOf(
    id: string,
    principal: AgentPrincipal,
    request: IncomingMessage,
    response: ServerResponse,
    body: unknown,
  ): Promise<McpSession | undefined> {
    const found = await mcpSessions.find(principal, id)
    if (found.kind === 'here') return found.session
    if (found.kind === 'elsewhere' && relay !== undefined && (await relay(request, response, found.instanceId, body)))
      return undefined
    sendRpcError(response, 404, SESSION_NOT_FOUND, 'Session not found: initialize again')
    return undefined
  }

  /** GET: the notices of a session, or the rest of a stream whose connection broke. */
  async function resumeStream(
    session: McpSession,
    { principal, expiresAt }: Authenticated,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (!acceptedForms(request.headers.accept).stream) {
      sendRpcError(response, 406, SERVER_ERROR, 'Not Acceptable: accept text/event-stream')
      return
    }
    const last = /^([0-9]{1,9})-([0-9]{1,9})$/.exec(single(request.headers['last-event-id']) ?? '')
    const stream = last === null ? undefined : session.stream(Number(last[1]))
    if (stream !== undefined) {
      stream.attach(response, Number(last?.[2]))
      return
    }
    const after = last?.[1] === '0' ? Number(last[2]) : undefined
    const isOpen = await streams.openNotices(session, principal, expiresAt, response, after, () => {
      mcpSessions.end(session)
    })
    if (!isOpen) tooManyStreams(response)
  }

  async function subscribe(
    { id, toolsListChanged }: Subscription,
    { principal, expiresAt }: Authenticated,
    acceptsStream: boolean,
    response: ServerResponse,
  ): Promise<void> {
    if (!acceptsStream) {
      sendRpcError(response, 406, SERVER_ERROR, 'Not Acceptable: accept text/event-stream')
      return
    }
    if (!(await streams.openSubscription({ id, toolsListChanged }, principal, expiresAt, response)))
      tooManyStreams(response)
  }

  async function serve(body: unknown, headers: Headers, context: ServeContext): Promise<Answer> {
    const { principal, session, live } = context
    const route = classifyInboundRequest({
      httpMethod: 'POST',
      body,
      ...(headers.version === undefined ? {} : { protocolVersionHeader: headers.version }),
      ...(headers.method === undefined ? {} : { mcpMethodHeader: headers.method }),
      ...(headers.name === undefined ? {} : { mcpNameHeader: headers.name }),
    })
    const id = requestIdOf(body)
    const ending: { hasEnded: boolean; lackedScopes: readonly string[] | undefined; hasFailed: boolean } = {
      hasEnded: false,
      lackedScopes: undefined,
      hasFailed: false,
    }
    const newServer = (signalOf: (id: RequestId) => AbortSignal, canAsk: (canOpenUrls: boolean) => CanAsk) =>
      createServer({
        backend: bindBackend({ broker, requests, principal, signalOf, canAsk }),
        log,
        onUnauthenticated: () => {
          ending.hasEnded = true
        },
        onInsufficientScope: (scopes) => {
          ending.lackedScopes = scopes
        },
        onFault: () => {
          ending.hasFailed = true
        },
      })

    if (route.kind === 'reject') return failed(route.httpStatus, route.code, route.message, id, route.data)
    if (route.kind === 'modern') {
      const { revision } = route.classification
      if (revision !== MODERN_VERSION)
        return failed(400, UNSUPPORTED_VERSION, 'Unsupported protocol version', id, {
          supported: [MODERN_VERSION],
          requested: revision ?? 'unknown',
        })
      if (route.messageKind === 'notification') return { kind: 'accepted' }
      const mismatch = findHeaderMismatch(headers, route.message.method, route.message.params)
      if (mismatch !== undefined) return failed(400, HEADER_MISMATCH, `Bad Request: ${mismatch}`, id)
      if (route.message.method === 'subscriptions/listen') return subscriptionOf(route.message)
      // Here a connection that is closed is a cancellation.
      const server = newServer(
        () => context.signal,
        (canOpenUrls) => (canOpenUrls ? 'by_result' : 'no'),
      )
      const [reply] = await exchange(server, [route.message], route.classification, live?.send)
      if (ending.hasEnded) return { kind: 'unauthenticated' }
      if (ending.lackedScopes !== undefined) return { kind: 'insufficient_scope', scopes: ending.lackedScopes }
      if (reply === undefined) return { kind: 'accepted' }
      return {
        kind: 'body',
        status: statusOf(reply),
        body: ending.hasFailed ? reply.message : asInvalidParams(reply.message),
      }
    }

    // The older leg. A version is named in a header since 2025-06-18; without one it is 2025-03-26, which had batches.
    if (
      headers.version !== undefined &&
      route.reason !== 'initialize' &&
      !LEGACY_VERSIONS.includes(headers.version.trim())
    )
      return failed(
        400,
        SERVER_ERROR,
        `Bad Request: Unsupported protocol version (supported: ${LEGACY_VERSIONS.join(', ')})`,
        id,
      )
    const messages: unknown[] = Array.isArray(body) ? body : [body]
    if (Array.isArray(body)) {
      const version = headers.version?.trim() ?? '2025-03-26'
      if (version !== '2025-03-26')
        return failed(400, INVALID_REQUEST, 'Bad Request: this revision has no batches', null)
      if (body.length > MAX_BATCH)
        return failed(400, INVALID_REQUEST, `Bad Request: at most ${MAX_BATCH} messages in a batch`, null)
    }
    const requested = messages.filter((message): message is JSONRPCRequest => isJSONRPCRequest(message))
    if (requested.length > 1 && requested.some(({ method }) => method === 'initialize'))
      return failed(400, INVALID_REQUEST, 'Bad Request: initialize must be sent alone', null)
    if (new Set(requested.map((request) => request.id)).size < requested.length)
      return failed(400, INVALID_REQUEST, 'Bad Request: two requests have the same id', null)
    const [initialize] = requested.filter(({ method }) => method === 'initialize')
    // The SDK would answer its own validator's words as an internal error.
    if (initialize !== undefined && !isInitializeRequest(initialize))
      return failed(
        200,
        INVALID_PARAMS,
        'initialize: protocolVersion, capabilities and clientInfo (name, version) are needed',
        initialize.id,
      )
    for (const message of messages) cancelNamed(session, message)
    if (requested.length === 0) return { kind: 'accepted' }

    const calls = new Map(requested.map((request) => [JSON.stringify(request.id), new AbortController()]))
    for (const [name, controller] of calls) session?.running.set(name, controller)
    const server = newServer(
      (requestId) => calls.get(JSON.stringify(requestId))?.signal ?? context.signal,
      () => (session?.canOpenUrls === true && session.version >= '2025-11-25' ? 'by_error' : 'no'),
    )
    const replies = await exchange(server, requested, undefined, live?.send).finally(() => {
      for (const [name, controller] of calls)
        if (session?.running.get(name) === controller) session.running.delete(name)
    })
    if (ending.hasEnded) return { kind: 'unauthenticated' }
    // In a batch the others have their answers, and this one its own error.
    if (ending.lackedScopes !== undefined && !Array.isArray(body))
      return { kind: 'insufficient_scope', scopes: ending.lackedScopes }
    // What was cancelled is not answered.
    const answers = replies
      .map(({ message }) => (ending.hasFailed ? message : asInvalidParams(message)))
      .filter((message) => !('id' in message) || calls.get(JSON.stringify(message.id))?.signal.aborted !== true)
    if (answers.length === 0) return { kind: 'accepted' }
    const [first] = requested
    const started = first?.method === 'initialize' ? await begin(principal, first, answers[0]) : undefined
    return {
      kind: 'body',
      status: 200,
      body: Array.isArray(body) ? answers : answers[0],
      ...(started === undefined ? {} : { headers: { 'mcp-session-id': started.id } }),
    }
  }

  /** A session for a client that has just agreed on a revision. Without one the client is served all the same. */
  async function begin(
    principal: AgentPrincipal,
    request: JSONRPCRequest,
    answer: JSONRPCMessage | undefined,
  ): Promise<McpSession | undefined> {
    const version = answer !== undefined && 'result' in answer ? answer.result['protocolVersion'] : undefined
    if (typeof version !== 'string') return undefined
    try {
      return await mcpSessions.begin(principal, {
        version,
        canOpenUrls: declaresUrls(request.params?.['capabilities']),
      })
    } catch (error) {
      log.warn({ err: error }, 'a client is served without a session')
      return undefined
    }
  }
}

/** `notifications/cancelled` ends the call it names; closing the connection does not, in these revisions. */
function cancelNamed(session: McpSession | undefined, message: unknown): void {
  if (!isJSONRPCNotification(message) || message.method !== 'notifications/cancelled') return
  session?.running.get(JSON.stringify(message.params?.['requestId']))?.abort()
}

function subscriptionOf({ id, params }: JSONRPCRequest): Answer {
  const notifications = params?.['notifications']
  if (!isRecord(notifications))
    return { kind: 'body', status: 200, body: rpcError(INVALID_PARAMS, 'notifications: must be an object', id) }
  return { kind: 'subscription', id, toolsListChanged: notifications['toolsListChanged'] === true }
}

function tooManyStreams(response: ServerResponse): void {
  response.setHeader('retry-after', '30')
  sendRpcError(response, 429, SERVER_ERROR, 'Too many open streams')
}

/** Opens a stream with the first notice of an answer that is still being worked on; none, when there is no notice. */
interface Live {
  readonly stream: EventStream | undefined
  readonly send: (message: unknown) => void
}

function createLive(response: ServerResponse, session: McpSession | undefined): Live {
  let stream: EventStream | undefined
  return {
    get stream() {
      return stream
    },
    send: (message) => {
      if (response.destroyed && session === undefined) return
      if (stream === undefined) {
        stream = session === undefined ? createEventStream() : session.newStream()
        stream.attach(response)
      }
      stream.send(message)
    },
  }
}

interface Authenticated {
  readonly principal: AgentPrincipal
  readonly expiresAt: Date
}

interface Headers {
  readonly version: string | undefined
  readonly method: string | undefined
  readonly name: string | undefined
}

interface ServeContext {
  readonly principal: AgentPrincipal
  readonly session: McpSession | undefined
  readonly live: Live | undefined
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal
}

interface Subscription {
  readonly kind: 'subscription'
  readonly id: RequestId
  readonly toolsListChanged: boolean
}

type Answer =
  | {
      readonly kind: 'body'
      readonly status: number
      readonly body: unknown
      readonly headers?: Readonly<Record<string, string>>
    }
  | Subscription
  | { readonly kind: 'accepted' }
  | { readonly kind: 'unauthenticated' }
  | { readonly kind: 'insufficient_scope'; readonly scopes: readonly string[] }

function failed(status: number, code: number, message: string, id: string | number | null, data?: unknown): Answer {
  return { kind: 'body', status, body: rpcError(code, message, id, data) }
}

/** The SDK answers parameters that do not fit with its validator's words, as an internal error. */
function asInvalidParams(message: JSONRPCMessage): JSONRPCMessage {
  if (!('error' in message) || message.error.code !== INTERNAL_ERROR) return message
  return { ...message, error: { code: INVALID_PARAMS, message: 'Invalid params: they do not fit this method' } }
}

function statusOf({ message, isFromProtocol }: Reply): number {
  if (!('error' in message)) return 200
  const { code } = message.error
  return isFromProtocol || code === MISSING_CAPABILITY ? (PROTOCOL_STATUS.get(code) ?? 200) : 200
}

/** The id to answer with: that of the one request in the body, null when there is no such thing. */
function requestIdOf(body: unknown): string | number | null {
  if (typeof body !== 'object' || body === null || Array.isArray(body) || isJSONRPCNotification(body)) return null
  if (!('method' in body) || typeof body.method !== 'string' || !('id' in body)) return null
  return typeof body.id === 'string' || typeof body.id === 'number' ? body.id : null
}

/** The session key's prefix, or a parameter that the older OAuth drafts put tokens into, anywhere in the target. */
function holdsCredential(target: string): boolean {
  return CREDENTIAL.test(target) || (target.includes('%') && CREDENTIAL.test(decode(target)))
}
const CREDENTIAL = /pcs_|poa_|por_|[?&](?:access_token|token|api_key|apikey|key|authorization)=/i
function decode(target: string): string {
  try {
    return decodeURIComponent(target)
  } catch {
    return ''
  }
}

const single = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(', ') : value

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const ENVELOPE = 'io.modelcontextprotocol/protocolVersion'

function hasEnvelope(body: unknown): boolean {
  const params = isRecord(body) ? body['params'] : undefined
  const meta = isRecord(params) ? params['_meta'] : undefined
  return isRecord(meta) && meta[ENVELOPE] !== undefined
}

const isInitialize = (body: unknown) => isRecord(body) && body['method'] === 'initialize'

/** Answers for `/.well-known/oauth-protected-resource/mcp/{agentId}` (RFC 9728 §3). Public, so any page may read it. */
export function sendProtectedResource(
  request: IncomingMessage,
  response: ServerResponse,
  options: { readonly publicUrl: string; readonly agentId: string },
): void {
  response.setHeader('access-control-allow-origin', '*')
  if (!isId('agent', options.agentId)) {
    sendJson(response, 404, { error: { code: 'resource.not_found', message: 'There is no such resource.' } })
    return
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD')
    sendJson(response, 405, {
      error: { code: 'request.method_not_allowed', message: 'This path does not take that method.' },
    })
    return
  }
  sendJson(response, 200, protectedResource(options.publicUrl, options.agentId))
}
