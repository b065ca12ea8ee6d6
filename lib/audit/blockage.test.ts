import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import { createBlockage } from './blockage'

describe('what is remembered of a table that does not answer', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('is asked by one probe at a time, and forgotten when that passes', async () => {
    let probes = 0
    let isAway = true
    const changes: boolean[] = []
    const blockage = createBlockage({
      everyMs: 1_000,
      probe: () => {
        probes += 1
        return isAway ? Promise.reject(new Error('locked')) : Promise.resolve()
      },
      onChange: (isBlocked) => changes.push(isBlocked),
    })
    expect(blockage.isBlocked).toBe(false)
    for (let i = 0; i < 20; i += 1) blockage.report()
    await vi.advanceTimersByTimeAsync(0)
    expect([blockage.isBlocked, probes]).toEqual([true, 1])
    for (let i = 0; i < 20; i += 1) blockage.report()
    await vi.advanceTimersByTimeAsync(2_999)
    expect([blockage.isBlocked, probes]).toEqual([true, 3])
    isAway = false
    await vi.advanceTimersByTimeAsync(1)
    expect([blockage.isBlocked, probes]).toEqual([false, 4])
    await vi.advanceTimersByTimeAsync(60_000)
    expect(probes).toBe(4)
    expect(changes).toEqual([true, false])
  })

  it('is forgotten at once when the fault was the record’s own', async () => {
    const blockage = createBlockage({ probe: () => Promise.resolve() })
    blockage.report()
    await vi.advanceTimersByTimeAsync(0)
    expect(blockage.isBlocked).toBe(false)
  })

  it('is asked no more once it is closed', async () => {
    let probes = 0
    const blockage = createBlockage({
      everyMs: 1_000,
      probe: () => {
        probes += 1
        return Promise.reject(new Error('away'))
      },
    })
    blockage.report()
    await vi.advanceTimersByTimeAsync(0)
    blockage.close()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(probes).toBe(1)
  })
})
