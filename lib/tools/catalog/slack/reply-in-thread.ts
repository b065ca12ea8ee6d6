import { z } from 'zod'

import { apiPath } from '../../path'
import { defineTool } from '../../tool'
import { channelArgument, messageText, slackText, timestampArgument } from './api'
import { postedWire } from './send-message'

export const slackReplyInThread = defineTool({
  name: 'slack_reply_in_thread',
  provider: 'slack',
  title: 'Reply in a thread',
  description: 'Answers a message in its thread, as the connected account. Its participants are told.',
  input: z.strictObject({
    channel_id: channelArgument,
    thread_ts: timestampArgument.describe('ts of the message that started the thread.'),
    text: messageText,
    also_send_to_channel: z.boolean().default(false),
  }),
  output: z.object({ channel_id: z.string(), ts: z.string(), thread_ts: z.string() }),
  annotations: { readOnly: false, destructive: false, idempotent: false, openWorld: true },
  resources: { channel: ({ channel_id }) => [channel_id] },
  scopes: { anyOf: [['chat:write']], least: ['chat:write'] },
  async run(args, api) {
    const answer = await api.send({
      method: 'POST',
      path: apiPath`/chat.postMessage`,
      form: {
        channel: args.channel_id,
        thread_ts: args.thread_ts,
        text: slackText(args.text),
        reply_broadcast: args.also_send_to_channel,
        link_names: false,
        unfurl_links: false,
      },
    })
    const posted = postedWire.parse(answer.json)
    return { channel_id: posted.channel, ts: posted.ts, thread_ts: args.thread_ts }
  },
})
