/**
 * Every tool there is, in the order in which lists show them.
 *
 * @module
 */
import { z } from 'zod'

import { githubCommentOnIssue } from './catalog/github/comment-on-issue'
import { githubCreateIssue } from './catalog/github/create-issue'
import { githubGetFile } from './catalog/github/get-file'
import { githubListIssues } from './catalog/github/list-issues'
import { githubSearchRepositories } from './catalog/github/search-repositories'
import { calendarCreateEvent } from './catalog/google/calendar-create-event'
import { calendarListEvents } from './catalog/google/calendar-list-events'
import { gmailCreateDraft } from './catalog/google/gmail-create-draft'
import { gmailGetMessage } from './catalog/google/gmail-get-message'
import { gmailSearchMessages } from './catalog/google/gmail-search-messages'
import { slackListChannels } from './catalog/slack/list-channels'
import { slackReadChannel } from './catalog/slack/read-channel'
import { slackReplyInThread } from './catalog/slack/reply-in-thread'
import { slackSearchUsers } from './catalog/slack/search-users'
import { slackSendMessage } from './catalog/slack/send-message'
import type { KnownTools } from '../policy/profile'
import type { Tool } from './tool'

export const TOOLS: readonly Tool[] = [
  githubSearchRepositories,
  githubGetFile,
  githubListIssues,
  githubCreateIssue,
  githubCommentOnIssue,
  gmailSearchMessages,
  gmailGetMessage,
  gmailCreateDraft,
  calendarListEvents,
  calendarCreateEvent,
  slackListChannels,
  slackReadChannel,
  slackSearchUsers,
  slackSendMessage,
  slackReplyInThread,
]

/** A tool as a client is told about it; the schemas are JSON Schema 2020-12. */
export interface ToolListing {
  readonly name: string
  readonly title: string
  readonly description: string
  readonly inputSchema: JsonObjectSchema
  readonly outputSchema: JsonObjectSchema
  readonly annotations: {
    readonly title: string
    readonly readOnlyHint: boolean
    readonly destructiveHint: boolean
    readonly idempotentHint: boolean
    readonly openWorldHint: boolean
  }
}

export interface JsonObjectSchema {
  readonly type: 'object'
  readonly properties: Readonly<Record<string, object>>
  readonly required?: readonly string[]
  readonly additionalProperties?: unknown
  readonly [keyword: string]: unknown
}

export interface CompiledTool {
  readonly tool: Tool
  readonly listing: ToolListing
}

/** The catalogue with its schemas worked out, once. */
export interface ToolRegistry {
  readonly tools: readonly CompiledTool[]
  readonly names: ReadonlySet<string>
  /** What rules of a profile can be about. */
  readonly known: KnownTools
  get(name: string): CompiledTool | undefined
}

/** @throws TypeError when two tools share a name, or one cannot be listed: a mistake in the catalogue, found at start */
export function createToolRegistry(tools: readonly Tool[] = TOOLS): ToolRegistry {
  const byName = new Map<string, CompiledTool>()
  for (const tool of tools) {
    if (!/^[a-z0-9_]{1,64}$/.test(tool.name) || byName.has(tool.name)) throw new TypeError(`tool name: ${tool.name}`)
    if ('account' in tool.input.shape) throw new TypeError(`${tool.name}: the argument "account" belongs to the broker`)
    byName.set(tool.name, { tool, listing: listingOf(tool) })
  }
  return {
    tools: [...byName.values()],
    names: new Set(byName.keys()),
    known: new Map(tools.map((tool) => [tool.name, subjectsOf(tool)])),
    get: (name) => byName.get(name),
  }
}

const subjectsOf = ({ resources = {}, input }: Tool) => ({
  resources: new Set(Object.keys(resources)),
  arguments: new Set(Object.keys(input.shape)),
})

function listingOf(tool: Tool): ToolListing {
  const { readOnly, destructive, idempotent, openWorld } = tool.annotations
  return {
    name: tool.name,
    title: tool.title,
    description: tool.description,
    inputSchema: schemaOf(tool.input, 'input'),
    outputSchema: schemaOf(tool.output, 'output'),
    annotations: {
      title: tool.title,
      readOnlyHint: readOnly,
      destructiveHint: destructive,
      idempotentHint: idempotent,
      openWorldHint: openWorld,
    },
  }
}

function schemaOf(schema: z.ZodObject, io: 'input' | 'output'): JsonObjectSchema {
  const { properties, ...rest } = z.toJSONSchema(schema, { io })
  delete rest.$schema // 2020-12 is what MCP assumes; saying so in every schema of a list is a quarter of small ones
  return { ...rest, type: 'object', properties: plainProperties(properties) }
}

function plainProperties(properties: Readonly<Record<string, unknown>> | undefined): Record<string, object> {
  const plain: Record<string, object> = {}
  for (const [name, value] of Object.entries(properties ?? {})) if (isObject(value)) plain[name] = value
  return plain
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
