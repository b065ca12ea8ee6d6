/**
 * A process of its own that links records as a worker does, until it is killed.
 *
 * @module
 */
import { createSequencer } from '../audit/chain/sequencer'
import { createChainStore } from '../audit/chain/store'
import { createLog } from '../log'

export interface ChainOrder {
  readonly url: string
  readonly batch: number
}
export interface ChainNews {
  readonly linked: number
}

const order = JSON.parse(process.argv[2] ?? '{}') as ChainOrder // written by the test
const sequencer = createSequencer({
  store: createChainStore(order.url),
  log: createLog('test', 'silent'),
  batch: order.batch,
})
for (;;) {
  const { records } = await sequencer.run({ budgetMs: 200 })
  const news: ChainNews = { linked: records }
  process.send?.(news)
  await new Promise((resolve) => setImmediate(resolve))
}
