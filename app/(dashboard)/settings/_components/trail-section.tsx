'use client'

import { useEffect, useState } from 'react'

import { items, load, maybeNumber, maybeText } from '@/app/_client/load'
import { isRecord, send, text } from '@/app/_client/request'
import { TrailSettings, type Trail } from '@/components/pages/trail-settings'

const path = '/api/v1/workspace/trail'

/** How the activity of the workspace is kept; asked in the browser, because the pages cannot read it. */
export function TrailSection({ canChange }: { canChange: boolean }) {
  const [trail, setTrail] = useState<Trail | 'loading' | 'failed'>('loading')
  const [round, setRound] = useState(0)

  useEffect(() => {
    const controller = new AbortController()
    load(path, parseTrail, controller.signal)
      .then((result) => setTrail(result.ok ? result.value : 'failed'))
      .catch(() => {
        if (!controller.signal.aborted) setTrail('failed')
      })
    return () => controller.abort()
  }, [round])

  return (
    <TrailSettings
      trail={trail}
      canChange={canChange}
      onRetry={() => {
        setTrail('loading')
        setRound((one) => one + 1)
      }}
      onKeep={async ({ retentionDays }) => {
        const result = await send('PATCH', path, { retentionDays }, parseTrail)
        if (result.ok) setTrail(result.value)
        return result
      }}
    />
  )
}

function parseTrail(body: unknown): Trail {
  const checkpoints = isRecord(body) ? body['checkpoints'] : undefined
  return {
    retentionDays: maybeNumber(body, 'retentionDays') ?? undefined,
    position: maybeNumber(body, 'position') ?? 0,
    recordedTo: maybeText(body, 'recordedTo') ?? undefined,
    checkpoints: items({ items: checkpoints }, (one) => ({
      sink: text(one, 'sink'),
      position: maybeNumber(one, 'position') ?? 0,
      toldAt: text(one, 'toldAt'),
    })),
  }
}
