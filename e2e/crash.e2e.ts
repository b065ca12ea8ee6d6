/**
 * Each process is killed in the middle of its work, by the signal that leaves no last word. Afterwards nothing is stuck:
 * accounts work or say what to do, every call has one intent and one outcome, no lease is held, mail went out once.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

import { expect, test } from '@playwright/test'

import { READS, startConnected, type Connected } from './support/connected'
import { postmasterPid, query, withDatabase } from './support/database'
import { isReady, pidOf } from './support/gateway'
import { PROVIDERS, type Provider } from './support/sandbox'
import { createVisitor } from './support/visitor'

test.describe.configure({ mode: 'serial' })

/** What a lease, a scan and a restart take together, on a machine that is busy. */
const RECOVERY = { timeout: 90_000, intervals: [250, 500, 1_000] }

let world: Connected
const vault = (sql: string, values?: readonly unknown[]) =>
  query(world.product.dataDir, 'portcullis_vault', sql, values)
const app = (sql: string, values?: readonly unknown[]) => query(world.product.dataDir, 'portcullis', sql, values)

test.beforeAll(async () => {
  test.setTimeout(300_000)
  world = await startConnected()
})
test.afterAll(async () => {
  test.setTimeout(120_000)
  await world.close()
})

/** Ends exactly this process, at once. */
const killHard = (pid: number): void => {
  process.kill(pid, 'SIGKILL')
}

/** Kills a process of the product and waits until another has taken its place. */
async function kill(name: string): Promise<void> {
  const before = pidOf(world.product, name)
  killHard(before)
  const next = () => world.product.processes().find((one) => one.name === name)?.pid ?? before
  await expect.poll(next, RECOVERY).not.toBe(before)
}
const untilReady = () => expect.poll(() => isReady(world.product.port), RECOVERY).toBe(true)

async function letTokenEnd(provider: Provider, refreshAt: 'now()' | 'NULL' = 'NULL'): Promise<void> {
  await world.sandbox.expireAll(provider)
  await vault(
    `UPDATE credential SET issued_at = now() - interval '8 hours', access_expires_at = now() - interval '1 second',
        refresh_at = ${refreshAt} WHERE connection_id = $1`,
    [world.connections[provider]],
  )
}

const read = (provider: Provider) => world.agent.call(READS[provider].tool, READS[provider].args)
const works = (provider: Provider) => expect.poll(async () => (await read(provider)).isError, RECOVERY).toBe(false)

/** The provider has a newer token than before and keeps its answer back: the moment of which only it knows. */
async function untilRefreshIsHeld(provider: Provider, tokensBefore: number): Promise<void> {
  await expect.poll(async () => (await world.sandbox.journal(provider)).length, RECOVERY).toBeGreaterThan(tokensBefore)
}
const hold = (provider: Provider, target: 'token' | 'api') =>
  world.sandbox.inject({ provider, target, fault: { kind: 'hold' } })
const tokensOf = async (provider: Provider) => (await world.sandbox.journal(provider)).length

test('a gateway killed while providers hold calls and refreshes: each mode recovers in its own way', async () => {
  test.setTimeout(240_000)
  const { agent, connections, sandbox } = world
  const held = await Promise.all(PROVIDERS.map(tokensOf))
  for (const provider of PROVIDERS) {
    await letTokenEnd(provider)
    await hold(provider, 'token')
  }
  const lost = PROVIDERS.map((provider) =>
    read(provider).then(
      () => 'answered',
      () => 'lost',
    ),
  )
  for (const [index, provider] of PROVIDERS.entries()) await untilRefreshIsHeld(provider, held[index]!)
  await kill('gateway')
  expect(await Promise.all(lost)).toEqual(['lost', 'lost', 'lost'])
  await sandbox.release()
  await untilReady()

  // Static and grace: the token may be sent again. Strict: its answer is gone, and with it the next token.
  await Promise.all([works('google'), works('slack')])
  await expect
    .poll(async () => (await read('github')).text, RECOVERY)
    .toMatch(/has to be connected again.*\/connections\/new\?/)
  expect(
    await vault('SELECT state, state_reason FROM credential WHERE connection_id = $1', [connections.github]),
  ).toEqual([{ state: 'reauthorization_required', state_reason: 'lost_rotation' }])
  expect(await world.connect('github', { connectionId: connections.github })).toBe(connections.github)
  await works('github')
  expect((await agent.call('github_list_issues', { owner: 'juniper-freight', repo: 'route-planner' })).isError).toBe(
    false,
  )
})

