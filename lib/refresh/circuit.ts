/**
 * The circuit of one registered app at one provider, as a pure function of what happened.
 *
 *     closed ── a run of weather over distinct connections, a rate limit, the app refused, an incident ──▶ open
 *     open ── its time is over and one request goes to see ──▶ half_open ── served ──▶ closed, or ── not ──▶ open, for longer
 *
 * What one connection lives through alone never stops the others: weather needs several of them without a success
 * between, an incident needs a share of all, and a connection that was refused as the app's fault while others were
 * served is remembered and counts no more.
 *
 * @module
 */
export type Cause = 'weather' | 'rate_limited' | 'app_fault' | 'incident'

export interface Circuit {
  readonly state: 'closed' | 'open' | 'half_open'
  readonly cause: Cause | null
  readonly code: string | null
  /** Openings in this episode. */
  readonly opens: number
  /** Until the pause, or the time of the one that went to see, is over. Negative: it is. */
  readonly leftMs: number
  /** Since it was closed last; null when it never was open. */
  readonly closedForMs: number | null
  /** Distinct connections of an unbroken run of weather. */
  readonly run: readonly string[]
  readonly runAgeMs: number
  readonly opener: string | null
  readonly lone: readonly string[]
  /** In whose trails the episode stands. */
  readonly tenants: readonly string[]
}

export const QUIET: Circuit = {
  state: 'closed',
  cause: null,
  code: null,
  opens: 0,
  leftMs: 0,
  closedForMs: null,
  run: [],
  runAgeMs: 0,
  opener: null,
  lone: [],
  tenants: [],
}

export type CircuitEvent = { readonly connectionId: string; readonly tenantId: string } & (
  | { readonly kind: 'issued' }
  /** A proper answer about this one connection, whatever it says: provider and app are well. */
  | { readonly kind: 'answered' }
  | { readonly kind: 'weather'; readonly code: string; readonly retryAfterMs?: number }
  | { readonly kind: 'rate_limited'; readonly code: string; readonly retryAfterMs: number }
  | { readonly kind: 'app_fault'; readonly code: string }
  /** This answer makes, or belongs to, an incident of the app. */
  | { readonly kind: 'incident'; readonly code: string }
)

export interface Change {
  readonly next: Omit<Circuit, 'leftMs' | 'closedForMs' | 'runAgeMs'>
  /** The pause from now on; undefined leaves it. */
  readonly openForMs?: number
  readonly startsRun: boolean
  /** First opening after a quiet time, or for a graver cause. */
  readonly startsEpisode: boolean
  readonly closes: boolean
}

export const RUN_UNTIL_OPEN = 5
export const INCIDENT_CONNECTIONS = 5
/** One in so many of the app's active connections. */
export const INCIDENT_SHARE = 20
export const INCIDENT_MINUTES = 10
const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const RUN_FOR_MS = 5 * MINUTE
const EPISODE_GAP_MS = 10 * MINUTE
const MOST_LONE = 50
const MOST_TENANTS = 20

const PAUSES: Readonly<Record<Cause, readonly [first: number, most: number]>> = {
  weather: [5 * SECOND, MINUTE],
  rate_limited: [MINUTE, HOUR],
  app_fault: [30 * SECOND, 5 * MINUTE],
  incident: [MINUTE, 10 * MINUTE],
}
/** What an operator has to look at. */
export const ALARMING: ReadonlySet<Cause> = new Set<Cause>(['app_fault', 'incident'])
const GRAVITY: Readonly<Record<Cause, number>> = { weather: 0, rate_limited: 0, app_fault: 1, incident: 2 }

/**
 * @param random  in [0, 1)
 * @returns undefined when nothing changes
 */
export function step(circuit: Circuit, event: CircuitEvent, random: () => number): Change | undefined {
  switch (event.kind) {
    case 'issued':
    case 'answered':
      return served(circuit, event)
    case 'weather':
      return weather(circuit, event, random)
    case 'rate_limited':
      return rateLimited(circuit, event)
    case 'app_fault':
      if (circuit.state === 'closed' && circuit.lone.includes(event.connectionId)) return undefined
      return grave(circuit, event, 'app_fault', random)
    case 'incident':
      return grave(circuit, event, 'incident', random)
  }
}

function served(circuit: Circuit, event: CircuitEvent & { kind: 'issued' | 'answered' }): Change | undefined {
  const isIssued = event.kind === 'issued'
  const lone = isIssued ? circuit.lone.filter((id) => id !== event.connectionId) : circuit.lone
  if (circuit.state === 'closed') {
    if (circuit.run.length === 0 && lone.length === circuit.lone.length) return undefined
    return change(circuit, { run: [], lone })
  }
  const { cause } = circuit
  // An answer that was under way says nothing about a limit, and an incident leaves part of the connections alone.
  const isProof =
    circuit.state === 'half_open'
      ? isIssued || cause !== 'incident'
      : isIssued && (cause === 'weather' || cause === 'app_fault')
  if (!isProof) return undefined
  const isOpenerAlone = cause === 'app_fault' && circuit.opener !== null && circuit.opener !== event.connectionId
  return {
    ...change(circuit, {
      state: 'closed',
      run: [],
      opener: null,
      lone: isOpenerAlone ? [...new Set([...lone, circuit.opener])].slice(-MOST_LONE) : lone,
    }),
    closes: true,
  }
}

