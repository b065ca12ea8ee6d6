/**
 * Announcing work. A job only makes quick what a scan would find anyway, so announcing never fails its caller and never
 * holds it long.
 *
 * @module
 */
import { AppError } from '../errors'
import type { Log } from '../log'
import { createBackend, type BackendConfig, type LaneQueue, type QueueBackend } from './backend'
import { dedupeIdOf, JOBS, type JobName, type JobPayload, type Lane } from './catalog'

export interface FailedJob {
  readonly name: string
  readonly id: string
  /** An error code or the name of a fault; never a message. */
  readonly reason: string
  readonly payload: unknown
  readonly attempts: number
  readonly failedAt: Date | null
}

export interface JobQueue {
  /**
   * Adds a job unless the same one is waiting or running.
   *
   * @returns false when the queue could not be reached; the work is then found by its scan
   * @throws AppError `request.invalid` when the payload is not what the catalogue says
   */
  enqueue<N extends JobName>(name: N, payload: JobPayload<N>, options?: { readonly delayMs?: number }): Promise<boolean>
  /** Jobs that were given up, newest first. */
  failed(limit?: number): Promise<readonly FailedJob[]>
  /** Jobs by lane and state. */
  counts(): Promise<Readonly<Record<Lane, Readonly<Record<string, number>>>>>
  close(): Promise<void>
}

const LANES = ['scans', 'deliveries'] as const satisfies readonly Lane[]
const ENQUEUE_MS = 3_000

/** Nothing of what is done or given up is kept without a bound. */
export const KEEP = {
  removeOnComplete: { count: 50, age: 3_600 },
  removeOnFail: { count: 1_000, age: 7 * 86_400 },
} as const

export function createQueue(deps: {
  readonly config: BackendConfig
  readonly log: Log
  readonly backend?: QueueBackend
}): JobQueue {
  const { log } = deps
  const backend = deps.backend ?? createBackend(deps.config, log)
  const lanes = new Map<Lane, LaneQueue>()
  const laneOf = (lane: Lane): LaneQueue => {
    const known = lanes.get(lane)
    if (known !== undefined) return known
    const queue = backend.queue(lane)
    queue.on('error', (error) => log.warn({ err: error, lane }, 'the queue has trouble'))
    lanes.set(lane, queue)
    return queue
  }
  let prepared: Promise<void> | undefined
  const prepare = async () => {
    prepared ??= backend.prepare()
    try {
      await prepared
    } catch (error) {
      prepared = undefined // the next job tries again
      throw error
    }
  }

  return {
    enqueue: async (name, payload, options) => {
      const parsed = JOBS[name].payload.safeParse(payload)
      if (!parsed.success) throw new AppError('request.invalid', `The payload of ${name} is not valid.`)
      const data: Readonly<Record<string, string>> = { ...parsed.data }
      try {
        await within(ENQUEUE_MS, async () => {
          await prepare()
          await laneOf(JOBS[name].lane).add(name, data, {
            ...jobOptions(name),
            deduplication: { id: dedupeIdOf(name, data) },
            ...(options?.delayMs === undefined ? {} : { delay: options.delayMs }),
          })
        })
        return true
      } catch (error) {
        log.warn({ err: error, job: name }, 'a job could not be announced; its scan will find the work')
        return false
      }
    },
    failed: async (limit = 100) => {
      await prepare()
      const all = await Promise.all(LANES.map((lane) => laneOf(lane).getFailed(0, limit - 1)))
      return all
        .flat()
        .map((job) => ({
          name: job.name,
          id: job.id ?? '',
          reason: job.failedReason ?? '',
          payload: job.data,
          attempts: job.attemptsMade,
          failedAt: job.finishedOn === undefined ? null : new Date(job.finishedOn),
        }))
        .sort((a, b) => (b.failedAt?.getTime() ?? 0) - (a.failedAt?.getTime() ?? 0))
        .slice(0, limit)
    },
    counts: async () => {
      await prepare()
      const [scans, deliveries] = await Promise.all([
        laneOf('scans').getJobCounts(),
        laneOf('deliveries').getJobCounts(),
      ])
      return { scans, deliveries }
    },
    close: async () => {
      await Promise.all([...lanes.values()].map((queue) => queue.close()))
      if (deps.backend === undefined) await backend.close()
    },
  }
}

/** What every job of this name is added with. */
export function jobOptions(name: JobName) {
  // No stack is kept: it may quote what it failed on, and the log has it.
  return { ...KEEP, attempts: JOBS[name].attempts, backoff: { type: 'catalogue' }, stackTraceLimit: 0 } as const
}

async function within(ms: number, work: () => Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  try {
    await Promise.race([
      work(),
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          reject(new AppError('service.unavailable', 'The queue did not answer in time.'))
        }, ms)
      }),
    ])
  } finally {
    clearTimeout(timer)
  }
}
