'use client'

import { Bar, BarChart, CartesianGrid, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts'

export interface RenewalBar {
  readonly id: string
  /** `14:05`, or the day where it changes. */
  readonly label: string
  /** In full, for the tooltip. */
  readonly title: string
  readonly latencyMs: number
  readonly isGood: boolean
}

/** The drawing of latencies, in its own chunk. */
export default function RenewalBars({ bars }: { bars: readonly RenewalBar[] }) {
  return (
    <ResponsiveContainer width="100%" height="100%">
      <BarChart data={[...bars]} margin={{ top: 4, right: 12, bottom: 0, left: 0 }} accessibilityLayer={false}>
        <CartesianGrid vertical={false} stroke="var(--color-chart-grid)" />
        <XAxis
          dataKey="id"
          tickFormatter={(_: string, index: number) => bars[index]?.label ?? ''}
          tickLine={false}
          axisLine={false}
          minTickGap={24}
          tick={{ fill: 'var(--color-muted)', fontSize: 11 }}
        />
        <YAxis
          allowDecimals={false}
          tickFormatter={(value: number) => (value >= 1000 ? `${value / 1000} s` : `${value} ms`)}
          tickLine={false}
          axisLine={false}
          // Wide enough for “1200 ms” on one line: a label that wraps is cut off at the edge.
          width={68}
          tick={{ fill: 'var(--color-muted)', fontSize: 11 }}
        />
        <Tooltip
          cursor={{ fill: 'var(--color-hover)' }}
          labelFormatter={(id) => bars.find((bar) => bar.id === id)?.title ?? ''}
          // Of the two series one is always nothing.
          formatter={(value, name) => (value === 0 ? [null, null] : [`${String(value)} ms`, name])}
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
          dataKey={(bar: RenewalBar) => (bar.isGood ? bar.latencyMs : 0)}
          name="Renewed"
          stackId="took"
          fill="var(--color-chart-permit)"
          maxBarSize={28}
          isAnimationActive={false}
        />
        <Bar
          dataKey={(bar: RenewalBar) => (bar.isGood ? 0 : bar.latencyMs)}
          name="Failed"
          stackId="took"
          fill="var(--color-chart-deny)"
          maxBarSize={28}
          isAnimationActive={false}
        />
      </BarChart>
    </ResponsiveContainer>
  )
}
