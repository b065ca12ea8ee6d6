import { z } from 'zod'

import { targetSchema } from '@/lib/audit/stream-target'
import type { Streams } from '@/lib/audit/streams'
import { Secret } from '@/lib/secret'

import { time } from '../fields'
import { defineRoute, idParam, type AnyRoute } from '../route'

const words = z.string().nullable()
const stream = z.object({
  id: z.string(),
  kind: z.enum(['webhook', 'syslog', 's3']),
  destination: z.string(),
  delivered: z.number().int(),
  deliveredUntil: time,
  lastDeliveredAt: time.nullable(),
  failingSince: time.nullable(),
  lastError: words,
  disabledReason: words,
  createdAt: time,
})
const params = z.strictObject({ streamId: idParam('auditStream') })

export function activityStreamRoutes({ streams }: { readonly streams: Streams }): AnyRoute[] {
  return [
    defineRoute({
      id: 'activity_stream.list',
      method: 'GET',
      path: '/api/v1/activity/streams',
      summary: 'Lists where the records of the workspace are sent as they are made.',
      permission: 'audit.stream',
      response: z.object({ items: z.array(stream).readonly() }),
      handle: async ({ principal }) => ({ items: await streams.list(principal) }),
    }),
    defineRoute({
      id: 'activity_stream.create',
      method: 'POST',
      path: '/api/v1/activity/streams',
      summary: 'Sends every record on to a webhook, a syslog server or an S3-compatible store, at least once.',
      permission: 'audit.stream',
      body: z.strictObject({
        target: targetSchema,
        /** Of an S3 store. It is sealed and never shown again. */
        secretAccessKey: z.string().min(1).max(256).optional(),
        /** True: what was recorded so far is sent too. */
        fromStart: z.boolean().optional(),
      }),
      response: stream.extend({ signingSecret: words }),
      status: 201,
      handle: async ({ principal, body: { target, secretAccessKey, fromStart } }) => {
        const made = await streams.create(principal, target, {
          secret: secretAccessKey === undefined ? undefined : new Secret(secretAccessKey),
          fromStart,
        })
        return { ...made.stream, signingSecret: made.signingSecret?.reveal() ?? null }
      },
    }),
    defineRoute({
      id: 'activity_stream.resume',
      method: 'POST',
      path: '/api/v1/activity/streams/{streamId}/resume',
      summary: 'Starts a stopped stream again, from the record after the last one that was taken.',
      permission: 'audit.stream',
      params,
      response: stream,
      handle: ({ principal, params: { streamId } }) => streams.resume(principal, streamId),
    }),
    defineRoute({
      id: 'activity_stream.delete',
      method: 'DELETE',
      path: '/api/v1/activity/streams/{streamId}',
      summary: 'Removes a stream. What was sent stays where it is.',
      permission: 'audit.stream',
      params,
      handle: async ({ principal, params: { streamId } }) => {
        await streams.remove(principal, streamId)
        return undefined
      },
    }),
  ]
}
