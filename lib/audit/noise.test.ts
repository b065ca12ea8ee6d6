import { describe, expect, it } from 'vitest'

import type { Log } from '@/lib/log'

import { createNoise } from './noise'

function fixture() {
  let now = 1_700_000_000_000
  const lines: Record<string, unknown>[] = []
  const record = (facts: unknown) => void lines.push(facts as Record<string, unknown>) // what the module logs
  const log = { debug: record, info: record, warn: record, error: record, fatal: record } as unknown as Log // its methods that matter
  const noise = createNoise({ clock: { now: () => new Date(now) }, log, sample: 2 })
  return { noise, lines, advance: (ms: number) => (now += ms) }
}

describe('unauthenticated noise', () => {
  it('logs the first of a source and counts the rest', () => {
    const { noise, lines, advance } = fixture()
    for (let i = 0; i < 1_000; i += 1) noise.count('mcp_unauthenticated', '203.0.113.1')
    expect(lines).toHaveLength(2)
    advance(60_000)
    noise.count('mcp_unauthenticated', '203.0.113.1')
    expect(lines).toContainEqual({ kind: 'mcp_unauthenticated', count: 1_000, logged: 2 })
    expect(noise.totals()).toEqual({ mcp_unauthenticated: 1_001 })
  })

  it('logs another source although the first is loud', () => {
    const { noise } = fixture()
    for (let i = 0; i < 100; i += 1) noise.count('x', '203.0.113.1')
    expect(noise.count('x', '203.0.113.2')).toBe(true)
  })

  it('does not log a flood from ever new sources line by line', () => {
    const { noise, lines } = fixture()
    for (let i = 0; i < 50_000; i += 1) noise.count('x', `2001:db8::${i.toString(16)}`)
    expect(lines.length).toBeLessThan(100)
    expect(noise.totals()).toEqual({ x: 50_000 })
  })

  it('keeps a bounded number of kinds', () => {
    const { noise } = fixture()
    for (let i = 0; i < 10_000; i += 1) noise.count(`kind_${i}`, 'a')
    expect(Object.keys(noise.totals()).length).toBeLessThanOrEqual(65)
  })

  it('starts a new minute when the clock goes back', () => {
    const { noise, advance } = fixture()
    noise.count('x', 'a')
    noise.count('x', 'a')
    expect(noise.count('x', 'a')).toBe(false)
    advance(-3_600_000)
    expect(noise.count('x', 'a')).toBe(true)
  })
})
