'use client'

import { useState } from 'react'

import { useWhileVisible } from '@/app/_client/live'
import { items, load, maybeText } from '@/app/_client/load'
import { isRecord, text } from '@/app/_client/request'
import { ActivityChart, type ActivityChartData } from '@/components/ui/activity-chart'

const everyMs = 15_000

/** How much happened when, for what the list shows. Asked for after the page, so that it never waits for a count. */
export function ActivityOverTime({ query, isLive }: { query: () => URLSearchParams; isLive: boolean }) {
  const [data, setData] = useState<ActivityChartData | 'loading' | 'failed'>('loading')
  useWhileVisible(async (signal) => {
    if (!isLive && typeof data !== 'string') return true
    const result = await load(`/api/v1/activity/chart?${query().toString()}`, parseChart, signal).catch(
      (error: unknown) => {
        if (!signal.aborted) setData((shown) => (typeof shown === 'string' ? 'failed' : shown))
        throw error
      },
    )
    setData((shown) => (result.ok ? result.value : typeof shown === 'string' ? 'failed' : shown))
    return result.ok
  }, everyMs)
  return <ActivityChart data={data} />
}

function parseChart(body: unknown): ActivityChartData {
  const stepMs = isRecord(body) ? body['stepMs'] : undefined
  if (typeof stepMs !== 'number') throw new TypeError('the answer has no step')
  const count = (item: Readonly<Record<string, unknown>>, key: string) => {
    const value = item[key]
    return typeof value === 'number' ? value : 0
  }
  return {
    stepMs,
    countedFrom: maybeText(body, 'countedFrom') ?? undefined,
    buckets: items(isRecord(body) ? { items: body['buckets'] } : body, (item) => ({
      at: text(item, 'at'),
      permit: count(item, 'permit'),
      deny: count(item, 'deny'),
      approval: count(item, 'approval'),
      event: count(item, 'event'),
    })),
  }
}
