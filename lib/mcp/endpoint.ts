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
  isJsonContentType,
  isJSONRPCNotification,
  isJSONRPCRequest,
  type JSONRPCRequest,
} from '@modelcontextprotocol/server'

import type { Broker } from '../broker/call'
import { isId } from '../ids'
import type { Log } from '../log'
import type { AgentSessions } from '../tenancy/agent-sessions'
import type { AgentPrincipal } from '../tenancy/principal'
import { MAX_BODY_BYTES, readBody } from './body'
import { challenge, protectedResource } from './challenge'
import { exchange, type Reply } from './exchange'
import { findHeaderMismatch, HEADER_MISMATCH } from './headers'
import { bindBackend, createServer, LEGACY_VERSIONS, MODERN_VERSION, serializeMessage } from './server'

export interface McpEndpointDependencies {
  readonly sessions: Pick<AgentSessions, 'lookup' | 'touch'>
  readonly broker: Pick<Broker, 'call' | 'list'>
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
}

export type McpEndpoint = (
  request: IncomingMessage,
  response: ServerResponse,
  context: McpRequestContext,
) => Promise<void>

const INVALID_REQUEST = -32_600
const METHOD_NOT_FOUND = -32_601
const PARSE_ERROR = -32_700
const UNSUPPORTED_VERSION = -32_022
const MISSING_CAPABILITY = -32_021
/** What the 2025 SDKs say when nothing more exact is defined. */
const SERVER_ERROR = -32_000

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

  async function authenticate(
    request: IncomingMessage,
    context: McpRequestContext,
  ): Promise<AgentPrincipal | 'missing' | 'invalid'> {
    // A credential in a URL ends in logs, histories and referrers; one that was sent so is not accepted even beside a good one.
    if (holdsCredential(request.url ?? '')) return 'invalid'
    const { authorization } = request.headers
    if (authorization === undefined || !/^bearer /i.test(authorization)) return 'missing'
    const session = await sessions.lookup(authorization.slice(7).trim())
    if (session === undefined || session.agentId !== context.agentId) return 'invalid'
    sessions.touch(session)
    return {
      kind: 'agent',
      tenantId: session.tenantId,
      agentId: session.agentId,
      agentSessionId: session.agentSessionId,
      personId: session.personId,
      scopes: session.scopes,
      network: context.network,
    }
  }

  function refuse(response: ServerResponse, context: McpRequestContext, reason: 'missing' | 'invalid'): void {
    deps.onUnauthenticated?.(context.network)
    const error = reason === 'invalid' ? 'invalid_token' : undefined
    const agentId = isId('agent', context.agentId) ? context.agentId : undefined
    response.setHeader('www-authenticate', challenge(publicUrl, agentId, error))
    sendJson(response, 401, {
      error: error ?? 'unauthorized',
      error_description: 'Send a session key of this agent in the Authorization header, as a bearer token.',
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
    const principal = await authenticate(request, context)
    if (typeof principal === 'string') {
      refuse(response, context, principal)
      return
    }
    response.once('finish', () => {
      if (response.statusCode >= 400) deps.onRefused?.(principal, response.statusCode)
    })
    if (request.method !== 'POST') {
      response.setHeader('allow', 'POST')
      sendRpcError(response, 405, SERVER_ERROR, 'Method not allowed.')
      return
    }
    if (!isJsonContentType(request.headers['content-type'] ?? null)) {
      sendRpcError(response, 415, SERVER_ERROR, 'Unsupported Media Type: Content-Type must be application/json')
      return
    }
    const accept = acceptedForm(request.headers.accept)
    if (accept === undefined) {
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

    const headers = {
      version: single(request.headers['mcp-protocol-version']),
      method: single(request.headers['mcp-method']),
      name: single(request.headers['mcp-name']),
    }
    const answer = await serve(body.value, headers, principal, context.signal)
    if (context.signal.aborted) return
    if (answer.kind === 'unauthenticated') refuse(response, context, 'invalid')
    else if (answer.kind === 'accepted')
      response.writeHead(202, { 'cache-control': 'no-store', 'content-length': '0' }).end()
    else if (accept === 'stream') sendEvents(response, answer.status, answer.body)
    else sendJson(response, answer.status, answer.body)
  }

  async function serve(
    body: unknown,
    headers: {
      readonly version: string | undefined
      readonly method: string | undefined
      readonly name: string | undefined
    },
    principal: AgentPrincipal,
    signal: AbortSignal,
  ): Promise<Answer> {
    const route = classifyInboundRequest({
      httpMethod: 'POST',
      body,
      ...(headers.version === undefined ? {} : { protocolVersionHeader: headers.version }),
      ...(headers.method === undefined ? {} : { mcpMethodHeader: headers.method }),
      ...(headers.name === undefined ? {} : { mcpNameHeader: headers.name }),
    })
    const id = requestIdOf(body)
    const session = { hasEnded: false }
    const newServer = () =>
      createServer({
        backend: bindBackend(broker, principal, signal),
        log,
        onUnauthenticated: () => {
          session.hasEnded = true
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
      const [reply] = await exchange(newServer(), [route.message], route.classification)
      if (session.hasEnded) return { kind: 'unauthenticated' }
      return reply === undefined ? { kind: 'accepted' } : { kind: 'body', status: statusOf(reply), body: reply.message }
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
    const requests = messages.filter((message): message is JSONRPCRequest => isJSONRPCRequest(message))
    if (requests.length > 1 && requests.some(({ method }) => method === 'initialize'))
      return failed(400, INVALID_REQUEST, 'Bad Request: initialize must be sent alone', null)
    if (new Set(requests.map((request) => request.id)).size < requests.length)
      return failed(400, INVALID_REQUEST, 'Bad Request: two requests have the same id', null)
    if (requests.length === 0) return { kind: 'accepted' }
    const replies = await exchange(newServer(), requests)
    if (session.hasEnded) return { kind: 'unauthenticated' }
    const answers = replies.map(({ message }) => message)
    return { kind: 'body', status: 200, body: Array.isArray(body) ? answers : answers[0] }
  }
}

type Answer =
  | { readonly kind: 'body'; readonly status: number; readonly body: unknown }
  | { readonly kind: 'accepted' }
  | { readonly kind: 'unauthenticated' }

function failed(status: number, code: number, message: string, id: string | number | null, data?: unknown): Answer {
  return { kind: 'body', status, body: rpcError(code, message, id, data) }
}

const rpcError = (code: number, message: string, id: string | number | null, data?: unknown) => ({
  jsonrpc: '2.0',
  error: { code, message, ...(data === undefined ? {} : { data }) },
  id,
})

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
const CREDENTIAL = /pcs_|[?&](?:access_token|token|api_key|apikey|key|authorization)=/i
function decode(target: string): string {
  try {
    return decodeURIComponent(target)
  } catch {
    return ''
  }
}

const single = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(', ') : value

/** JSON wherever the client takes it. Some send only one of the two types they should, or none. */
function acceptedForm(accept: string | undefined): 'json' | 'stream' | undefined {
  if (accept === undefined || accept === '') return 'json'
  const types = accept.split(',').map((part) => (part.split(';')[0] ?? '').trim().toLowerCase())
  if (types.some((type) => type === 'application/json' || type === 'application/*' || type === '*/*')) return 'json'
  return types.includes('text/event-stream') || types.includes('text/*') ? 'stream' : undefined
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = serializeMessage(body)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  })
  response.end(text)
}

function sendRpcError(response: ServerResponse, status: number, code: number, message: string): void {
  // Whatever of the body was not read is not wanted, and would be taken for the next request.
  if (!response.req.complete) response.setHeader('connection', 'close')
  sendJson(response, status, rpcError(code, message, null))
}

/** The same answer as the only event of a stream. */
function sendEvents(response: ServerResponse, status: number, body: unknown): void {
  if (status !== 200) {
    sendJson(response, status, body)
    return
  }
  response.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store, no-transform',
    'x-accel-buffering': 'no',
  })
  const messages: unknown[] = Array.isArray(body) ? body : [body]
  response.end(messages.map((message) => `event: message\ndata: ${JSON.stringify(message)}\n\n`).join(''))
}

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
