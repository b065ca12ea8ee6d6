import { describe, expect, it } from 'vitest'

import type { TokenFailure } from '../providers/client'
import type { RefreshMode } from '../providers/definition'
import { judge, mayResend } from './policy'

const MINUTE = 60_000
const healthy = {
  failures: 0,
  rejections: 0,
  unknownOutcomes: 0,
  maybeSpent: false,
  firstRejectionAgeMs: null,
  state: 'active',
} as const
const after = (
  failure: TokenFailure,
  over: Partial<Parameters<typeof judge>[2]> = {},
  mode: RefreshMode = 'strict',
  lost = 0,
) => {
  const verdict = judge(failure, mode, { ...healthy, ...over }, { lost, incident: false }, () => 0.5)
  return verdict.kind === 'retry' ? 'retry' : verdict.conclusion
}
const weather = { kind: 'weather', code: 'http_503' } as const
const rejected = { kind: 'rejected', code: 'odd', status: 400 } as const
const unknown = { kind: 'unknown_outcome', code: 'timeout' } as const
const faulted = { kind: 'unknown_outcome', code: 'http_502', answered: true } as const
const MODES = ['static', 'grace', 'strict', 'family_revoke'] as const

describe('a documented permanent answer', () => {
  it('asks the person again, in the provider’s own word', () => {
    expect(after({ kind: 'permanent', code: 'invalid_grant' })).toEqual({
      state: { to: 'reauthorization_required', reason: 'invalid_grant' },
    })
  })

  it('after a lost answer says that the rotation was lost, except where nothing rotates', () => {
    const answer = { kind: 'permanent', code: 'bad_refresh_token' } as const
    expect(after(answer, { unknownOutcomes: 1 })).toMatchObject({ state: { reason: 'lost_rotation' } })
    expect(after(answer, { maybeSpent: true })).toMatchObject({ state: { reason: 'lost_rotation' } })
    for (const row of [{ unknownOutcomes: 1 }, { maybeSpent: true }])
      expect(after(answer, row, 'static')).toMatchObject({ state: { reason: 'bad_refresh_token' } })
  })
})

describe('an odd rejection', () => {
  it.each([
    { rejections: 0, firstRejectionAgeMs: null },
    { rejections: 1, firstRejectionAgeMs: 24 * 60 * MINUTE },
    { rejections: 2, firstRejectionAgeMs: 30 * MINUTE - 1 },
    { rejections: 40, firstRejectionAgeMs: 10 * MINUTE },
  ])('is counted and tried again later: $rejections before, the first $firstRejectionAgeMs ms ago', (row) => {
    const conclusion = after(rejected, row)
    expect(conclusion).toMatchObject({ rejections: row.rejections + 1 })
    expect(conclusion).not.toHaveProperty('state')
  })

  it('is the end when it is the third, half an hour after the first: revoked, and revoked at the provider', () => {
    expect(after(rejected, { rejections: 2, firstRejectionAgeMs: 30 * MINUTE })).toEqual({
      rejections: 3,
      wasRejected: true,
      state: { to: 'revoked', reason: 'odd' },
      revoke: 'grant',
    })
  })
})

it('an odd rejection during an incident of the app is remembered and counts for nothing', () => {
  const verdict = judge(
    rejected,
    'strict',
    { ...healthy, rejections: 2, firstRejectionAgeMs: 24 * 60 * MINUTE },
    { lost: 0, incident: true },
    () => 0.5,
  )
  expect(verdict).toEqual({ kind: 'conclude', conclusion: { wasRejected: true, retryInMs: 20 * MINUTE } })
})

it.each(MODES)('hours of server errors end nothing, whatever may have been carried out: %s', (mode) => {
  let row = { ...healthy, failures: 0, maybeSpent: false }
  let sent = 0
  for (let tries = 0; tries < 200; tries += 1) {
    expect(mayResend(mode, row.unknownOutcomes)).toBe(true)
    for (let lost = 1; ; lost += 1) {
      sent += 1
      const verdict = judge(faulted, mode, row, { lost, incident: false }, () => 0.5)
      if (verdict.kind === 'retry') continue
      const { state, retryInMs, failures, maybeSpent } = verdict.conclusion
      expect(state?.to ?? 'degraded').toBe('degraded')
      expect(retryInMs).toBeGreaterThan(0)
      row = { ...row, failures: failures ?? 0, maybeSpent: maybeSpent ?? row.maybeSpent }
      break
    }
  }
  expect(row).toMatchObject({ maybeSpent: true, unknownOutcomes: 0, failures: 200 })
  expect(sent).toBeLessThanOrEqual(400)
})

