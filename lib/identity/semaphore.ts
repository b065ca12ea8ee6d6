/**
 * A bounded number of workers and a bounded queue before them. What does not fit is refused at once: a queue that can
 * grow is a way to take the service down.
 *
 * @module
 */
import { AppError } from '../errors'

export interface Semaphore {
  /** @throws AppError `request.rate_limited` when the queue is full */
  run<T>(work: () => Promise<T>): Promise<T>
}

export function createSemaphore(options: { readonly concurrency: number; readonly queue: number }): Semaphore {
  let running = 0
  const waiting: (() => void)[] = []
  return {
    async run(work) {
      if (running >= options.concurrency) {
        if (waiting.length >= options.queue)
          throw new AppError('request.rate_limited', 'Too many people are signing in. Try again in a moment.', {
            retryAfterSeconds: 2,
          })
        // The one who leaves hands its place over, so `running` does not change here.
        await new Promise<void>((resolve) => waiting.push(resolve))
      } else running += 1
      try {
        return await work()
      } finally {
        const next = waiting.shift()
        if (next === undefined) running -= 1
        else next()
      }
    },
  }
}
