/**
 * What must survive a restart: small named records, in memory and in one append-only file of mode 0600. A record is on
 * disk before the answer that depends on it leaves. A last line torn by a kill is dropped at the next start, when the
 * file is rewritten to its live records and renamed into place.
 *
 * @module
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import path from 'node:path'

import { isRecord, parseJson } from '@/sandbox/core/http'

const FILE = 'sandbox-state.ndjson'

export class Store {
  readonly #records = new Map<string, Map<string, unknown>>()
  #descriptor: number | undefined

  private constructor() {
    this.#descriptor = undefined
  }

  /** @param folder undefined: nothing outlives the process */
  static open(folder: string | undefined): Store {
    const store = new Store()
    if (folder === undefined) return store
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const file = path.join(folder, FILE)
    if (existsSync(file)) for (const line of readFileSync(file, 'utf8').split('\n')) store.#replay(line)
    const fresh = `${file}.new`
    const descriptor = openSync(fresh, 'w', 0o600)
    for (const [kind, records] of store.#records) {
      for (const [key, value] of records) writeSync(descriptor, line(kind, key, value))
    }
    fsyncSync(descriptor)
    closeSync(descriptor)
    renameSync(fresh, file)
    store.#descriptor = openSync(file, 'a', 0o600)
    return store
  }

  get(kind: string, key: string): unknown {
    return this.#records.get(kind)?.get(key)
  }

  all(kind: string): unknown[] {
    return [...(this.#records.get(kind)?.values() ?? [])]
  }

  put(kind: string, key: string, value: unknown): void {
    this.#set(kind, key, value)
    if (this.#descriptor !== undefined) writeSync(this.#descriptor, line(kind, key, value))
  }

  delete(kind: string, key: string): void {
    if (this.#records.get(kind)?.delete(key) !== true) return
    if (this.#descriptor !== undefined) writeSync(this.#descriptor, line(kind, key, undefined))
  }

  /** The stored record of this name, made and kept on first use. */
  remember<T>(kind: string, key: string, make: () => T): T {
    const found = this.get(kind, key)
    if (found !== undefined) return found as T // written by this very function
    const made = make()
    this.put(kind, key, made)
    return made
  }

  close(): void {
    if (this.#descriptor === undefined) return
    closeSync(this.#descriptor)
    this.#descriptor = undefined
  }

  #set(kind: string, key: string, value: unknown): void {
    const records = this.#records.get(kind) ?? new Map<string, unknown>()
    records.set(key, value)
    this.#records.set(kind, records)
  }

  #replay(text: string): void {
    const record = parseJson(text)
    if (!isRecord(record) || typeof record['k'] !== 'string' || typeof record['i'] !== 'string') return
    if ('v' in record) this.#set(record['k'], record['i'], record['v'])
    else this.#records.get(record['k'])?.delete(record['i'])
  }
}

const line = (k: string, i: string, v: unknown): string => `${JSON.stringify({ k, i, v })}\n`
