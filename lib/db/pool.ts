/**
 * Connections whose server may die at any moment.
 *
 * A connection that is cut off raises an event beside the error its caller gets, and an event that nobody hears ends the
 * process. The pool listens while a connection is idle and its user while it is used; between the two, in the very
 * moment in which a new connection is handed over, nobody does. So every connection gets a listener for life.
 *
 * @module
 */
import pg from 'pg'

/**
 * How long a query waits for its turn at a full pool, and one transaction for both. Long enough that a crowd is served
 * one after the other instead of refused, and well within what an agent's call may take.
 */
const WAIT_MS = 10_000
export const TRANSACTION = { maxWait: WAIT_MS, timeout: 10_000 } as const

/** From now on no connection of this pool can end the process by ending. Its user still gets the error of the query. */
export function survivesItsServer(pool: pg.Pool): void {
  pool.on('connect', (client) => client.on('error', () => undefined))
}

/** @param role  whose rights every connection has, whatever account the URL logs in as */
export function createRolePool(url: string, role: string, max: number): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max,
    options: `-c role=${role}`,
    connectionTimeoutMillis: WAIT_MS,
    statement_timeout: 10_000,
  })
  // An idle connection that the server closed is no event here: the next query opens another or fails its caller.
  pool.on('error', () => undefined)
  survivesItsServer(pool)
  return pool
}
