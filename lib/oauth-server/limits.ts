/**
 * How often strangers may make us keep or fetch something. Hosted clients register anew for every connection and come
 * from few networks, so a network gets more than a person would ever need.
 *
 * @see RFC 7591 §5
 * @module
 */
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible'

import type { RateLimitStore } from '../db/rate-limit-store'
import { AppError } from '../errors'

export const OAUTH_RATES = {
  register: { network: { points: 60, seconds: 3_600 }, everybody: { points: 1_000, seconds: 3_600 } },
  // A row each, made by whoever knows a client's id, which is everybody.
  authorize: { network: { points: 300, seconds: 600 }, everybody: { points: 30_000, seconds: 600 } },
  document: { network: { points: 60, seconds: 600 }, everybody: { points: 1_200, seconds: 600 } },
} as const

export type OauthAttempt = keyof typeof OAUTH_RATES

export interface OauthLimits {
  /** @throws AppError `request.rate_limited`, or `service.unavailable` when the counters cannot be reached */
  count(attempt: OauthAttempt, network: string): Promise<void>
}

export function createOauthLimits(store: RateLimitStore): OauthLimits {
  const limiter = (name: string, rate: { readonly points: number; readonly seconds: number }) =>
    new RateLimiterPostgres({
      storeClient: store.pool,
      storeType: 'pool',
      tableName: 'rate_limit',
      tableCreated: true,
      keyPrefix: name,
      points: rate.points,
      duration: rate.seconds,
    })
  const rings = {
    register: {
      network: limiter('oauth.register.network', OAUTH_RATES.register.network),
      everybody: limiter('oauth.register.everybody', OAUTH_RATES.register.everybody),
    },
    authorize: {
      network: limiter('oauth.authorize.network', OAUTH_RATES.authorize.network),
      everybody: limiter('oauth.authorize.everybody', OAUTH_RATES.authorize.everybody),
    },
    document: {
      network: limiter('oauth.document.network', OAUTH_RATES.document.network),
      everybody: limiter('oauth.document.everybody', OAUTH_RATES.document.everybody),
    },
  }
  return {
    async count(attempt, network) {
      const { network: own, everybody } = rings[attempt]
      try {
        await own.consume(network)
        await everybody.consume('all')
      } catch (error) {
        if (error instanceof RateLimiterRes)
          throw new AppError('request.rate_limited', 'Too many requests of this kind. Wait a while, then try again.', {
            retryAfterSeconds: Math.max(1, Math.ceil(error.msBeforeNext / 1_000)),
          })
        throw new AppError('service.unavailable', 'This is not possible right now. Try again in a moment.', {
          cause: error,
          retryAfterSeconds: 5,
        })
      }
    },
  }
}
