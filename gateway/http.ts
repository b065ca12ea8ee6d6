/**
 * What every route family of the gateway shares: reading a bounded body, answering JSON, cookies, the same-origin rule.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

import type { z } from 'zod'

import { AppError } from '@/lib/errors'
import { findCookie } from '@/lib/identity/cookies'
import type { Id } from '@/lib/ids'

/** One request as the route families see it: parsed once, with the client address already established. */
export interface GatewayRequest {
  readonly raw: IncomingMessage
  readonly method: string
  /** Always below `PUBLIC_URL`; only path and query come from the client. */
  readonly url: URL
  readonly requestId: Id<'request'>
  readonly clientAddress: string
  /** Canonical network of the client: an IPv4 address or an IPv6 /64. Key of limits, value of audit. */
  readonly network: string
  /** Aborts when the client goes away before the answer is complete. */
  readonly signal: AbortSignal
}

export type RouteHandler = (request: GatewayRequest, response: ServerResponse) => Promise<void>

/** A route family: the path prefixes it answers for, and how. A prefix ends in `/` or is a whole path. */
export interface RouteFamily {
  readonly prefixes: readonly string[]
  readonly handle: RouteHandler
}

/**
 * Reads the whole body, at most `maxBytes`.
 *
 * @throws AppError `request.too_large` as soon as the limit is passed or announced.
 */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes)
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    // an IncomingMessage without encoding yields buffers
    size += chunk.length
    if (size > maxBytes) throw tooLarge(maxBytes)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, size)
}

/**
 * Reads a JSON body and validates it.
 *
 * @throws AppError `request.unsupported_media_type`, `request.too_large` or `request.invalid` (naming the field).
 */
export async function readJson<S extends z.ZodType>(
  request: GatewayRequest,
  schema: S,
  maxBytes = 16_384,
): Promise<z.output<S>> {
  const type = (request.raw.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json')
    throw new AppError('request.unsupported_media_type', 'Send the body as application/json.')
  return validate(schema, parseJson(await readBody(request.raw, maxBytes)))
}

const UTF8 = new TextDecoder('utf-8', { fatal: true })

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(UTF8.decode(body))
  } catch {
    throw new AppError('request.invalid', 'The body is not valid JSON.')
  }
}

/** @throws AppError `request.invalid` with the first offending field. The value itself is not repeated. */
export function validate<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const field = issue?.code === 'unrecognized_keys' ? issue.keys[0] : issue?.path.map(String).join('.')
  const named = field !== undefined && field !== ''
  const reason = issue?.code === 'unrecognized_keys' ? 'is not a known field' : (issue?.message ?? 'is not valid')
  throw new AppError(
    'request.invalid',
    named ? `${field}: ${reason}` : `The request is not valid: ${reason}`,
    named ? { field } : {},
  )
}

/** Answers JSON that no cache may keep. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const bytes = Buffer.from(JSON.stringify(body))
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': bytes.length,
    'cache-control': 'no-store',
    ...headers,
  })
  response.end(bytes)
}

export function sendEmpty(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'cache-control': 'no-store', 'content-length': '0', ...headers })
  response.end()
}

/** 303, so that the browser follows with GET and repeats no credential (RFC 9700 §4.12). `location` is ours, never the client's. */
export function sendSeeOther(response: ServerResponse, location: string): void {
  sendEmpty(response, 303, { location })
}

/** The one shape of an error. Nothing of the cause is in it, and nothing that differs between a foreign and a missing id. */
export function sendError(response: ServerResponse, error: AppError): void {
  const retryAfter: Record<string, string> =
    error.retryAfterSeconds === undefined ? {} : { 'retry-after': String(error.retryAfterSeconds) }
  sendJson(
    response,
    error.status,
    {
      error: { code: error.code, message: error.message, ...(error.field === undefined ? {} : { field: error.field }) },
    },
    retryAfter,
  )
}

function tooLarge(maxBytes: number): AppError {
  return new AppError('request.too_large', `The body is larger than ${maxBytes} bytes.`)
}

/** The value of one cookie, undefined when it is absent or sent twice: two values mean that somebody else set one. */
export function readCookie(request: IncomingMessage, name: string): string | undefined {
  return findCookie(request.headers.cookie, name)
}

export interface CookieOptions {
  readonly path: string
  /** Seconds; 0 deletes. Absent: until the browser ends. */
  readonly maxAge?: number
  readonly secure: boolean
}

/** Adds an HttpOnly, SameSite=Lax cookie to the answer. */
export function setCookie(response: ServerResponse, name: string, value: string, options: CookieOptions): void {
  const parts = [`${name}=${value}`, `Path=${options.path}`, 'HttpOnly', 'SameSite=Lax']
  if (options.maxAge !== undefined) parts.push(`Max-Age=${options.maxAge}`)
  if (options.secure) parts.push('Secure')
  response.appendHeader('set-cookie', parts.join('; '))
}

/**
 * Refuses a state change that another site's page made the browser send (CSRF). Browsers send `Origin` on every POST;
 * a request with neither header is no browser of ours and has no business with a cookie.
 *
 * @throws AppError `request.origin_refused`
 */
export function checkSameOrigin(request: IncomingMessage, publicUrl: string): void {
  const { origin } = request.headers
  const site = request.headers['sec-fetch-site']
  const isSame =
    origin === undefined
      ? site === 'same-origin'
      : origin === publicUrl && (site === undefined || site === 'same-origin')
  if (!isSame) throw new AppError('request.origin_refused', 'This request did not come from a page of this service.')
}
