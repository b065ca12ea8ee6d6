import { describe, expect, it } from 'vitest'

import { isDay, isSpan, timesOf } from '@/app/_client/activity-times'

const now = new Date('2026-11-21T12:00:00.000Z')
const times = (filter: Parameters<typeof timesOf>[0]) => {
  const { from, to } = timesOf(filter, now)
  return [from?.toISOString(), to?.toISOString()]
}

describe('times in an address', () => {
  it('are a span that ends now, or whole days in UTC, which count instead', () => {
    expect(times({})).toEqual([undefined, undefined])
    expect(times({ span: '24h' })).toEqual(['2026-11-20T12:00:00.000Z', undefined])
    expect(times({ from: '2026-11-01', to: '2026-11-02' })).toEqual([
      '2026-11-01T00:00:00.000Z',
      '2026-11-03T00:00:00.000Z',
    ])
    expect(times({ span: '1h', to: '2026-11-02' })).toEqual([undefined, '2026-11-03T00:00:00.000Z'])
  })

  it('that are none are left out', () => {
    for (const day of ['2026-02-30', '2026-13-01', '21.11.2026', '0001-01-01', '9999-99-99', '', undefined, 5])
      expect(isDay(day)).toBe(false)
    for (const span of ['', 'toString', '__proto__', '25h']) expect(isSpan(span)).toBe(false)
    expect([isDay('2026-11-21'), isSpan('30d')]).toEqual([true, true])
  })
})
