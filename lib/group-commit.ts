/**
 * Gathers what arrives at about the same time into one write, and gives everybody their own answer.
 *
 * Bounded everywhere: rows of a batch, batches under way, rows waiting, and the time until an answer. When nothing is
 * under way the first row waits only for its own turn of the event loop; under load a batch forms while others are written.
 *
 * @module
 */
export interface GroupCommitOptions<I, R> {
  readonly maxRows: number
  readonly maxInFlight: number
  readonly maxWaiting: number
  readonly lingerMs: number
  readonly deadlineMs: number
  /** Writes these and settles each. Whatever it leaves open is refused. Must not throw. */
  readonly write: (entries: readonly Entry<I, R>[]) => Promise<void>
  readonly refusal: (why: 'too_many' | 'too_late' | 'unanswered' | 'closed') => Error
}

export interface Entry<I, R> {
  readonly item: I
  /** False once the caller has been answered or has been given up on. */
  readonly isOpen: boolean
  /** Milliseconds until the caller is refused. */
  readonly remainingMs: number
  settle(result: R): void
  refuse(error: Error): void
}

export interface GroupCommit<I, R> {
  /** @param withinMs  less time than the group allows, for a caller who already waited elsewhere */
  submit(item: I, withinMs?: number): Promise<R>
  /** Refuses what comes from now on and waits until everything accepted is answered. */
  close(): Promise<void>
}

export function createGroupCommit<I, R>(options: GroupCommitOptions<I, R>): GroupCommit<I, R> {
  let waiting: Entry<I, R>[] = []
  let inFlight = 0
  let isImmediate = false
  let linger: NodeJS.Timeout | undefined
  let isClosed = false
  let whenIdle: (() => void) | undefined

  const schedule = () => {
    if (waiting.length === 0 || inFlight >= options.maxInFlight) return
    // Alone, linger one turn: calls of the same turn share the write. Behind others, linger until they are answered, and
    // no longer than the full time: a batch that is stuck holds nobody.
    if (inFlight === 0 || waiting.length >= options.maxRows) {
      if (isImmediate) return
      isImmediate = true
      clearTimeout(linger)
      linger = undefined
      setImmediate(flush)
    } else if (!isImmediate) linger ??= setTimeout(flush, options.lingerMs)
  }

  const flush = () => {
    isImmediate = false
    clearTimeout(linger)
    linger = undefined
    waiting = waiting.filter((entry) => entry.isOpen)
    while (waiting.length > 0 && inFlight < options.maxInFlight) {
      const batch = waiting.slice(0, options.maxRows)
      waiting = waiting.slice(options.maxRows)
      inFlight += 1
      void options
        .write(batch)
        .catch(() => undefined) // each entry is refused below
        .finally(() => {
          for (const entry of batch) if (entry.isOpen) entry.refuse(options.refusal('unanswered'))
          inFlight -= 1
          schedule()
          if (inFlight === 0 && waiting.length === 0) whenIdle?.()
        })
      if (waiting.length < options.maxRows) break // the rest gathers company
    }
    if (inFlight === 0 && waiting.length === 0) whenIdle?.()
    schedule()
  }

  return {
    submit: (item, withinMs = options.deadlineMs) =>
      new Promise<R>((resolve, reject) => {
        if (isClosed) {
          reject(options.refusal('closed'))
          return
        }
        if (waiting.length >= options.maxWaiting) {
          reject(options.refusal('too_many'))
          return
        }
        const allowedMs = Math.max(1, Math.min(withinMs, options.deadlineMs))
        const deadline = performance.now() + allowedMs
        const state = { isOpen: true }
        const close = () => {
          const wasOpen = state.isOpen
          state.isOpen = false
          clearTimeout(timer)
          return wasOpen
        }
        const entry: Entry<I, R> = {
          item,
          get isOpen() {
            return state.isOpen
          },
          get remainingMs() {
            return deadline - performance.now()
          },
          settle: (result) => {
            if (close()) resolve(result)
          },
          refuse: (error) => {
            if (close()) reject(error)
          },
        }
        const timer = setTimeout(() => {
          entry.refuse(options.refusal('too_late'))
        }, allowedMs)
        waiting.push(entry)
        schedule()
      }),
    close: () => {
      isClosed = true
      if (inFlight === 0 && waiting.length === 0) return Promise.resolve()
      return new Promise((resolve) => {
        whenIdle = resolve
      })
    },
  }
}
