/**
 * The one way out. Every URL that a tenant, a client or a provider can influence is requested here.
 *
 * Guarantees: https alone; the URL is parsed once; every address of the name is checked before the first packet and the
 * connection is made to a checked address (no second resolution, so a name cannot change its mind); redirects are
 * answers, not instructions; nothing is remembered between requests but sockets; size after decompression, headers and
 * time are bounded. A target that is refused, closed or silent gives one and the same error, so that nobody can map a
 * network by asking us.
 *
 * @module
 */
import { lookup as systemLookup } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'
import { createBrotliDecompress, createGunzip, createInflate, type Zlib } from 'node:zlib'
import type { Transform } from 'node:stream'

import { Agent, buildConnector, type Dispatcher } from 'undici'

import type { Clock } from '../clock'
import { systemClock } from '../clock'
import { isLoopbackHost } from '../config'
import { AppError, type ErrorCode } from '../errors'
import { reachOf } from './address'

export interface EgressRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'HEAD'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  /** Most bytes of the decompressed body. */
  readonly maxBytes?: number
  /** From the call to the last byte, connecting included. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
  /**
   * A connection of its own, closed afterwards. For a request that must not be sent twice: an idle socket that the other
   * side is just closing would leave unknown whether it arrived.
   */
  readonly fresh?: boolean
}

export interface EgressResponse {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
}

export interface Egress {
  /**
   * @throws EgressError `egress.refused` when the target may not or cannot be reached, or breaks the connection;
   *   `egress.timeout` when it answers too slowly; `egress.too_large` when it answers too much
   */
  request(url: string | URL, options?: EgressRequest): Promise<EgressResponse>
  /** For libraries that want a `fetch`. Never follows a redirect. */
  readonly fetch: typeof fetch
  close(): Promise<void>
}

/** A request that got no usable answer. */
export class EgressError extends AppError {
  /** True when the request may have reached the target, and so may have been carried out. */
  readonly sent: boolean
  /** True when the caller's own signal ended it. */
  readonly aborted: boolean

  constructor(code: ErrorCode, phase: string, sent: boolean, cause?: unknown) {
    super(code, MESSAGES[code] ?? 'The request could not be made.', { internal: { phase }, cause })
    this.sent = sent
    this.aborted = phase === 'aborted'
  }
}

const MESSAGES: Partial<Record<ErrorCode, string>> = {
  'egress.refused': 'The address is not allowed or does not answer.',
  'egress.timeout': 'The address did not answer in time.',
  'egress.too_large': 'The answer was larger than allowed.',
}

/** All addresses of a name. Injected by tests that play a hostile name server. */
export type Resolver = (hostname: string) => Promise<readonly { readonly address: string; readonly family: number }[]>

export interface EgressOptions {
  /** Exact origins, `https://host:port`, that may lead to private addresses. */
  readonly allow: readonly string[]
  /** Lets the allowed origins be plain http or loopback. */
  readonly allowUnsafe: boolean
  readonly production: boolean
  readonly clock?: Clock
  readonly resolver?: Resolver
  /** Sockets per origin. */
  readonly connections?: number
  /** Extra certificate authorities in PEM form. */
  readonly ca?: string
}

const MAX_BYTES = 1024 * 1024
const TIMEOUT_MS = 30_000
const CONNECT_TIMEOUT_MS = 5_000
const MAX_HEADER_BYTES = 32 * 1024
const MAX_ORIGINS = 512
const MAX_WAITING_PER_ORIGIN = 1_024
const LOOKUP_TTL_MS = 10_000
const LOOKUP_CACHE_SIZE = 512

