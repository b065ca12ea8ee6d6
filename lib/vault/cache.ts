/**
 * What a process remembers of credentials: rows for at most 1.5 s, opened access tokens for at most a minute, both
 * bounded. A token is kept under its generation, and its bytes are zeroed when it goes.
 *
 * @module
 */
import { LRUCache } from 'lru-cache'

import { Secret } from '../secret'
import type { CredentialRow } from './row'

const ROW_MS = 1_500
const TOKEN_MS = 60_000

export interface CredentialCache {
  /** The present, as an order of events and not as time: two things may happen within one reading of a clock. */
  mark(): number
  /** @param since  a mark; a row that was asked for before it is not good enough */
  row(name: string, since: number | undefined, read: () => Promise<CredentialRow | undefined>): Promise<CachedRow>
  token(name: string, generation: number): Secret | undefined
  /** Takes the buffer over. */
  keepToken(name: string, generation: number, token: Buffer): void
  forget(name: string): void
}

export interface CachedRow {
  readonly row: CredentialRow | undefined
  /** When it was asked for, so at least as old. */
  readonly readAt: number
  readonly order: number
}

/** @param monotonicMs  a clock that never goes back, in milliseconds */
export function createCredentialCache(
  monotonicMs: () => number,
  limits: { readonly rows?: number; readonly tokens?: number } = {},
): CredentialCache {
  const perf = { now: monotonicMs }
  const rows = new LRUCache<string, CachedRow>({ max: limits.rows ?? 10_000 })
  const tokens = new LRUCache<string, { readonly generation: number; readonly bytes: Buffer }>({
    max: limits.tokens ?? 5_000,
    ttl: TOKEN_MS,
    ttlAutopurge: true,
    perf,
    dispose: ({ bytes }) => bytes.fill(0),
  })
  const reading = new Map<
    string,
    { readonly readAt: number; readonly order: number; readonly result: Promise<CachedRow> }
  >()
  let order = 0

  return {
    mark: () => order,
    async row(name, since, read) {
      const isGood = (it: { readonly readAt: number; readonly order: number }) =>
        it.readAt >= monotonicMs() - ROW_MS && it.order > (since ?? 0)
      const known = rows.get(name)
      if (known !== undefined && isGood(known)) return known
      const underWay = reading.get(name)
      if (underWay !== undefined && isGood(underWay)) return underWay.result
      const at = { readAt: monotonicMs(), order: (order += 1) }
      const result = (async () => ({ row: await read(), ...at }))()
      const entry = { ...at, result }
      reading.set(name, entry)
      try {
        const found = await result
        // Of two reads the one that began later stays, and `forget` while reading means that neither does.
        if (reading.get(name) === entry) {
          rows.set(name, found)
          if (found.row === undefined || tokens.peek(name)?.generation !== found.row.generation) tokens.delete(name)
        }
        return found
      } finally {
        if (reading.get(name) === entry) reading.delete(name)
      }
    },
    token(name, generation) {
      const kept = tokens.get(name)
      return kept?.generation === generation ? new Secret(kept.bytes.toString('utf8')) : undefined
    },
    keepToken(name, generation, token) {
      tokens.set(name, { generation, bytes: token })
    },
    forget(name) {
      rows.delete(name)
      reading.delete(name)
      tokens.delete(name)
    },
  }
}
