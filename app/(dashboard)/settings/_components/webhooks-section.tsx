'use client'

import { useCallback, useEffect, useState } from 'react'

import { items, load, maybeNumber, maybeText } from '@/app/_client/load'
import { send, text } from '@/app/_client/request'
import { useWhileVisible } from '@/app/_client/live'
import type { DeliveryRow, WebhookRow } from '@/components/pages/webhook-settings'
import { WebhookSettings } from '@/components/pages/webhook-settings'

const path = '/api/v1/webhooks'
const everyMs = 5_000

/** The webhooks of the workspace with how their last deliveries went; asked in the browser, because the pages cannot read them. */
export function WebhooksSection() {
  const [webhooks, setWebhooks] = useState<readonly WebhookRow[] | 'loading' | 'failed'>('loading')
  const [round, setRound] = useState(0)
  const again = useCallback(() => setRound((one) => one + 1), [])

  const read = useCallback(async (signal?: AbortSignal): Promise<boolean> => {
    const list = await load(path, (body) => items(body, parseWebhook), signal)
    if (!list.ok) {
      setWebhooks((shown) => (typeof shown === 'string' ? 'failed' : shown))
      return false
    }
    const rows = await Promise.all(
      list.value.map(async (webhook): Promise<WebhookRow> => {
        const result = await load(`${path}/${webhook.id}/deliveries`, (body) => items(body, parseDelivery), signal)
        return { ...webhook, deliveries: result.ok ? result.value : [] }
      }),
    )
    setWebhooks(rows)
    return true
  }, [])
  useEffect(() => {
    const controller = new AbortController()
    read(controller.signal).catch(() => {
      if (!controller.signal.aborted) setWebhooks((shown) => (typeof shown === 'string' ? 'failed' : shown))
    })
    return () => controller.abort()
  }, [read, round])
  // A delivery ends a moment after it was asked for.
  useWhileVisible(
    async (signal) => (typeof webhooks === 'string' || webhooks.length === 0 ? true : read(signal)),
    everyMs,
  )

  return (
    <WebhookSettings
      webhooks={webhooks}
      onRetry={() => {
        setWebhooks('loading')
        again()
      }}
      onCreate={async ({ url }) => {
        const result = await send('POST', path, { url }, (body) => text(body, 'signingSecret'))
        if (result.ok) again()
        return result
      }}
      onTest={async ({ id }) => {
        const result = await send('POST', `${path}/${id}/test`, {}, () => undefined)
        if (result.ok) again()
        return result
      }}
      onDelete={async ({ id }) => {
        const result = await send('DELETE', `${path}/${id}`, {}, () => undefined)
        if (result.ok) again()
        return result
      }}
    />
  )
}

function parseWebhook(item: Readonly<Record<string, unknown>>): WebhookRow {
  return {
    id: text(item, 'id'),
    url: text(item, 'url'),
    disabledReason: maybeText(item, 'disabledReason') ?? undefined,
    failingSince: maybeText(item, 'failingSince') ?? undefined,
    deliveries: [],
  }
}

function parseDelivery(item: Readonly<Record<string, unknown>>): DeliveryRow {
  const status = text(item, 'status')
  return {
    id: text(item, 'id'),
    isTest: text(item, 'type') === 'webhook.test',
    itemCount: maybeNumber(item, 'itemCount') ?? 0,
    status: status === 'delivered' || status === 'failed' ? status : 'queued',
    attempts: maybeNumber(item, 'attempts') ?? 0,
    at: text(item, 'createdAt'),
    nextAt: maybeText(item, 'nextAt') ?? undefined,
    lastStatus: maybeNumber(item, 'lastStatus') ?? undefined,
    lastError: maybeText(item, 'lastError') ?? undefined,
  }
}
