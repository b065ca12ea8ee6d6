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
  /** @param since  a reading of `monotonicMs`; a row read before it is not good enough */
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
  const reading = new Map<string, { readonly readAt: number; readonly result: Promise<CachedRow> }>()

  return {
    async row(name, since, read) {
      const oldest = Math.max(since ?? -Infinity, monotonicMs() - ROW_MS)
      const known = rows.get(name)
      if (known !== undefined && known.readAt >= oldest) return known
      const underWay = reading.get(name)
      if (underWay !== undefined && underWay.readAt >= oldest) return underWay.result
      const readAt = monotonicMs()
      const result = (async () => ({ row: await read(), readAt }))()
      const entry = { readAt, result }
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
