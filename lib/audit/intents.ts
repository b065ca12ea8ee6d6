/**
 * Intents on their way to the database: gathered, written as one statement, answered one by one.
 *
 * @module
 */
import { AppError } from '../errors'
import type { Log } from '../log'
import { createGroupCommit, type Entry, type GroupCommit } from '../group-commit'
import type { IntentAnswer, IntentRecord } from './record'
import { failureOf, type AuditWriter, type IntentRow } from './writer'

type IntentEntry = Entry<IntentRecord, IntentAnswer>

export const INTENT_LIMITS = {
  maxRows: 64,
  maxInFlight: 4,
  maxWaiting: 1_000,
  lingerMs: 4,
  /** A caller has an answer or a refusal within this time, whatever the database does. */
  deadlineMs: 4_500,
} as const

const CONFLICT_ATTEMPTS = 4
const ROW_CONCURRENCY = 2

export function unavailable(cause?: unknown): AppError {
  return new AppError('audit.unavailable', 'The call could not be recorded, so it was not made. Try again shortly.', {
    retryAfterSeconds: 2,
    ...(cause === undefined ? {} : { cause }),
  })
}

/**
 * @param onLate  told of an intent that was recorded as permitted after its caller had been refused; nothing was done for it
 */
export function createIntents(deps: {
  readonly writer: AuditWriter
  readonly log: Log
  readonly onLate: (record: IntentRecord) => void
  readonly limits?: Partial<typeof INTENT_LIMITS>
}): GroupCommit<IntentRecord, IntentAnswer> {
  const { writer, log } = deps

  const answer = (entries: readonly IntentEntry[], rows: readonly IntentRow[]) => {
    const byCall = new Map(rows.map((row) => [row.call_id, row]))
    for (const entry of entries) {
      const row = byCall.get(entry.item.call_id)
      if (row === undefined) continue // left open: refused by the group commit
      if (!entry.isOpen && row.decision === 'permit') deps.onLate(entry.item)
      entry.settle({ decision: row.decision, reason: row.reason, credentialGeneration: row.credential_generation })
    }
  }

  const write = async (batch: readonly IntentEntry[]): Promise<void> => {
    for (let attempt = 1; ; attempt += 1) {
      const entries = batch.filter((entry) => entry.isOpen)
      if (entries.length === 0) return
      try {
        answer(entries, await writer.intents(entries.map((entry) => entry.item)))
        return
      } catch (error) {
        const failure = failureOf(error)
        if (failure === 'conflict' && attempt < CONFLICT_ATTEMPTS) continue
        // After a lost connection the rows may be stored or not. The second try then meets its own first row and is refused.
        if (failure === 'lost' && attempt === 1) continue
        if ((failure === 'row' || failure === 'contended' || failure === 'conflict') && entries.length > 1)
          return writeEach(entries)
        if (failure === 'row') log.error({ err: error, callId: entries[0]?.item.call_id }, 'an intent cannot be stored')
        else log.warn({ err: error, failure, rows: entries.length }, 'intents are refused')
        for (const entry of entries) entry.refuse(unavailable(error))
        return
      }
    }
  }

  /** Row by row, a few at a time: one that is poison, or locked by a slow transaction, refuses nobody else. */
  const writeEach = async (entries: readonly IntentEntry[]): Promise<void> => {
    const queue = [...entries]
    const next = async (): Promise<void> => {
      for (let entry = queue.shift(); entry !== undefined; entry = queue.shift()) await write([entry])
    }
    await Promise.all(Array.from({ length: ROW_CONCURRENCY }, next))
  }

  return createGroupCommit<IntentRecord, IntentAnswer>({
    ...INTENT_LIMITS,
    ...deps.limits,
    write,
    refusal: () => unavailable(),
  })
}
