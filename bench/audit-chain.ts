/**
 * What the chain over the audit trail costs: calls while a worker's sequencer links their records and tells checkpoints,
 * against the same calls while it rests. One gateway, one database, one run.
 *
 *     node bench/audit-chain.mjs [--seconds 6] [--rounds 5] [--connections 16]
 *
 * The sequencer runs in a process of its own, as often as in the product. The two take turns and the median of the rounds
 * counts. What was recorded while it rested is linked before its next turn begins and not counted against it; everything
 * that was recorded during its turn has to be linked within it. Fails when calls are more than a tenth slower.
 *
 * @module
 */
import { once } from 'node:events'

import { bundle, start } from '../lib/testing/process'
import type { SequencerNews, SequencerOrder } from './audit-sequencer'
import { option } from './herd/databases'
import { CALL, load, median, type Run } from './load'
import { createBenchWorld } from './world'

const SECONDS = option('seconds', 6)
const ROUNDS = option('rounds', 5)
const CONNECTIONS = option('connections', 16)
const LEAST = 0.9

const world = await createBenchWorld()
const worker = start<{ readonly do: 'run' | 'rest' }, SequencerNews>(await bundle('bench/audit-sequencer.ts'), {
  url: world.urls.app,
  folder: world.dataDir,
} satisfies SequencerOrder)
try {
  const target = await world.start('portcullis')
  const runs = { resting: [] as Run[], linking: [] as Run[] }
  let linked = 0
  let records = 0
  let most = 0
  const settle = async () => {
    worker.send({ do: 'rest' })
    return worker.receive((news): news is SequencerNews => news.isResting)
  }
  await load(target, CALL, CONNECTIONS, 2) // warm
  await settle()
  for (let round = 0; round < ROUNDS; round += 1) {
    const resting = await load(target, CALL, CONNECTIONS, SECONDS)
    runs.resting.push(resting)
    await settle()
    worker.send({ do: 'run' })
    const linking = await load(target, CALL, CONNECTIONS, SECONDS)
    runs.linking.push(linking)
    const news = await settle()
    linked += news.linkedWhileRunning
    records += Math.round(linking.rate * SECONDS) * 2
    most = Math.max(most, news.lagSeconds)
  }
  const [resting, linking] = [median(runs.resting), median(runs.linking)]
  const share = linking.rate / resting.rate
  // A turn ends between two looks of the sequencer: what came after the last one is not its fault.
  const isBusy = linked >= records * 0.5
  const words = ({ rate, p99 }: Run) => `${rate.toFixed(0)}/s, p99 ${p99.toFixed(1)} ms`
  console.log(
    `tools/call while the sequencer rests ${words(resting)}; while it links ${words(linking)}: ${share.toFixed(3)} of the rate ` +
      `(at least ${LEAST}); ${linked} of about ${records} records were linked during its turns, at most ${most.toFixed(1)} s after they were made`,
  )
  if (!isBusy) console.log('the sequencer did not do its work meanwhile: this says nothing')
  process.exitCode = share >= LEAST && isBusy ? 0 : 1
} finally {
  const gone = once(worker.child, 'exit')
  worker.child.disconnect()
  await gone
  await world.close()
}