/** @throws AppError `config.invalid` when an allowed origin is not an exact origin or needs `allowUnsafe` */
export function createEgress(options: EgressOptions): Egress {
  const allowed = parseAllowed(options)
  const resolve = cachedResolver(options.resolver ?? resolveBySystem, options.clock ?? systemClock)
  const agents = new Map<number, Agent>()
  const waiting = new Map<string, number>()

  // Every origin class has its own connector, because what an address may be depends on the name that was asked for.
  const agentFor = (permitted: readonly string[], fresh: boolean): Agent => {
    const key = permitted.length * 2 + (fresh ? 1 : 0)
    let agent = agents.get(key)
    if (agent === undefined) {
      agent = new Agent({
        connect: buildConnector({
          lookup: checkedLookup(resolve, permitted),
          autoSelectFamily: true,
          timeout: CONNECT_TIMEOUT_MS,
          rejectUnauthorized: true, // said aloud: the environment can turn the default off
          ...(options.ca === undefined ? {} : { ca: options.ca }),
        }),
        connections: options.connections ?? 64,
        pipelining: 1,
        keepAliveTimeout: 20_000,
        keepAliveMaxTimeout: 60_000,
        maxHeaderSize: MAX_HEADER_BYTES,
        maxOrigins: MAX_ORIGINS,
      })
      agents.set(key, agent)
    }
    return agent
  }

  const request: Egress['request'] = async (input, init = {}) => {
    const url = parseTarget(input, allowed)
    const permitted = permittedReach(url, allowed, options)
    const literal = url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname
    if (isIP(literal) !== 0 && !permitted.includes(reachOf(literal)))
      throw new EgressError('egress.refused', 'address', false)
    const count = waiting.get(url.origin) ?? 0
    if (count >= MAX_WAITING_PER_ORIGIN) throw new EgressError('egress.refused', 'busy', false)
    waiting.set(url.origin, count + 1)
    try {
      return await dispatch(agentFor(permitted, init.fresh === true), url, init)
    } finally {
      const left = (waiting.get(url.origin) ?? 1) - 1
      if (left === 0) waiting.delete(url.origin)
      else waiting.set(url.origin, left)
    }
  }

  return {
    request,
    fetch: (input, init) => fetchThrough(request, input, init),
    close: async () => {
      await Promise.all([...agents.values()].map((agent) => agent.destroy()))
      agents.clear()
    },
  }
}

export function parseAllowed(options: EgressOptions): ReadonlySet<string> {
  const origins = new Set<string>()
  for (const entry of options.allow) {
    const url = URL.canParse(entry) ? new URL(entry) : undefined
    if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:') || url.href !== `${url.origin}/`)
      throw new AppError('config.invalid', 'EGRESS_ALLOW: each entry must be an origin, https://host:port')
    const unsafe = url.protocol === 'http:' || isLoopbackHost(url.hostname)
    if (unsafe && !options.allowUnsafe)
      throw new AppError('config.invalid', 'EGRESS_ALLOW: plain http and loopback also need EGRESS_ALLOW_UNSAFE=1')
    if (options.production && url.protocol === 'http:' && !isLoopbackHost(url.hostname))
      throw new AppError('config.invalid', 'EGRESS_ALLOW: plain http beyond this machine is refused in production')
    origins.add(url.origin)
  }
  return origins
}

/** Parses once; what is checked is what is requested. */
function parseTarget(input: string | URL, allowed: ReadonlySet<string>): URL {
  const url = input instanceof URL ? input : URL.canParse(input) ? new URL(input) : undefined
  if (url === undefined || url.username !== '' || url.password !== '')
    throw new EgressError('egress.refused', 'url', false)
  const plain = url.protocol === 'http:' && allowed.has(url.origin)
  if (url.protocol !== 'https:' && !plain) throw new EgressError('egress.refused', 'scheme', false)
  return url
}

export function permittedReach(url: URL, allowed: ReadonlySet<string>, options: EgressOptions): readonly string[] {
  if (!allowed.has(url.origin)) return PUBLIC
  return options.allowUnsafe ? PUBLIC_PRIVATE_LOOPBACK : PUBLIC_PRIVATE
}

