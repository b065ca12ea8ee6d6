/**
 * Fifty calls at the same moment on one connection whose token is over, spread over two gateways of one installation:
 * all succeed, the provider is asked for a token once, and no refresh token is presented twice.
 */
import { expect, test } from '@playwright/test'

import { READS, startConnected, type Connected } from './support/connected'
import { query } from './support/database'
import { startSecondGateway, type SecondGateway } from './support/gateway'
import type { Provider } from './support/sandbox'

test.describe.configure({ mode: 'serial' })

const CALLS = 50
/** How each provider treats a refresh token that was used. */
const MODES = [
  ['static', 'google'],
  ['grace', 'slack'],
  ['strict', 'github'],
] as const

let world: Connected
let second: SecondGateway

test.beforeAll(async () => {
  test.setTimeout(300_000)
  world = await startConnected()
  second = await startSecondGateway(world.product)
})

test.afterAll(async () => {
  await second.stop()
  await world.close()
})

const credentialOf = async (provider: Provider) => {
  const [row] = await query(
    world.product.dataDir,
    'portcullis_vault',
    'SELECT generation, state, lease_owner, failures, unknown_outcomes FROM credential WHERE connection_id = $1',
    [world.connections[provider]],
  )
  return row ?? {}
}

/** Hours pass: the token is dead at the provider and known to be over in the vault. No worker will be sooner than the calls. */
async function letTokenEnd(provider: Provider): Promise<void> {
  await query(
    world.product.dataDir,
    'portcullis_vault',
    `UPDATE credential SET issued_at = now() - interval '8 hours', access_expires_at = now() - interval '1 second', refresh_at = NULL
      WHERE connection_id = $1`,
    [world.connections[provider]],
  )
  await world.sandbox.expireAll(provider)
}

async function stampede(provider: Provider): Promise<void> {
  await letTokenEnd(provider)
  const before = await credentialOf(provider)
  await world.sandbox.resetCounters()
  // As slow as a provider is, so that every call meets the refresh under way.
  await world.sandbox.inject({ provider, target: 'token', fault: { kind: 'delay', ms: 400 } })
  const { tool, args } = READS[provider]
  const answers = await Promise.all(
    Array.from({ length: CALLS }, (_, index) =>
      world.agent.call(tool, args, index % 2 === 0 ? {} : { port: second.port }),
    ),
  )
  const failures = answers.filter(({ isError }) => isError).map(({ status, text }) => `${status} ${text}`)
  expect(failures).toEqual([])
  expect(answers).toHaveLength(CALLS)

  const counters = await world.sandbox.counters(provider)
  expect(counters.tokenCalls).toBe(1)
  expect(Object.values(counters.refreshCallsByToken)).toEqual([1])
  expect(counters.reuse).toBe(0)
  expect(counters.apiCallsByToken.valid).toBe(CALLS)
  expect(counters.apiCallsByToken.unknown + counters.apiCallsByToken.none).toBe(0)
  expect(await credentialOf(provider)).toEqual({
    generation: Number(before['generation']) + 1,
    state: 'active',
    lease_owner: null,
    failures: 0,
    unknown_outcomes: 0,
  })
}

for (const [mode, provider] of MODES) {
  test(`${CALLS} calls on an ended ${mode} token (${provider}), unknown to both gateways, refresh it once`, async () => {
    await stampede(provider)
  })

  test(`${CALLS} calls on an ended ${mode} token (${provider}), which both gateways were just using, refresh it once`, async () => {
    const { tool, args } = READS[provider]
    for (const port of [world.product.port, second.port])
      expect((await world.agent.call(tool, args, { port })).isError).toBe(false)
    await stampede(provider)
  })
}

test('each of these calls has one intent and one outcome', async () => {
  const rows = await query(
    world.product.dataDir,
    'portcullis',
    `SELECT count(*)::int AS intents, count(DISTINCT call_id)::int AS calls FROM audit_record WHERE kind = 'intent' AND decision = 'permit'`,
  )
  const outcomes = () =>
    query(
      world.product.dataDir,
      'portcullis',
      `SELECT outcome, count(*)::int AS count FROM audit_record WHERE kind = 'outcome' GROUP BY outcome`,
    )
  const expected = MODES.length * (2 * CALLS + 2)
  expect(rows).toEqual([{ intents: expected, calls: expected }])
  await expect.poll(outcomes).toEqual([{ outcome: 'success', count: expected }])
})