test('a strict token whose answer had arrived when the gateway was killed is saved by the next one', async () => {
  test.setTimeout(180_000)
  const { dataDir } = world.product
  const id = world.connections.github
  const before = await tokensOf('github')
  await letTokenEnd('github')
  await hold('github', 'token')
  const lost = read('github').then(
    () => 'answered',
    () => 'lost',
  )
  await untilRefreshIsHeld('github', before)
  await world.sandbox.resetCounters()
  await withDatabase(dataDir, 'portcullis_vault', async (run) => {
    // The answer can be put on disk and cannot be put into the database.
    await run('BEGIN')
    await run('SELECT 1 FROM credential WHERE connection_id = $1 FOR UPDATE', [id])
    await world.sandbox.release()
    const spooled = () =>
      readdirSync(path.join(dataDir, 'spool', 'refresh')).filter((name) => name.endsWith('.json')).length
    await expect.poll(spooled, RECOVERY).toBe(1)
    await kill('gateway')
    await run('ROLLBACK')
  })
  expect(await lost).toBe('lost')
  await untilReady()
  await works('github')
  const counters = await world.sandbox.counters('github')
  expect({ calls: counters.refreshCalls, reuse: counters.reuse }).toEqual({ calls: 0, reuse: 0 })
  expect(readdirSync(path.join(dataDir, 'spool', 'refresh'))).toEqual([])
})

test('a gateway killed while a provider holds a writing call: it is not made twice', async () => {
  const { sandbox } = world
  await sandbox.resetCounters()
  await hold('github', 'api')
  const lost = world.agent
    .call('github_create_issue', { owner: 'juniper-freight', repo: 'route-planner', title: 'Made once' })
    .then(
      () => 'answered',
      () => 'lost',
    )
  await expect.poll(async () => (await sandbox.counters('github')).apiInflight, RECOVERY).toBe(1)
  await kill('gateway')
  expect(await lost).toBe('lost')
  await sandbox.release()
  await untilReady()
  await works('github')
  const list = await world.agent.call('github_list_issues', {
    owner: 'juniper-freight',
    repo: 'route-planner',
    limit: 50,
  })
  const { issues } = list.structured as { issues: { title: string }[] } // the tool's own shape
  expect(issues.filter(({ title }) => title === 'Made once')).toHaveLength(1)
})

test('a worker killed while it refreshes and while it sends a mail: both are done by the next one', async () => {
  test.setTimeout(240_000)
  const { dataDir, url } = world.product
  const visitor = createVisitor(url)
  await app(`DELETE FROM mail`)
  const before = await tokensOf('google')
  await hold('google', 'token')
  await letTokenEnd('google', 'now()')
  await untilRefreshIsHeld('google', before)

  await withDatabase(dataDir, 'portcullis', async (run) => {
    // The mail is taken up, and making its link does not come to an end.
    await run(`CREATE FUNCTION public.wait_for_test() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END $$`)
    await run('CREATE TRIGGER wait_for_test BEFORE UPDATE ON email_token FOR EACH ROW EXECUTE FUNCTION wait_for_test()')
    await run('SELECT pg_advisory_lock(7)')
    await visitor.send('/signin/magic-link', { json: { email: world.account.email } })
    await expect
      .poll(() => app('SELECT status, attempts FROM mail'), RECOVERY)
      .toEqual([{ status: 'queued', attempts: 1 }])
    await kill('worker')
    await run('SELECT pg_advisory_unlock(7)')
    await run('DROP FUNCTION public.wait_for_test() CASCADE')
  })
  await world.sandbox.release()
  await works('google')
  await app(`UPDATE mail SET next_at = now() WHERE status = 'queued'`)
  await expect.poll(() => app('SELECT status FROM mail'), RECOVERY).toEqual([{ status: 'sent' }])
  const [mail] = await app('SELECT id FROM mail')
  const file = path.join(dataDir, 'mail', `${String(mail!['id'])}.txt`)
  const secret = /#(pcm_[A-Za-z0-9_-]{43})/.exec(readFileSync(file, 'utf8'))?.[1] ?? ''
  expect((await visitor.send('/signin/magic-link/confirm', { json: { secret } })).status).toBe(200)
})