const PUBLIC = ['public'] as const
const PUBLIC_PRIVATE = ['public', 'private'] as const
const PUBLIC_PRIVATE_LOOPBACK = ['public', 'private', 'loopback'] as const

export const resolveBySystem: Resolver = (hostname) => systemLookup(hostname, { all: true, order: 'verbatim' })

/** Names are asked for once in a while, not once per socket; a failure is never remembered. */
export function cachedResolver(resolver: Resolver, clock: Clock): Resolver {
  const cache = new Map<string, { readonly until: number; readonly addresses: ReturnType<Resolver> }>()
  return (hostname) => {
    const now = clock.now().getTime()
    const hit = cache.get(hostname)
    if (hit !== undefined && now < hit.until) return hit.addresses
    const addresses = resolver(hostname)
    cache.delete(hostname)
    cache.set(hostname, { until: now + LOOKUP_TTL_MS, addresses })
    addresses.catch(() => {
      if (cache.get(hostname)?.addresses === addresses) cache.delete(hostname)
    })
    for (const oldest of cache.keys()) {
      if (cache.size <= LOOKUP_CACHE_SIZE) break
      cache.delete(oldest)
    }
    return addresses
  }
}

/** The hook through which the socket learns its address: it gets checked ones or none. One bad address spoils the name. */
export function checkedLookup(resolve: Resolver, permitted: readonly string[]): LookupFunction {
  return (hostname, lookupOptions, callback) => {
    resolve(hostname).then(
      (addresses) => {
        const [first] = addresses
        if (first === undefined || addresses.some(({ address }) => !permitted.includes(reachOf(address))))
          callback(new EgressError('egress.refused', 'address', false), '')
        else if (lookupOptions.all === true) callback(null, [...addresses])
        else callback(null, first.address, first.family)
      },
      (error: unknown) => callback(new EgressError('egress.refused', 'resolve', false, error), ''),
    )
  }
}

const DECODERS: Readonly<Record<string, () => Transform & Zlib>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
}

/** One exchange on one socket. Ends exactly once: with an answer, or with an error that says whether the request left. */
function dispatch(agent: Agent, url: URL, init: EgressRequest): Promise<EgressResponse> {
  return new Promise((resolve, reject) => {
    const { signal } = init
    const maxBytes = init.maxBytes ?? MAX_BYTES
    const timeoutMs = init.timeoutMs ?? TIMEOUT_MS
    let controller: Dispatcher.DispatchController | undefined
    let settled = false
    let sent = false
    let status = 0
    let headers = new Headers()
    let decoder: (Transform & Zlib) | undefined
    let size = 0
    const chunks: Buffer[] = []

    const settle = (finish: () => void) => {
      if (settled) return
      settled = true
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      finish()
    }
    const fail = (code: ErrorCode, phase: string, cause?: unknown) =>
      settle(() => {
        const error = new EgressError(code, phase, sent, cause)
        decoder?.destroy()
        controller?.abort(error)
        reject(error)
      })
    const onAbort = () => fail('egress.timeout', 'aborted')
    // Not reaching a target and being kept waiting by it look alike from outside until the request has left.
    const timer = setTimeout(() => fail(sent ? 'egress.timeout' : 'egress.refused', 'total'), timeoutMs)
    if (signal?.aborted === true) {
      onAbort()
      return
    }
    signal?.addEventListener('abort', onAbort, { once: true })

    const collect = (chunk: Buffer) => {
      size += chunk.length
      if (size > maxBytes) fail('egress.too_large', 'body')
      else chunks.push(chunk)
    }
    const done = () => settle(() => resolve({ status, headers, body: Buffer.concat(chunks, size) }))

    agent.dispatch(
      {
        origin: url.origin,
        path: url.pathname + url.search,
        method: init.method ?? 'GET',
        headers: { 'user-agent': 'Portcullis', 'accept-encoding': 'gzip, br', ...lowerCased(init.headers) },
        body: init.body ?? null,
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        ...(init.fresh === true ? { reset: true } : {}),
      },
      {
        onRequestStart: (started) => {
          controller = started
          if (settled) started.abort(new EgressError('egress.timeout', 'aborted', false))
          else sent = true
        },
        onResponseStart: (_controller, statusCode, fields) => {
          if (statusCode < 200) return
          status = statusCode
          headers = toHeaders(fields)
          const length = Number(headers.get('content-length') ?? 0)
          if (length > maxBytes && init.method !== 'HEAD') {
            fail('egress.too_large', 'body')
            return
          }
          const encoding = headers.get('content-encoding')?.trim().toLowerCase() ?? 'identity'
          if (encoding === 'identity' || encoding === '' || init.method === 'HEAD') return
          const create = DECODERS[encoding]
          if (create === undefined) {
            fail('egress.refused', 'encoding')
            return
          }
          decoder = create()
          decoder.on('data', collect)
          decoder.on('end', done)
          decoder.on('error', (error) => fail('egress.refused', 'encoding', error))
        },
        onResponseData: (paused, chunk) => {
          if (settled) return
          if (decoder === undefined) {
            collect(chunk)
          } else if (!decoder.write(chunk)) {
            // A bomb is small on the wire: stop reading until what is inside has been counted.
            paused.pause()
            decoder.once('drain', () => paused.resume())
          }
        },
        onResponseEnd: () => {
          if (decoder === undefined) done()
          else decoder.end()
        },
        onResponseError: (_controller, error) => {
          if (error instanceof EgressError) fail(error.code, String(error.internal['phase']), error.cause)
          else
            fail(isTimeout(error) && sent ? 'egress.timeout' : 'egress.refused', sent ? 'exchange' : 'connect', error)
        },
      },
    )
  })
}

