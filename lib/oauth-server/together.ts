/**
 * One statement, and one commit, for everybody who asks at this moment.
 *
 * @module
 */
import { AppError } from '../errors'
import { createGroupCommit, type Entry } from '../group-commit'

const LIMITS = { maxRows: 64, maxInFlight: 2, maxWaiting: 5_000, lingerMs: 2, deadlineMs: 10_000 } as const

/**
 * When a statement fails for all, each is asked by itself, so that nobody fails for another's sake.
 *
 * @param ask  answers as many as it is given, in their order
 */
export function together<I, R>(ask: (items: readonly I[]) => Promise<readonly R[]>): (item: I) => Promise<R> {
  const settle = async (entries: readonly Entry<I, R>[]): Promise<void> => {
    const answers = await ask(entries.map(({ item }) => item))
    if (answers.length !== entries.length) throw new TypeError('an answer is missing')
    for (const [n, answer] of answers.entries()) entries[n]?.settle(answer)
  }
  const group = createGroupCommit<I, R>({
    ...LIMITS,
    async write(entries) {
      try {
        await settle(entries)
      } catch (error) {
        const refuse = (entry: Entry<I, R>, cause: unknown) => {
          entry.refuse(cause instanceof Error ? cause : new Error(String(cause)))
        }
        for (const entry of entries)
          if (entries.length === 1) refuse(entry, error)
          else if (entry.isOpen) await settle([entry]).catch((cause: unknown) => refuse(entry, cause))
      }
    },
    refusal: () => new AppError('service.unavailable', 'The authorization server is busy. Try again shortly.'),
  })
  return (item) => group.submit(item)
}
