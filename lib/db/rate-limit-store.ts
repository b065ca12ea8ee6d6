/**
 * The connection of the rate limiter: few, short and apart from the pool of the product's transactions, so that a busy
 * database slows a sign-in down but never lets it past its limit.
 *
 * @module
 */
import pg from 'pg'

import { survivesItsServer } from './pool'

export interface RateLimitStore {
  /** What the limiter library takes for a `pg` pool. */
  readonly pool: object
  close(): Promise<void>
}

/** @param databaseUrl  of the app role; the table is `rate_limit` */
export function createRateLimitStore(databaseUrl: string): RateLimitStore {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    // Whatever account the URL logs in as, as for the pool of the product.
    options: '-c role=portcullis_app',
    max: 3,
    connectionTimeoutMillis: 2_000,
    statement_timeout: 2_000,
    idleTimeoutMillis: 30_000,
    allowExitOnIdle: true,
  })
  // A server that closes an idle connection is no event here: the next query opens another or fails its caller.
  pool.on('error', () => undefined)
  survivesItsServer(pool)
  return { pool, close: () => pool.end() }
}
