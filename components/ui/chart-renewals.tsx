'use client'

import { Bar, BarChart, CartesianGrid, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts'

import { axis, grid, tooltip } from '@/components/ui/chart-look'

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
        <CartesianGrid {...grid} />
        <XAxis
          {...axis}
          dataKey="id"
          tickFormatter={(_: string, index: number) => bars[index]?.label ?? ''}
          minTickGap={24}
        />
        <YAxis
          {...axis}
          allowDecimals={false}
          tickFormatter={(value: number) => (value >= 1000 ? `${value / 1000} s` : `${value} ms`)}
          // Wide enough for “1200 ms” on one line: a label that wraps is cut off at the edge.
          width={68}
        />
        <Tooltip
          {...tooltip}
          labelFormatter={(id) => bars.find((bar) => bar.id === id)?.title ?? ''}
          // Of the two series one is always nothing.
          formatter={(value, name) => (value === 0 ? [null, null] : [`${String(value)} ms`, name])}
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
