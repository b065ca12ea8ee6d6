/**
 * The connection of the hot path: plain `pg`, as the role that may execute two functions and nothing else.
 *
 * Every wait has an end: for a connection, for a lock, for a statement, and on our side for an answer that a dead network
 * never brings.
 *
 * @module
 */
import pg from 'pg'

import { survivesItsServer } from '../db/pool'
import type { Log } from '../log'
import type { Decision, IntentRecord, OutcomeRecord } from './record'

export interface IntentRow {
  readonly call_id: string
  readonly decision: Decision | 'stale'
  readonly reason: string | null
  readonly credential_generation: number | null
}

/**
 * `row`: one of the rows is at fault, the others are not. `conflict`: a deadlock, the same again will pass.
 * `contended`: a lock was not to be had in time. `lost`: the connection is gone, a fresh one may work.
 * `unavailable`: the database refuses or cannot; waiting a little will not help this request.
 */
export type WriteFailure = 'row' | 'conflict' | 'contended' | 'lost' | 'unavailable'

export interface AuditWriter {
  intents(records: readonly IntentRecord[]): Promise<readonly IntentRow[]>
  outcomes(records: readonly OutcomeRecord[]): Promise<number>
  close(): Promise<void>
}

export interface WriterLimits {
  readonly connectMs: number
  readonly lockMs: number
  readonly statementMs: number
  readonly connections: number
}

export const WRITER_LIMITS: WriterLimits = { connectMs: 1_500, lockMs: 1_000, statementMs: 2_500, connections: 8 }

/** @param databaseUrl  the application's own URL; the role is taken at connection start */
export function createAuditWriter(databaseUrl: string, log: Log, limits: WriterLimits = WRITER_LIMITS): AuditWriter {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: limits.connections,
    connectionTimeoutMillis: limits.connectMs,
    query_timeout: limits.statementMs + 500,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    application_name: 'portcullis-audit',
    options: `-c role=portcullis_audit_writer -c lock_timeout=${limits.lockMs} -c statement_timeout=${limits.statementMs}`,
  })
  pool.on('error', (error) => log.warn({ err: error }, 'an idle audit connection was lost'))
  survivesItsServer(pool)

  const run = async <R extends pg.QueryResultRow>(name: string, text: string, records: readonly unknown[]) => {
    const client = await pool.connect()
    try {
      const { rows } = await client.query<R>({ name, text, values: [JSON.stringify(records)] })
      client.release()
      return rows
    } catch (error) {
      client.release(!isKept(error))
      throw error
    }
  }
  return {
    intents: (records) => run<IntentRow>('audit_intents', 'SELECT * FROM audit_intents($1::jsonb)', records),
    outcomes: async (records) => {
      const [row] = await run<{ n: number }>('audit_outcomes', 'SELECT audit_outcomes($1::jsonb) AS n', records)
      return row?.n ?? 0
    },
    close: () => pool.end(),
  }
}

/** A connection survives an error the server reported about a statement, and nothing else. */
const isKept = (error: unknown) => error instanceof pg.DatabaseError && failureOf(error) !== 'lost'

/** @see PostgreSQL 18, Appendix A */
export function failureOf(error: unknown): WriteFailure {
  if (!(error instanceof pg.DatabaseError)) return 'lost'
  const code = error.code ?? ''
  if (code === '40001' || code === '40P01') return 'conflict'
  if (code === '55P03') return 'contended'
  if (code.startsWith('08') || code.startsWith('57P')) return 'lost'
  // Rights, read-only, out of disk or connections, cancelled by its time limit, wrong password, no such database.
  if (/^(25|28|3D|42|53|54|57|58)/.test(code)) return 'unavailable'
  return 'row'
}
