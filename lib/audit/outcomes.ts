/**
 * How calls ended, written in batches behind the answers. Never throws and never waits: what the database does not take
 * goes to the spool, and what finds no room there becomes `unknown` by the reconciler.
 *
 * @module
 */
import type { Clock } from '../clock'
import type { Log } from '../log'
import { toOutcomeRecord, type CallOutcome, type OutcomeRecord } from './record'
import type { AuditSeals } from './seal'
import type { Spool } from './spool'
import { failureOf, type AuditWriter } from './writer'

export interface Outcomes {
  add(outcome: CallOutcome): void
  /** Writes records that already have their final form, as the drain and the reconciler have them. Throws as the database does. */
  write(records: readonly OutcomeRecord[]): Promise<number>
  /** Resolves when everything added so far is in the database or in the spool. */
  settled(): Promise<void>
}

const MAX_ROWS = 200
const MAX_IN_FLIGHT = 2
const MAX_WAITING = 5_000
const LINGER_MS = 20
const CONFLICT_ATTEMPTS = 3

export function createOutcomes(deps: {
  readonly writer: AuditWriter
  readonly seals: AuditSeals
  readonly spool: Spool
  readonly clock: Clock
  readonly log: Log
  readonly onSpooled: () => void
}): Outcomes {
  const { writer, seals, spool, clock, log } = deps
  let waiting: { readonly outcome: CallOutcome; readonly at: Date }[] = []
  let inFlight = 0
  let timer: NodeJS.Timeout | undefined
  let whenSettled: (() => void)[] = []

  /** The batch; then, when a row of it is at fault, each row by itself, so that one poison row costs only itself. */
  const write = async (records: readonly OutcomeRecord[]): Promise<number> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await writer.outcomes(records)
      } catch (error) {
        const failure = failureOf(error)
        if (failure === 'conflict' && attempt < CONFLICT_ATTEMPTS) continue
        if (failure === 'lost' && attempt === 1) continue
        if (failure !== 'row') throw error
        if (records.length === 1) {
          log.error({ err: error, callId: records[0]?.call_id }, 'an outcome cannot be stored')
          return 0
        }
        let stored = 0
        for (const record of records) stored += await write([record])
        return stored
      }
    }
  }

  const toRecord = async ({ outcome, at }: (typeof waiting)[number]): Promise<OutcomeRecord> => {
    const isPlain = outcome.detail === undefined && outcome.reason === undefined
    const seal = isPlain ? null : await seals.current(outcome.tenantId).catch(() => null)
    return toOutcomeRecord(outcome, seal, at)
  }

  const flush = () => {
    timer = undefined
    while (waiting.length > 0 && inFlight < MAX_IN_FLIGHT) {
      const batch = waiting.slice(0, MAX_ROWS)
      waiting = waiting.slice(MAX_ROWS)
      inFlight += 1
      void store(batch).finally(() => {
        inFlight -= 1
        if (waiting.length > 0) schedule()
        else if (inFlight === 0) {
          for (const resolve of whenSettled) resolve()
          whenSettled = []
        }
      })
    }
  }
  const schedule = () => {
    timer ??= setTimeout(flush, LINGER_MS)
  }

  const store = async (batch: typeof waiting) => {
    const records: OutcomeRecord[] = []
    for (const entry of batch) records.push(await toRecord(entry))
    try {
      await write(records)
    } catch (error) {
      log.warn({ err: error, records: records.length }, 'outcomes go to the spool')
      await spoolAll(records)
    }
  }

  const spoolAll = async (records: readonly OutcomeRecord[]) => {
    await Promise.all(records.map((record) => spool.append({ kind: 'outcome', record })))
    deps.onSpooled()
  }

  let overflowing = 0
  return {
    add: (outcome) => {
      const entry = { outcome, at: clock.now() }
      if (waiting.length < MAX_WAITING) {
        waiting.push(entry)
        schedule()
      } else if (overflowing < MAX_WAITING) {
        overflowing += 1
        void toRecord(entry)
          .then((record) => spoolAll([record]))
          .finally(() => (overflowing -= 1))
      } else log.error({ callId: outcome.callId }, 'an outcome was dropped; the call will be recorded as unknown')
    },
    write,
    settled: () =>
      waiting.length === 0 && inFlight === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            whenSettled.push(resolve)
          }),
  }
}
