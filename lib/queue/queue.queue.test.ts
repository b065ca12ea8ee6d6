import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import { AppError } from '@/lib/errors'
import { newId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import { createTestQueueBackend, type TestQueueBackend } from '@/lib/testing/queue'

import { createBackend } from './backend'
import { everyMsOf, JOB_NAMES } from './catalog'
import { createQueue, jobOptions, KEEP, type JobQueue } from './queue'
import { createWorkers, type JobHandlers, type WorkerLimits } from './workers'

const log = createLog('test', 'silent')

describe(`the queue on ${process.env['PORTCULLIS_TEST_QUEUE'] ?? 'postgres'}`, () => {
  let backend: TestQueueBackend
  let queue: JobQueue
  const opened: { close(): Promise<void> }[] = []
  beforeAll(async () => {
    backend = await createTestQueueBackend()
    queue = createQueue({ config: backend.config, log })
  })
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((thing) => thing.close()))
  })
  afterAll(async () => {
    await queue.close()
    await backend.close()
  })

  const work = async (handlers: JobHandlers, limits: Partial<WorkerLimits> = {}, random = () => 0) => {
    const workers = createWorkers({ config: backend.config, log, handlers, limits, random })
    opened.push(workers)
    await workers.ready
    return workers
  }
  const mail = () => ({ mailId: newId('mail') })
  const failureOf = async (id: string) =>
    (await queue.failed(1_000)).find((job) => JSON.stringify(job.payload).includes(id))
  const eventually = { timeout: 20_000, interval: 25 }

  it('runs on the backend that was asked for', () => {
    expect(backend.kind).toBe(process.env['PORTCULLIS_TEST_QUEUE'] ?? 'postgres')
    expect(createBackendKind(backend)).toBe(backend.kind)
  })

  it('hands a job to its handler, once', async () => {
    const seen: string[] = []
    await work({ sendMail: async ({ mailId }) => void seen.push(mailId) })
    const jobs = Array.from({ length: 30 }, mail)
    for (const job of jobs) expect(await queue.enqueue('sendMail', job)).toBe(true)
    await expect.poll(() => seen.length, eventually).toBe(30)
    expect([...seen].sort()).toEqual(jobs.map((job) => job.mailId).sort())
  })

  it('refuses a payload that is not ids, before it is stored', async () => {
    for (const payload of [
      { mailId: 'somebody@example.test' },
      { mailId: newId('person') },
      {},
      { ...mail(), secret: 'x' },
    ] as unknown as { mailId: string }[])
      // wrong on purpose
      await expect(queue.enqueue('sendMail', payload)).rejects.toMatchObject({ code: 'request.invalid' })
  })

  it('takes the same job once while it waits or runs, and again when it has ended', async () => {
    const job = mail()
    const runs: string[] = []
    let finish: () => void = () => undefined
    await queue.enqueue('sendMail', job)
    await queue.enqueue('sendMail', job)
    await work({
      sendMail: async ({ mailId }) => {
        runs.push(mailId)
        await new Promise<void>((resolve) => (finish = resolve))
      },
    })
    await expect.poll(() => runs.length, eventually).toBe(1)
    await queue.enqueue('sendMail', job)
    finish()
    await expect.poll(async () => (await queue.counts()).deliveries['active'], eventually).toBe(0)
    expect(runs).toHaveLength(1)
    await queue.enqueue('sendMail', job)
    await expect.poll(() => runs.length, eventually).toBe(2)
    finish()
  })

  it('tries again what may pass later, and gives up when the attempts are spent', async () => {
    const transient = mail()
    const hopeless = mail()
    const attempts = new Map<string, number>()
    await work({
      sendMail: async ({ mailId }) => {
        const n = (attempts.get(mailId) ?? 0) + 1
        attempts.set(mailId, n)
        if (mailId === hopeless.mailId || n < 3)
          throw new AppError('provider.unavailable', 'The mail server answered 451 to somebody@example.test.')
      },
    })
    await queue.enqueue('sendMail', transient)
    await queue.enqueue('sendMail', hopeless)
    await expect
      .poll(() => failureOf(hopeless.mailId), eventually)
      .toMatchObject({
        name: 'sendMail',
        reason: 'provider.unavailable',
        payload: hopeless,
        attempts: 6,
      })
    expect(attempts.get(hopeless.mailId)).toBe(6)
    await expect.poll(() => attempts.get(transient.mailId), eventually).toBe(3)
    expect(await failureOf(transient.mailId)).toBeUndefined()
  })

  it('gives up at once what would fail again', async () => {
    const job = mail()
    let runs = 0
    await work({
      sendMail: async () => {
        runs += 1
        throw new AppError('request.invalid', 'No.')
      },
    })
    await queue.enqueue('sendMail', job)
    await expect.poll(() => failureOf(job.mailId), eventually).toMatchObject({ reason: 'request.invalid', attempts: 1 })
    expect(runs).toBe(1)
  })

  it('keeps no message of a fault, which may quote what it failed on', async () => {
    const job = mail()
    await work({
      sendMail: async () => {
        throw new TypeError('cannot parse "secret-token-value"')
      },
    })
    await queue.enqueue('sendMail', job)
    await expect.poll(() => failureOf(job.mailId), eventually).toMatchObject({ reason: 'internal TypeError' })
    expect(JSON.stringify(await queue.failed(1_000))).not.toContain('secret-token-value')
  })

  it('sets a poison payload aside where it can be seen, and goes on', async () => {
    const raw = createBackend(backend.config, log)
    await raw.prepare()
    const lane = raw.queue('deliveries')
    await lane.add('sendMail', { mailId: 'DROP TABLE mail' }, jobOptions('sendMail'))
    await lane.add('noSuchJob', { poison: 'no-such' }, jobOptions('sendMail'))
    const seen: string[] = []
    await work({ sendMail: async ({ mailId }) => void seen.push(mailId) })
    const good = mail()
    await queue.enqueue('sendMail', good)
    await expect.poll(() => seen, eventually).toEqual([good.mailId])
    await expect.poll(() => failureOf('DROP TABLE mail'), eventually).toMatchObject({ reason: 'request.invalid' })
    await expect
      .poll(() => failureOf('no-such'), eventually)
      .toMatchObject({ name: 'noSuchJob', reason: 'request.invalid' })
    await lane.close()
    await raw.close()
  })

  it('runs a job again whose process was killed in the middle of it', async () => {
    await backend.flush() // forgets when the workers of other tests last looked for dead ones
    const job = mail()
    await queue.enqueue('sendMail', job)
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', 'lib/testing/queue-child.ts', JSON.stringify(backend.config)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    const lines = createInterface({ input: child.stdout })
    await new Promise<void>((resolve, reject) => {
      child.once('exit', () => reject(new Error('the child ended before it took the job')))
      lines.on('line', (line) => {
        if (line === `started ${job.mailId}`) resolve()
      })
    })
    const ended = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGKILL')
    await ended
    const seen: string[] = []
    await work({ sendMail: async ({ mailId }) => void seen.push(mailId) }, { lockMs: 1_000 })
    await expect.poll(() => seen, eventually).toEqual([job.mailId])
  }, 60_000)

  it('waits for the job under way when it closes, and takes no other', async () => {
    let finish: () => void = () => undefined
    const started: string[] = []
    const ran: string[] = []
    const workers = await work(
      {
        sendMail: async ({ mailId }) => {
          started.push(mailId)
          await new Promise<void>((resolve) => (finish = resolve))
          ran.push(mailId)
        },
      },
      { concurrency: { scans: 1, deliveries: 1 } },
    )
    const first = mail()
    const second = mail()
    await queue.enqueue('sendMail', first)
    await expect.poll(() => started, eventually).toEqual([first.mailId])
    await queue.enqueue('sendMail', second)
    let isClosed = false
    const closing = workers.close().then(() => {
      isClosed = true
    })
    opened.splice(opened.indexOf(workers), 1)
    expect(isClosed).toBe(false)
    finish()
    await closing
    expect(ran).toEqual([first.mailId])
    await work({ sendMail: async ({ mailId }) => void ran.push(mailId) })
    await expect.poll(() => ran, eventually).toEqual([first.mailId, second.mailId])
  })

  it('never runs more at once than it may', async () => {
    let running = 0
    let most = 0
    let done = 0
    await work(
      {
        sendMail: async () => {
          running += 1
          most = Math.max(most, running)
          await new Promise((resolve) => setImmediate(resolve))
          running -= 1
          done += 1
        },
      },
      { concurrency: { scans: 1, deliveries: 3 } },
    )
    for (let i = 0; i < 30; i += 1) await queue.enqueue('sendMail', mail())
    await expect.poll(() => done, eventually).toBe(30)
    expect(most).toBeLessThanOrEqual(3)
  })

  it('keeps a bounded number of jobs that are done', async () => {
    let done = 0
    await work({ sendMail: async () => void (done += 1) })
    for (let i = 0; i < 80; i += 1) await queue.enqueue('sendMail', mail())
    await expect.poll(() => done, eventually).toBe(80)
    // Two that end at the same moment each see one too few to evict; the next that ends makes up for it.
    const concurrency = 6
    await expect
      .poll(async () => (await queue.counts()).deliveries['completed'], eventually)
      .toBeLessThanOrEqual(KEEP.removeOnComplete.count + concurrency)
  })

  it('runs a periodic job by itself, again after its failure, and again after everything stored was lost', async () => {
    let runs = 0
    const workers = await work({
      refreshDue: async () => {
        runs += 1
        throw new Error('this time')
      },
    })
    await expect.poll(() => runs, eventually).toBeGreaterThanOrEqual(2)
    await backend.flush()
    const before = runs
    await workers.schedule()
    await expect.poll(() => runs, eventually).toBeGreaterThan(before)
  }, 60_000)

  it('schedules what the catalogue says, once, and forgets what it no longer has', async () => {
    const raw = createBackend(backend.config, log)
    await raw.prepare()
    const lane = raw.queue('scans')
    await lane.upsertJobScheduler('longGone', { every: 3_600_000 }, { name: 'longGone', data: {}, opts: {} })
    const handlers = Object.fromEntries(JOB_NAMES.map((name) => [name, () => Promise.resolve()]))
    await work(handlers)
    await work(handlers)
    const names = (await lane.getJobSchedulers(0, 100)).map((scheduler) => scheduler.key).sort()
    expect(names).toEqual(JOB_NAMES.filter((name) => everyMsOf(name) !== undefined).sort())
    await lane.close()
    await raw.close()
  })

  it('says no rather than hang or throw when it cannot be reached', async () => {
    const unreachable = createQueue({
      config:
        backend.kind === 'redis'
          ? { redisUrl: 'redis://127.0.0.1:1', databaseUrl: undefined }
          : { redisUrl: undefined, databaseUrl: 'postgres://portcullis_app:x@127.0.0.1:1/nowhere' },
      log,
    })
    const start = performance.now()
    expect(await unreachable.enqueue('sendMail', mail())).toBe(false)
    expect(performance.now() - start).toBeLessThan(5_000)
    await unreachable.close()
  })
})

function createBackendKind(backend: TestQueueBackend) {
  const made = createBackend(backend.config, log)
  void made.close()
  return made.kind
}
