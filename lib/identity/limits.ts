/**
 * How often somebody may try. Three rings, counted in the database for all gateways together, before any other work:
 *
 *   pair     this account from this network: hard. Guessing stops here, and whoever guesses locks out only themself.
 *   network  any account from this network: hard. Stuffing many accounts stops here.
 *   account, everybody: soft. Guessing from many networks stops here for strangers, while a browser or network that the
 *            person has signed in from keeps working, so that nobody can lock out somebody else.
 *   device   this account from a browser that its person has signed in from: where a hard ring is full, a budget of its
 *            own. Whoever guesses beside them, in the same office or café, does not keep them out.
 *
 * Accounts are counted by a digest of the address, known or not. When the counters cannot be reached nothing is let through.
 *
 * @see OWASP ASVS 5.0 §6.3.1
 * @module
 */
import { createHash } from 'node:crypto'

import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible'

import type { RateLimitStore } from '../db/rate-limit-store'
import { AppError } from '../errors'

interface Rate {
  readonly points: number
  readonly seconds: number
}

type Rings = {
  readonly pair: Rate
  readonly network: Rate
  readonly account: Rate
  readonly everybody: Rate
  /** This account from one browser that its person has signed in from: stands in where a hard ring is full. */
  readonly device?: Rate
}

export const SIGN_IN_RATES = {
  password: {
    pair: { points: 10, seconds: 900 },
    network: { points: 100, seconds: 900 },
    account: { points: 50, seconds: 3_600 },
    everybody: { points: 600, seconds: 60 },
    device: { points: 10, seconds: 900 },
  },
  /** Six digits can be guessed: few a quarter of an hour, and for strangers few an hour in all. */
  code: {
    pair: { points: 6, seconds: 900 },
    network: { points: 60, seconds: 900 },
    account: { points: 10, seconds: 3_600 },
    everybody: { points: 600, seconds: 60 },
    device: { points: 6, seconds: 900 },
  },
  /** Nothing to guess: what is bounded is work. A challenge and its answer count one each. */
  passkey: {
    pair: { points: 120, seconds: 900 },
    network: { points: 120, seconds: 900 },
    account: { points: 600, seconds: 900 },
    everybody: { points: 2_400, seconds: 60 },
  },
  mail: {
    pair: { points: 8, seconds: 900 },
    network: { points: 40, seconds: 3_600 },
    account: { points: 12, seconds: 3_600 },
    everybody: { points: 300, seconds: 60 },
    device: { points: 8, seconds: 900 },
  },
  link: {
    pair: { points: 60, seconds: 900 },
    network: { points: 60, seconds: 900 },
    account: { points: 600, seconds: 900 },
    everybody: { points: 1_200, seconds: 60 },
  },
  /** Starts and returns of sign-ins elsewhere, and the questions that setting one up asks of others. */
  sso: {
    pair: { points: 60, seconds: 900 },
    network: { points: 60, seconds: 900 },
    account: { points: 600, seconds: 900 },
    everybody: { points: 1_200, seconds: 60 },
  },
} as const satisfies Record<string, Rings>

export type Attempt = keyof typeof SIGN_IN_RATES

export interface Attempter {
  /** Canonical e-mail address; absent where none is given. */
  readonly account?: string
  readonly network: string
  /** Whether the person has used this browser or network before. Asked only when a soft ring is full. */
  readonly isKnown: () => Promise<boolean>
  /** The browser, by the hash of its cookie, and whether the person has signed in from it before. Asked only when a hard ring is full. */
  readonly device?: { readonly hash: Buffer; readonly isKnown: () => Promise<boolean> }
}

export interface SignInLimits {
  /** @throws AppError `request.rate_limited`, or `service.unavailable` when the counters cannot be reached */
  count(attempt: Attempt, who: Attempter): Promise<void>
  /** A success: what it counted is given back, and the pair starts anew. */
  forgive(attempt: Attempt, who: Pick<Attempter, 'account' | 'network' | 'device'>): Promise<void>
}

