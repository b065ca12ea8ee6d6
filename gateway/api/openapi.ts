/**
 * The OpenAPI 3.1 document of `/api/v1`, made from the route definitions themselves.
 *
 * @module
 */
import { z } from 'zod'

import type { AnyRoute } from './route'

type Json = Record<string, unknown>

const ERROR: Json = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message'],
      properties: { code: { type: 'string' }, message: { type: 'string' }, field: { type: 'string' } },
    },
  },
}

export function openApiDocument(routes: readonly AnyRoute[], publicUrl: string): Json {
  const paths: Record<string, Json> = {}
  for (const route of routes)
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation(route) }
  return {
    openapi: '3.1.0',
    info: { title: 'Portcullis', version: '1', description: 'Everything the dashboard and the command line do.' },
    servers: [{ url: publicUrl }],
    paths,
    components: {
      schemas: { Error: ERROR },
      securitySchemes: { apiKey: { type: 'http', scheme: 'bearer', description: 'An API key, pck_…' } },
    },
    security: [{ apiKey: [] }],
  }
}

function operation(route: AnyRoute): Json {
  const status = route.response === undefined ? '204' : String(route.status ?? 200)
  return {
    operationId: route.id,
    summary: route.summary,
    'x-permission': route.permission,
    ...(route.personOnly === true ? { 'x-person-only': true } : {}),
    ...(route.stepUp === true ? { 'x-step-up': true } : {}),
    parameters: [...parameters(route.params, 'path'), ...parameters(route.query, 'query')],
    ...(route.body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: schema(route.body, 'input') } } } }),
    responses: {
      [status]: {
        description: 'Done',
        ...(route.response === undefined
          ? {}
          : { content: { 'application/json': { schema: schema(route.response, 'output') } } }),
      },
      default: {
        description: 'Refused or failed',
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      },
    },
  }
}

function parameters(source: z.ZodType | undefined, location: 'path' | 'query'): Json[] {
  if (source === undefined) return []
  const { properties = {}, required = [] } = schema(source, 'input') as {
    properties?: Record<string, Json>
    required?: string[]
  } // an object schema
  return Object.entries(properties).map(([name, one]) => ({
    name,
    in: location,
    required: location === 'path' || required.includes(name),
    schema: one,
  }))
}

function schema(source: z.ZodType, io: 'input' | 'output'): Json {
  // The dialect is stated once for the whole document, by its version.
  const entries = Object.entries(z.toJSONSchema(source, { io, unrepresentable: 'any' })).filter(
    ([key]) => key !== '$schema',
  )
  return Object.fromEntries(entries)
}
