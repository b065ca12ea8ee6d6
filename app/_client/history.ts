/**
 * What happened to a credential, in words. Rows hold codes, and codes of a newer server are shown readably.
 *
 * @module
 */
import type { HistoryLine } from '@/components/pages/connection-types'

import { reasonWords } from './reasons'

export interface HistoryRow {
  readonly id: string
  readonly at: string
  readonly cause: string
  /** `issued`, the kind of a failure, or `state:<state>`. */
  readonly outcome: string
  readonly code: string | null
  readonly latencyMs: number | null
}

const causes: Readonly<Record<string, string>> = {
  expiry: 'before a call',
  due: 'on schedule',
  unauthorized: 'after a refusal',
  recovery: 'after an interruption',
}

const outcomes: Readonly<Record<string, string>> = {
  issued: 'Renewed',
  permanent: 'Renewal refused for good',
  rejected: 'Renewal refused',
  weather: 'Renewal failed for now',
  app_fault: 'Renewal refused to this server’s app',
  unknown_outcome: 'Renewal without a usable answer',
  not_tried: 'Renewal not tried',
}

const states: Readonly<Record<string, string>> = {
  connecting: 'Connecting began',
  active: 'Works',
  refreshing: 'Works',
  degraded: 'The provider is not answering as it should',
  reauthorization_required: 'Has to be reconnected',
  revoked: 'Access was withdrawn',
  disconnected: 'Disconnected',
  suspended: 'Suspended',
}

const STATE = 'state:'
const ends: readonly string[] = ['reauthorization_required', 'revoked', 'suspended', 'degraded']

export function toHistoryLine(row: HistoryRow): HistoryLine {
  const { id, at, outcome, code } = row
  if (outcome.startsWith(STATE)) {
    const state = outcome.slice(STATE.length)
    const isBad = ends.includes(state)
    return {
      id,
      at,
      words: known(states, state) ?? reasonWords(state),
      detail: isBad && code !== null ? `${reasonWords(code)}.` : undefined,
      tone: isBad ? 'bad' : state === 'active' ? 'good' : 'plain',
    }
  }
  const isGood = outcome === 'issued'
  const why = known(causes, row.cause)
  const what = known(outcomes, outcome) ?? reasonWords(outcome)
  return {
    id,
    at,
    words: why === undefined ? what : `${what}, ${why}`,
    detail: isGood || code === null ? undefined : `${reasonWords(code)}.`,
    tone: isGood ? 'good' : outcome === 'not_tried' ? 'plain' : 'bad',
    latencyMs: row.latencyMs ?? undefined,
  }
}

const known = (words: Readonly<Record<string, string>>, code: string) =>
  Object.hasOwn(words, code) ? words[code] : undefined
