/**
 * Checks a value against the part of JSON Schema that OpenAPI 3.0 uses. Keywords it does not know make it throw, so that
 * a description that grows a rule cannot be half obeyed.
 *
 * @see OpenAPI Specification 3.0.3 §4.7.24
 * @module
 */
import { isRecord } from '@/sandbox/core/http'

export interface Schema {
  readonly $ref?: string
  readonly type?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly enum?: readonly unknown[]
  readonly oneOf?: readonly Schema[]
  readonly anyOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
  readonly nullable?: boolean
  readonly format?: string
  readonly additionalProperties?: boolean | Schema
  readonly default?: unknown
  readonly minItems?: number
  readonly maxItems?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly pattern?: string
  readonly discriminator?: unknown
  readonly deprecated?: boolean
}

const KNOWN = new Set(
  (
    '$ref type properties required items enum oneOf anyOf allOf nullable format additionalProperties default minItems ' +
    'maxItems minLength maxLength minimum maximum pattern discriminator deprecated'
  ).split(' '),
)

export interface Violation {
  /** Dotted path to the value, empty for the whole. */
  readonly at: string
  readonly rule: 'type' | 'missing' | 'unknown' | 'enum' | 'format' | 'range' | 'choice'
}

export interface SchemaOptions {
  readonly resolve: (reference: string) => Schema
  /** True: a property that an object schema does not name is a violation even where the schema leaves that open. */
  readonly closed: boolean
}

export function violations(value: unknown, schema: Schema, options: SchemaOptions, at = ''): Violation[] {
  for (const keyword of Object.keys(schema)) {
    if (!KNOWN.has(keyword)) throw new Error(`the schema at "${at}" uses "${keyword}", which is not implemented`)
  }
  if (schema.$ref !== undefined) return violations(value, options.resolve(schema.$ref), options, at)
  if (value === null && schema.nullable === true) return []
  if (schema.allOf !== undefined) {
    const open = { ...options, closed: false } // a property may be named by another member
    const found = schema.allOf.flatMap((member) => violations(value, member, open, at))
    if (found.length > 0) return found
  }
  const choices = schema.oneOf ?? schema.anyOf
  if (choices !== undefined) {
    const results = choices.map((choice) => violations(value, choice, options, at))
    if (!results.some((found) => found.length === 0))
      return [...(results.length === 1 ? (results[0] ?? []) : []), { at, rule: 'choice' }]
    if (schema.type === undefined) return []
  }
  if (schema.enum !== undefined && !schema.enum.includes(value)) return [{ at, rule: 'enum' }]
  switch (schema.type) {
    case undefined:
      return schema.properties === undefined ? [] : checkObject(value, schema, options, at)
    case 'object':
      return checkObject(value, schema, options, at)
    case 'array':
      return checkArray(value, schema, options, at)
    case 'string':
      return checkString(value, schema, at)
    case 'integer':
    case 'number':
      return checkNumber(value, schema, at)
    case 'boolean':
      return typeof value === 'boolean' ? [] : [{ at, rule: 'type' }]
    default:
      throw new Error(`the schema at "${at}" has the unknown type "${schema.type}"`)
  }
}

function checkObject(value: unknown, schema: Schema, options: SchemaOptions, at: string): Violation[] {
  if (!isRecord(value)) return [{ at, rule: 'type' }]
  const inside = (name: string): string => (at === '' ? name : `${at}.${name}`)
  const found: Violation[] = (schema.required ?? [])
    .filter((name) => !(name in value))
    .map((name) => ({ at: inside(name), rule: 'missing' }))
  for (const [name, item] of Object.entries(value)) {
    const property = schema.properties?.[name]
    if (property !== undefined) found.push(...violations(item, property, options, inside(name)))
    else if (typeof schema.additionalProperties === 'object') {
      found.push(...violations(item, schema.additionalProperties, options, inside(name)))
    } else if (schema.additionalProperties === false || (options.closed && schema.additionalProperties !== true)) {
      found.push({ at: inside(name), rule: 'unknown' })
    }
  }
  return found
}

function checkArray(value: unknown, schema: Schema, options: SchemaOptions, at: string): Violation[] {
  if (!Array.isArray(value)) return [{ at, rule: 'type' }]
  const { items, minItems = 0, maxItems = Infinity } = schema
  if (value.length < minItems || value.length > maxItems) return [{ at, rule: 'range' }]
  return items === undefined ? [] : value.flatMap((item, i) => violations(item, items, options, `${at}[${i}]`))
}

const FORMATS: Readonly<Record<string, RegExp>> = {
  'date-time': /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/,
  date: /^\d{4}-\d\d-\d\d$/,
  email: /^[^@\s]+@[^@\s]+$/,
  uri: /^[a-z][a-z0-9+.-]*:\S+$/i,
}

function checkString(value: unknown, schema: Schema, at: string): Violation[] {
  if (typeof value !== 'string') return [{ at, rule: 'type' }]
  const { minLength = 0, maxLength = Infinity, pattern, format } = schema
  if (value.length < minLength || value.length > maxLength) return [{ at, rule: 'range' }]
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(value)) return [{ at, rule: 'format' }]
  const shape = format === undefined ? undefined : FORMATS[format]
  return shape === undefined || shape.test(value) ? [] : [{ at, rule: 'format' }]
}

function checkNumber(value: unknown, schema: Schema, at: string): Violation[] {
  if (typeof value !== 'number' || (schema.type === 'integer' && !Number.isSafeInteger(value))) {
    return [{ at, rule: 'type' }]
  }
  const { minimum = -Infinity, maximum = Infinity } = schema
  return value >= minimum && value <= maximum ? [] : [{ at, rule: 'range' }]
}

/** A query or path parameter as the value its schema speaks of; the text itself when it cannot be one. */
export function coerce(text: string, schema: Schema): unknown {
  if (schema.type === 'integer' || schema.type === 'number') return /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : text
  if (schema.type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text
  if (schema.oneOf?.some((choice) => choice.type === 'integer') === true && /^\d+$/.test(text)) return Number(text)
  return text
}