describe('weather', () => {
  it('never ends a connection, however long it lasts', () => {
    for (let failures = 0; failures < 300; failures += 1)
      for (const state of ['active', 'degraded'] as const) {
        const conclusion = after(weather, { failures, state })
        if (conclusion === 'retry') throw new Error('weather is not retried at once')
        expect(conclusion.state?.to ?? 'degraded').toBe('degraded')
        expect(conclusion.retryInMs).toBeGreaterThan(0)
        expect(conclusion.retryInMs).toBeLessThanOrEqual(60 * MINUTE)
      }
  })

  it('degrades at the third in a row, and says so once', () => {
    expect(after(weather, { failures: 1 })).not.toHaveProperty('state')
    expect(after(weather, { failures: 2 })).toMatchObject({ state: { to: 'degraded', reason: 'http_503' } })
    expect(after(weather, { failures: 3, state: 'degraded' })).not.toHaveProperty('state')
  })

  it.each([
    { retryAfterSeconds: 120, least: 120_000, most: 125_000 },
    { retryAfterSeconds: 315_360_000, least: 60 * MINUTE, most: 60 * MINUTE },
    { retryAfterSeconds: -5, least: 1, most: 5_000 },
    { retryAfterSeconds: Number.NaN, least: 1, most: 5_000 },
  ])('honours Retry-After within an hour: $retryAfterSeconds', ({ retryAfterSeconds, least, most }) => {
    for (const failure of [weather, faulted]) {
      const conclusion = after({ ...failure, retryAfterSeconds })
      if (conclusion === 'retry') throw new Error('weather is not retried at once')
      expect(conclusion.retryInMs).toBeGreaterThanOrEqual(least)
      expect(conclusion.retryInMs).toBeLessThanOrEqual(most)
    }
  })

  it('comes back at any time up to a limit that doubles, and never at once: full jitter', () => {
    const waits = (random: number) =>
      [0, 1, 2, 5, 20, 200].map((failures) => {
        const verdict = judge(weather, 'static', { ...healthy, failures }, { lost: 0, incident: false }, () => random)
        return verdict.kind === 'conclude' ? verdict.conclusion.retryInMs : undefined
      })
    expect(waits(0)).toEqual(Array.from({ length: 6 }, () => 1_000))
    expect(waits(0.5)).toEqual([2_000, 4_000, 8_000, 64_000, 450_000, 450_000])
    expect(waits(0.999_999_9).map((ms) => Math.round(ms ?? 0))).toEqual([
      4_000, 8_000, 16_000, 128_000, 900_000, 900_000,
    ])
  })
})

it('a fault of our own registration touches no counter and no state', () => {
  expect(Object.keys(after({ kind: 'app_fault', code: 'invalid_client' }))).toEqual(['retryInMs'])
})

describe('a lost answer', () => {
  it.each([
    { mode: 'static', first: 'retry', second: 'weather' },
    { mode: 'grace', first: 'retry', second: 'weather' },
    { mode: 'strict', first: 'retry', second: 'lost_rotation' },
    { mode: 'family_revoke', first: 'lost_rotation', second: 'lost_rotation' },
  ] as const)('has one consequence in mode $mode: first $first, then $second', ({ mode, first, second }) => {
    const kindOf = (unknownOutcomes: number) => {
      const conclusion = after(unknown, { unknownOutcomes }, mode, unknownOutcomes)
      return conclusion === 'retry' ? 'retry' : (conclusion.state?.reason ?? 'weather')
    }
    expect([kindOf(1), kindOf(2)]).toEqual([first, second])
  })

  it('of a process that died counts as well', () => {
    expect(
      (['static', 'grace', 'strict', 'family_revoke'] as const).map((mode) => [0, 1, 2].map((n) => mayResend(mode, n))),
    ).toEqual([
      [true, true, true],
      [true, true, true],
      [true, true, false],
      [true, false, false],
    ])
  })
})
