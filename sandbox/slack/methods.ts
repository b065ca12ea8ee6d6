/**
 * The Web API methods served here and every argument each takes: the keys of each table are checked by the compiler
 * against the types of the vendor's own client, so that an argument added, renamed or misspelt fails the build.
 *
 * @module
 */
import type {
  AuthRevokeArguments,
  ChatPostMessageArguments,
  ConversationsHistoryArguments,
  ConversationsInfoArguments,
  ConversationsListArguments,
  ConversationsRepliesArguments,
  SearchMessagesArguments,
  UsersConversationsArguments,
  UsersInfoArguments,
  UsersListArguments,
  UsersLookupByEmailArguments,
} from '@slack/web-api'

import type { Schema } from '@/sandbox/core/schema'

/** Keys of every member of a union. */
type Keys<T> = T extends unknown ? Exclude<keyof T, 'token'> : never
type Arguments<T> = Record<Keys<T>, Schema>

export interface SlackMethod {
  readonly arguments: Readonly<Record<string, Schema>>
  readonly required: readonly string[]
  /** Needed whatever the arguments; scopes that depend on a conversation's kind are decided where it is known. */
  readonly scope?: string
}

const text: Schema = { type: 'string' }
const flag: Schema = { type: 'boolean' }
const whole = (minimum: number, maximum: number): Schema => ({ type: 'integer', minimum, maximum })
const one = (...values: string[]): Schema => ({ type: 'string', enum: values })
const channel: Schema = { type: 'string', pattern: '^[A-Z0-9#@_.a-z-]{1,80}$' }
const timestamp: Schema = { type: 'string', pattern: '^[0-9]{1,12}(?:\\.[0-9]{1,6})?$' }
const list: Schema = { type: 'array', items: {} }
const limit = whole(1, 999)
const types: Schema = {
  type: 'string',
  pattern: '^(?:public_channel|private_channel|im|mpim)(?:, ?(?:public_channel|private_channel|im|mpim))*$',
}

export const METHODS: Readonly<Record<string, SlackMethod>> = {
  'auth.test': { arguments: {}, required: [] },
  'auth.revoke': { arguments: { test: flag } satisfies Arguments<AuthRevokeArguments>, required: [] },
  'conversations.list': {
    arguments: { cursor: text, exclude_archived: flag, limit, team_id: text, types } satisfies Arguments<
      NonNullable<ConversationsListArguments>
    >,
    required: [],
  },
  'users.conversations': {
    arguments: { cursor: text, exclude_archived: flag, limit, team_id: text, types, user: text } satisfies Arguments<
      NonNullable<UsersConversationsArguments>
    >,
    required: [],
  },
  'conversations.info': {
    arguments: {
      channel,
      include_locale: flag,
      include_num_members: flag,
    } satisfies Arguments<ConversationsInfoArguments>,
    required: ['channel'],
  },
  'conversations.history': {
    arguments: {
      channel,
      cursor: text,
      include_all_metadata: flag,
      inclusive: flag,
      latest: timestamp,
      limit,
      oldest: timestamp,
    } satisfies Arguments<ConversationsHistoryArguments>,
    required: ['channel'],
  },
  'conversations.replies': {
    arguments: {
      channel,
      cursor: text,
      include_all_metadata: flag,
      inclusive: flag,
      latest: timestamp,
      limit,
      oldest: timestamp,
      ts: timestamp,
    } satisfies Arguments<ConversationsRepliesArguments>,
    required: ['channel', 'ts'],
  },
  'chat.postMessage': {
    arguments: {
      as_user: flag,
      attachments: list,
      blocks: list,
      channel,
      icon_emoji: text,
      icon_url: text,
      link_names: flag,
      markdown_text: { type: 'string', maxLength: 12_000 },
      metadata: { type: 'object', additionalProperties: true },
      mrkdwn: flag,
      parse: one('full', 'none'),
      reply_broadcast: flag,
      text,
      thread_ts: timestamp,
      unfurl_links: flag,
      unfurl_media: flag,
      username: text,
    } satisfies Arguments<ChatPostMessageArguments>,
    required: ['channel'],
    scope: 'chat:write',
  },
  'users.list': {
    arguments: { cursor: text, include_locale: flag, limit, team_id: text } satisfies Arguments<
      NonNullable<UsersListArguments>
    >,
    required: [],
    scope: 'users:read',
  },
  'users.info': {
    arguments: { include_locale: flag, user: text } satisfies Arguments<UsersInfoArguments>,
    required: ['user'],
    scope: 'users:read',
  },
  'users.lookupByEmail': {
    arguments: { email: { type: 'string', format: 'email' } } satisfies Arguments<UsersLookupByEmailArguments>,
    required: ['email'],
    scope: 'users:read.email',
  },
  'search.messages': {
    arguments: {
      count: whole(1, 100),
      cursor: text,
      highlight: flag,
      page: whole(1, 100),
      query: text,
      sort: one('score', 'timestamp'),
      sort_dir: one('asc', 'desc'),
      team_id: text,
    } satisfies Arguments<SearchMessagesArguments>,
    required: ['query'],
    scope: 'search:read',
  },
}
