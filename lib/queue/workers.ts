/**
 * Doing the work: one set of workers a lane, each job by its handler, periodic jobs kept scheduled.
 *
 * What fails is tried again after a random delay that grows; what would fail again for the same reason is given up at
 * once and stays visible. A job whose process dies is taken up by another when its lock runs out, so every handler must
 * bear being run twice.
 *
 * @module
 */
import { UnrecoverableError, type Job } from 'bullmq'

import { AppError } from '../errors'
import type { Log } from '../log'
import { createBackend, type BackendConfig, type LaneQueue, type LaneWorker } from './backend'
import {
  everyMsOf,
  isJobName,
  JOB_NAMES,
  JOBS,
  retryDelayMs,
  type JobName,
  type JobPayload,
  type Lane,
} from './catalog'
import { jobOptions, KEEP } from './queue'

export type JobHandlers = { readonly [N in JobName]?: (payload: JobPayload<N>) => Promise<void> }

export interface JobWorkers {
  /** Resolves once jobs are being taken and the periodic ones are scheduled. */
  readonly ready: Promise<void>
  /** Schedules what the catalogue says and this queue does not know, and forgets what the catalogue no longer has. */
  schedule(): Promise<void>
  /** Takes no more jobs and waits for those under way. */
  close(): Promise<void>
}

export interface WorkerLimits {
  readonly concurrency: Readonly<Record<Lane, number>>
  /** After this long without a sign of life a job's process counts as dead. */
  readonly lockMs: number
  /** How often to look whether the schedules are still there. */
  readonly rescheduleMs: number
}

/** A schedule that was lost is set again within two of its intervals and two of these: for what is due, within a minute. */
export const LIMITS: WorkerLimits = { concurrency: { scans: 8, deliveries: 6 }, lockMs: 30_000, rescheduleMs: 20_000 }
const LANES = ['scans', 'deliveries'] as const satisfies readonly Lane[]

export function createWorkers(deps: {
  readonly config: BackendConfig
  readonly log: Log
  readonly handlers: JobHandlers
  readonly random?: () => number
  readonly limits?: Partial<WorkerLimits>
}): JobWorkers {
  const { log, handlers, random = Math.random } = deps
  const limits = { ...LIMITS, ...deps.limits }
  const backend = createBackend(deps.config, log)
  const queues = new Map<Lane, LaneQueue>()
  let workers: LaneWorker[] = []
  let timer: NodeJS.Timeout | undefined
  let isClosed = false

  const process = async (job: Job): Promise<void> => {
    try {
      await runJob(handlers, job.name, job.data as unknown) // whatever was stored
    } catch (error) {
      log.warn({ err: error, job: job.name, jobId: job.id ?? '', attempt: job.attemptsMade + 1 }, 'a job failed')
      throw toJobError(error)
    }
  }

  const start = async () => {
    await backend.prepare()
    for (const lane of LANES) {
      const queue = backend.queue(lane)
      queue.on('error', (error) => log.warn({ err: error, lane }, 'the queue has trouble'))
      queues.set(lane, queue)
    }
    await tryToSchedule()
    // Checked again and again: a queue that was emptied under a running worker is filled again.
    timer = setInterval(() => void tryToSchedule(), limits.rescheduleMs)
    workers = LANES.map((lane) => {
      const worker = backend.worker(lane, process, {
        autorun: false,
        concurrency: limits.concurrency[lane],
        lockDuration: limits.lockMs,
        stalledInterval: limits.lockMs,
        // A job that takes its process with it is given up the third time.
        maxStalledCount: 2,
        ...KEEP,
        settings: {
          backoffStrategy: (failed, _type, _error, job) =>
            job !== undefined && isJobName(job.name) ? retryDelayMs(job.name, failed, random()) : 60_000,
        },
      })
      worker.on('error', (error) => log.warn({ err: error, lane }, 'the queue has trouble'))
      worker.on('failed', (job, error) => {
        const isGivenUp = job === undefined || job.finishedOn !== undefined
        if (isGivenUp)
          log.error({ job: job?.name ?? '', jobId: job?.id ?? '', reason: error.message }, 'a job was given up')
      })
      return worker
    })
    for (const worker of workers)
      worker.run().catch((error: unknown) => {
        if (!isClosed) log.error({ err: error }, 'a worker stopped')
      })
  }

  /** A queue that is away now is no reason not to start: the workers wait for it, and this is tried again. */
  const tryToSchedule = () =>
    schedule().catch((error: unknown) => log.warn({ err: error }, 'the periodic jobs could not be scheduled'))

  const schedule = async () => {
    for (const [lane, queue] of queues) {
      const wanted = JOB_NAMES.filter(
        (name) => JOBS[name].lane === lane && everyMsOf(name) !== undefined && handlers[name] !== undefined,
      )
      const known = new Map((await queue.getJobSchedulers(0, 100)).map((scheduler) => [scheduler.key, scheduler]))
      for (const key of known.keys()) if (!isJobName(key)) await queue.removeJobScheduler(key)
      for (const name of wanted) {
        const every = everyMsOf(name) ?? 0
        const current = known.get(name)
        // Long overdue: its next job was lost. Otherwise it is left alone, because to set it again is to start anew.
        const isAlive = current?.every === every && (current.next ?? 0) > Date.now() - 2 * every - limits.rescheduleMs
        if (isAlive) continue
        if (current !== undefined) await queue.removeJobScheduler(name)
        await queue.upsertJobScheduler(name, { every }, { name, data: {}, opts: jobOptions(name) })
      }
    }
  }

  const ready = start()
  ready.catch(() => undefined) // whoever awaits it sees it
  return {
    ready,
    schedule,
    close: async () => {
      isClosed = true
      await ready.catch(() => undefined)
      clearInterval(timer)
      await Promise.all(workers.map((worker) => worker.close()))
      await Promise.all([...queues.values()].map((queue) => queue.close()))
      await backend.close()
    },
  }
}

/** Checks what came out of the queue as if a stranger had put it in. */
async function runJob(handlers: JobHandlers, name: string, data: unknown): Promise<void> {
  if (!isJobName(name)) throw new AppError('request.invalid', 'There is no such job.')
  const parsed = JOBS[name].payload.safeParse(data)
  if (!parsed.success) throw new AppError('request.invalid', 'The payload is not what the catalogue says.')
  // The handler of a name takes the payload of that name; the type system cannot follow the name through the lookup.
  const handler = handlers[name] as ((payload: unknown) => Promise<void>) | undefined // the reason is above
  if (handler === undefined) throw new AppError('service.unavailable', 'This worker has no handler for the job.')
  await handler(parsed.data)
}

/** The reason is kept with the job, so it is a code or a name; messages may quote what they should not. */
export function toJobError(error: unknown): Error {
  if (error instanceof AppError) {
    switch (error.retry) {
      case 'later':
        return new Error(error.code)
      case 'never':
      case 'after_reconnect':
        return new UnrecoverableError(error.code)
    }
  }
  return new Error(error instanceof Error ? `internal ${error.name}` : 'internal')
}
