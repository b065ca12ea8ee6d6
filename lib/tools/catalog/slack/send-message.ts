import { z } from 'zod'

import { apiPath } from '../../path'
import { defineTool } from '../../tool'
import { channelArgument, messageText, slackText } from './api'

export const postedWire = z.object({ channel: z.string(), ts: z.string() })

export const slackSendMessage = defineTool({
  name: 'slack_send_message',
  provider: 'slack',
  title: 'Send a message',
  description: 'Posts a message to a channel, as the connected account. Its members see it at once.',
  input: z.strictObject({ channel_id: channelArgument, text: messageText }),
  output: z.object({ channel_id: z.string(), ts: z.string() }),
  annotations: { readOnly: false, destructive: false, idempotent: false, openWorld: true },
  resources: { channel: ({ channel_id }) => [channel_id] },
  scopes: { anyOf: [['chat:write']], least: ['chat:write'] },
  async run(args, api) {
    const answer = await api.send({
      method: 'POST',
      path: apiPath`/chat.postMessage`,
      form: { channel: args.channel_id, text: slackText(args.text), link_names: false, unfurl_links: false },
    })
    const posted = postedWire.parse(answer.json)
    return { channel_id: posted.channel, ts: posted.ts }
  },
})
