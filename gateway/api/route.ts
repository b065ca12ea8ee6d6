/**
 * The one way a REST endpoint is written: authenticate, authorize, parse, run, translate. The same definitions make the
 * OpenAPI document and the list that the authorization sweep calls.
 *
 * @module
 */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'

import { z } from 'zod'

import { AppError, notFound } from '@/lib/errors'
import { requireRecent } from '@/lib/identity/step-up'
import { idPattern, type IdKind } from '@/lib/ids'
import { checkPermission, type Permission } from '@/lib/tenancy/permission'
import type { MemberPrincipal } from '@/lib/tenancy/principal'

import {
  checkSameOrigin,
  readJson,
  sendEmpty,
  sendJson,
  validate,
  type GatewayRequest,
  type RouteFamily,
  type RouteHandler,
} from '../http'

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
type Shape = z.ZodType

interface Input<Params, Query, Body> {
  readonly principal: MemberPrincipal
  readonly params: Params
  readonly query: Query
  readonly body: Body
}

export interface RouteDefinition<
  P extends Shape = Shape,
  Q extends Shape = Shape,
  B extends Shape = Shape,
  R extends Shape = Shape,
> {
  /** `operationId` of the OpenAPI document: `agent.create`. */
  readonly id: string
  readonly method: Method
  /** `/api/v1/agents/{agentId}` */
  readonly path: string
  readonly summary: string
  readonly permission: Permission
  readonly params?: P
  readonly query?: Q
  readonly body?: B
  /** Absent: 204 without a body, unless the answer is a stream. */
  readonly response?: R
  /** The handler returns an async iterable of lines, sent as they come, or an `Attachment` that says itself what it is. */
  readonly stream?: { readonly contentType: string; readonly filename: string }
  readonly status?: 200 | 201 | 202
  readonly maxBodyBytes?: number
  /** A person's own affairs, which an API key may not touch. */
  readonly personOnly?: boolean
  /** It widens access: a person must have proved themself within five minutes. API keys follow their own scopes. */
  readonly stepUp?: boolean
  handle(
    input: Input<z.output<P>, z.output<Q>, z.output<B>>,
  ): Promise<z.input<R> | AsyncIterable<string> | Attachment | undefined>
}

/** A stream whose kind depends on what was asked for. Each text is followed by a line feed. */
export interface Attachment {
  readonly contentType: string
  readonly filename: string
  readonly lines: AsyncIterable<string>
}

/** What the handler of a stream returned, under the name it has. */
export function attachmentOf(route: AnyRoute, result: unknown): Attachment {
  if (typeof result === 'object' && result !== null && 'lines' in result) return result as Attachment // what such a handler returns
  const lines = result as AsyncIterable<string> // what every other stream handler returns
  return { contentType: 'application/octet-stream', filename: 'download', ...route.stream, lines }
}

/** A definition whose parameter types are forgotten: what the router and the document need. */
export type AnyRoute = Omit<RouteDefinition, 'handle'> & {
  handle(input: Input<unknown, unknown, unknown>): Promise<unknown>
}

export function defineRoute<
  P extends Shape = z.ZodObject,
  Q extends Shape = z.ZodObject,
  B extends Shape = z.ZodUndefined,
  R extends Shape = z.ZodUndefined,
>(route: RouteDefinition<P, Q, B, R>): AnyRoute {
  return route // the schemas in the same object make the forgotten types true at run time
}

/** A path or body parameter that holds an id. A malformed id is a missing one: no shape tells the two apart. */
export const idParam = (kind: IdKind) => z.string().regex(idPattern(kind))

export interface ApiDependencies {
  /** Who is asking, by session cookie or API key; undefined when nobody is. */
  readonly authenticate: (request: GatewayRequest) => Promise<MemberPrincipal | undefined>
  readonly publicUrl: string
  /** Records that somebody known was refused. */
  readonly onRefused: (principal: MemberPrincipal, routeId: string, code: string) => Promise<void>
  /** Whole paths that nobody has to be somebody for, by POST: each guards itself. */
  readonly open?: Readonly<Record<string, RouteHandler>>
  /** False while credentials may not be opened: reads work, everything else answers 503. */
  readonly isReady: () => boolean
}

interface CompiledRoute {
  readonly route: AnyRoute
  readonly pattern: RegExp
  readonly names: readonly string[]
}

