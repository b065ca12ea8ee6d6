'use client'

import { Bar, BarChart, CartesianGrid, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts'

import type { CallsBucket } from '@/components/ui/chart'

/** The drawing itself, in its own chunk. */
export default function CallsBars({ buckets }: { buckets: readonly CallsBucket[] }) {
  return (
    <ResponsiveContainer width="100%" height="100%">
      <BarChart data={[...buckets]} margin={{ top: 4, right: 0, bottom: 0, left: 0 }} accessibilityLayer={false}>
        <CartesianGrid vertical={false} stroke="var(--color-chart-grid)" />
        <XAxis
          dataKey="label"
          tickLine={false}
          axisLine={false}
          minTickGap={24}
          tick={{ fill: 'var(--color-muted)', fontSize: 11 }}
        />
        <YAxis
          allowDecimals={false}
          tickLine={false}
          axisLine={false}
          width={32}
          tick={{ fill: 'var(--color-muted)', fontSize: 11 }}
        />
        <Tooltip
          cursor={{ fill: 'var(--color-hover)' }}
          contentStyle={{
            background: 'var(--color-raised)',
            border: '1px solid var(--color-line)',
            borderRadius: 8,
            fontSize: 12,
          }}
          labelStyle={{ color: 'var(--color-ink)' }}
          itemStyle={{ color: 'var(--color-ink)' }}
        />
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
