import { describe, expect, it } from 'vitest'

import { QUIET, RUN_UNTIL_OPEN, step, type Change, type Circuit, type CircuitEvent } from './circuit'

const middle = () => 0.5
const MINUTE = 60_000
type Told = CircuitEvent extends infer E
  ? E extends CircuitEvent
    ? Omit<E, 'connectionId' | 'tenantId'>
    : never
  : never

/** Plays events of the given connections, one tenant each, with no time between them. */
function play(circuit: Circuit, ...events: readonly (readonly [connection: string, told: Told])[]) {
  let now = circuit
  const changes: (Change | undefined)[] = []
  for (const [connectionId, told] of events) {
    const change = step(now, { connectionId, tenantId: `t-${connectionId}`, ...told }, middle)
    changes.push(change)
    if (change !== undefined)
      now = {
        ...change.next,
        leftMs: change.openForMs ?? now.leftMs,
        closedForMs: change.closes ? 0 : now.closedForMs,
        runAgeMs: change.startsRun ? 0 : now.runAgeMs,
      }
  }
  return { now, changes, last: changes.at(-1) }
}
const weather = { kind: 'weather', code: 'http_502' } as const
const issued = { kind: 'issued' } as const
const fault = { kind: 'app_fault', code: 'invalid_client' } as const
const incident = { kind: 'incident', code: 'odd' } as const
const limited = (seconds: number) =>
  ({ kind: 'rate_limited', code: 'rate_limited', retryAfterMs: seconds * 1_000 }) as const
const names = (n: number) => Array.from({ length: n }, (_, i) => `c${i}`)
const over = (circuit: Circuit): Circuit => ({ ...circuit, state: 'half_open', leftMs: 15_000 })

describe('a run of weather', () => {
  it('opens with the fifth distinct connection, and one connection alone never opens it', () => {
    const alone = play(QUIET, ...Array.from({ length: 50 }, () => ['c', weather] as const))
    expect(alone.now).toMatchObject({ state: 'closed', run: ['c'] })
    const four = play(QUIET, ...names(RUN_UNTIL_OPEN - 1).map((c) => [c, weather] as const))
    expect(four.now.state).toBe('closed')
    const five = play(four.now, ['last', weather])
    expect(five.now).toMatchObject({ state: 'open', cause: 'weather', opens: 1, run: [] })
    expect(five.last).toMatchObject({ startsEpisode: true, openForMs: 5_000 })
  })

  it.each([['issued'], ['answered']] as const)('is broken by one answer that was %s', (kind) => {
    const events = names(4).map((c) => [c, weather] as const)
    const { now } = play(QUIET, ...events, ['x', { kind }], ...events)
    expect(now.state).toBe('closed')
  })

  it('that began long ago begins anew', () => {
    const { now } = play(QUIET, ...names(4).map((c) => [c, weather] as const))
    expect(play({ ...now, runAgeMs: 6 * MINUTE }, ['x', weather]).now.run).toEqual(['x'])
  })

  it('pauses for longer each time it is not over, at most for about a minute', () => {
    let { now } = play(QUIET, ...names(5).map((c) => [c, weather] as const))
    const pauses: number[] = []
    for (let n = 0; n < 6; n += 1) {
      const next = play(over(now), ['c', weather])
      pauses.push(next.last?.openForMs ?? 0)
      expect(next.last?.startsEpisode).toBe(false)
      now = next.now
    }
    expect(pauses).toEqual([10_000, 20_000, 40_000, 60_000, 60_000, 60_000])
  })

  it('ends with one success, and its answers that come late change nothing', () => {
    const { now } = play(QUIET, ...names(5).map((c) => [c, weather] as const))
    expect(play(now, ['late', weather]).last).toBeUndefined()
    expect(play(over(now), ['c', issued])).toMatchObject({ now: { state: 'closed' }, last: { closes: true } })
    expect(play(now, ['c', issued]).now.state).toBe('closed')
  })
})

