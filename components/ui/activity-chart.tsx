'use client'

import { lazy } from 'react'

import { Card, CardBody } from '@/components/ui/card'
import { ChartFigure } from '@/components/ui/chart-figure'
import { Loading, Skeleton } from '@/components/ui/skeleton'

export interface ActivityChartData {
  readonly stepMs: number
  /** Nothing before this is in the counts. */
  readonly countedFrom: string | undefined
  readonly buckets: readonly {
    readonly at: string
    readonly permit: number
    readonly deny: number
    readonly approval: number
    readonly event: number
  }[]
}

const ActivityBars = lazy(async () => import('@/components/ui/chart-activity'))

const DAY_MS = 86_400_000

/** Entries over time by what they are, in UTC. */
export function ActivityChart({ data }: { data: ActivityChartData | 'loading' | 'failed' }) {
  if (data === 'failed')
    return <p className="mb-4 text-sm text-muted">How much happened over time could not be counted just now.</p>
  if (data === 'loading')
    return (
      <Card className="mb-4">
        <CardBody>
          <Loading label="Counting">
            <Skeleton className="h-32" />
          </Loading>
        </CardBody>
      </Card>
    )
  const { buckets, stepMs, countedFrom } = data
  const bars = buckets.map((bucket) => ({ ...bucket, label: labelOf(bucket.at, stepMs) }))
  return (
    <Card className="mb-4">
      <CardBody>
        <ChartFigure
          height="h-32"
          drawing={<ActivityBars bars={bars} />}
          legend={[
            { className: 'bg-chart-permit', label: 'Permitted' },
            { className: 'bg-chart-deny', label: 'Denied' },
            { className: 'bg-chart-approval', label: 'Needs approval' },
            { className: 'bg-line-strong', label: 'Other events' },
          ]}
          caption="Entries over time, in UTC"
          columns={[
            { title: 'When' },
            { title: 'Permitted', isNumber: true },
            { title: 'Denied', isNumber: true },
            { title: 'Needs approval', isNumber: true },
            { title: 'Other events', isNumber: true },
          ]}
          rows={bars.map(({ at, label, permit, deny, approval, event }) => ({
            id: at,
            cells: [label, permit, deny, approval, event],
          }))}
        />
        {countedFrom === undefined ? null : (
          <p className="mt-2 text-xs text-muted">
            There is more than is counted at once: nothing before {labelOf(countedFrom, 1)} is drawn.
          </p>
        )}
      </CardBody>
    </Card>
  )
}

function labelOf(at: string, stepMs: number): string {
  const time = new Date(at)
  const day = time.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' })
  return stepMs >= DAY_MS ? day : `${day} ${at.slice(11, 16)}`
}
