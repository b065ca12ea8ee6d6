/**
 * How long a person waits for the answer to their password: limits, argon2id, session and record, through the gateway's
 * server and PostgreSQL, while seven others sign in too. Right and wrong passwords, known and unknown addresses.
 *
 *     node bench/sign-in.mjs [--people 8] [--each 12]
 *
 * Rates are the machine's; what fails is a known address answered in another time than an unknown one by more than half.
 *
 * @module
 */
import { performance } from 'node:perf_hooks'
import process from 'node:process'

import { Pool } from 'undici'

import { createGatewayServer } from '../gateway/server'
import { createSignInRoutes } from '../gateway/signin'
import { createAppDb } from '../lib/db/app-db'
import { createLog } from '../lib/log'
import { createTestIdentity, PASSWORD } from '../lib/testing/identity'
import { freePort } from '../launcher/postgres.mjs'
import { createBenchDatabases, option } from './herd/databases'

const PEOPLE = option('people', 8)
const EACH = option('each', 12)
const LIMIT_MS = 400
const MAX_DIFFERENCE = 1.5

const bench = await createBenchDatabases()
const app = createAppDb(bench.urls.app, { max: 10 })
const port = await freePort()
const origin = `http://localhost:${port}`
const id = createTestIdentity({ app, urls: bench.urls }, { publicUrl: origin })
const server = createGatewayServer({
  publicUrl: origin,
  publicUrlIsLoopback: true,
  trustedProxies: ['127.0.0.1'],
  allowUpgrade: false,
  families: [createSignInRoutes({ ...id, publicUrl: origin })],
  web: undefined,
  readiness: () => Promise.resolve({ ready: true }),
  log: createLog('bench', 'error'),
})
const pool = new Pool(`http://127.0.0.1:${port}`, { connections: PEOPLE })
let requests = 0

/** One person signs in again and again, each time from another address, so that no limit answers for the password. */
async function signIns(email: string, password: string, status: number): Promise<number[]> {
  const times: number[] = []
  for (let round = 0; round < EACH; round += 1) {
    requests += 1
    const began = performance.now()
    const answer = await pool.request({
      method: 'POST',
      path: '/signin/password',
      headers: {
        host: new URL(origin).host,
        origin,
        'content-type': 'application/json',
        'x-forwarded-for': `198.18.${(requests >> 8) & 255}.${requests & 255}`,
      },
      body: JSON.stringify({ email, password }),
    })
    await answer.body.dump()
    times.push(performance.now() - began)
    if (answer.statusCode !== status) throw new Error(`${answer.statusCode} instead of ${status}`)
  }
  return times
}

const percentile = (times: readonly number[], part: number): number =>
  [...times].sort((a, b) => a - b)[Math.min(times.length - 1, Math.floor(times.length * part))] ?? 0

async function measure(what: string, password: string, status: number, emailOf: (index: number) => string) {
  const people = Array.from({ length: PEOPLE }, (_, index) => emailOf(index))
  const times = (await Promise.all(people.map((email) => signIns(email, password, status)))).flat()
  const [p50, p95] = [percentile(times, 0.5), percentile(times, 0.95)]
  console.log(`${what.padEnd(34)} ${PEOPLE} at once: p50 ${p50.toFixed(0)} ms, p95 ${p95.toFixed(0)} ms`)
  return { p50, p95 }
}

try {
  await server.listen(port, '127.0.0.1')
  const known = (index: number) => `person${index}@bench.example`
  for (let index = 0; index < PEOPLE; index += 1) await id.person(known(index))
  await measure('(warming up)', PASSWORD, 200, known)
  const right = await measure('right password', PASSWORD, 200, known)
  await bench.query('app', 'DELETE FROM rate_limit')
  const wrong = await measure('wrong password', 'wrong', 401, known)
  await bench.query('app', 'DELETE FROM rate_limit')
  const unknown = await measure('address without an account', 'wrong', 401, (index) => `nobody${index}@bench.example`)
  const within = right.p95 <= LIMIT_MS ? 'within' : 'over'
  console.log(`sign-in p95 ${right.p95.toFixed(0)} ms: ${within} the ${LIMIT_MS} ms wanted`)
  const ratio = Math.max(wrong.p50, unknown.p50) / Math.min(wrong.p50, unknown.p50)
  console.log(`a known address against an unknown one: ${ratio.toFixed(2)} (at most ${MAX_DIFFERENCE})`)
  if (ratio > MAX_DIFFERENCE) process.exitCode = 1
} finally {
  await pool.close()
  await server.drain(100)
  await id.close()
  await app.close()
  await bench.close()
}
