/** Every entrance answers whoever has an account and whoever has none in the same way, and nobody is shut out by another. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { AppError } from '@/lib/errors'
import { SIGN_IN_RATES } from '@/lib/identity/limits'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity, newBrowser, PASSWORD, type TestBrowser, type TestIdentity } from '@/lib/testing/identity'
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

const codeOf = (work: Promise<unknown>) => outcomeOf(work, 'let through')

/** What a browser can tell: the answer, or each part of the refusal. */
const answerOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    (value) => ({ value: typeof value }),
    (error: unknown) =>
      error instanceof AppError
        ? { code: error.code, message: error.message, field: error.field, retry: error.retryAfterSeconds }
        : error,
  )

const TABLES = ['email_token', 'mail', 'web_session', 'person', 'passkey_challenge', 'sign_in_attempt', 'rate_limit']
/** What an attempt leaves behind: rows of each table, and how many secrets were computed. */
async function tracesOf(work: () => Promise<unknown>): Promise<unknown> {
  const count = async () => {
    const [row] = await db.adminQuery(
      'app',
      `SELECT ${TABLES.map((table) => `(SELECT count(*)::int FROM ${table}) AS ${table}`).join(', ')}`,
    )
    return row ?? {}
  }
  const before = await count()
  id.computed.length = 0
  id.verified.length = 0
  const announced = id.announced.length
  const answer = await work()
  const after = await count()
  return {
    answer,
    rows: TABLES.map((table) => Number(after[table]) - Number(before[table])),
    computed: [...id.computed],
    verified: [...id.verified],
    announced: id.announced.length - announced,
  }
}

type Entrance = readonly [string, (email: string, browser: TestBrowser) => Promise<unknown>]
const ENTRANCES: readonly Entrance[] = [
  ['a password', (email, browser) => id.signIn.withPassword(email, 'not the password', browser)],
  ['a link by mail', (email, browser) => id.signIn.askForMagicLink(email, browser)],
  ['a new password', (email, browser) => id.credentials.askToResetPassword(email, browser)],
  ['signing up', (email, browser) => id.signUp.askToSignUp(email, browser)],
  ['a passkey', (_, browser) => id.signIn.askForPasskey(browser)],
]

describe('whether an address has an account', () => {
  it.each(ENTRANCES)('shows neither in the answer nor in what is done for it: %s', async (name, ask) => {
    const known = `known-${name.replaceAll(' ', '-')}@example.com`
    const off = `off-${name.replaceAll(' ', '-')}@example.com`
    await id.person(known)
    const { personId } = await id.person(off)
    await db.adminQuery('app', 'UPDATE person SET disabled_at = now() WHERE id = $1', [personId])
    // What is counted for everybody together is there from now on.
    await answerOf(ask(`first-${known}`, newBrowser()))
    const traces: unknown[] = []
    for (const email of [known, off, `un${known}`])
      traces.push(await tracesOf(() => answerOf(ask(email, newBrowser()))))
    expect(traces[1]).toEqual(traces[0])
    expect(traces[2]).toEqual(traces[0])
  })

  it.each(ENTRANCES)('nor in how often it may be tried from one network: %s', async (name, ask) => {
    const known = `often-${name.replaceAll(' ', '-')}@example.com`
    await id.person(known)
    const tries: number[] = []
    for (const email of [known, `un${known}`]) {
      const browser = newBrowser()
      let through = 0
      while ((await codeOf(ask(email, browser))) !== 'request.rate_limited' && through < 200) through += 1
      tries.push(through)
    }
    expect(tries[0]).toBe(tries[1])
    expect(tries[0]).toBeLessThan(200)
  })
})

describe('a crowd that tries one account', () => {
  it.each(['password', 'code', 'mail'] as const)(
    'is stopped, and shuts out nobody who has been here before: %s',
    async (attempt) => {
      const account = `crowd-${attempt}@example.com`
      await id.person(account)
      const own = newBrowser()
      await id.activate(await id.signIn.withPassword(account, PASSWORD, own), own)
      const as = (browser: TestBrowser) => ({
        account,
        network: browser.network,
        isKnown: () => id.sessions.isKnown(account, browser.browserHash, browser.network),
        device: {
          hash: browser.browserHash,
          isKnown: () => id.sessions.isKnown(account, browser.browserHash, undefined),
        },
      })
      const { account: rate, pair } = SIGN_IN_RATES[attempt]
      for (let n = 0; n < rate.points; n += 1) await codeOf(id.limits.count(attempt, as(newBrowser())))
      expect(await codeOf(id.limits.count(attempt, as(newBrowser())))).toBe('request.rate_limited')
      // From the browser of before, wherever it is now, and from its network in another browser.
      expect(await codeOf(id.limits.count(attempt, as({ ...own, network: newBrowser().network })))).toBe('let through')
      expect(await codeOf(id.limits.count(attempt, as(newBrowser(own.network))))).toBe('let through')
      // Nor does whoever sits beside them, at the same address, until it is full there.
      for (let n = 0; n < pair.points + 2; n += 1) await codeOf(id.limits.count(attempt, as(newBrowser(own.network))))
      expect(await codeOf(id.limits.count(attempt, as(newBrowser(own.network))))).toBe('request.rate_limited')
      expect(await codeOf(id.limits.count(attempt, as(own)))).toBe('let through')
      // Another account is none of this.
      expect(
        await codeOf(id.limits.count(attempt, { ...as(newBrowser()), account: `another-${attempt}@example.com` })),
      ).toBe('let through')
    },
  )
})
