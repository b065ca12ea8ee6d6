/**
 * A tool as data: what it is called, what it takes and gives, what it needs, and how its arguments become requests.
 *
 * A tool never sees a credential and never names a host. It asks for API paths of its own provider; the broker adds the
 * rest, and nothing of what a tool builds comes from anything but validated arguments.
 *
 * @module
 */
import type { z } from 'zod'

import type { ProviderName } from '../config'
import type { ResourceReaders } from '../policy/resources'
import type { CursorState } from './cursor'
import type { ApiPath } from './path'

type QueryValue = string | number | boolean | readonly string[] | undefined

export interface ProviderRequest {
  readonly method: 'GET' | 'POST'
  readonly path: ApiPath
  readonly query?: Readonly<Record<string, QueryValue>>
  /** Sent as JSON. */
  readonly json?: unknown
  /** Sent as application/x-www-form-urlencoded; what is undefined is left out. */
  readonly form?: Readonly<Record<string, QueryValue>>
  readonly headers?: Readonly<Record<string, string>>
  /** HTTP statuses beside 2xx that are an answer and not a failure. */
  readonly expected?: readonly number[]
  readonly maxBytes?: number
}

export interface ProviderAnswer {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  readonly json: unknown
}

/** What a running tool may do. */
export interface ToolApi {
  /** Sends one request as the account's owner. Failures never come back: they end the call. */
  readonly send: (request: ProviderRequest) => Promise<ProviderAnswer>
  /** The page asked for, undefined for the first. */
  readonly page: CursorState | undefined
  /** The cursor that asks for the page after this one. */
  readonly cursor: (state: CursorState) => string
  /** Unique to this call: what a repeated attempt of the same call shares. */
  readonly callId: string
}

export interface ToolAnnotations {
  readonly readOnly: boolean
  /** Said aloud, because the protocol takes silence for true. */
  readonly destructive: boolean
  readonly idempotent: boolean
  /** Reaches other people: posts, sends, invites. */
  readonly openWorld: boolean
}

export interface ToolScopes {
  /** Any one of these sets of provider scopes is enough. An empty set: none is needed. */
  readonly anyOf: readonly (readonly string[])[]
  /** What to ask a person for when none of them is granted. */
  readonly least: readonly string[]
}

interface ToolFacts<I extends z.ZodObject, O extends z.ZodObject> {
  readonly name: string
  readonly provider: ProviderName
  readonly title: string
  readonly description: string
  /** Strict: an argument we do not know is refused rather than ignored. */
  readonly input: I
  readonly output: O
  readonly annotations: ToolAnnotations
  readonly scopes: ToolScopes
  /** What calls are about, for rules that hold whatever a tool calls its arguments. */
  readonly resources?: ResourceReaders<z.output<I>>
}

export interface ToolDefinition<I extends z.ZodObject, O extends z.ZodObject> extends ToolFacts<I, O> {
  run(args: z.output<I>, api: ToolApi): Promise<z.output<O>>
}

/** A tool whose argument types are forgotten. Only arguments that its own `input` gave out may go into `run`. */
export interface Tool extends Omit<ToolFacts<z.ZodObject, z.ZodObject>, 'resources'> {
  readonly resources?: ResourceReaders<Readonly<Record<string, unknown>>>
  run(args: Record<string, unknown>, api: ToolApi): Promise<Record<string, unknown>>
}

export function defineTool<I extends z.ZodObject, O extends z.ZodObject>(tool: ToolDefinition<I, O>): Tool {
  return tool as unknown as Tool // `run` and the readers get what `input` of the same object parsed, which makes the forgotten types true at run time
}

/** Longest text a tool gives back in one field. Clients cut answers of more than about 100,000 characters. */
export const MAX_TEXT = 60_000

/** @returns the text, or as much of it as fits, without half a surrogate pair at the end */
export function capText(text: string, max = MAX_TEXT): { readonly text: string; readonly truncated: boolean } {
  if (text.length <= max) return { text: text.toWellFormed(), truncated: false }
  return {
    text: text
      .slice(0, max)
      .replace(/[\ud800-\udbff]$/, '')
      .toWellFormed(),
    truncated: true,
  }
}

/** A line of text from the provider, kept short. */
export const line = (text: string | null | undefined, max = 500): string => capText(text ?? '', max).text