test('the pages’ process killed: agents go on meanwhile, and pages are back', async () => {
  const before = pidOf(world.product, 'web')
  killHard(before)
  expect((await read('slack')).isError).toBe(false)
  const page = async () =>
    (await createVisitor(world.product.url).send('/login', { headers: { accept: 'text/html' } })).status
  await expect.poll(page, RECOVERY).toBe(200)
  expect(pidOf(world.product, 'web')).not.toBe(before)
})

test('the database server killed during calls: the product is back without anybody’s help', async () => {
  test.setTimeout(240_000)
  const calls = Array.from({ length: 10 }, () => read('slack').catch(() => undefined))
  killHard(postmasterPid(world.product.dataDir))
  await Promise.all(calls)
  await untilReady()
  for (const provider of PROVIDERS) await works(provider)
})

test('the launcher killed during a call: the next start is not held up, and finds everything', async () => {
  test.setTimeout(300_000)
  await hold('slack', 'api')
  const call = read('slack').catch(() => undefined)
  await expect.poll(async () => (await world.sandbox.counters('slack')).apiInflight, RECOVERY).toBe(1)
  await world.product.kill()
  const product = await world.restart()
  expect(product.signUpLink).toBeUndefined()
  await call // what was left running ended in good order, so it may even have been answered
  await world.sandbox.clearFaults()
  await untilReady()
  for (const provider of PROVIDERS) await works(provider)
  expect((await world.owner.send('/api/v1/account')).status).toBe(200)
})

test('afterwards every call has one intent and one outcome, unknown for those that were lost, and nothing waits', async () => {
  test.setTimeout(180_000)
  const open = `SELECT i.call_id FROM audit_record i WHERE i.kind = 'intent'
    AND NOT EXISTS (SELECT 1 FROM audit_record o WHERE o.call_id = i.call_id AND o.kind = 'outcome')`
  const lost = (await app(open)).map((row) => String(row['call_id']))
  expect(lost.length).toBeGreaterThanOrEqual(4)
  // The reconciler leaves calls alone that may still run; these are made older than any may be.
  await app(`UPDATE audit_record SET recorded_at = recorded_at - interval '10 minutes' WHERE call_id = ANY($1)`, [lost])
  await expect.poll(() => app(open), RECOVERY).toEqual([])
  expect(
    await app(`SELECT DISTINCT outcome, reason FROM audit_record WHERE kind = 'outcome' AND call_id = ANY($1)`, [lost]),
  ).toEqual([{ outcome: 'unknown', reason: 'process_lost' }])
  const counted = await app(
    `SELECT call_id FROM audit_record WHERE call_id IS NOT NULL GROUP BY call_id
     HAVING count(*) FILTER (WHERE kind = 'intent') <> 1 OR count(*) FILTER (WHERE kind = 'outcome') <> 1`,
  )
  expect(counted).toEqual([])

  await expect
    .poll(
      () => vault(`SELECT connection_id FROM credential WHERE lease_owner IS NOT NULL OR state <> 'active'`),
      RECOVERY,
    )
    .toEqual([])
  await expect.poll(() => app(`SELECT 1 AS row FROM audit_outbox`), RECOVERY).toEqual([])
  await expect.poll(() => vault(`SELECT 1 AS row FROM audit_outbox`), RECOVERY).toEqual([])
  expect(await app(`SELECT id FROM mail WHERE status <> 'sent'`)).toEqual([])
})
