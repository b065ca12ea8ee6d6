/**
 * The worker process: takes jobs until it is told to stop, then lets those under way finish.
 *
 * Without its keys it stays up and does what needs none; it opens nothing. Exit status: 0 after a stop, 2 when the
 * environment is wrong, 1 when it cannot start or stop.
 *
 * @module
 */
import { loadConfig } from '@/lib/config'
import { AppError } from '@/lib/errors'
import { createLog } from '@/lib/log'
import { createWorkers } from '@/lib/queue/workers'
import { createCore } from '@/wiring/core'

import { createWorkerDeps } from './deps'

/** A refresh under way is not cut off; it has a minute. */
const DRAIN_MS = 70_000

async function main(): Promise<void> {
  const config = loadConfig()
  const log = createLog('worker', config.logLevel)
  let isStopping = false
  let stop = (): Promise<void> => Promise.resolve()
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      if (isStopping) return
      isStopping = true
      setTimeout(() => {
        log.error({}, 'the worker did not stop in time')
        process.exit(1)
      }, DRAIN_MS).unref()
      stop().then(
        () => process.exit(0),
        (error: unknown) => {
          log.error({ err: error }, 'the worker did not stop in order')
          process.exit(1)
        },
      )
    })

  const core = await createCore(config, log)
  if (core.notReady !== undefined) log.error({ reason: core.notReady }, 'not ready: no credential is opened')
  const deps = createWorkerDeps(core)
  const workers = createWorkers({ config, log, handlers: deps.handlers })
  stop = async () => {
    await Promise.all([deps.stop(), workers.close()])
    await deps.close()
    await core.close()
  }
  await workers.ready
  log.info({ jobs: Object.keys(deps.handlers).length }, 'the worker takes jobs')
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : 'The worker could not start.'}\n`)
  process.exit(error instanceof AppError && error.code === 'config.invalid' ? 2 : 1)
})
