/**
 * The REST API over HTTP. Which path and method an operation has is read from the service's own OpenAPI document, so that
 * a newer or older service answers by what it can do rather than by what this command line believes.
 *
 * @module
 */
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'

import { z } from 'zod'

import { AppError, isErrorCode } from '@/lib/errors'
import type { Secret } from '@/lib/secret'

import type { Api, CallInput } from './api'
import { answersAt, check, type Check } from './installation'

const openApi = z.object({ paths: z.record(z.string(), z.record(z.string(), z.object({ operationId: z.string() }))) })
const failure = z.object({ error: z.object({ code: z.string(), message: z.string(), field: z.string().optional() }) })
const TIMEOUT_MS = 30_000
/** An export of any length has to end some day. */
const STREAM_TIMEOUT_MS = 6 * 3_600_000

export async function connectRemote(baseUrl: string, apiKey: Secret): Promise<Api> {
  const origin = new URL(baseUrl).origin
  const document = openApi.parse(await (await get(`${origin}/api/v1/openapi.json`)).json())
  const operations = new Map<string, { method: string; path: string }>()
  for (const [path, methods] of Object.entries(document.paths))
    for (const [method, { operationId }] of Object.entries(methods))
      operations.set(operationId, { method: method.toUpperCase(), path })

  async function send(
    operationId: string,
    { params = {}, query = {}, body }: CallInput = {},
    timeoutMs = TIMEOUT_MS,
  ): Promise<Response> {
    const operation = operations.get(operationId)
    if (operation === undefined)
      throw new AppError(
        'request.invalid',
        `The service at ${origin} does not offer this. Some commands work at the machine itself alone, without PORTCULLIS_URL.`,
      )
    const url = new URL(
      origin + operation.path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? '')),
    )
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value)
    const response = await get(url.href, {
      method: operation.method,
      headers: {
        authorization: `Bearer ${apiKey.reveal()}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutMs),
    })
    if (response.ok) return response
    const parsed = failure.safeParse(await response.json().catch(() => undefined))
    if (!parsed.success) throw new AppError('service.unavailable', `The service answered ${response.status}.`)
    const { code, message } = parsed.data.error
    throw new AppError(isErrorCode(code) ? code : 'internal', message)
  }

  /** What can be told from outside: that the service is ready, and that this key opens it. */
  const checks = (): Promise<Check[]> =>
    Promise.all([
      check('gateway', () => answersAt(origin)),
      check('API key', async () => {
        try {
          const { name } = z.object({ name: z.string() }).parse(await (await send('workspace.show')).json())
          return { ok: true, detail: `opens the workspace ${name}` }
        } catch (error) {
          return { ok: false, detail: error instanceof AppError ? error.message : 'the answer is not understood' }
        }
      }),
    ])

  return {
    where: origin,
    async call(operationId, input) {
      if (operationId === 'doctor') return { checks: await checks() }
      const response = await send(operationId, input)
      const answer: unknown = response.status === 204 ? undefined : await response.json()
      return answer
    },
    async *lines(operationId, input) {
      const { body } = await send(operationId, input, STREAM_TIMEOUT_MS)
      if (body === null) return
      yield* createInterface({ input: Readable.fromWeb(body as ReadableStream), crlfDelay: Infinity }) // the global and the stream/web type are one class
    },
    close: () => Promise.resolve(),
  }
}

async function get(url: string, init: RequestInit = {}): Promise<Response> {
  try {
    return await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), ...init, redirect: 'error' })
  } catch (cause) {
    throw new AppError('service.unavailable', `No answer from ${new URL(url).origin}.`, { cause })
  }
}
