import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import type { Clock } from '@/lib/clock'
import { Secret } from '@/lib/secret'

import { lifetimes } from './attempt'

const NOW = Date.UTC(2026, 0, 1)
const clock: Clock = { now: () => new Date(NOW) }
const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

const at = (ms: number | null) => (ms === null ? null : new Date(NOW + ms))
const dueOf = (accessMs: number | null, refreshMs: number | null, random: number, hasRefreshToken = true) =>
  lifetimes(
    {
      accessExpiresAt: at(accessMs),
      refreshExpiresAt: at(refreshMs),
      refreshToken: hasRefreshToken ? new Secret('r') : null,
    },
    clock,
    () => random,
  ).dueMs

describe('when a token is due', () => {
  it('is between half and four fifths of its life, minute 48 of 60 at the latest, whatever the dice say', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 30_000, max: 400 * DAY }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (lifeMs, random) => {
          const due = dueOf(lifeMs, null, random) ?? -1
          const known = Math.min(lifeMs, 365 * DAY)
          expect(due).toBeGreaterThanOrEqual(known * 0.5)
          expect(due).toBeLessThanOrEqual(known * 0.8)
        },
      ),
    )
    expect(dueOf(HOUR, null, 0.999_999_999)).toBeLessThanOrEqual(48 * MINUTE)
    expect(dueOf(HOUR, null, 0)).toBe(30 * MINUTE)
    expect(dueOf(5 * MINUTE, null, 0.5)).toBe(195_000)
  })

  it('spreads evenly over that time', () => {
    const tenths = Array.from({ length: 10 }, () => 0)
    for (let n = 0; n < 1_000; n += 1) {
      const share = ((dueOf(HOUR, null, n / 1_000) ?? 0) / HOUR - 0.5) / 0.3
      const tenth = Math.min(9, Math.floor(share * 10 + 1e-9))
      tenths[tenth] = (tenths[tenth] ?? 0) + 1
    }
    for (const count of tenths) expect(count).toBe(100)
  })

  it.each([
    ['a token that never expires', null, null, true],
    ['one without a refresh token', HOUR, null, false],
    ['one that lives for seconds: kept fresh it would never rest', 29_000, null, true],
    ['one that had expired when it came', 0, null, true],
    ['one from the past', -HOUR, null, true],
  ])('is never for %s', (_, accessMs, refreshMs, hasRefreshToken) => {
    expect(dueOf(accessMs, refreshMs, 0.5, hasRefreshToken)).toBeNull()
  })

  it('is before the refresh token itself ends, when that is sooner', () => {
    expect(dueOf(30 * DAY, 7 * DAY, 0.999)).toBeLessThanOrEqual(7 * DAY * 0.8)
    // What has ended already is found out at the usual time.
    expect(dueOf(HOUR, 0, 0)).toBe(30 * MINUTE)
    expect(dueOf(HOUR, -DAY, 0)).toBe(30 * MINUTE)
  })
})
