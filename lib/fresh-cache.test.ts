import { describe, expect, it } from 'vitest'

import { FreshCache } from './fresh-cache'

function arrange() {
  let now = 1_000_000
  let loads = 0
  const cache = new FreshCache<{ n: number }>({
    maxEntries: 2,
    maxAgeMs: 1_500,
    refreshAfterMs: 1_000,
    clock: { now: () => new Date(now) },
  })
  return {
    cache,
    load: () => Promise.resolve({ n: (loads += 1) }),
    advance: (ms: number) => {
      now += ms
    },
    loads: () => loads,
  }
}

describe('a fresh cache', () => {
  it('gives out nothing at its hard age or older', async () => {
    const { cache, load, advance } = arrange()
    await cache.get('a', load)
    advance(999)
    expect(await cache.get('a', load)).toEqual({ n: 1 })
    advance(501)
    expect(await cache.get('a', load)).toEqual({ n: 2 })
  })

  it('loads a busy key again before it expires, in the background', async () => {
    const { cache, load, advance, loads } = arrange()
    await cache.get('a', load)
    advance(1_200)
    expect(await cache.get('a', load)).toEqual({ n: 1 })
    expect(loads()).toBe(2)
    advance(400)
    expect(await cache.get('a', load)).toEqual({ n: 2 })
  })

  it('counts the age from before the load, however long that took', async () => {
    const { cache, load, advance } = arrange()
    let finish: (value: { n: number }) => void = () => undefined
    const slow = cache.get('a', () => new Promise((resolve) => (finish = resolve)))
    advance(1_500)
    finish({ n: 99 })
    expect(await slow).toEqual({ n: 99 })
    expect(await cache.get('a', load)).toEqual({ n: 1 })
  })

  it('shares one load among those who ask together', async () => {
    const { cache, load, loads } = arrange()
    await Promise.all(Array.from({ length: 50 }, () => cache.get('a', load)))
    expect(loads()).toBe(1)
  })

  it('does not keep what was invalidated while it was loading', async () => {
    const { cache, load } = arrange()
    let finish: (value: { n: number }) => void = () => undefined
    const before = cache.get('a', () => new Promise((resolve) => (finish = resolve)))
    cache.delete('a')
    finish({ n: 99 })
    await before
    expect(await cache.get('a', load)).toEqual({ n: 1 })
  })

  it('forgets by value, and is not fooled by a clock set back', async () => {
    const { cache, load, advance } = arrange()
    await cache.get('a', load)
    cache.deleteWhere(({ n }) => n === 1)
    expect(await cache.get('a', load)).toEqual({ n: 2 })
    advance(-10)
    expect(await cache.get('a', load)).toEqual({ n: 3 })
  })

  it('does not remember a failure', async () => {
    const { cache, load } = arrange()
    await expect(cache.get('a', () => Promise.reject(new Error('down')))).rejects.toThrow('down')
    expect(await cache.get('a', load)).toEqual({ n: 1 })
  })
})
