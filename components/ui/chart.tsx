'use client'

import { lazy } from 'react'

import { ChartFigure } from '@/components/ui/chart-figure'

export interface CallsBucket {
  /** Written under the bar, for example `14 Mar`. */
  readonly label: string
  readonly permit: number
  readonly deny: number
  readonly approval: number
}

const CallsBars = lazy(async () => import('@/components/ui/chart-calls'))

/** Calls over time by decision. */
export function CallsChart({ buckets, caption }: { buckets: readonly CallsBucket[]; caption: string }) {
  return (
    <ChartFigure
      height="h-48"
      drawing={<CallsBars buckets={buckets} />}
      legend={[
        { className: 'bg-chart-permit', label: 'Permitted' },
        { className: 'bg-chart-deny', label: 'Denied' },
        { className: 'bg-chart-approval', label: 'Needs approval' },
      ]}
      caption={caption}
      columns={[
        { title: 'When' },
        { title: 'Permitted', isNumber: true },
        { title: 'Denied', isNumber: true },
        { title: 'Needs approval', isNumber: true },
      ]}
      rows={buckets.map(({ label, permit, deny, approval }) => ({ id: label, cells: [label, permit, deny, approval] }))}
    />
  )
}
