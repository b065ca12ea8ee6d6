import { z } from 'zod'

import { apiPath } from '../../path'
import { defineTool } from '../../tool'
import { emailArgument, messageIdArgument, scope } from './api'
import { buildMessage, MESSAGE_ID } from './mime'

const draftWire = z.object({
  id: z.string(),
  message: z.object({ id: z.string(), threadId: z.string().optional() }),
})
const recipients = z.array(emailArgument).max(100)

export const gmailCreateDraft = defineTool({
  name: 'gmail_create_draft',
  provider: 'google',
  title: 'Create a draft',
  description: 'Writes a plain-text draft into the mailbox. Nothing is sent: a person reads and sends it in Gmail.',
  input: z.strictObject({
    to: recipients.min(1).describe('Plain e-mail addresses.'),
    cc: recipients.default([]),
    bcc: recipients.default([]),
    subject: z
      .string()
      .max(900)
      .regex(/^[^\u0000-\u001f\u007f]*$/, 'must be one line')
      .default(''),
    body: z.string().max(500_000).describe('Plain text.'),
    thread_id: messageIdArgument.optional().describe('Thread to answer in, from gmail_get_message.'),
    in_reply_to: z
      .string()
      .regex(MESSAGE_ID, 'is not a Message-ID')
      .optional()
      .describe('message_id_header of the message answered.'),
  }),
  output: z.object({ draft_id: z.string(), message_id: z.string(), thread_id: z.string().nullable() }),
  annotations: { readOnly: false, destructive: false, idempotent: false, openWorld: false },
  resources: { recipient: ({ to, cc, bcc }) => [...to, ...cc, ...bcc] },
  scopes: { anyOf: [[scope('gmail.compose')]], least: [scope('gmail.compose')] },
  async run(args, api) {
    const raw = Buffer.from(
      buildMessage({
        to: args.to,
        cc: args.cc,
        bcc: args.bcc,
        subject: args.subject,
        body: args.body,
        inReplyTo: args.in_reply_to,
      }),
      'utf8',
    ).toString('base64url')
    const answer = await api.send({
      method: 'POST',
      path: apiPath`/gmail/v1/users/me/drafts`,
      json: { message: { raw, ...(args.thread_id === undefined ? {} : { threadId: args.thread_id }) } },
    })
    const draft = draftWire.parse(answer.json)
    return { draft_id: draft.id, message_id: draft.message.id, thread_id: draft.message.threadId ?? null }
  },
})
