/**
 * How a key service is asked: each try bounded, tries repeated with full jitter while the service is merely unwell, and
 * all of it under one deadline. A service that hangs costs its caller that deadline and no more.
 *
 * @module
 */
import { KekError } from './kek'

export interface KekTiming {
  /** Of one request. */
  readonly tryMs: number
  /** Of all tries together. */
  readonly totalMs: number
  /** Longest first pause; it doubles. */
  readonly pauseMs: number
}

export const KEK_TIMING: KekTiming = { tryMs: 3_000, totalMs: 10_000, pauseMs: 100 }

const MAX_PAUSE_MS = 2_000

/** @throws KekError what the last try threw; only `unavailable` is tried again */
export async function persist<T>(
  work: (signal: AbortSignal) => Promise<T>,
  timing: KekTiming = KEK_TIMING,
  random: () => number = Math.random,
): Promise<T> {
  const until = performance.now() + timing.totalMs
  for (let tries = 0; ; tries += 1) {
    const leftMs = until - performance.now()
    try {
      return await bounded(work, Math.max(1, Math.min(timing.tryMs, leftMs)))
    } catch (error) {
      if (!(error instanceof KekError) || error.fault !== 'unavailable') throw error
      const pauseMs = random() * Math.min(timing.pauseMs * 2 ** tries, MAX_PAUSE_MS)
      if (performance.now() + pauseMs >= until) throw error
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }
}

/** The signal asks politely; the race holds even for what does not listen. */
async function bounded<T>(work: (signal: AbortSignal) => Promise<T>, ms: number): Promise<T> {
  const controller = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new KekError('unavailable', 'The key service did not answer in time.'))
      controller.abort()
    }, ms)
  })
  try {
    return await Promise.race([work(controller.signal), late])
  } finally {
    clearTimeout(timer)
  }
}
