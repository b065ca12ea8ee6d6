/**
 * What the database server's backends are doing while a test runs: looked at from outside, as an operator would.
 *
 * @module
 */
import pg from 'pg'

export interface BackendWatch {
  /** Looks once more and stops. */
  stop(): Promise<{
    readonly samples: number
    /** The longest time that a transaction was seen waiting for its client. */
    readonly idleInTransactionMs: number
  }>
}

const EVERY_MS = 50

/** @param databases  superuser URLs of the databases to watch, all of one server */
export async function watchBackends(databases: readonly string[]): Promise<BackendWatch> {
  const names = databases.map((url) => new URL(url).pathname.slice(1))
  const client = new pg.Client({ connectionString: databases[0] })
  await client.connect()
  let samples = 0
  let longest = 0
  const look = async () => {
    const { rows } = await client.query<{ ms: number }>(
      `SELECT COALESCE(max(extract(epoch FROM clock_timestamp() - state_change)) * 1000, 0)::float8 AS ms
         FROM pg_stat_activity WHERE datname = ANY($1) AND state LIKE 'idle in transaction%'`,
      [names],
    )
    samples += 1
    longest = Math.max(longest, rows[0]?.ms ?? 0)
  }
  const over = new AbortController()
  const watching = (async () => {
    while (!over.signal.aborted) {
      await look()
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
    }
    await look()
  })()
  return {
    async stop() {
      over.abort()
      await watching
      await client.end()
      return { samples, idleInTransactionMs: Math.round(longest) }
    },
  }
}
