/**
 * A queue of its own for a test, on the backend that `PORTCULLIS_TEST_QUEUE` names: `postgres` (the default) or `redis`.
 *
 * @module
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'

import { Redis } from 'ioredis'

import { freePort } from '../../launcher/processes.mjs'
import type { BackendConfig } from '../queue/backend'
import { createTestDatabases } from './database'

export interface TestQueueBackend {
  readonly kind: 'postgres' | 'redis'
  readonly config: BackendConfig
  /** Everything in it is lost, as after a restart of a Redis without a disk. */
  flush(): Promise<void>
  close(): Promise<void>
}

const REDIS_SERVER = '/usr/bin/redis-server'

export async function createTestQueueBackend(): Promise<TestQueueBackend> {
  const wanted = process.env['PORTCULLIS_TEST_QUEUE'] ?? 'postgres'
  if (wanted === 'redis') return startRedis()
  if (wanted !== 'postgres') throw new Error(`PORTCULLIS_TEST_QUEUE: ${wanted} is neither postgres nor redis`)
  const db = await createTestDatabases()
  return {
    kind: 'postgres',
    config: { databaseUrl: db.urls.app, redisUrl: undefined },
    flush: async () => {
      const tables = await db.adminQuery(
        'app',
        "SELECT string_agg(format('bullmq.%I', tablename), ', ') AS names FROM pg_tables WHERE schemaname = 'bullmq' AND tablename <> 'migration'",
      )
      await db.adminQuery('app', `TRUNCATE ${String(tables[0]?.['names'])}`)
    },
    close: () => db.close(),
  }
}

async function startRedis(): Promise<TestQueueBackend> {
  if (!existsSync(REDIS_SERVER))
    throw new Error(`The queue tests on Redis need ${REDIS_SERVER} (Debian: apt-get install redis-server).`)
  const port = await freePort()
  const child = spawn(
    REDIS_SERVER,
    [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--maxmemory-policy',
      'noeviction',
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  )
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`redis-server ended with ${String(code)}`)))
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.includes('Ready to accept connections')) resolve()
    })
  })
  const url = `redis://127.0.0.1:${port}`
  return {
    kind: 'redis',
    config: { databaseUrl: undefined, redisUrl: url },
    flush: async () => {
      const client = new Redis(url)
      await client.flushall()
      client.disconnect()
    },
    close: () =>
      new Promise((resolve) => {
        child.removeAllListeners('exit')
        child.once('exit', () => {
          resolve()
        })
        child.kill('SIGKILL')
      }),
  }
}
