import { z } from 'zod'

import { cursorArgument } from '../../cursor'
import { apiPath } from '../../path'
import { defineTool, line } from '../../tool'
import { metadataWire, pageCursor } from './api'

const channelsWire = z.object({
  channels: z.array(
    z.object({
      id: z.string(),
      name: z.string().optional(),
      is_private: z.boolean().default(false),
      is_archived: z.boolean().default(false),
      is_member: z.boolean().default(false),
      num_members: z.int().optional(),
      topic: z.object({ value: z.string().default('') }).optional(),
      purpose: z.object({ value: z.string().default('') }).optional(),
    }),
  ),
  response_metadata: metadataWire,
})

export const slackListChannels = defineTool({
  name: 'slack_list_channels',
  provider: 'slack',
  title: 'List channels',
  description: 'Lists channels of the workspace that the connected account can see.',
  input: z.strictObject({
    types: z
      .array(z.enum(['public', 'private']))
      .min(1)
      .max(2)
      .default(['public'])
      .describe('Private channels need a further permission.'),
    include_archived: z.boolean().default(false),
    limit: z.int().min(1).max(200).default(100),
    cursor: cursorArgument,
  }),
  output: z.object({
    channels: z.array(
      z.object({
        id: z.string(),
        name: z.string(),
        private: z.boolean(),
        archived: z.boolean(),
        member: z.boolean().describe('Whether the connected account is in it.'),
        members: z.int().nullable(),
        topic: z.string(),
        purpose: z.string(),
      }),
    ),
    next_cursor: z.string().nullable(),
  }),
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  scopes: { anyOf: [['channels:read'], ['groups:read']], least: ['channels:read'] },
  async run(args, api) {
    const answer = await api.send({
      method: 'POST',
      path: apiPath`/conversations.list`,
      form: {
        types: [...new Set(args.types)].map((type) => `${type}_channel`).join(','),
        exclude_archived: !args.include_archived,
        limit: args.limit,
        cursor: pageCursor(api.page),
      },
    })
    const found = channelsWire.parse(answer.json)
    const next = found.response_metadata.next_cursor
    return {
      channels: found.channels.map((channel) => ({
        id: channel.id,
        name: channel.name ?? '',
        private: channel.is_private,
        archived: channel.is_archived,
        member: channel.is_member,
        members: channel.num_members ?? null,
        topic: line(channel.topic?.value, 250),
        purpose: line(channel.purpose?.value, 250),
      })),
      next_cursor: next === '' ? null : api.cursor(next),
    }
  },
})
