import { describe, expect, test } from 'vitest'

import { isCurrent } from '@/components/shell/nav'
import { formatAbsolute, formatRelative } from '@/components/ui/relative-time'

const now = Date.UTC(2026, 10, 21, 9, 30)
const at = (offsetSeconds: number) => new Date(now + offsetSeconds * 1000).toISOString()

describe('times for people', () => {
  test.each([
    [-10, 'just now'],
    [10, 'in a moment'],
    [-60, '1 min ago'],
    [-59 * 60, '59 min ago'],
    [90 * 60, 'in 2 h'],
    [-25 * 3600, '1 day ago'],
    [-13 * 86_400, '13 days ago'],
    [-30 * 86_400, '22 Oct 2026'],
    [60 * 86_400, '20 Jan 2027'],
  ])('%d seconds away reads “%s”', (offset, words) => {
    expect(formatRelative(at(offset), now)).toBe(words)
  })

  test('a text that is no date says so instead of throwing in the middle of a page', () => {
    expect(formatRelative('soon', now)).toBe('unknown')
    expect(formatAbsolute('soon')).toBeUndefined()
  })

  test('the exact time is in UTC whatever the zone of server or browser', () => {
    expect(formatAbsolute('2026-03-14T10:21:05+01:00')).toBe('2026-03-14 09:21:05 UTC')
  })
})

test('a page below a destination marks it as current, a neighbour with the same beginning does not', () => {
  expect(isCurrent('/agents', '/agents/agt_1')).toBe(true)
  expect(isCurrent('/agents', '/agents-of-change')).toBe(false)
  expect(isCurrent('/', '/agents')).toBe(false)
})
