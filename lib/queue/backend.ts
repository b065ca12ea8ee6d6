/**
 * Where the queue lives: in Redis when there is one, else in the application database. Nothing else in the product knows
 * which.
 *
 * @module
 */
import {
  createPostgresBackend,
  Queue,
  runMigrations,
  withBackend,
  Worker,
  type JobsOptions,
  type PgPool,
  type Processor,
  type WorkerOptions,
} from 'bullmq'
import { Redis } from 'ioredis'
import pg from 'pg'

import { survivesItsServer } from '../db/pool'
import { AppError } from '../errors'
import type { Log } from '../log'

export interface BackendConfig {
  readonly databaseUrl: string | undefined
  readonly redisUrl: string | undefined
}

/** The part of a queue that is used here; both backends have it. */
export interface LaneQueue {
  add(name: string, data: unknown, options: JobsOptions): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): unknown
  upsertJobScheduler(
    id: string,
    repeat: { readonly every: number },
    template: {
      readonly name: string
      readonly data: unknown
      readonly opts: Omit<JobsOptions, 'jobId' | 'repeat' | 'delay' | 'deduplication'>
    },
  ): Promise<unknown>
  getJobSchedulers(start: number, end: number): Promise<readonly ScheduleFacts[]>
  removeJobScheduler(id: string): Promise<boolean>
  getFailed(start: number, end: number): Promise<readonly JobFacts[]>
  getJobCounts(): Promise<Record<string, number>>
  close(): Promise<void>
}
export interface ScheduleFacts {
  readonly key: string
  readonly every?: number | undefined
  readonly next?: number | undefined
}
export interface JobFacts {
  readonly name: string
  readonly id?: string | undefined
  readonly data: unknown
  readonly failedReason?: string | undefined
  readonly attemptsMade: number
  readonly finishedOn?: number | undefined
}
export interface LaneWorker {
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'failed', listener: (job: JobFacts | undefined, error: Error) => void): unknown
  run(): Promise<void>
  close(): Promise<void>
}

export interface QueueBackend {
  readonly kind: 'postgres' | 'redis'
  /** Makes the tables there are to make. Safe for several processes at once. */
  prepare(): Promise<void>
  queue(lane: string): LaneQueue
  worker(lane: string, processor: Processor, options: Omit<WorkerOptions, 'connection' | 'prefix'>): LaneWorker
  /** Closes the connections, after the queues and workers are closed. */
  close(): Promise<void>
}

const SCHEMA = 'bullmq'
const PREFIX = 'portcullis'

/** @throws AppError `config.invalid` when there is neither Redis nor a database */
export function createBackend(config: BackendConfig, log: Log): QueueBackend {
  if (config.redisUrl !== undefined) return createRedisBackend(config.redisUrl, log)
  if (config.databaseUrl !== undefined) return createPostgresQueueBackend(config.databaseUrl, log)
  throw new AppError('config.invalid', 'REDIS_URL, DATABASE_URL: the queue needs one of them')
}

function createRedisBackend(url: string, log: Log): QueueBackend {
  const connections: Redis[] = []
  const connect = (options: { readonly waits: boolean }) => {
    // A worker waits for Redis to come back; who adds a job must not, because what it announces is in a table.
    const connection = new Redis(
      url,
      options.waits
        ? { maxRetriesPerRequest: null }
        : { maxRetriesPerRequest: 1, enableOfflineQueue: true, commandTimeout: 3_000, connectTimeout: 2_000 },
    )
    connection.on('error', (error) => log.warn({ err: error }, 'the queue’s connection has trouble'))
    connections.push(connection)
    return connection
  }
  return {
    kind: 'redis',
    prepare: () => Promise.resolve(),
    queue: (lane) => new Queue(lane, { connection: connect({ waits: false }), prefix: PREFIX }),
    worker: (lane, processor, options) =>
      new Worker(lane, processor, { ...options, connection: connect({ waits: true }), prefix: PREFIX }),
    close: () => {
      for (const connection of connections) connection.disconnect()
      return Promise.resolve()
    },
  }
}

function createPostgresQueueBackend(databaseUrl: string, log: Log): QueueBackend {
  const { Queue: PgQueue, Worker: PgWorker } = withBackend(createPostgresBackend)
  // Our own pool: the library can make one only where `require` exists. Each worker keeps one connection to listen on.
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    options: `-c role=portcullis_app -c search_path=${SCHEMA}`,
    application_name: 'portcullis-queue',
    max: 8,
    connectionTimeoutMillis: 4_000,
    keepAlive: true,
  })
  pool.on('error', (error) => log.warn({ err: error }, 'an idle connection of the queue was lost'))
  survivesItsServer(pool)
  const connection = pool as unknown as PgPool // the library describes the part of pg.Pool it uses without its overloads
  return {
    kind: 'postgres',
    prepare: async () => {
      const client = await pool.connect()
      try {
        // The schema was made by the migration; the role that runs this may not make any, and need not.
        const query = (text: string, values?: readonly unknown[]) =>
          text.startsWith('CREATE SCHEMA')
            ? Promise.resolve({ rows: [] })
            : client.query(text, values === undefined ? undefined : [...values])
        await runMigrations({ query: query as Parameters<typeof runMigrations>[0]['query'] }, SCHEMA) // its rows are untyped
      } finally {
        client.release()
      }
    },
    queue: (lane) => new PgQueue(lane, { connection }),
    worker: (lane, processor, options) => new PgWorker(lane, processor, { ...options, connection }),
    close: () => pool.end(),
  }
}
