/**
 * Records kept on local disk while the database is away: a folder of small files, each written under a temporary name,
 * fsynced, and renamed, so that a file that can be seen is whole. Mode 0600 in a 0700 folder. Anybody may drain it; what
 * was drained twice is stored once, by its record id.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises'
import path from 'node:path'

import { z } from 'zod'

import type { Log } from '../log'
import { eventRecordSchema, outcomeRecordSchema } from './record'

const lineSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('event'), record: eventRecordSchema }),
  z.strictObject({ kind: z.literal('outcome'), record: outcomeRecordSchema }),
])
export type SpoolLine = z.infer<typeof lineSchema>

export interface SpoolFile {
  readonly name: string
  readonly lines: readonly SpoolLine[]
  /** Lines that are not records; they are set aside with the file rather than deleted. */
  readonly unreadable: number
}

export interface Spool {
  /** Resolves once the record is on disk; to false when there was no room or no disk, after an alarm. */
  append(line: SpoolLine): Promise<boolean>
  /** Whole files, oldest first. */
  list(limit: number): Promise<string[]>
  read(name: string): Promise<SpoolFile | null>
  remove(name: string): Promise<void>
  /** Moves a file that holds something unreadable out of the way; it stays for an operator to look at. */
  setAside(name: string): Promise<void>
  /** Bytes on disk, as last seen. */
  readonly bytes: number
}

export interface SpoolOptions {
  readonly folder: string
  readonly maxBytes: number
  readonly log: Log
  /** Told that a record is only in the log, or not even there. */
  readonly onAlarm: (reason: 'spool_full' | 'spool_unwritable') => void
}

const SUFFIX = '.jsonl'
const ASIDE = '.unreadable'
const ABANDONED_MS = 3_600_000

export function createSpool({ folder, maxBytes, log, onAlarm }: SpoolOptions): Spool {
  let bytes = 0
  let waiting: { readonly kind: SpoolLine['kind']; readonly text: string; readonly done: (isKept: boolean) => void }[] =
    []
  let writing: Promise<void> | undefined

  const measure = async () => {
    let sum = 0
    for (const name of await names(folder)) {
      const facts = await stat(path.join(folder, name)).catch(gone(null))
      if (facts === null) continue
      // What a process that died while writing left behind was never promised to anybody.
      if (name.endsWith('.tmp') && Date.now() - facts.mtimeMs > ABANDONED_MS)
        await unlink(path.join(folder, name)).catch(gone(undefined))
      else sum += facts.size
    }
    bytes = sum
  }

  /** The second half of the room is for what may never be refused: a lost outcome becomes `unknown`, a lost event is lost. */
  const makeRoom = (batch: typeof waiting) => {
    const size = batch.reduce((sum, entry) => sum + entry.text.length, 0)
    if (bytes + size <= maxBytes / 2) return batch
    const events = batch.filter((entry) => entry.kind === 'event')
    const eventBytes = events.reduce((sum, entry) => sum + entry.text.length, 0)
    return bytes + eventBytes <= maxBytes ? events : []
  }

  /** What was appended while the last file was being written shares the next one, and its fsync. */
  const writeAll = async () => {
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      let kept: typeof batch = []
      try {
        await measureOnce()
        const room = makeRoom(batch)
        const text = room.map((entry) => entry.text).join('')
        if (room.length > 0) await writeFile(folder, text)
        bytes += text.length
        kept = room
        if (room.length < batch.length) {
          log.fatal(
            { records: batch.length - room.length, bytes, maxBytes },
            'the audit spool is full: records are lost',
          )
          onAlarm('spool_full')
        }
      } catch (error) {
        log.fatal({ err: error, records: batch.length }, 'the audit spool cannot be written: records are lost')
        onAlarm('spool_unwritable')
      }
      const keptOnes = new Set(kept)
      for (const entry of batch) entry.done(keptOnes.has(entry))
    }
    writing = undefined
  }

  let measured: Promise<void> | undefined
  const measureOnce = async () => {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    await (measured ??= measure())
  }

  return {
    append: (line) =>
      new Promise((resolve) => {
        waiting.push({ kind: line.kind, text: `${JSON.stringify(line)}\n`, done: resolve })
        writing ??= writeAll()
      }),
    list: async (limit) => {
      await measure() // others drain and append too
      return (await names(folder))
        .filter((name) => name.endsWith(SUFFIX))
        .sort()
        .slice(0, limit)
    },
    read: async (name) => {
      const text = await readFile(path.join(folder, name), 'utf8').catch(gone(null))
      if (text === null) return null
      const lines: SpoolLine[] = []
      let unreadable = 0
      for (const line of text.split('\n')) {
        if (line === '') continue
        const parsed = lineSchema.safeParse(parseJson(line))
        if (parsed.success) lines.push(parsed.data)
        else unreadable += 1
      }
      return { name, lines, unreadable }
    },
    remove: async (name) => {
      const file = path.join(folder, name)
      const facts = await stat(file).catch(gone(null))
      await unlink(file).catch(gone(undefined))
      bytes = Math.max(0, bytes - (facts?.size ?? 0))
    },
    setAside: async (name) => {
      await rename(path.join(folder, name), path.join(folder, name + ASIDE)).catch(gone(undefined))
    },
    get bytes() {
      return bytes
    },
  }
}

async function writeFile(folder: string, text: string): Promise<void> {
  const name = `${Date.now().toString().padStart(15, '0')}-${randomBytes(8).toString('hex')}${SUFFIX}`
  const temporary = path.join(folder, `.${name}.tmp`)
  const file = await open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path.join(folder, name))
  const directory = await open(folder, 'r')
  try {
    await directory.sync() // the name too must survive a power cut
  } finally {
    await directory.close()
  }
}

const names = (folder: string) => readdir(folder).catch(gone<string[]>([]))

/** For a file or folder that another process has just removed, or that was never made. */
function gone<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return value
    throw error
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
