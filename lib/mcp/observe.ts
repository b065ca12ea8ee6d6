/**
 * What a request to an agent's URL comes to, as a step for the doctor: found when the answer is out, from the request's
 * headers, what the endpoint learned on the way, and the status.
 *
 * Successes are few: what begins a conversation, once in a while for each session, and the first call of a tool.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

import { LRUCache } from 'lru-cache'

import type { Clock } from '../clock'
import {
  shownAddress,
  shownHost,
  shownMediaTypes,
  shownMethod,
  shownProduct,
  shownText,
  shownTool,
  shownVersion,
} from '../doctor/shown'
import {
  detailOf,
  quietly,
  type Detail,
  type Observation,
  type Observe,
  type Problem,
  type RefusedCredential,
} from '../doctor/step'
import { hashSecret, isId } from '../ids'
import type { AgentPrincipal } from '../tenancy/principal'
import {
  errorCodeOf,
  INVALID_PARAMS,
  INVALID_REQUEST,
  METHOD_NOT_FOUND,
  PARSE_ERROR,
  SERVER_ERROR,
  SESSION_NOT_FOUND,
  UNSUPPORTED_VERSION,
} from './answer'
import { HEADER_MISMATCH } from './headers'

/** Filled in by the endpoint as it finds out. */
export interface McpTrace {
  principal?: AgentPrincipal
  body?: unknown
}

export interface McpObserver {
  /** Follows one request. What is returned is to be filled in. */
  follow(
    request: IncomingMessage,
    response: ServerResponse,
    context: { readonly agentId: string; readonly network: string },
  ): McpTrace
  /** Somebody read the metadata of an agent's URL. */
  readMetadata(request: IncomingMessage, response: ServerResponse, context: { agentId: string; network: string }): void
}

/** A success of the same kind by the same session is not shown again for so long. */
const QUIET_MS = 10 * 60_000
const SHOWN_ON_SUCCESS: ReadonlySet<string> = new Set([
  'initialize',
  'server/discover',
  'tools/list',
  'tools/call',
  'subscriptions/listen',
  'resources/list',
  'prompts/list',
])

export function createMcpObserver({
  observe,
  clock,
}: {
  readonly observe: Observe
  readonly clock: Clock
}): McpObserver {
  const shown = new LRUCache<string, true>({ max: 20_000, ttl: QUIET_MS })

  const isNews = ({ agentSessionId }: AgentPrincipal, method: string): boolean => {
    const key = `${agentSessionId} ${method}`
    if (shown.has(key)) return false
    shown.set(key, true)
    return true
  }

  return {
    follow(request, response, { agentId, network }) {
      const trace: McpTrace = {}
      const note = () => {
        if (!isId('agent', agentId)) return
        const { statusCode: status } = response
        const { principal } = trace
        const message = messageOf(trace.body)
        if (
          status < 400 &&
          principal !== undefined &&
          (!SHOWN_ON_SUCCESS.has(message.method) || !isNews(principal, message.method))
        )
          return
        const refused = status === 401 ? refusedCredential(request) : undefined
        observe({
          step: 'mcp',
          at: clock.now(),
          network,
          client: clientOf(request, message),
          status,
          problem: refused?.problem ?? problemOf(status, errorCodeOf(response), response),
          detail: shownOf(request, message, refused?.credential),
          agentId,
          ...(principal === undefined ? {} : { tenantId: principal.tenantId }),
          ...(refused?.lookUp === undefined ? {} : { credential: refused.lookUp }),
        } satisfies Observation)
      }
      // Once, when the answer is out or broke off; a stream when it ends.
      let isNoted = false
      const once = () => {
        if (isNoted) return
        isNoted = true
        quietly(note)
      }
      response.once('finish', once)
      response.once('close', () => {
        if (response.headersSent) once()
      })
      return trace
    },

    readMetadata(request, response, { agentId, network }) {
      if (!isId('agent', agentId)) return
      quietly(() => {
        observe({
          step: 'resource_metadata',
          at: clock.now(),
          network,
          client: shownProduct(request.headers['user-agent']),
          status: response.statusCode,
          problem: response.statusCode < 400 ? undefined : 'http_method',
          detail: {},
          agentId,
        })
      })
    },
  }
}

interface Message {
  readonly method: string
  readonly params: Readonly<Record<string, unknown>>
}

/** The first request of the body; of a batch, the one it begins with. */
function messageOf(body: unknown): Message {
  const one: unknown = Array.isArray(body) ? body[0] : body
  if (!isRecord(one)) return { method: '', params: {} }
  const { method, params } = one
  return { method: typeof method === 'string' ? method : '', params: isRecord(params) ? params : {} }
}

