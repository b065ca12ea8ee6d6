/**
 * What every Slack tool shares. Slack answers 200 to everything and says in the body how it went.
 *
 * @module
 */
import { z } from 'zod'

export const channelArgument = z
  .string()
  .regex(/^[CGD][A-Z0-9]{2,20}$/, 'is not a channel id')
  .describe('Id of the channel, from slack_list_channels.')
export const timestampArgument = z
  .string()
  .regex(/^\d{10}\.\d{6}$/, 'is not a message timestamp')
  .describe('ts of a message, such as 1716239022.123456.')

export const pageCursor = (page: unknown): string | undefined => (typeof page === 'string' ? page : undefined)

export const metadataWire = z.object({ next_cursor: z.string().default('') }).default({ next_cursor: '' })

export const messageText = z
  .string()
  .trim()
  .min(1)
  .max(12_000)
  .describe('The message, with *bold*, _italic_ and `code`. Mentions of whole channels are removed.')

/**
 * Text as Slack should show it: the three control characters are escaped, so that no argument makes a mention or a link
 * that looks like another, and what would wake a whole channel is taken out.
 */
export function slackText(text: string): string {
  return text
    .toWellFormed()
    .replace(/<!(?:channel|here|everyone|subteam\^[^>|]{0,40})(?:\|[^>]{0,80})?>/gi, '')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
}
