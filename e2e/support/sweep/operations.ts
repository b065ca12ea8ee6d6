/**
 * Operations of the REST API and well-formed requests for them, made from the OpenAPI document alone.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'

import type { SendOptions } from '../visitor'

type Schema = Readonly<Record<string, unknown>>

/** One place of an operation where an id goes. `prefix` says which kind. */
export interface Position {
  readonly where: 'path' | 'query' | 'body'
  readonly name: string
  readonly prefix: string
}

export interface Operation {
  readonly id: string
  readonly method: string
  readonly path: string
  readonly permission: string
  /** Not for API keys. */
  readonly isPersonOnly: boolean
  readonly positions: readonly Position[]
  readonly queryNames: readonly string[]
  readonly body: Schema | undefined
}

/** Gives the id for a position. */
export type Ids = (position: Position) => string

export interface Request {
  readonly path: string
  readonly options: SendOptions
}

/** Bodies that a schema cannot describe, because the document they hold has a parser of its own. */
const UNDESCRIBED: Readonly<Record<string, unknown>> = { 'profile.apply': { version: 1, tools: { allow: [] } } }

/** What is called an id and is given by somebody else: there is nothing of ours to find by it. */
const ELSEWHERE = new Set(['sign_in.save.clientId'])

const record = (value: unknown): Schema => (typeof value === 'object' && value !== null ? (value as Schema) : {}) // an object of JSON

/** @returns the operations, and what the document leaves unsaid about them */
export function operationsOf(document: unknown): { operations: Operation[]; findings: string[] } {
  const findings: string[] = []
  const operations = Object.entries(record(record(document)['paths'])).flatMap(([path, methods]) =>
    Object.entries(record(methods)).map(([method, value]): Operation => {
      const operation = record(value)
      const id = String(operation['operationId'])
      const parameters = (operation['parameters'] as Schema[] | undefined) ?? [] // an array by the specification
      const body = bodySchema(operation)
      const positions: Position[] = []
      const look = (where: Position['where'], name: string, schema: Schema, isId: boolean) => {
        const prefix = prefixOf(schema)
        if (prefix !== undefined) positions.push({ where, name, prefix })
        else if (isId && !ELSEWHERE.has(`${id}.${name}`))
          findings.push(`${id}: ${where} parameter ${name} does not say which id it holds`)
      }
      for (const parameter of parameters) {
        const [where, name] = [parameter['in'] === 'path' ? 'path' : 'query', String(parameter['name'])] as const
        look(where, name, record(parameter['schema']), where === 'path' || name.endsWith('Id'))
      }
      for (const [name, schema] of Object.entries(record(body?.['properties'])))
        look('body', name, record(schema), /Ids?$/.test(name))
      return {
        id,
        method: method.toUpperCase(),
        path,
        permission: String(operation['x-permission']),
        isPersonOnly: operation['x-person-only'] === true,
        positions,
        queryNames: parameters.filter((one) => one['in'] === 'query').map((one) => String(one['name'])),
        body,
      }
    }),
  )
  return { operations, findings }
}

function bodySchema(operation: Schema): Schema | undefined {
  const content = record(record(operation['requestBody'])['content'])['application/json']
  return content === undefined ? undefined : record(record(content)['schema'])
}

function prefixOf(schema: Schema): string | undefined {
  const pattern = schema['pattern']
  return typeof pattern === 'string' ? /^\^([a-z]{3})_\[/.exec(pattern)?.[1] : undefined
}

/** A well-formed request with these ids; query parameters are left out but for those that hold one of `filled`. */
export function requestOf(operation: Operation, ids: Ids, filled: readonly Position[] = []): Request {
  const path = operation.positions
    .filter(({ where }) => where === 'path')
    .reduce((text, position) => text.replace(`{${position.name}}`, encodeURIComponent(ids(position))), operation.path)
  const query = new URLSearchParams(
    filled.filter(({ where }) => where === 'query').map((position) => [position.name, ids(position)]),
  ).toString()
  const body = bodyOf(operation, ids, filled)
  return {
    path: query === '' ? path : `${path}?${query}`,
    options: { method: operation.method, ...(body === undefined ? {} : { json: body }) },
  }
}

export function bodyOf(operation: Operation, ids: Ids, filled: readonly Position[] = []): unknown {
  if (operation.body === undefined) return undefined
  if (Object.hasOwn(UNDESCRIBED, operation.id)) return UNDESCRIBED[operation.id]
  const required = (operation.body['required'] as string[] | undefined) ?? [] // an array of names by the specification
  const wanted = new Set([...required, ...filled.filter(({ where }) => where === 'body').map(({ name }) => name)])
  return Object.fromEntries(
    Object.entries(record(operation.body['properties']))
      .filter(([name]) => wanted.has(name))
      .map(([name, schema]) => {
        const position = operation.positions.find((one) => one.where === 'body' && one.name === name)
        return [name, position === undefined ? sample(name, record(schema)) : ids(position)]
      }),
  )
}

function sample(name: string, schema: Schema): unknown {
  if (Array.isArray(schema['enum'])) return schema['enum'].at(-1) as unknown
  if ('const' in schema) return schema['const']
  switch (schema['type']) {
    case 'integer':
    case 'number':
      return schema['minimum'] ?? 1
    case 'boolean':
      return false
    case 'array':
      return []
    case 'object':
      return {}
    default:
      if (/email/i.test(name)) return `sweep-${randomBytes(4).toString('hex')}@sweep.example`
      if (name === 'provider') return 'github'
      return 'sweep a long enough value'
  }
}

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'

/** A well-formed id of this kind that nothing has. */
export function missingId(prefix: string): string {
  return `${prefix}_01${[...randomBytes(24)].map((byte) => ALPHABET[byte % 32] ?? '0').join('')}`
}