function clientOf(request: IncomingMessage, { params }: Message): string | undefined {
  const meta = isRecord(params['_meta']) ? params['_meta'] : {}
  const info = params['clientInfo'] ?? meta['io.modelcontextprotocol/clientInfo']
  const name = isRecord(info) ? shownText(info['name'], 60) : undefined
  if (name === undefined) return shownProduct(request.headers['user-agent'])
  const version = isRecord(info) ? shownText(info['version'], 20) : undefined
  return version === undefined ? name : `${name} ${version}`
}

interface Refused {
  readonly problem: Problem
  readonly credential: string | undefined
  readonly lookUp?: RefusedCredential
}

/** Why 401, as far as the request itself says. */
function refusedCredential({ url = '', headers: { authorization } }: IncomingMessage): Refused {
  if (url.includes('?') && authorization !== undefined) return inUrl
  if (authorization === undefined) return url.includes('?') ? inUrl : { problem: 'no_credentials', credential: 'none' }
  if (!/^bearer /i.test(authorization)) return { problem: 'not_a_bearer', credential: 'not a bearer' }
  const token = authorization.slice(7).trim()
  for (const { prefix, problem, credential, kind } of KINDS)
    if (token.startsWith(prefix))
      return { problem, credential, ...(kind === undefined ? {} : { lookUp: { kind, hash: hashSecret(token) } }) }
  return { problem: 'foreign_token', credential: token === '' ? 'empty' : 'not one of ours' }
}
const inUrl: Refused = { problem: 'credential_in_url', credential: 'in the address' }
const KINDS: readonly {
  readonly prefix: string
  readonly problem: Problem
  readonly credential: string
  readonly kind?: 'session_key' | 'access_token'
}[] = [
  { prefix: 'pcs_', problem: 'token_unknown', credential: 'session key', kind: 'session_key' },
  { prefix: 'poa_', problem: 'token_unknown', credential: 'access token', kind: 'access_token' },
  { prefix: 'por_', problem: 'refresh_token_as_bearer', credential: 'refresh token' },
  { prefix: 'pck_', problem: 'api_key_as_bearer', credential: 'API key' },
]

function problemOf(status: number, code: number | undefined, response: ServerResponse): Problem | undefined {
  if (status < 400) return undefined
  switch (status) {
    case 403:
      return response.hasHeader('www-authenticate') ? 'insufficient_scope' : 'origin_refused'
    case 404:
      return code === SESSION_NOT_FOUND ? 'mcp_session_unknown' : code === METHOD_NOT_FOUND ? 'method_unknown' : 'other'
    case 405:
      return 'http_method'
    case 406:
      return 'accept'
    case 413:
      return 'too_large'
    case 415:
      return 'content_type'
    case 429:
      return 'too_many_streams'
    case 400:
      return BAD_REQUESTS.get(code ?? 0) ?? 'not_a_request'
    default:
      return status >= 500 ? 'fault' : 'other'
  }
}
const BAD_REQUESTS: ReadonlyMap<number, Problem> = new Map([
  [PARSE_ERROR, 'not_json'],
  [UNSUPPORTED_VERSION, 'version_unknown'],
  // The older leg has no code of its own for it.
  [SERVER_ERROR, 'version_unknown'],
  [HEADER_MISMATCH, 'headers_disagree'],
  [INVALID_REQUEST, 'not_a_request'],
  [INVALID_PARAMS, 'not_a_request'],
])

function shownOf({ method, headers }: IncomingMessage, message: Message, credential: string | undefined): Detail {
  const version = message.params['protocolVersion'] ?? headers['mcp-protocol-version']
  const origin = headers.origin === undefined ? undefined : (shownAddress(headers.origin) ?? 'not an address')
  return detailOf({
    method: message.method === '' ? (method ?? '') : (shownMethod(message.method) ?? 'not a method'),
    tool: message.method === 'tools/call' ? shownTool(message.params['name']) : undefined,
    protocolVersion: version === undefined ? undefined : (shownVersion(version) ?? 'not a version'),
    credential,
    origin,
    contentType:
      headers['content-type'] === undefined ? undefined : (shownMediaTypes(headers['content-type']) ?? 'not a type'),
    accept: headers.accept === undefined ? undefined : (shownMediaTypes(headers.accept) ?? 'not types'),
    session: headers['mcp-session-id'] === undefined ? undefined : 'one was named',
  })
}

/** A request under another name than ours, told before any route is looked for. */
export function hostRefused(
  request: IncomingMessage,
  context: { readonly network: string; readonly at: Date },
): Observation | undefined {
  const agentId = /^(?:\/\.well-known\/oauth-protected-resource)?\/mcp\/([a-z0-9_]+)/.exec(request.url ?? '')?.[1]
  if (!isId('agent', agentId)) return undefined
  return {
    step: 'mcp',
    at: context.at,
    network: context.network,
    client: shownProduct(request.headers['user-agent']),
    status: 421,
    problem: 'host_refused',
    detail: { host: shownHost(request.headers.host) ?? 'not a host' },
    agentId,
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
