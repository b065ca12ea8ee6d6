/**
 * A lock that one process holds for as long as a piece of work takes, and that dies with the process: it belongs to a
 * database session, and the server ends the session of whoever is gone.
 *
 * A session can also be lost while its process lives on. So whoever works under this lock compares before every write all
 * the same; the lock keeps two from doing the same work, not from doing harm.
 *
 * @module
 */
import pg from 'pg'

export interface HeldLock {
  /** False when the session was lost: somebody else may have the lock by now. */
  isHeld(): boolean
  release(): Promise<void>
}

/** The server notices a killed process at once, but not before it happened. */
const PATIENCE_MS = 3_000
const POLL_MS = 100

/** @returns undefined when somebody else holds it */
export async function holdLock(
  url: string,
  role: string,
  name: string,
  patienceMs = PATIENCE_MS,
): Promise<HeldLock | undefined> {
  const client = new pg.Client({
    connectionString: url,
    options: `-c role=${role}`,
    connectionTimeoutMillis: 4_000,
    keepAlive: true,
  })
  let isHeld = false
  client.on('error', () => (isHeld = false))
  client.on('end', () => (isHeld = false))
  await client.connect()
  const until = performance.now() + patienceMs
  try {
    for (;;) {
      const { rows } = await client.query<{ locked: boolean }>(
        'SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS locked',
        [name],
      )
      if (rows[0]?.locked === true) break
      if (performance.now() >= until) {
        await client.end()
        return undefined
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  } catch (error) {
    await client.end().catch(() => undefined)
    throw error
  }
  isHeld = true
  return {
    isHeld: () => isHeld,
    release: async () => {
      isHeld = false
      await client.end().catch(() => undefined)
    },
  }
}
