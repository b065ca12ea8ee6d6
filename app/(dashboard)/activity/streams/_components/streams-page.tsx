'use client'

import { useCallback, useState } from 'react'

import { useWhileVisible } from '@/app/_client/live'
import { items, load, maybeNumber, maybeText } from '@/app/_client/load'
import { send, text } from '@/app/_client/request'
import { AuditStreams, type StreamRow } from '@/components/pages/audit-streams'

const path = '/api/v1/activity/streams'
const everyMs = 5_000

/** Where the trail is sent; asked in the browser, because the pages cannot read it. */
export function StreamsPage({ isAllowed }: { isAllowed: boolean }) {
  const [streams, setStreams] = useState<readonly StreamRow[] | 'loading' | 'failed'>('loading')
  const read = useCallback(async (signal?: AbortSignal): Promise<boolean> => {
    const list = await load(path, (body) => items(body, parseStream), signal).catch((error: unknown) => {
      if (signal?.aborted !== true) setStreams((shown) => (typeof shown === 'string' ? 'failed' : shown))
      throw error
    })
    setStreams((shown) => (list.ok ? list.value : typeof shown === 'string' ? 'failed' : shown))
    return list.ok
  }, [])
  const again = () => read().catch(() => undefined)
  useWhileVisible((signal) => (isAllowed ? read(signal) : Promise.resolve(true)), everyMs)

  return (
    <AuditStreams
      streams={isAllowed ? streams : 'forbidden'}
      onRetry={() => {
        setStreams('loading')
        void again()
      }}
      onCreate={async ({ target, secretAccessKey, fromStart }) => {
        const body = { target, fromStart, ...(secretAccessKey === undefined ? {} : { secretAccessKey }) }
        const result = await send('POST', path, body, (answer) => maybeText(answer, 'signingSecret'))
        if (result.ok) await again()
        return result
      }}
      onResume={async ({ id }) => {
        const result = await send('POST', `${path}/${id}/resume`, {}, () => undefined)
        if (result.ok) await again()
        return result
      }}
      onDelete={async ({ id }) => {
        const result = await send('DELETE', `${path}/${id}`, {}, () => undefined)
        if (result.ok) await again()
        return result
      }}
    />
  )
}

function parseStream(item: Readonly<Record<string, unknown>>): StreamRow {
  const kind = text(item, 'kind')
  return {
    id: text(item, 'id'),
    kind: kind === 'syslog' || kind === 's3' ? kind : 'webhook',
    destination: text(item, 'destination'),
    delivered: maybeNumber(item, 'delivered') ?? 0,
    lastDeliveredAt: maybeText(item, 'lastDeliveredAt') ?? undefined,
    failingSince: maybeText(item, 'failingSince') ?? undefined,
    lastError: maybeText(item, 'lastError') ?? undefined,
    disabledReason: maybeText(item, 'disabledReason') ?? undefined,
  }
}