const isTimeout = (error: Error) =>
  'code' in error && (error.code === 'UND_ERR_HEADERS_TIMEOUT' || error.code === 'UND_ERR_BODY_TIMEOUT')

/** So that a caller's header replaces a default whatever its case. */
function lowerCased(headers: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

function toHeaders(fields: Readonly<Record<string, string | string[] | undefined>>): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(fields)) {
    if (name === 'set-cookie' || value === undefined) continue // nothing a target says is kept for the next request
    try {
      headers.set(name, typeof value === 'string' ? value : value.join(', '))
    } catch {
      // A header that no client may read is left out.
    }
  }
  return headers
}

async function fetchThrough(
  request: Egress['request'],
  input: string | URL | Request,
  init: RequestInit = {},
): Promise<Response> {
  if (input instanceof Request) throw new TypeError('Pass a URL and options.')
  const { body } = init
  if (body !== undefined && body !== null && !(typeof body === 'string' || body instanceof URLSearchParams))
    throw new TypeError('Only text and form bodies are supported.')
  const headers = Object.fromEntries(new Headers(init.headers))
  if (body instanceof URLSearchParams) headers['content-type'] ??= 'application/x-www-form-urlencoded;charset=UTF-8'
  const response = await request(input, {
    method: parseMethod(init.method),
    headers,
    ...(body === undefined || body === null ? {} : { body: body.toString() }),
    ...(init.signal ? { signal: init.signal } : {}),
  })
  // The body is decoded already; what described its encoding would be wrong now.
  for (const name of ['content-encoding', 'content-length', 'transfer-encoding']) response.headers.delete(name)
  const empty = response.status === 204 || response.status === 205 || response.status === 304
  return new Response(empty ? null : new Uint8Array(response.body), {
    status: response.status,
    headers: response.headers,
  })
}

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD'] as const

function parseMethod(method = 'GET'): (typeof METHODS)[number] {
  const known = METHODS.find((name) => name === method.toUpperCase())
  if (known === undefined) throw new TypeError('Unknown method.')
  return known
}
