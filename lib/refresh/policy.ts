/**
 * What follows from a failed attempt to refresh, as a pure function of the failure and of what the row remembers.
 *
 * Only documented answers of the right provider change what a connection is. An odd refusal is counted, and the third in
 * a row, half an hour or more after the first, ends it. Weather never ends anything. A fault of our own registration
 * touches no connection. A lost answer has exactly one consequence per provider mode:
 *
 *     static         the token is unchanged: try again as often as one likes
 *     grace          the old token still works for a moment: try again at once, later as after weather
 *     strict         the token may be spent: try once more, then ask the person
 *     family_revoke  a second use would kill the grant: ask the person
 *
 * @module
 */
import type { RefreshMode } from '../providers/definition'
import type { TokenFailure } from '../providers/client'
import type { Conclusion } from '../vault/attempt'
import type { CredentialRow } from '../vault/row'

export type Verdict =
  /** Ask again at once, after the loss was written down. */
  { readonly kind: 'retry' } | { readonly kind: 'conclude'; readonly conclusion: Conclusion }

export const REJECTIONS_UNTIL_REVOKED = 3
export const REJECTED_FOR_MS = 30 * 60_000
export const FAILURES_UNTIL_DEGRADED = 3
const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

/**
 * @param row     counters as of the claim, with losses of this attempt already counted
 * @param lost    answers lost within this attempt, this one included
 * @param random  in [0, 1)
 */
export function judge(
  failure: TokenFailure,
  mode: RefreshMode,
  row: Pick<CredentialRow, 'failures' | 'rejections' | 'unknownOutcomes' | 'firstRejectionAgeMs' | 'state'>,
  lost: number,
  random: () => number,
): Verdict {
  switch (failure.kind) {
    case 'permanent': {
      // After a lost answer the likeliest reason is that the answer held the next token.
      const reason = row.unknownOutcomes > 0 && mode !== 'static' ? 'lost_rotation' : failure.code
      return conclude({ state: { to: 'reauthorization_required', reason } })
    }
    case 'rejected': {
      const rejections = row.rejections + 1
      if (rejections >= REJECTIONS_UNTIL_REVOKED && (row.firstRejectionAgeMs ?? 0) >= REJECTED_FOR_MS)
        return conclude({ rejections, state: { to: 'revoked', reason: failure.code }, revoke: 'grant' })
      return conclude({ rejections, retryInMs: backoff(5 * MINUTE, HOUR, rejections, random) })
    }
    case 'weather':
      return weather(failure.code, row, random, failure.retryAfterSeconds)
    case 'app_fault':
      return conclude({ retryInMs: backoff(MINUTE, MINUTE, 1, random) })
    case 'unknown_outcome':
      switch (mode) {
        case 'static':
        case 'grace':
          return lost <= 1 ? { kind: 'retry' } : weather(failure.code, row, random)
        case 'strict':
          return row.unknownOutcomes <= 1 ? { kind: 'retry' } : lostRotation
        case 'family_revoke':
          return lostRotation
      }
  }
}

/** Whether a token may be sent although earlier answers to it were lost. */
export function mayResend(mode: RefreshMode, unknownOutcomes: number): boolean {
  switch (mode) {
    case 'static':
    case 'grace':
      return true
    case 'strict':
      return unknownOutcomes <= 1
    case 'family_revoke':
      return unknownOutcomes === 0
  }
}

export const lostRotation: Verdict & { kind: 'conclude' } = {
  kind: 'conclude',
  conclusion: { state: { to: 'reauthorization_required', reason: 'lost_rotation' } },
}

function weather(
  code: string,
  row: Pick<CredentialRow, 'failures' | 'state'>,
  random: () => number,
  retryAfterSeconds?: number,
): Verdict {
  const failures = row.failures + 1
  const asked = Number.isFinite(retryAfterSeconds) ? Math.max(retryAfterSeconds ?? 0, 0) * SECOND : 0
  return conclude({
    failures,
    retryInMs: Math.min(Math.max(backoff(2 * SECOND, 15 * MINUTE, failures, random), asked), HOUR),
    ...(failures >= FAILURES_UNTIL_DEGRADED && row.state === 'active'
      ? { state: { to: 'degraded', reason: code } as const }
      : {}),
  })
}

/** Doubles with each try; the jitter keeps connections that failed together apart. */
function backoff(first: number, most: number, tries: number, random: () => number): number {
  return Math.min(first * 2 ** Math.min(tries - 1, 20), most) * (0.75 + 0.5 * random())
}

const conclude = (conclusion: Conclusion): Verdict => ({ kind: 'conclude', conclusion })