function weather(
  circuit: Circuit,
  event: CircuitEvent & { kind: 'weather' },
  random: () => number,
): Change | undefined {
  if (circuit.state === 'open') return undefined
  const asked = clamp(event.retryAfterMs ?? 0, 0, PAUSES.weather[1])
  if (circuit.state === 'half_open') return open(circuit, event, circuit.cause ?? 'weather', random, asked)
  const isOld = circuit.run.length > 0 && circuit.runAgeMs > RUN_FOR_MS
  const before = isOld ? [] : circuit.run
  if (before.includes(event.connectionId)) return undefined
  const run = [...before, event.connectionId]
  if (run.length >= RUN_UNTIL_OPEN) return open({ ...circuit, run: [] }, event, 'weather', random, asked)
  return { ...change(circuit, { run }), startsRun: before.length === 0 }
}

/** The first to hear of a limit is believed for a minute; when the one that goes to see hears it too, for as long as it says. */
function rateLimited(circuit: Circuit, event: CircuitEvent & { kind: 'rate_limited' }): Change | undefined {
  const isConfirmed = circuit.state === 'half_open' && circuit.cause === 'rate_limited'
  const pause = clamp(event.retryAfterMs, SECOND, PAUSES.rate_limited[isConfirmed ? 1 : 0])
  if (circuit.state === 'open') {
    if (circuit.leftMs >= pause - SECOND) return undefined
    return { ...change(circuit, {}), openForMs: pause }
  }
  const keeps = circuit.state === 'half_open' && circuit.cause !== null && ALARMING.has(circuit.cause)
  return {
    ...open(circuit, event, keeps ? circuit.cause : 'rate_limited', () => 0.5, pause),
    openForMs: pause,
  }
}

function grave(
  circuit: Circuit,
  event: CircuitEvent & { kind: 'app_fault' | 'incident' },
  cause: 'app_fault' | 'incident',
  random: () => number,
): Change | undefined {
  const isKnown = circuit.state === 'open' && circuit.cause !== null && GRAVITY[circuit.cause] >= GRAVITY[cause]
  if (!isKnown) return open(circuit, event, cause, random)
  // Two agree: it is not one connection's fault.
  const opener = circuit.opener === event.connectionId ? circuit.opener : null
  const tenants = withTenant(circuit.tenants, event.tenantId)
  if (opener === circuit.opener && tenants === circuit.tenants) return undefined
  return change(circuit, { opener, tenants })
}

function open(
  circuit: Circuit,
  event: CircuitEvent & { readonly code: string },
  cause: Cause,
  random: () => number,
  leastMs = 0,
): Change {
  const isQuiet = circuit.state === 'closed' && (circuit.closedForMs === null || circuit.closedForMs > EPISODE_GAP_MS)
  const isGraver = circuit.cause === null || GRAVITY[cause] > GRAVITY[circuit.cause]
  const startsEpisode = isQuiet || isGraver
  const opens = startsEpisode ? 1 : circuit.opens + 1
  const [first, most] = PAUSES[cause]
  const pause = Math.min(first * 2 ** Math.min(opens - 1, 20), most) * (0.75 + 0.5 * random())
  const tenants = startsEpisode ? [] : circuit.tenants
  const isAgreed = circuit.state !== 'closed' && circuit.cause === cause && circuit.opener !== event.connectionId
  return {
    ...change(circuit, {
      state: 'open',
      cause,
      code: event.code,
      opens,
      run: [],
      opener: isAgreed ? null : event.connectionId,
      tenants: ALARMING.has(cause) ? withTenant(tenants, event.tenantId) : tenants,
    }),
    openForMs: Math.max(pause, leastMs),
    startsEpisode,
  }
}

function change(circuit: Circuit, to: Partial<Change['next']>): Change {
  const { state, cause, code, opens, run, opener, lone, tenants } = circuit
  return {
    next: { state, cause, code, opens, run, opener, lone, tenants, ...to },
    startsRun: false,
    startsEpisode: false,
    closes: false,
  }
}

const withTenant = (tenants: readonly string[], tenantId: string) =>
  tenants.includes(tenantId) || tenants.length >= MOST_TENANTS ? tenants : [...tenants, tenantId]

const clamp = (ms: number, least: number, most: number) =>
  Number.isFinite(ms) ? Math.min(Math.max(ms, least), most) : most
