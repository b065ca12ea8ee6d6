/**
 * Repeats a transaction that the database gave up for reasons of its own: deadlock or serialization failure.
 *
 * @module
 */
const ATTEMPTS = 4

/** Runs `work` again when its transaction was rolled back by a conflict, at most four times in all. */
export async function withRetry<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work()
    } catch (error) {
      if (attempt >= ATTEMPTS || !isConflict(error)) throw error
    }
  }
}

/** The transaction was given up by the database and may be tried again. */
export function isConflict(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'P2034' // write conflict or deadlock
}

/** True when a unique constraint refused the row: somebody else was first. */
export function isUniqueViolation(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'P2002'
}
