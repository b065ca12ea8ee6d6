/**
 * What follows from a failed attempt to refresh, as a pure function of the failure and of what the row remembers.
 *
 * Only documented answers of the right provider change what a connection is. An odd refusal is counted, and the third in
 * a row, half an hour or more after the first, ends it; unless so many connections of the app are refused together that it
 * is the app's trouble and nobody's. Weather never ends anything. A fault of our own registration touches no connection.
 *
 * What is unknown is narrow. A request that never left is weather. So is a server error: whether the request was carried
 * out is open (`maybe_spent`), but somebody answered, so asking again later is safe in every mode. Where the token was spent,
 * the answer is the documented word, and then `lost_rotation` is the reason. Left are answers that were lost on the way, cut
 * off or never came, and those have exactly one consequence per mode:
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
  /** Ask again in the same attempt, after the loss was written down; at once, or after a breath. */
  | { readonly kind: 'retry'; readonly when: 'now' | 'soon' }
  | { readonly kind: 'conclude'; readonly conclusion: Conclusion }

export const REJECTIONS_UNTIL_REVOKED = 3
export const REJECTED_FOR_MS = 30 * 60_000
export const FAILURES_UNTIL_DEGRADED = 3
const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

export interface Circumstances {
  /** Answers lost or faulted within this attempt, this one included. */
  readonly lost: number
  /** Many connections of this app are refused at this time: what is refused now is not this connection's doing. */
  readonly incident: boolean
}

/**
 * @param row     counters as of the claim, with losses of this attempt already counted
 * @param random  in [0, 1)
 */
export function judge(
  failure: TokenFailure,
  mode: RefreshMode,
  row: Pick<
    CredentialRow,
    'failures' | 'rejections' | 'unknownOutcomes' | 'maybeSpent' | 'firstRejectionAgeMs' | 'state'
  >,
  { lost, incident }: Circumstances,
  random: () => number,
): Verdict {
  switch (failure.kind) {
    case 'permanent': {
      // After a lost answer the likeliest reason is that the answer held the next token.
      const mayBeLost = mode !== 'static' && (row.unknownOutcomes > 0 || row.maybeSpent)
      return conclude({
        state: { to: 'reauthorization_required', reason: mayBeLost ? 'lost_rotation' : failure.code },
      })
    }
    case 'rejected': {
      const wasRejected = true
      if (incident) return conclude({ wasRejected, retryInMs: backoff(REJECTED, row.rejections + 1, random) })
      const rejections = row.rejections + 1
      if (rejections >= REJECTIONS_UNTIL_REVOKED && (row.firstRejectionAgeMs ?? 0) >= REJECTED_FOR_MS)
        return conclude({ rejections, wasRejected, state: { to: 'revoked', reason: failure.code }, revoke: 'grant' })
      return conclude({ rejections, wasRejected, retryInMs: backoff(REJECTED, rejections, random) })
    }
    case 'weather':
      return weather(failure, row, random)
    case 'app_fault':
      return conclude({ retryInMs: backoff(APP_FAULT, 1, random) })
    case 'unknown_outcome':
      switch (mode) {
        case 'static':
        case 'grace':
          return lost <= 1 ? { kind: 'retry', when: 'now' } : weather(failure, row, random)
        case 'strict':
          if (failure.answered === true) return weather(failure, row, random)
          // What broke the first answer may still be there a moment later, and this is the last try there is.
          return row.unknownOutcomes <= 1 ? { kind: 'retry', when: 'soon' } : lostRotation
        case 'family_revoke':
          return failure.answered === true ? weather(failure, row, random) : lostRotation
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
  failure: { readonly kind: string; readonly code: string; readonly retryAfterSeconds?: number },
  row: Pick<CredentialRow, 'failures' | 'state'>,
  random: () => number,
): Verdict {
  const failures = row.failures + 1
  const { code, retryAfterSeconds } = failure
  const asked = Number.isFinite(retryAfterSeconds) ? Math.max(retryAfterSeconds ?? 0, 0) * SECOND : 0
  return conclude({
    failures,
    // On top of what was asked for, so that those who were told the same do not return together.
    retryInMs: Math.min(asked + backoff(WEATHER, failures, random), HOUR),
    ...(failure.kind === 'unknown_outcome' ? { maybeSpent: true } : {}),
    ...(failures >= FAILURES_UNTIL_DEGRADED && row.state === 'active'
      ? { state: { to: 'degraded', reason: code } as const }
      : {}),
  })
}

interface Pace {
  readonly first: number
  readonly most: number
  readonly least: number
}
const WEATHER: Pace = { first: 4 * SECOND, most: 15 * MINUTE, least: SECOND }
const REJECTED: Pace = { first: 10 * MINUTE, most: HOUR, least: MINUTE }
const APP_FAULT: Pace = { first: 2 * MINUTE, most: 2 * MINUTE, least: 30 * SECOND }

/** Full jitter: anything up to a limit that doubles with each try, so that what failed together does not return together. */
function backoff({ first, most, least }: Pace, tries: number, random: () => number): number {
  return Math.max(least, random() * Math.min(first * 2 ** Math.min(tries - 1, 20), most))
}

const conclude = (conclusion: Conclusion): Verdict => ({ kind: 'conclude', conclusion })
