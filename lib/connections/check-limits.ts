/**
 * How often a connection may be tested: each test spends a request of the account at its provider, and may spend a refresh
 * token. Counted in the database for all gateways together; when the counters cannot be reached nothing is tested.
 *
 * @module
 */
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible'

import type { RateLimitStore } from '../db/rate-limit-store'
import { AppError } from '../errors'
import type { ConnectionId, TenantId } from '../ids'

export const CHECK_RATES = {
  connection: { points: 6, seconds: 60 },
  tenant: { points: 60, seconds: 60 },
} as const

export interface CheckLimits {
  /** @throws AppError `request.rate_limited`, or `service.unavailable` when the counters cannot be reached */
  count(tenantId: TenantId, connectionId: ConnectionId): Promise<void>
}

export function createCheckLimits(store: RateLimitStore): CheckLimits {
  const limiter = (ring: keyof typeof CHECK_RATES) =>
    new RateLimiterPostgres({
      storeClient: store.pool,
      storeType: 'pool',
      tableName: 'rate_limit',
      tableCreated: true,
      keyPrefix: `check.${ring}`,
      points: CHECK_RATES[ring].points,
      duration: CHECK_RATES[ring].seconds,
    })
  const rings = { connection: limiter('connection'), tenant: limiter('tenant') }

  const take = async (ring: keyof typeof rings, key: string) => {
    try {
      await rings[ring].consume(key)
    } catch (error) {
      if (error instanceof RateLimiterRes)
        throw new AppError('request.rate_limited', 'This was tested often just now. Wait a while, then test again.', {
          retryAfterSeconds: Math.max(1, Math.ceil(error.msBeforeNext / 1_000)),
        })
      throw new AppError('service.unavailable', 'Testing is not possible right now. Try again in a moment.', {
        cause: error,
        retryAfterSeconds: 5,
      })
    }
  }
  return {
    // The narrow ring first: one connection pressed again and again does not use up its workspace's share.
    count: async (tenantId, connectionId) => {
      await take('connection', `${tenantId} ${connectionId}`)
      await take('tenant', tenantId)
    },
  }
}
