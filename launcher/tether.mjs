// @ts-check
/**
 * Loaded first into every process the launcher starts: when the launcher ends without a word (a kill -9, the kernel short
 * of memory), the channel between them closes, and this process ends itself in good order; after a while, in any order.
 *
 * @module
 */
import process from 'node:process'

/** As long as a process may take to finish what must not be cut off (a token refresh has 60 s). */
const DRAIN_MS = 75_000

process.once('disconnect', () => {
  setTimeout(() => {
    process.exit(1)
  }, DRAIN_MS).unref()
  process.kill(process.pid, 'SIGTERM')
})
