/**
 * The part of a worker that continues the audit chains, in a process of its own: every five seconds while it is told to
 * run; told to rest it links what is left and says so.
 *
 * @module
 */
import path from 'node:path'

import { createCheckpoints } from '../lib/audit/chain/checkpoints'
import { createSequencer } from '../lib/audit/chain/sequencer'
import { createFileSink } from '../lib/audit/chain/sinks'
import { newChainKeyFile, readChainKeys } from '../lib/audit/chain/statement'
import { createChainStore } from '../lib/audit/chain/store'
import { systemClock } from '../lib/clock'
import { createLog } from '../lib/log'
import { everyMsOf } from '../lib/queue/catalog'

export interface SequencerOrder {
  readonly url: string
  readonly folder: string
}
export interface SequencerNews {
  readonly isResting: true
  /** Since it was told to run and before it was told to rest. */
  readonly linkedWhileRunning: number
  readonly lagSeconds: number
}

const order = JSON.parse(process.argv[2] ?? '{}') as SequencerOrder // written by bench/audit-chain.ts
const log = createLog('bench', 'error')
const store = createChainStore(order.url)
const sequencer = createSequencer({ store, log })
const checkpoints = createCheckpoints({
  store,
  keys: readChainKeys(newChainKeyFile(new Date())),
  sinks: [createFileSink(path.join(order.folder, 'checkpoints'))],
  everySeconds: 5,
  clock: systemClock,
  log,
})

let timer: NodeJS.Timeout | undefined
let working: Promise<void> = Promise.resolve()
let linkedWhileRunning = 0
let lagSeconds = 0
let isRunning = false

const work = () => {
  working = working.then(async () => {
    const report = await sequencer.run()
    if (isRunning) {
      linkedWhileRunning += report.records
      lagSeconds = Math.max(lagSeconds, report.lagSeconds)
    }
    await checkpoints.run()
  })
}
process.on('message', ({ do: what }: { readonly do: 'run' | 'rest' }) => {
  clearInterval(timer)
  if (what === 'run') {
    isRunning = true
    linkedWhileRunning = 0
    lagSeconds = 0
    // The first look is in the middle of the first interval, as it is on average.
    setTimeout(work, (everyMsOf('chainAudit') ?? 5_000) / 2).unref()
    timer = setInterval(work, everyMsOf('chainAudit') ?? 5_000)
    return
  }
  const said = { linkedWhileRunning: 0, lagSeconds: 0 }
  working = working.then(() => {
    Object.assign(said, { linkedWhileRunning, lagSeconds })
    isRunning = false
  })
  work()
  working = working.then(() => {
    const news: SequencerNews = { isResting: true, ...said }
    process.send?.(news)
  })
})
process.on('disconnect', () => process.exit(0))
