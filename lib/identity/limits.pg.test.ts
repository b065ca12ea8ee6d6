import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { canonicalNetwork } from '@/gateway/client-address'
import { createRateLimitStore } from '@/lib/db/rate-limit-store'
import type { AppError } from '@/lib/errors'
import { createSignInLimits, SIGN_IN_RATES } from '@/lib/identity/limits'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity, newBrowser, PASSWORD, type TestIdentity } from '@/lib/testing/identity'
import { codeOf as outcomeOf } from '@/lib/testing/principal'

let db: TestDatabases
let id: TestIdentity

beforeAll(async () => {
  db = await createTestDatabases({ max: 16 })
  id = createTestIdentity(db)
})
afterAll(async () => {
  await id.close()
  await db.close()
})

const stranger = () => Promise.resolve(false)
const codeOf = (work: Promise<unknown>) => outcomeOf(work, 'allowed')
/** How many of n attempts at once are let through. */
async function allowed(n: number, attempt: (index: number) => Promise<unknown>): Promise<number> {
  const codes = await Promise.all(Array.from({ length: n }, (_, index) => codeOf(attempt(index))))
  return codes.filter((code) => code === 'allowed').length
}

describe('limits of signing in', () => {
  const { pair, network, account } = SIGN_IN_RATES.password

  it('stop guessing one account from one network, even when all guesses come at once', async () => {
    const guess = () =>
      id.limits.count('password', { account: 'pair@example.com', network: '192.0.2.1', isKnown: stranger })
    expect(await allowed(pair.points + 15, guess)).toBe(pair.points)
  })

  it('lock out the guesser and not the person, who signs in from elsewhere', async () => {
    const here = { account: 'pair@example.com', network: '192.0.2.2', isKnown: stranger }
    expect(await codeOf(id.limits.count('password', here))).toBe('allowed')
  })

  it('count all addresses of one IPv6 /64 as one network, and an IPv4 address however it is written', async () => {
    const from = (address: string) =>
      id.limits.count('password', {
        account: 'six@example.com',
        network: canonicalNetwork(address),
        isKnown: stranger,
      })
    const rotating = await allowed(pair.points + 10, (index) => from(`2001:db8:1:2:${index.toString(16)}::${index}`))
    expect(rotating).toBe(pair.points)
    expect(await codeOf(from('2001:db8:1:3::1'))).toBe('allowed')
    const mapped = await allowed(pair.points + 4, (index) =>
      from(index % 2 === 0 ? '203.0.113.7' : '::ffff:203.0.113.7'),
    )
    expect(mapped).toBe(pair.points)
  })

  it('stop one network that tries many accounts', async () => {
    const stuff = (index: number) =>
      id.limits.count('password', { account: `a${index}@example.com`, network: '192.0.2.3', isKnown: stranger })
    expect(await allowed(network.points + 20, stuff)).toBe(network.points)
  })

  it('stop a crowd of networks on one account, but never a browser the person used before', async () => {
    const crowd = (index: number) =>
      id.limits.count('password', { account: 'crowd@example.com', network: `198.51.100.${index}`, isKnown: stranger })
    expect(await allowed(account.points + 30, crowd)).toBe(account.points)
    const own = { account: 'crowd@example.com', network: '203.0.113.99', isKnown: () => Promise.resolve(true) }
    expect(await codeOf(id.limits.count('password', own))).toBe('allowed')
  })

  it('leave a browser that the person used before its own budget, whoever guesses from the same network', async () => {
    await id.person('office@example.com')
    const own = newBrowser('192.0.2.77')
    await id.activate(await id.signIn.withPassword('office@example.com', PASSWORD, own), own)
    const guesses: string[] = []
    for (let guess = 0; guess <= pair.points; guess += 1)
      guesses.push(await codeOf(id.signIn.withPassword('office@example.com', 'wrong', newBrowser('192.0.2.77'))))
    expect(guesses.at(-1)).toBe('request.rate_limited')
    // The guesser's next browser, even with the right password, and the person's own.
    expect(await codeOf(id.signIn.withPassword('office@example.com', PASSWORD, newBrowser('192.0.2.77')))).toBe(
      'request.rate_limited',
    )
    expect(await codeOf(id.signIn.withPassword('office@example.com', PASSWORD, own))).toBe('allowed')
    // Its budget is one: whoever stole that browser's name guesses no more than anybody.
    const stolen: string[] = []
    for (let guess = 0; guess < 2 * pair.points + 3; guess += 1)
      stolen.push(await codeOf(id.signIn.withPassword('office@example.com', 'wrong', own)))
    expect(stolen.filter((code) => code === 'auth.unauthenticated').length).toBeLessThanOrEqual(2 * pair.points)
    expect(stolen.at(-1)).toBe('request.rate_limited')
  })

  it('know a browser or a network by a session that was really used', async () => {
    await id.person('known@example.com')
    const browser = newBrowser()
    const ticket = await id.signIn.withPassword('known@example.com', PASSWORD, browser)
    const isKnown = (hash: Buffer, from: string) => id.sessions.isKnown('known@example.com', hash, from)
    expect(await isKnown(browser.browserHash, browser.network)).toBe(false)
    await id.activate(ticket, browser)
    expect(await isKnown(browser.browserHash, '192.0.2.200')).toBe(true)
    expect(await isKnown(newBrowser().browserHash, browser.network)).toBe(true)
    expect(await isKnown(newBrowser().browserHash, '192.0.2.200')).toBe(false)
    expect(await id.sessions.isKnown('other@example.com', browser.browserHash, browser.network)).toBe(false)
  })

  it('are given back by a success, so that ordinary use never runs into them', async () => {
    await id.person('busy@example.com')
    const browser = newBrowser()
    for (let index = 0; index < pair.points + 5; index += 1)
      await id.signIn.withPassword('busy@example.com', PASSWORD, browser)
  })

  it('say when to come back', async () => {
    const error = await id.limits
      .count('password', { account: 'pair@example.com', network: '192.0.2.1', isKnown: stranger })
      .catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'request.rate_limited' })
    const { retryAfterSeconds } = error as AppError
    expect(retryAfterSeconds).toBeGreaterThan(0)
    expect(retryAfterSeconds).toBeLessThanOrEqual(pair.seconds)
  })

  it('keep no address of anybody in their table', async () => {
    const rows = await db.adminQuery('app', 'SELECT string_agg(key, chr(10)) AS keys FROM rate_limit')
    expect(rows[0]?.['keys']).not.toContain('example')
  })

  it('let nobody through when they cannot be counted', async () => {
    const away = createRateLimitStore('postgres://portcullis_app:x@127.0.0.1:1/nothing')
    const limits = createSignInLimits(away)
    expect(
      await codeOf(
        limits.count('password', { account: 'a@example.com', network: 'x', isKnown: () => Promise.resolve(true) }),
      ),
    ).toBe('service.unavailable')
    await away.close()
  })
})
