import { z } from 'zod'

import type { Inbox } from '@/lib/notifications/inbox'
import type { Webhooks } from '@/lib/notifications/webhooks'

import { time } from '../fields'
import { defineRoute, idParam, type AnyRoute } from '../route'

const notification = z.object({
  id: z.string(),
  kind: z.enum(['degraded', 'reauthorization_required', 'revoked', 'suspended', 'recovered', 'webhook_disabled']),
  title: z.string(),
  body: z.string(),
  path: z.string(),
  connectionId: z.string().nullable(),
  provider: z.string().nullable(),
  createdAt: time,
  readAt: time.nullable(),
})

const webhook = z.object({
  id: z.string(),
  url: z.string(),
  createdAt: time,
  lastDeliveredAt: time.nullable(),
  failingSince: time.nullable(),
  disabledAt: time.nullable(),
  disabledReason: z.string().nullable(),
})

const delivery = z.object({
  id: z.string(),
  type: z.string(),
  itemCount: z.number().int(),
  status: z.enum(['queued', 'delivered', 'failed']),
  attempts: z.number().int(),
  createdAt: time,
  lastAttemptAt: time.nullable(),
  nextAt: time.nullable(),
  lastStatus: z.number().int().nullable(),
  lastError: z.string().nullable(),
})

/** How mail leaves. Where files lie is said on the machine itself only. */
export type MailPath = { readonly kind: 'sent' } | { readonly kind: 'kept'; readonly folder: string | null }

const mail = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('sent') }),
  z.object({ kind: z.literal('kept'), folder: z.string().nullable() }),
])

const webhookParams = z.strictObject({ webhookId: idParam('webhook') })

export function notificationRoutes({
  inbox,
  webhooks,
  mailPath,
}: {
  readonly inbox: Inbox
  readonly webhooks: Webhooks
  readonly mailPath: MailPath
}): AnyRoute[] {
  return [
    defineRoute({
      id: 'notification.list',
      method: 'GET',
      path: '/api/v1/notifications',
      summary: 'Lists what the caller was told about connections, newest first, and how mail leaves.',
      permission: 'notification.read',
      query: z.strictObject({
        before: idParam('notification').optional(),
        limit: z.coerce.number().int().min(1).max(100).default(50),
      }),
      response: z.object({
        items: z.array(notification).readonly(),
        hasMore: z.boolean(),
        unread: z.number().int(),
        mail,
      }),
      handle: async ({ principal, query }) => ({
        ...(await inbox.list(principal, query)),
        unread: await inbox.unread(principal),
        mail: mailPath,
      }),
    }),
    defineRoute({
      id: 'notification.unread',
      method: 'GET',
      path: '/api/v1/notifications/unread',
      summary: 'Counts what the caller has not read, up to a hundred.',
      permission: 'notification.read',
      response: z.object({ unread: z.number().int() }),
      handle: async ({ principal }) => ({ unread: await inbox.unread(principal) }),
    }),
    defineRoute({
      id: 'notification.mark_read',
      method: 'POST',
      path: '/api/v1/notifications/read',
      summary: 'Marks as read: one, everything up to one, or everything.',
      permission: 'notification.read',
      body: z.strictObject({
        notificationId: idParam('notification').optional(),
        upTo: idParam('notification').optional(),
      }),
      response: z.object({ unread: z.number().int() }),
      handle: async ({ principal, body }) => ({ unread: await inbox.markRead(principal, body) }),
    }),
    defineRoute({
      id: 'webhook.list',
      method: 'GET',
      path: '/api/v1/webhooks',
      summary: 'Lists the addresses that are called when a connection needs attention.',
      permission: 'webhook.read',
      response: z.object({ items: z.array(webhook).readonly() }),
      handle: async ({ principal }) => ({ items: await webhooks.list(principal) }),
    }),
    defineRoute({
      id: 'webhook.create',
      method: 'POST',
      path: '/api/v1/webhooks',
      summary: 'Adds an address. Its signing secret (Standard Webhooks) is in this answer and nowhere else.',
      permission: 'webhook.manage',
      body: z.strictObject({ url: z.string().min(1).max(2_048) }),
      response: webhook.extend({ signingSecret: z.string() }),
      status: 201,
      handle: async ({ principal, body }) => {
        const made = await webhooks.create(principal, body.url)
        return { ...made.webhook, signingSecret: made.secret.reveal() }
      },
    }),
    defineRoute({
      id: 'webhook.delete',
      method: 'DELETE',
      path: '/api/v1/webhooks/{webhookId}',
      summary: 'Removes an address. What waits for it is not sent.',
      permission: 'webhook.manage',
      params: webhookParams,
      handle: async ({ principal, params }) => {
        await webhooks.remove(principal, params.webhookId)
        return undefined
      },
    }),
    defineRoute({
      id: 'webhook.test',
      method: 'POST',
      path: '/api/v1/webhooks/{webhookId}/test',
      summary: 'Sends a signed message without content, to try the address.',
      permission: 'webhook.manage',
      params: webhookParams,
      response: delivery,
      status: 202,
      handle: ({ principal, params }) => webhooks.test(principal, params.webhookId),
    }),
    defineRoute({
      id: 'webhook.deliveries',
      method: 'GET',
      path: '/api/v1/webhooks/{webhookId}/deliveries',
      summary: 'Lists the last deliveries of an address and how they went.',
      permission: 'webhook.read',
      params: webhookParams,
      response: z.object({ items: z.array(delivery).readonly() }),
      handle: async ({ principal, params }) => ({ items: await webhooks.deliveries(principal, params.webhookId) }),
    }),
  ]
}
