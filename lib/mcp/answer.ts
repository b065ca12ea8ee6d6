/**
 * How the endpoint answers: as JSON, as a stream of one event, as an error of the envelope.
 *
 * @module
 */
import type { ServerResponse } from 'node:http'

import { serializeMessage } from './server'

/** What the 2025 SDKs say when nothing more exact is defined. */
export const SERVER_ERROR = -32_000
export const SESSION_NOT_FOUND = -32_001
export const INVALID_REQUEST = -32_600
export const METHOD_NOT_FOUND = -32_601
export const INVALID_PARAMS = -32_602
export const INTERNAL_ERROR = -32_603
export const PARSE_ERROR = -32_700
export const MISSING_CAPABILITY = -32_021
export const UNSUPPORTED_VERSION = -32_022

export const rpcError = (code: number, message: string, id: string | number | null, data?: unknown) => ({
  jsonrpc: '2.0',
  error: { code, message, ...(data === undefined ? {} : { data }) },
  id,
})

const codes = new WeakMap<ServerResponse, number>()
/** The JSON-RPC code of a refusal that was sent with a status of its own. */
export const errorCodeOf = (response: ServerResponse): number | undefined => codes.get(response)

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (status >= 400) {
    const code = codeOf(body)
    if (code !== undefined) codes.set(response, code)
  }
  const text = serializeMessage(body)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    ...headers,
  })
  response.end(text)
}

function codeOf(body: unknown): number | undefined {
  const error = typeof body === 'object' && body !== null && 'error' in body ? body.error : undefined
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'number'
    ? error.code
    : undefined
}

export function sendRpcError(response: ServerResponse, status: number, code: number, message: string): void {
  // Whatever of the body was not read is not wanted, and would be taken for the next request.
  if (!response.req.complete) response.setHeader('connection', 'close')
  sendJson(response, status, rpcError(code, message, null))
}

/** The same answer as the only event of a stream. */
export function sendEvents(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (status !== 200) {
    sendJson(response, status, body, headers)
    return
  }
  response.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store, no-transform',
    'x-accel-buffering': 'no',
    ...headers,
  })
  const messages: unknown[] = Array.isArray(body) ? body : [body]
  response.end(messages.map((message) => `event: message\ndata: ${JSON.stringify(message)}\n\n`).join(''))
}

/** Which forms the client takes. Some send only one of the two types they should, or none. */
export function acceptedForms(accept: string | undefined): { readonly json: boolean; readonly stream: boolean } {
  if (accept === undefined || accept === '') return { json: true, stream: false }
  const types = accept.split(',').map((part) => (part.split(';')[0] ?? '').trim().toLowerCase())
  const isAny = types.includes('*/*')
  return {
    json: isAny || types.some((type) => type === 'application/json' || type === 'application/*'),
    stream: isAny || types.some((type) => type === 'text/event-stream' || type === 'text/*'),
  }
}
