/**
 * A process of its own that takes one connection from a pool and asks it something, to see whether it lives through what
 * the server does to it.
 *
 * @module
 */
import type { Pool } from 'pg'

import { createRolePool } from '../db/pool'
import { createRateLimitStore } from '../db/rate-limit-store'

export interface PoolOrder {
  readonly url: string
  readonly pool: 'product' | 'limiter'
  /** As if nobody listened to new connections. */
  readonly isDeaf: boolean
}

export interface PoolReport {
  readonly asked: 'answered' | 'failed'
}

const order = JSON.parse(process.argv[2] ?? '{}') as PoolOrder // written by the test
const pool =
  order.pool === 'product'
    ? createRolePool(order.url, 'portcullis_app', 2)
    : (createRateLimitStore(order.url).pool as Pool) // what it is, and only the limiter's library need not know
if (order.isDeaf) pool.removeAllListeners('connect')

// Twice: what ends a process ends it between two turns of the loop, not while it is asked.
await ask()
const asked = await ask()
const report: PoolReport = { asked }
process.send?.(report, () => process.exit(0))

async function ask(): Promise<PoolReport['asked']> {
  // As a transaction does it: between the connection and its first statement there is a turn in which nobody listens.
  const client = await pool.connect()
  try {
    await client.query('SELECT 1')
    return 'answered'
  } catch {
    return 'failed'
  } finally {
    client.release(true)
  }
}
