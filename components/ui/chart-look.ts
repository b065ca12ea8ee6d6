/** How every chart looks: the same axes, grid and tooltip, in the colours of the theme. For recharts. */
export const axis = {
  tickLine: false,
  axisLine: false,
  tick: { fill: 'var(--color-muted)', fontSize: 11 },
} as const

export const grid = { vertical: false, stroke: 'var(--color-chart-grid)' } as const

export const tooltip = {
  cursor: { fill: 'var(--color-hover)' },
  contentStyle: {
    background: 'var(--color-raised)',
    border: '1px solid var(--color-line)',
    borderRadius: 8,
    fontSize: 12,
  },
  labelStyle: { color: 'var(--color-ink)' },
  itemStyle: { color: 'var(--color-ink)' },
} as const
