/** What is opened stays in memory for a bounded time and in a bounded number, and its bytes are zero when it goes. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import { newId } from '@/lib/ids'

import { createCredentialCache } from './cache'
import { labelled, unlabelled, type Kek } from './kek/kek'
import { createTenantKeys } from './tenant-keys'

const isZero = (bytes: Uint8Array) => bytes.every((byte) => byte === 0)

/** A KEK that wraps nothing and remembers every buffer it handed out: those are the ones that are to be zeroed. */
function watchedKek(): Kek & { readonly handedOut: Buffer[] } {
  const handedOut: Buffer[] = []
  return {
    handedOut,
    activeId: () => Promise.resolve('watched'),
    ids: () => Promise.resolve(['watched']),
    isRetired: () => Promise.resolve(false),
    wrap: (plain) => Promise.resolve(labelled('watched', plain)),
    unwrap: (wrapped) => {
      const key = Buffer.from(unlabelled('watched', wrapped))
      handedOut.push(key)
      return Promise.resolve(key)
    },
    rotate: () => Promise.resolve('watched'),
    retire: () => Promise.resolve('destroyed'),
    close: () => Promise.resolve(),
  }
}

let keyStoreDir: string
beforeEach(async () => {
  keyStoreDir = await mkdtemp(path.join(tmpdir(), 'portcullis-memory-'))
})
afterEach(async () => {
  vi.useRealTimers()
  await rm(keyStoreDir, { recursive: true, force: true })
})

describe('an opened tenant key', () => {
  /** Opens keys of several tenants. @returns the buffers that the cache keeps, by tenant */
  const openSome = async (count: number, options: { readonly maxKeys?: number; readonly maxAgeMs?: number }) => {
    const kek = watchedKek()
    const made = createTenantKeys({ kek, keyStoreDir })
    const tenants = Array.from({ length: count }, () => newId('tenant'))
    for (const tenantId of tenants) await made.current(tenantId, 'vault')
    made.forget()
    kek.handedOut.length = 0
    const keys = createTenantKeys({ kek, keyStoreDir, ...options })
    for (const tenantId of tenants) await keys.at(tenantId, 'vault', 1)
    return { keys, kek, tenants, buffers: [...kek.handedOut] }
  }

  it('is zeroed when others take its place, and opens again when it is asked for', async () => {
    const { keys, buffers, tenants } = await openSome(5, { maxKeys: 2 })
    expect(buffers.map(isZero)).toEqual([true, true, true, false, false])
    const [first] = tenants
    if (first === undefined) throw new Error('none')
    expect(isZero(await keys.at(first, 'vault', 1))).toBe(false)
    keys.forget()
  })

  it('is zeroed when its time is over, though nobody asks again', async () => {
    const { buffers } = await openSome(2, { maxAgeMs: 100 })
    await vi.waitFor(() => expect(buffers.map(isZero)).toEqual([true, true]), 5_000)
  })

  it('is zeroed when its version is destroyed, and when the process lets go of its keys', async () => {
    const { keys, buffers, tenants } = await openSome(2, {})
    const [first] = tenants
    if (first === undefined) throw new Error('none')
    await keys.destroy(first, 'vault', 1)
    expect(buffers.map(isZero)).toEqual([true, false])
    keys.forget()
    expect(buffers.map(isZero)).toEqual([true, true])
  })

  it('that a caller was given is its own: it stays when the one in memory goes', async () => {
    const { keys, tenants, kek } = await openSome(1, {})
    const [first] = tenants
    if (first === undefined) throw new Error('none')
    const mine = await keys.at(first, 'vault', 1)
    keys.forget()
    expect(isZero(mine)).toBe(false)
    expect(kek.handedOut.every(isZero)).toBe(true)
  })

  it('of two hundred callers at once with no room for one is each caller’s own all the same', async () => {
    const { keys, tenants } = await openSome(20, { maxKeys: 1 })
    const opened = await Promise.all(
      Array.from({ length: 200 }, (_, index) => keys.at(tenants[index % 20] ?? newId('tenant'), 'vault', 1)),
    ).catch((error: unknown) => error)
    // Never zeros: a key or a refusal that passes.
    if (Array.isArray(opened)) expect(opened.some((key: Buffer) => isZero(key))).toBe(false)
    else expect(opened).toMatchObject({ code: 'vault.key_unavailable', retry: 'later' })
    keys.forget()
  })
})

describe('an opened access token', () => {
  const tokenOf = (cache: ReturnType<typeof createCredentialCache>, name: string) => {
    const bytes = Buffer.from(`token ${name}`)
    cache.keepToken(name, 1, bytes)
    return bytes
  }

  it('is zeroed when others take its place, when it is replaced and when it is forgotten', () => {
    const cache = createCredentialCache(() => performance.now(), { tokens: 2 })
    const [a, b, c] = [tokenOf(cache, 'a'), tokenOf(cache, 'b'), tokenOf(cache, 'c')]
    expect([a, b, c].map(isZero)).toEqual([true, false, false])
    const next = tokenOf(cache, 'b')
    expect([b, next].map(isZero)).toEqual([true, false])
    cache.forget('c')
    expect(isZero(c)).toBe(true)
    expect(cache.token('c', 1)).toBeUndefined()
    cache.forget('b')
  })

  it('is zeroed after a minute, though nobody asks again', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    let now = 1_000
    const pass = (ms: number) => {
      now += ms
      vi.advanceTimersByTime(ms)
    }
    const cache = createCredentialCache(() => now)
    const token = tokenOf(cache, 'a')
    pass(59_000)
    expect(isZero(token)).toBe(false)
    pass(2_000)
    expect(isZero(token)).toBe(true)
  })
})