export function createSignInLimits(store: RateLimitStore): SignInLimits {
  const limiters = new Map<string, RateLimiterPostgres>()
  for (const [attempt, rings] of Object.entries<Rings>(SIGN_IN_RATES))
    for (const [ring, rate] of Object.entries<Rate>(rings))
      limiters.set(
        `${attempt}.${ring}`,
        new RateLimiterPostgres({
          storeClient: store.pool,
          storeType: 'pool',
          tableName: 'rate_limit',
          tableCreated: true,
          keyPrefix: `${attempt}.${ring}`,
          points: rate.points,
          duration: rate.seconds,
        }),
      )
  const limiter = (attempt: Attempt, ring: keyof Rings): RateLimiterPostgres => {
    const found = limiters.get(`${attempt}.${ring}`)
    if (found === undefined) throw new AppError('internal', 'Something went wrong on our side.')
    return found
  }

  /** @returns undefined when there is room, else the seconds until there is */
  async function take(attempt: Attempt, ring: keyof Rings, key: string): Promise<number | undefined> {
    try {
      await limiter(attempt, ring).consume(key)
      return undefined
    } catch (error) {
      if (error instanceof RateLimiterRes) return Math.max(1, Math.ceil(error.msBeforeNext / 1_000))
      throw new AppError('service.unavailable', 'Signing in is not possible right now. Try again in a moment.', {
        cause: error,
        retryAfterSeconds: 5,
      })
    }
  }

  /** @returns undefined when this browser is known and its own budget has room */
  async function takeOwn(attempt: Attempt, { account, device }: Attempter): Promise<number | undefined> {
    if (account === undefined || device === undefined || !limiters.has(`${attempt}.device`)) return 1
    return (await device.isKnown()) ? take(attempt, 'device', deviceKey(account, device.hash)) : 1
  }

  return {
    async count(attempt, who) {
      const account = who.account === undefined ? undefined : accountKey(who.account)
      const hard: [keyof Rings, string][] = [['network', who.network]]
      const soft: [keyof Rings, string][] = [['everybody', 'all']]
      if (account !== undefined) {
        hard.unshift(['pair', `${account}:${who.network}`])
        soft.unshift(['account', account])
      }
      let own: Promise<number | undefined> | undefined
      for (const [ring, key] of hard) {
        const wait = await take(attempt, ring, key)
        if (wait === undefined) continue
        // Once for an attempt, however many rings are full.
        own ??= takeOwn(attempt, who)
        if ((await own) !== undefined) throw tooMany(wait)
      }
      for (const [ring, key] of soft) {
        const wait = await take(attempt, ring, key)
        if (wait !== undefined && !(await who.isKnown())) throw tooMany(wait)
      }
    },
    async forgive(attempt, who) {
      // Nothing is at stake: a counter that stays too high runs out by itself.
      const giveBack: Promise<unknown>[] = [
        limiter(attempt, 'network').reward(who.network),
        limiter(attempt, 'everybody').reward('all'),
      ]
      if (who.account !== undefined) {
        const account = accountKey(who.account)
        giveBack.push(limiter(attempt, 'pair').delete(`${account}:${who.network}`))
        giveBack.push(limiter(attempt, 'account').reward(account))
        if (who.device !== undefined && limiters.has(`${attempt}.device`))
          giveBack.push(limiter(attempt, 'device').delete(deviceKey(who.account, who.device.hash)))
      }
      await Promise.allSettled(giveBack)
    },
  }
}

/** Keeps addresses of people, and of people who are not ours, out of the table. */
const accountKey = (canonical: string) => createHash('sha256').update(canonical, 'utf8').digest('base64url')

const deviceKey = (account: string, browser: Buffer) => `${accountKey(account)}:${browser.toString('base64url')}`

function tooMany(seconds: number): AppError {
  return new AppError('request.rate_limited', 'Too many attempts. Wait a while, then try again.', {
    retryAfterSeconds: seconds,
  })
}
