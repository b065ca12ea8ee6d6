'use client'

import { Bar, BarChart, CartesianGrid, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts'

import { axis, grid, tooltip } from '@/components/ui/chart-look'
import type { CallsBucket } from '@/components/ui/chart'

/** The drawing itself, in its own chunk. */
export default function CallsBars({ buckets }: { buckets: readonly CallsBucket[] }) {
  return (
    <ResponsiveContainer width="100%" height="100%">
      <BarChart data={[...buckets]} margin={{ top: 4, right: 0, bottom: 0, left: 0 }} accessibilityLayer={false}>
        <CartesianGrid {...grid} />
        <XAxis {...axis} dataKey="label" minTickGap={24} />
        <YAxis {...axis} allowDecimals={false} width={32} />
        <Tooltip {...tooltip} />
        <Bar
          dataKey="permit"
          name="Permitted"
          stackId="calls"
          fill="var(--color-chart-permit)"
          isAnimationActive={false}
        />
        <Bar
          dataKey="approval"
          name="Needs approval"
          stackId="calls"
          fill="var(--color-chart-approval)"
          isAnimationActive={false}
        />
        <Bar dataKey="deny" name="Denied" stackId="calls" fill="var(--color-chart-deny)" isAnimationActive={false} />
      </BarChart>
    </ResponsiveContainer>
  )
}
