'use client'

import { Bar, BarChart, CartesianGrid, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts'

import { axis, grid, tooltip } from '@/components/ui/chart-look'

export interface ActivityBar {
  readonly label: string
  readonly permit: number
  readonly deny: number
  readonly approval: number
  readonly event: number
}

const series = [
  ['permit', 'Permitted', 'var(--color-chart-permit)'],
  ['approval', 'Needs approval', 'var(--color-chart-approval)'],
  ['deny', 'Denied', 'var(--color-chart-deny)'],
  ['event', 'Other events', 'var(--color-line-strong)'],
] as const

/** The drawing itself, in its own chunk. */
export default function ActivityBars({ bars }: { bars: readonly ActivityBar[] }) {
  return (
    <ResponsiveContainer width="100%" height="100%">
      <BarChart data={[...bars]} margin={{ top: 4, right: 0, bottom: 0, left: 0 }} accessibilityLayer={false}>
        <CartesianGrid {...grid} />
        <XAxis {...axis} dataKey="label" minTickGap={32} />
        <YAxis {...axis} allowDecimals={false} width={32} />
        <Tooltip {...tooltip} />
        {series.map(([key, name, fill]) => (
          <Bar key={key} dataKey={key} name={name} stackId="entries" fill={fill} isAnimationActive={false} />
        ))}
      </BarChart>
    </ResponsiveContainer>
  )
}
