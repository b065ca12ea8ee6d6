/**
 * What nobody authenticated does: counted, and sampled in the log; never a row each, or anybody could fill the disk and
 * bury what matters.
 *
 * The first few of a source within a minute are logged one by one, the rest are counted. Once a minute the counts are
 * logged as one line a kind. Memory is bounded whatever the number of sources.
 *
 * @module
 */
import { LRUCache } from 'lru-cache'

import type { Clock } from '../clock'
import type { Log } from '../log'

export interface Noise {
  /**
   * @param kind  a fixed code, such as `mcp_unauthenticated`; never text of the request
   * @param source  the client's network
   * @returns whether this one was logged by itself
   */
  count(kind: string, source: string): boolean
  /** Logs the counts of the minute so far and starts anew. */
  flush(): void
  /** Counts since start, by kind. */
  totals(): Readonly<Record<string, number>>
}

const WINDOW_MS = 60_000
const MAX_KINDS = 64

/** @param sample  how many of a source and kind are logged by themselves each minute */
export function createNoise(deps: { readonly clock: Clock; readonly log: Log; readonly sample?: number }): Noise {
  const { clock, log, sample = 3 } = deps
  const sources = new LRUCache<string, number>({ max: 10_000 })
  const totals = new Map<string, number>()
  let minute = new Map<string, { count: number; logged: number }>()
  let startedAt = clock.now().getTime()

  const flush = () => {
    for (const [kind, { count, logged }] of minute)
      if (count > logged) log.warn({ kind, count, logged }, 'refused without a known caller')
    minute = new Map()
    sources.clear()
    startedAt = clock.now().getTime()
  }

  return {
    count: (givenKind, source) => {
      // A clock that went back starts a new minute too.
      const age = clock.now().getTime() - startedAt
      if (age >= WINDOW_MS || age < 0) flush()
      const kind = totals.has(givenKind) || totals.size < MAX_KINDS ? givenKind : 'other'
      totals.set(kind, (totals.get(kind) ?? 0) + 1)
      const tally = minute.get(kind) ?? { count: 0, logged: 0 }
      minute.set(kind, tally)
      tally.count += 1
      const key = `${kind} ${source}`
      const seen = (sources.get(key) ?? 0) + 1
      sources.set(key, seen)
      // A flood from ever new sources is not logged one by one either.
      if (seen > sample || tally.logged >= sample * 20) return false
      tally.logged += 1
      log.info({ kind, source }, 'refused without a known caller')
      return true
    },
    flush,
    totals: () => Object.fromEntries(totals),
  }
}
