/**
 * What an agent that signed in pays for it: calls with an access token against calls with a session key, of one session of
 * one gateway, in the same run.
 *
 *     node bench/oauth-call.mjs [--seconds 4] [--rounds 5] [--connections 16]
 *
 * The two take turns and the median of the rounds counts. Fails when a call with a token costs more than a tenth more.
 *
 * @module
 */
import { option } from './herd/databases'
import { CALL, load, median, type Run } from './load'
import { createBenchWorld } from './world'

const SECONDS = option('seconds', 4)
const ROUNDS = option('rounds', 5)
const CONNECTIONS = option('connections', 16)
const MOST = 1.1

const world = await createBenchWorld()
try {
  const target = await world.start('portcullis')
  const { key, token } = target.ready
  if (token === undefined) throw new Error('no access token')
  const runs = { key: [] as Run[], token: [] as Run[] }
  for (const bearer of [key, token]) await load(target, CALL, CONNECTIONS, 1.5, bearer) // warm
  for (let round = 0; round < ROUNDS; round += 1) {
    runs.key.push(await load(target, CALL, CONNECTIONS, SECONDS, key))
    runs.token.push(await load(target, CALL, CONNECTIONS, SECONDS, token))
  }
  const [withKey, withToken] = [median(runs.key), median(runs.token)]
  const time = withKey.rate / withToken.rate
  const words = ({ rate, cpu, p99 }: Run) => `${rate.toFixed(0)}/s, ${cpu.toFixed(0)} µs, p99 ${p99.toFixed(1)} ms`
  console.log(
    `tools/call with a session key ${words(withKey)}; with an access token ${words(withToken)}: ` +
      `${time.toFixed(3)} of the time, ${(withToken.cpu / withKey.cpu).toFixed(3)} of the processor (at most ${MOST})`,
  )
  process.exitCode = time <= MOST ? 0 : 1
} finally {
  await world.close()
}
