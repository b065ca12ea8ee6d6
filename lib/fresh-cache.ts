/**
 * A bounded memory of database answers that is never older than a hard age. Callers that ask together share one load;
 * an entry in use is loaded again shortly before it would expire, so that a busy key never waits for the database.
 *
 * Age counts from before the load began: what was read cannot be younger than that. An entry that was invalidated while
 * it was loading is not kept.
 *
 * @module
 */
import { LRUCache } from 'lru-cache'

import type { Clock } from './clock'

interface Entry<V> {
  readonly value: V
  readonly at: number
}

export interface FreshCacheOptions {
  readonly maxEntries: number
  /** No answer older than this is given out. */
  readonly maxAgeMs: number
  /** From this age on, a use starts a reload in the background. */
  readonly refreshAfterMs: number
  readonly clock: Clock
}

export class FreshCache<V extends object> {
  readonly #entries: LRUCache<string, Entry<V>>
  readonly #loading = new Map<string, Promise<V>>()
  readonly #options: FreshCacheOptions

  constructor(options: FreshCacheOptions) {
    this.#options = options
    this.#entries = new LRUCache({ max: options.maxEntries })
  }

  /** The cached answer, or what `load` gives. A failing load is not remembered. */
  async get(key: string, load: () => Promise<V>): Promise<V> {
    const entry = this.#entries.get(key)
    if (entry !== undefined) {
      const age = this.#options.clock.now().getTime() - entry.at
      // A clock that was set back says nothing about the age of the entry.
      if (age >= 0 && age < this.#options.maxAgeMs) {
        if (age >= this.#options.refreshAfterMs) void this.#load(key, load).catch(() => undefined)
        return entry.value
      }
      this.#entries.delete(key)
    }
    return this.#load(key, load)
  }

  /** What is remembered of a key now, if it is young enough. Loads nothing. */
  peek(key: string): V | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    const age = this.#options.clock.now().getTime() - entry.at
    return age >= 0 && age < this.#options.maxAgeMs ? entry.value : undefined
  }

  /** Remembers an answer as of now. */
  set(key: string, value: V): void {
    this.#entries.set(key, { value, at: this.#options.clock.now().getTime() })
  }

  /** Forgets a key, and what is being loaded for it. */
  delete(key: string): void {
    this.#entries.delete(key)
    this.#loading.delete(key)
  }

  /** Forgets every entry that matches. Loads under way are not kept either, as their value is not known yet. */
  deleteWhere(matches: (value: V) => boolean): void {
    for (const [key, entry] of this.#entries.entries()) if (matches(entry.value)) this.#entries.delete(key)
    this.#loading.clear()
  }

  #load(key: string, load: () => Promise<V>): Promise<V> {
    const running = this.#loading.get(key)
    if (running !== undefined) return running
    const at = this.#options.clock.now().getTime()
    const loading = load().then(
      (value) => {
        if (this.#loading.get(key) === loading) {
          this.#loading.delete(key)
          this.#entries.set(key, { value, at })
        }
        return value
      },
      (error: unknown) => {
        if (this.#loading.get(key) === loading) this.#loading.delete(key)
        throw error
      },
    )
    this.#loading.set(key, loading)
    return loading
  }
}
