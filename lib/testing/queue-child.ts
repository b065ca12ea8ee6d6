/**
 * A worker process that takes one job, says so, and never ends it: for tests that kill it.
 *
 * @module
 */
import { z } from 'zod'

import { createLog } from '../log'
import { createWorkers } from '../queue/workers'

const config = z
  .object({ databaseUrl: z.string().optional(), redisUrl: z.string().optional() })
  .parse(JSON.parse(process.argv[2] ?? '{}'))

createWorkers({
  config: { databaseUrl: config.databaseUrl, redisUrl: config.redisUrl },
  log: createLog('child', 'silent'),
  limits: { lockMs: 1_000 },
  handlers: {
    sendMail: ({ mailId }) => {
      process.stdout.write(`started ${mailId}\n`)
      return new Promise(() => undefined)
    },
  },
})
