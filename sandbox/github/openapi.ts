/**
 * GitHub's own description of the operations served here: which request is one, which arguments it takes, and what its
 * answer must look like.
 *
 * @module
 */
import { coerce, type Schema, type Violation, violations } from '@/sandbox/core/schema'
import description from '@/sandbox/github/openapi-slice.json'

interface Parameter {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly schema: Schema
}

export interface Operation {
  readonly operationId: string
  readonly documentationUrl?: string
  readonly parameters: readonly (Parameter | { readonly $ref: string })[]
  readonly requestBody?: { readonly required: boolean; readonly schema: Schema }
  readonly responses: Readonly<Record<string, { content?: { 'application/json'?: { schema: Schema } } }>>
}

// The slice is JSON that our own extractor writes; its shape is the OpenAPI objects above.
const paths = description.paths as unknown as Readonly<Record<string, Readonly<Record<string, Operation>>>>
const components = description.components as unknown as Readonly<Record<string, Readonly<Record<string, unknown>>>> // same

function component(reference: string): unknown {
  const [, , section = '', name = ''] = reference.split('/')
  const found = components[section]?.[name]
  if (found === undefined) throw new Error(`the OpenAPI slice lacks ${reference}`)
  return found
}
const resolve = (reference: string): Schema => component(reference) as Schema // components.schemas holds schemas

export interface Match {
  readonly template: string
  readonly operation: Operation
  /** Decoded path parameters. */
  readonly path: ReadonlyMap<string, string>
}

/** The operation of this method and path, the methods the path has when only the method is wrong, or undefined. */
export function match(method: string, path: string): Match | undefined {
  for (const [template, operations] of Object.entries(paths)) {
    const operation = operations[method.toLowerCase()]
    const parameters = operation === undefined ? undefined : fit(template, path)
    if (operation !== undefined && parameters !== undefined) return { template, operation, path: parameters }
  }
  return undefined
}

function fit(template: string, path: string): Map<string, string> | undefined {
  const names: string[] = []
  const pattern = template.replace(/\{(\w+)\}/g, (_, name: string) => {
    names.push(name)
    return name === 'path' ? '(.*)' : '([^/]+)' // the one parameter that may hold slashes, or nothing (the root)
  })
  const found =
    new RegExp(`^${pattern}$`).exec(path) ??
    (names.at(-1) === 'path' ? new RegExp(`^${pattern}$`).exec(`${path}/`) : null)
  if (found === null) return undefined
  try {
    return new Map(names.map((name, i) => [name, decodeURIComponent(found[i + 1] ?? '')]))
  } catch {
    return undefined
  }
}

/** What is wrong with these arguments by the description. Unknown ones are wrong: nothing else would catch a typing error. */
export function argumentViolations({ operation, path }: Match, query: URLSearchParams, body: unknown): Violation[] {
  const options = { resolve, closed: true }
  const parameters = operation.parameters.map((p) => ('$ref' in p ? (component(p.$ref) as Parameter) : p)) // by section
  const found: Violation[] = []
  for (const parameter of parameters) {
    const text = parameter.in === 'path' ? path.get(parameter.name) : (query.get(parameter.name) ?? undefined)
    if (text === undefined) {
      if (parameter.required === true) found.push({ at: parameter.name, rule: 'missing' })
    } else found.push(...violations(coerce(text, parameter.schema), parameter.schema, options, parameter.name))
  }
  const known = new Set(parameters.filter((p) => p.in === 'query').map((p) => p.name))
  for (const name of new Set(query.keys())) {
    if (!known.has(name)) found.push({ at: name, rule: 'unknown' })
    else if (query.getAll(name).length > 1) found.push({ at: name, rule: 'type' })
  }
  const { requestBody } = operation
  if (requestBody === undefined) return body === undefined ? found : [...found, { at: 'body', rule: 'unknown' }]
  if (body === undefined) return requestBody.required ? [...found, { at: 'body', rule: 'missing' }] : found
  return [...found, ...violations(body, requestBody.schema, options)]
}

/** What is wrong with an answer by the description. */
export function answerViolations({ operation }: Match, status: number, body: unknown): Violation[] {
  const response = operation.responses[String(status)]
  if (response === undefined) return [{ at: 'status', rule: 'unknown' }]
  const schema = response.content?.['application/json']?.schema
  return schema === undefined ? [] : violations(body, schema, { resolve, closed: false })
}