/** The family of `/api/v1/`. Unknown paths, foreign ids and missing ids are one and the same answer. */
export function createApi(routes: readonly AnyRoute[], document: unknown, deps: ApiDependencies): RouteFamily {
  const compiled = routes.map(compile)

  return {
    prefixes: ['/api/v1/'],
    async handle(request, response) {
      if (request.url.pathname === '/api/v1/openapi.json' && request.method === 'GET') {
        sendJson(response, 200, document)
        return
      }
      const open = Object.hasOwn(deps.open ?? {}, request.url.pathname) ? deps.open?.[request.url.pathname] : undefined
      if (open !== undefined) {
        if (request.method !== 'POST') {
          response.setHeader('allow', 'POST')
          throw new AppError('request.method_not_allowed', 'This path takes POST.')
        }
        await open(request, response)
        return
      }
      const principal = await deps.authenticate(request)
      if (principal === undefined)
        throw new AppError('auth.unauthenticated', 'Sign in, or send an API key as a bearer token.')
      if (principal.kind === 'person' && request.method !== 'GET') checkSameOrigin(request.raw, deps.publicUrl)

      const candidates = compiled.filter(({ pattern }) => pattern.test(request.url.pathname))
      const match = candidates.find(({ route }) => route.method === request.method)
      if (match === undefined) {
        if (candidates.length === 0) throw notFound()
        response.setHeader('allow', candidates.map(({ route }) => route.method).join(', '))
        throw new AppError('request.method_not_allowed', 'This path does not take that method.')
      }
      const { route } = match
      try {
        if (route.personOnly === true && principal.kind !== 'person')
          throw new AppError('auth.forbidden', 'Only a signed-in person may do this, not an API key.')
        checkPermission(principal, route.permission)
        if (route.stepUp === true) requireRecent(principal)
        if (request.method !== 'GET' && !deps.isReady())
          throw new AppError('service.unavailable', 'The service is not ready.', { retryAfterSeconds: 5 })
        await run(match, request, response, principal)
      } catch (error) {
        if (
          error instanceof AppError &&
          (error.code === 'auth.forbidden' || error.code === 'resource.not_found' || error.code === 'policy.denied')
        )
          await deps.onRefused(principal, route.id, error.code)
        throw error
      }
    },
  }
}

/** What a definition answers to these already validated words, in the shape of its contract. Used by router and command line. */
export async function invoke(route: AnyRoute, input: Input<unknown, unknown, unknown>): Promise<unknown> {
  const result = await route.handle(input)
  // Parsing the answer drops every field the contract does not name: a row can never leak by accident.
  return route.response === undefined ? result : route.response.parse(result)
}

async function run(
  { route, pattern, names }: CompiledRoute,
  request: GatewayRequest,
  response: ServerResponse,
  principal: MemberPrincipal,
): Promise<void> {
  const values = pattern.exec(request.url.pathname)?.slice(1) ?? []
  const raw = Object.fromEntries(names.map((name, index) => [name, decodeSegment(values[index] ?? '')]))
  const params = route.params?.safeParse(raw)
  if (params?.success === false) throw notFound()
  const query = route.query === undefined ? {} : validate(route.query, queryObject(request.url.searchParams))
  const body = route.body === undefined ? undefined : await readJson(request, route.body, route.maxBodyBytes)
  const result = await invoke(route, { principal, params: params?.data ?? {}, query, body })
  if (route.stream !== undefined) await sendLines(response, attachmentOf(route, result), request.signal)
  else if (route.response === undefined) sendEmpty(response, 204)
  else sendJson(response, route.status ?? 200, result)
}

/** Writes no faster than the client reads, and stops when it leaves. */
async function sendLines(
  response: ServerResponse,
  { contentType, filename, lines }: Attachment,
  signal: AbortSignal,
): Promise<void> {
  response.writeHead(200, {
    'content-type': contentType,
    'content-disposition': `attachment; filename="${filename}"`,
    'cache-control': 'no-store',
  })
  for await (const line of lines) {
    if (signal.aborted) return
    if (!response.write(`${line}\n`)) await once(response, 'drain', { signal })
  }
  response.end()
}

function compile(route: AnyRoute): CompiledRoute {
  const names = [...route.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '')
  const pattern = new RegExp(`^${route.path.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '([^/]+)')}$`)
  return { route, pattern, names }
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw notFound()
  }
}

/** A parameter sent twice stays an array, which no scalar schema takes. */
function queryObject(query: URLSearchParams): Record<string, string | string[]> {
  return Object.fromEntries(
    [...new Set(query.keys())].map((key) => {
      const all = query.getAll(key)
      return [key, all.length === 1 ? (all[0] ?? '') : all]
    }),
  )
}