describe('a rate limit', () => {
  it('is believed for a minute at first, and for as long as it says when it is confirmed, never beyond an hour', () => {
    const first = play(QUIET, ['a', limited(600)])
    expect(first.now).toMatchObject({ state: 'open', cause: 'rate_limited' })
    expect(first.last?.openForMs).toBe(MINUTE)
    expect(play(over(first.now), ['b', limited(600)]).last?.openForMs).toBe(600_000)
    expect(play(over(first.now), ['b', limited(10 * 365 * 86_400)]).last?.openForMs).toBe(3_600_000)
    expect(play(QUIET, ['a', limited(20)]).last?.openForMs).toBe(20_000)
    expect(play(QUIET, ['a', limited(-5)]).last?.openForMs).toBe(1_000)
  })

  it('is not over because a request that was under way is served', () => {
    const { now } = play(QUIET, ['a', limited(30)])
    expect(play(now, ['b', issued]).last).toBeUndefined()
    expect(play(over(now), ['b', issued]).now.state).toBe('closed')
  })
})

describe('a refused app', () => {
  it('opens at once, with one alarm for the episode', () => {
    const first = play(QUIET, ['a', fault])
    expect(first.now).toMatchObject({ state: 'open', cause: 'app_fault', code: 'invalid_client', tenants: ['t-a'] })
    expect(first.last).toMatchObject({ startsEpisode: true, openForMs: 30_000 })
    const second = play(over(first.now), ['b', fault])
    expect(second.last).toMatchObject({ startsEpisode: false, openForMs: 60_000 })
    expect(second.now.tenants).toEqual(['t-a', 't-b'])
  })

  it('is no more than one connection’s when another one is served: from then on that one stops nobody', () => {
    const { now } = play(QUIET, ['broken', fault], ['well', issued])
    expect(now).toMatchObject({ state: 'closed', lone: ['broken'] })
    expect(play(now, ['broken', fault]).last).toBeUndefined()
    expect(play(now, ['other', fault]).now.state).toBe('open')
    expect(play(now, ['broken', issued]).now.lone).toEqual([])
  })

  it('is nobody’s own when two connections agree', () => {
    const { now } = play(QUIET, ['a', fault], ['b', fault])
    expect(play(over(now), ['c', issued]).now).toMatchObject({ state: 'closed', lone: [] })
  })

  it('is a new episode after weather, and not soon after itself', () => {
    const storm = play(QUIET, ...names(5).map((c) => [c, weather] as const)).now
    expect(play(storm, ['x', fault])).toMatchObject({ now: { cause: 'app_fault' }, last: { startsEpisode: true } })
    const again = play(QUIET, ['a', fault], ['b', fault]).now
    const closed = play(over(again), ['b', issued]).now
    expect(play({ ...closed, closedForMs: MINUTE }, ['c', fault]).last?.startsEpisode).toBe(false)
    expect(play({ ...closed, closedForMs: 11 * MINUTE }, ['c', fault]).last?.startsEpisode).toBe(true)
  })
})

describe('an incident of the app', () => {
  it('is graver than all else, and answers under way that are fine do not end it', () => {
    const faulty = play(QUIET, ['a', fault]).now
    const opened = play(faulty, ['b', incident])
    expect(opened).toMatchObject({ now: { state: 'open', cause: 'incident' }, last: { startsEpisode: true } })
    expect(play(opened.now, ['c', issued]).last).toBeUndefined()
    expect(play(opened.now, ['d', fault]).now.cause).toBe('incident')
    expect(play(over(opened.now), ['c', { kind: 'answered' }]).last).toBeUndefined()
    expect(play(over(opened.now), ['c', issued]).now.state).toBe('closed')
  })

  it('names a bounded number of workspaces', () => {
    const { now } = play(QUIET, ...names(500).map((c) => [c, incident] as const))
    expect(now.tenants.length).toBe(20)
  })
})
