/**
 * Turns at a token endpoint: so many under way at once in this process, so many a second in all processes together.
 *
 * Slots come from one place in the database, a few at a time when several wait, and are spaced evenly. This process never
 * starts more than the limit within any second, however late its timers fire.
 *
 * @module
 */
export interface ProviderLimits {
  /** Requests to the token endpoint, of one app, by all processes. */
  readonly perSecond: number
  /** Under way at once, in one process. */
  readonly concurrency: number
}

/** Providers publish little about their token endpoints. These keep far from what is known of their APIs. */
const DEFAULT_LIMITS: ProviderLimits = { perSecond: 250, concurrency: 48 }
const LIMITS: Readonly<Record<string, Partial<ProviderLimits>>> = {
  // About three requests a second for an integration.
  notion: { perSecond: 3, concurrency: 4 },
  slack: { perSecond: 25, concurrency: 16 },
  linear: { perSecond: 20, concurrency: 8 },
  atlassian: { perSecond: 20, concurrency: 8 },
  gitlab: { perSecond: 25, concurrency: 16 },
}

export function limitsOf(provider: string, own: Partial<ProviderLimits> = {}): ProviderLimits {
  return { ...DEFAULT_LIMITS, ...LIMITS[provider], ...own }
}

export interface Turn {
  /** The request has ended: the next may go. */
  done(): void
}

interface Waiting {
  go(turn: Turn): void
  readonly signal: AbortSignal
}

interface Lane {
  readonly waiting: Set<Waiting>
  underWay: number
  isReserving: boolean
  timer: NodeJS.Timeout | undefined
  /** When turns are, soonest first. */
  slots: number[]
  /** When the latest turns were taken, oldest first; no more than fit into a second. */
  started: number[]
}

/** What is kept back of a limit, for clocks that are not the provider's. */
const SHARE = 0.96
const BLOCK_MS = 250
const MOST_AT_ONCE = 32
const STALE_MS = 1_000

export function createPace(deps: {
  readonly reserve: (provider: string, appKey: string, count: number, everyMs: number) => Promise<number>
  readonly limits: (provider: string) => ProviderLimits
  readonly monotonicMs: () => number
}) {
  const { reserve, limits, monotonicMs } = deps
  const lanes = new Map<string, Lane>()

  function laneOf(provider: string, appKey: string): Lane {
    const name = `${provider}/${appKey}`
    let lane = lanes.get(name)
    if (lane === undefined) {
      lane = { waiting: new Set(), underWay: 0, isReserving: false, timer: undefined, slots: [], started: [] }
      lanes.set(name, lane)
    }
    return lane
  }

  return {
    turn(provider: string, appKey: string, signal: AbortSignal): Promise<Turn> {
      const lane = laneOf(provider, appKey)
      return new Promise<Turn>((resolve, reject) => {
        const aborted = () => {
          lane.waiting.delete(waiting)
          reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'))
        }
        const waiting: Waiting = {
          signal,
          go: (turn) => {
            signal.removeEventListener('abort', aborted)
            resolve(turn)
          },
        }
        if (signal.aborted) {
          aborted()
          return
        }
        signal.addEventListener('abort', aborted, { once: true })
        lane.waiting.add(waiting)
        pump(provider, appKey, lane)
      })
    },
  }

  function pump(provider: string, appKey: string, lane: Lane): void {
    const { perSecond, concurrency } = limits(provider)
    const everyMs = 1_000 / (perSecond * SHARE)
    for (;;) {
      const free = Math.min(lane.waiting.size, concurrency - lane.underWay)
      if (free <= 0) return
      const now = monotonicMs()
      while ((lane.slots[0] ?? now) < now - STALE_MS) lane.slots.shift()
      const slot = lane.slots[0]
      // Asked for before the last is taken: what nobody has reserved while the answer is under way is lost for all.
      const missing = Math.min(free, block(everyMs)) - lane.slots.length
      if (missing > lane.slots.length && !lane.isReserving) fill(provider, appKey, lane, missing, everyMs)
      if (slot === undefined) return
      while ((lane.started[0] ?? now) <= now - 1_000) lane.started.shift()
      const most = Math.max(1, Math.floor(perSecond))
      const at = Math.max(
        slot,
        lane.started.length >= most ? (lane.started[lane.started.length - most] ?? 0) + 1_000 : 0,
      )
      if (at > now) {
        clearTimeout(lane.timer)
        lane.timer = setTimeout(() => pump(provider, appKey, lane), at - now)
        return
      }
      lane.slots.shift()
      lane.started.push(now)
      start(provider, appKey, lane)
    }
  }

  function fill(provider: string, appKey: string, lane: Lane, count: number, everyMs: number): void {
    lane.isReserving = true
    const settle = (inMs: number) => {
      const first = monotonicMs() + inMs
      for (let n = 0; n < count; n += 1) lane.slots.push(first + n * everyMs)
      lane.isReserving = false
      pump(provider, appKey, lane)
    }
    // Without the database nobody else refreshes either: this process keeps the pace by itself.
    reserve(provider, appKey, count, everyMs).then(settle, () => settle(everyMs))
  }

  function start(provider: string, appKey: string, lane: Lane): void {
    const [first] = lane.waiting
    if (first === undefined) return
    lane.waiting.delete(first)
    lane.underWay += 1
    let isDone = false
    first.go({
      done: () => {
        if (isDone) return
        isDone = true
        lane.underWay -= 1
        pump(provider, appKey, lane)
      },
    })
  }
}

/** Few enough that another process's turn is never far behind. */
const block = (everyMs: number) => Math.min(Math.max(Math.floor(BLOCK_MS / everyMs), 1), MOST_AT_ONCE)
