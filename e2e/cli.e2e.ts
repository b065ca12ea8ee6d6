import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { expect, test } from '@playwright/test'

import { portcullis, type CommandResult } from './support/cli'
import { READS, startConnected, type Connected } from './support/connected'
import { missingId } from './support/sweep/operations'

/** The command line as people run it, beside the running product and against it as a remote service. */
test.describe.configure({ mode: 'serial' })

type Where = 'local' | 'remote'
type Json = Record<string, unknown>
const BOTH = ['local', 'remote'] as const

let connected: Connected
let folder: string
let apiKey: string
/** Every secret a command gave out, to look for where none may be. */
const secrets: string[] = []
/** Everything printed by commands that give out none. */
let printed = ''

const environment = (where: Where): Record<string, string> =>
  where === 'local'
    ? { PORTCULLIS_DATA_DIR: connected.product.dataDir }
    : { PORTCULLIS_URL: connected.product.url, PORTCULLIS_API_KEY: apiKey }

async function run(where: Where, args: readonly string[], input?: string): Promise<CommandResult> {
  const result = await portcullis(args, environment(where), input)
  if (!['create', 'invite', 'issue'].includes(args[1] ?? '')) printed += result.stdout
  printed += result.stderr
  return result
}

/** A command that must succeed. @returns what it printed as JSON */
async function ok(where: Where, ...args: string[]): Promise<Json> {
  const result = await run(where, [...args, '--json'])
  expect([where, args.join(' '), result.status, result.stderr]).toEqual([where, args.join(' '), 0, ''])
  return result.json() as Json // one value by the contract of --json
}
const list = async (where: Where, ...args: string[]) => (await ok(where, ...args)) as unknown as Json[] // lists print an array

/** A command that must be refused. @returns what it said */
async function fails(status: 1 | 2, where: Where, ...args: string[]): Promise<string> {
  const result = await run(where, args)
  expect([where, args.join(' '), result.status, result.stdout]).toEqual([where, args.join(' '), status, ''])
  expect(result.stderr).not.toMatch(/\n\s+at |prisma/i)
  return result.stderr
}

test.beforeAll(async () => {
  test.setTimeout(300_000)
  connected = await startConnected({ providers: ['github'] })
  folder = mkdtempSync(path.join(tmpdir(), 'portcullis-cli-'))
})
test.afterAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  await connected.close()
})

test('api-key create: the key opens the workspace to the same command elsewhere', async () => {
  const made = await ok('local', 'api-key', 'create', '--name', 'laptop', '--role', 'owner', '--expires-in-days', '2')
  expect(made).toMatchObject({ id: expect.stringMatching(/^key_/), apiKey: expect.stringMatching(/^pck_/) })
  apiKey = String(made['apiKey'])
  secrets.push(apiKey)
  expect((await list('remote', 'tenant', 'list')).map(({ name }) => name)).toEqual(['Juniper Freight'])
  expect(await fails(1, 'remote', 'api-key', 'create', '--name', 'again')).toContain('not an API key')
})

test('tenant and user: the operator makes them, at the machine alone', async () => {
  const tenant = await ok('local', 'tenant', 'create', '--name', 'Second')
  expect(tenant).toMatchObject({ id: expect.stringMatching(/^ten_/), name: 'Second', slug: 'second' })
  const [user, tenants, ambiguous, remoteTenant, remoteUser] = await Promise.all([
    ok('local', 'user', 'create', '--email', 'ben@juniperfreight.example', '--role', 'admin', '--tenant', 'second'),
    list('local', 'tenant', 'list'),
    fails(2, 'local', 'agent', 'list'),
    fails(2, 'remote', 'tenant', 'create', '--name', 'Third'),
    fails(2, 'remote', 'user', 'create', '--email', 'x@juniperfreight.example'),
  ])
  expect(user).toMatchObject({ id: expect.stringMatching(/^per_/), email: 'ben@juniperfreight.example' })
  expect(tenants.map(({ slug }) => slug).sort()).toEqual(['juniper-freight', 'second'])
  expect(ambiguous).toContain('--tenant')
  expect(remoteTenant + remoteUser).toContain('at the machine itself')
  const [twice, nowhere] = await Promise.all([
    fails(1, 'local', 'user', 'create', '--email', 'BEN@juniperfreight.example', '--tenant', 'second'),
    fails(1, 'local', 'user', 'create', '--email', 'chiara@juniperfreight.example', '--tenant', 'nowhere'),
  ])
  expect(twice).toContain('has an account already')
  expect(nowhere).toContain('no such workspace')
  // Nothing was left behind by the refusal: the same person can be made in the right place.
  await ok('local', 'user', 'create', '--email', 'chiara@juniperfreight.example', '--tenant', 'second')
})

test('member and tenant delete: somebody is invited, and a workspace is closed by its name', async () => {
  await ok('local', 'tenant', 'create', '--name', 'Short lived')
  const there = ['--tenant', 'short-lived']
  const invited = ['member', 'invite', '--email', 'dee@juniperfreight.example', '--role', 'auditor']
  const made = await ok('local', ...invited, ...there)
  expect(made).toMatchObject({ id: expect.stringMatching(/^inv_/), url: expect.stringContaining('/invite#pci_') })
  secrets.push(String(made['url']).split('#')[1] ?? '')
  const people = await list('local', 'member', 'list', '--tenant', 'second')
  expect(people.map(({ email }) => email).sort()).toEqual([
    'ben@juniperfreight.example',
    'chiara@juniperfreight.example',
  ])
  expect(await fails(2, 'local', 'tenant', 'delete', '--confirm', 'Wrong', ...there)).toContain('Type the name')
  expect(await ok('local', 'tenant', 'delete', '--confirm', 'Short lived', ...there)).toMatchObject({
    name: 'Short lived',
  })
})

const first = ['--tenant', 'juniper-freight']
const at = (where: Where) => (where === 'local' ? first : [])

for (const where of BOTH)
  test(`agent, profile and session, ${where}`, async () => {
    const [tool] = [READS.github.tool]
    const agent = await ok(where, 'agent', 'create', '--name', `Bot ${where}`, '--tools', tool, ...at(where))
    const id = String(agent['id'])
    expect(agent).toMatchObject({
      id: expect.stringMatching(/^agt_/),
      mcpUrl: `${connected.product.url}/mcp/${id}`,
      profileVersion: 1,
    })
    const file = path.join(folder, `${where}.json`)
    writeFileSync(file, JSON.stringify({ version: 1, tools: { allow: [tool, READS.slack.tool] } }))

    const issued = await ok(where, 'session', 'issue', '--agent', id, '--label', 'desk', ...at(where))
    expect(issued).toMatchObject({ id: expect.stringMatching(/^ags_/), sessionKey: expect.stringMatching(/^pcs_/) })
    expect(Date.parse(String(issued['expiresAt']))).toBeGreaterThan(Date.now())
    secrets.push(String(issued['sessionKey']))

    const [agents, sessions, shown] = await Promise.all([
      list(where, 'agent', 'list', ...at(where)),
      list(where, 'session', 'list', '--agent', id, ...at(where)),
      ok(where, 'profile', 'show', id, ...at(where)),
    ])
    expect(agents.map((one) => one['id'])).toContain(id)
    expect(sessions.map((one) => one['id'])).toEqual([issued['id']])
    expect(shown).toMatchObject({ agentId: id, profileVersion: 1, document: { tools: { allow: [tool] } } })

    expect(await ok(where, 'profile', 'apply', id, '--file', file, ...at(where))).toMatchObject({ profileVersion: 2 })
    const piped = await run(
      where,
      ['profile', 'apply', id, '-f', '-', '--json', ...at(where)],
      '{"version":1,"tools":{"allow":[]}}',
    )
    expect([piped.status, (piped.json() as Json)['profileVersion']]).toEqual([0, 3])

    expect(await ok(where, 'session', 'revoke', String(issued['id']), ...at(where))).toMatchObject({ id: issued['id'] })
    expect(await ok(where, 'agent', 'disable', id, ...at(where))).toMatchObject({ disabled: true })
    expect(await fails(1, where, 'session', 'issue', '--agent', id, ...at(where))).toContain('disabled')
    expect(await ok(where, 'agent', 'enable', id, ...at(where))).toMatchObject({ disabled: false })
  })

test('connection: listed, started in a browser, and ended, here and remotely', async () => {
  const again = await connected.connect('github', { person: 1 })
  const [here, there] = await Promise.all(BOTH.map((where) => list(where, 'connection', 'list', ...at(where))))
  expect(here?.map(({ id, provider, state }) => [id, provider, state])).toEqual([
    [again, 'github', 'active'],
    [connected.connections.github, 'github', 'active'],
  ])
  expect(there).toEqual(here)
  const starts = await Promise.all(BOTH.map((where) => ok(where, 'connection', 'connect', 'github', ...at(where))))
  for (const start of starts)
    expect(start).toEqual({
      connectUrl: `${connected.product.url}/connections/new?provider=github`,
      provider: 'github',
    })
  // Both know the provider, so both ask it to end the access too.
  expect(await ok('local', 'connection', 'disconnect', again, ...first)).toMatchObject({
    id: again,
    provider: 'queued',
  })
  expect(await ok('remote', 'connection', 'disconnect', connected.connections.github)).toMatchObject({
    provider: 'queued',
  })
  expect(await list('remote', 'connection', 'list')).toEqual([])
})

for (const where of BOTH)
  test(`audit tail and export, ${where}`, async () => {
    const [tail, exported, human] = await Promise.all([
      list(where, 'audit', 'tail', '-n', '5', ...at(where)),
      run(where, ['audit', 'export', '--since', '2026-01-01T00:00:00Z', ...at(where)]),
      run(where, ['audit', 'tail', ...at(where)]),
    ])
    expect(tail).toHaveLength(5)
    for (const row of tail)
      expect(row).toMatchObject({ id: expect.any(String), action: expect.any(String), at: expect.any(String) })
    const lines = exported.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Json) // JSON Lines
    expect(exported.status).toBe(0)
    expect(lines.length).toBeGreaterThan(5)
    expect(lines.map(({ recordedAt }) => recordedAt)).toEqual(lines.map(({ recordedAt }) => recordedAt).sort())
    expect(human.stdout.split('\n')[0]).toMatch(/^at\s+actor\s+action/)
  })

for (const where of BOTH)
  test(`what does not exist and what is wrong, ${where}`, async () => {
    const missing = await Promise.all([
      fails(1, where, 'agent', 'disable', missingId('agt'), ...at(where)),
      fails(1, where, 'agent', 'enable', 'not-an-id', ...at(where)),
      fails(1, where, 'profile', 'show', missingId('agt'), ...at(where)),
      fails(1, where, 'session', 'revoke', missingId('ags'), ...at(where)),
      fails(1, where, 'session', 'issue', '--agent', missingId('agt'), ...at(where)),
      fails(1, where, 'connection', 'disconnect', missingId('con'), ...at(where)),
      fails(1, where, 'connection', 'connect', 'nowhere', ...at(where)),
    ])
    for (const words of missing) expect(words).toBe('portcullis: There is no such resource.\n')
    const asJson = await run(where, ['profile', 'show', missingId('agt'), '--json', ...at(where)])
    expect([asJson.status, JSON.parse(asJson.stderr)]).toEqual([
      1,
      { error: { code: 'resource.not_found', message: 'There is no such resource.' } },
    ])
    const file = path.join(folder, 'bad.json')
    writeFileSync(file, '{"version":1,"tools":{"allow":["no_such_tool"]}}')
    const [unknownTool, noFile, notJson, days, count] = await Promise.all([
      fails(2, where, 'agent', 'create', '--name', 'x', '--tools', 'no_such_tool', ...at(where)),
      fails(2, where, 'profile', 'apply', missingId('agt'), '-f', path.join(folder, 'absent'), ...at(where)),
      fails(2, where, 'profile', 'apply', missingId('agt'), '-f', '/dev/null', ...at(where)),
      fails(2, where, 'session', 'issue', '--agent', missingId('agt'), '--expires-in-days', 'soon', ...at(where)),
      fails(2, where, 'audit', 'tail', '-n', 'many', ...at(where)),
    ])
    expect(unknownTool).toContain('no tool has this name')
    expect(noFile + notJson).toContain('--file')
    expect(days).toContain('expiresInDays')
    expect(count).toContain('limit')
  })

test('wrong usage ends with 2 and says what is right, without asking anybody', async () => {
  const nowhere = { PORTCULLIS_DATA_DIR: path.join(folder, 'none') }
  const wrong = [
    [],
    ['agent'],
    ['bogus'],
    ['agent', 'bogus'],
    ['agent', 'create'],
    ['agent', 'disable'],
    ['agent', 'list', '--bogus'],
    ['session', 'issue'],
  ]
  const results = await Promise.all(wrong.map((args) => portcullis(args, nowhere)))
  expect(results.map(({ status }, index) => [wrong[index], status])).toEqual(wrong.map((args) => [args, 2]))
  for (const { stderr } of results) expect(stderr).toMatch(/Usage:|--help/)
  const help = await portcullis(['session', 'issue', '--help'], nowhere)
  expect([help.status, help.stdout.includes('--agent')]).toEqual([0, true])
})

test('a wrong environment is named by its variables, never by their values', async () => {
  const canary = 'hunter2-canary'
  const cases: [Record<string, string>, string][] = [
    [{ PORTCULLIS_DATA_DIR: path.join(folder, 'none') }, 'DATABASE_URL'],
    [{ PORTCULLIS_URL: connected.product.url }, 'PORTCULLIS_API_KEY'],
    [{ PORTCULLIS_URL: 'not a url', PORTCULLIS_API_KEY: canary }, 'PORTCULLIS_URL'],
    [{ DATABASE_URL: `mysql://root:${canary}@localhost/x` }, 'DATABASE_URL'],
    [{ PORT: 'eighty' }, 'PORT'],
  ]
  for (const [env, name] of cases) {
    const { status, stdout, stderr } = await portcullis(['agent', 'list'], env)
    expect([name, status, stdout]).toEqual([name, 2, ''])
    expect(stderr).toContain(name)
    expect(stderr).not.toContain(canary)
  }
})

test('a service that is not there, or a key that opens nothing, ends with 1 in a sentence', async () => {
  const gone = await portcullis(['agent', 'list'], { PORTCULLIS_URL: 'http://127.0.0.1:1', PORTCULLIS_API_KEY: apiKey })
  expect([gone.status, gone.stderr]).toEqual([1, 'portcullis: No answer from http://127.0.0.1:1.\n'])
  const unknown = { PORTCULLIS_URL: connected.product.url, PORTCULLIS_API_KEY: `pck_${'a'.repeat(43)}` }
  const refused = await portcullis(['agent', 'list'], unknown)
  expect([refused.status, refused.stderr]).toEqual([1, 'portcullis: Sign in, or send an API key as a bearer token.\n'])
  const doctor = await portcullis(['doctor'], unknown)
  expect([doctor.status, doctor.stdout]).toEqual([1, expect.stringContaining('FAIL  API key')])
})

test('doctor finds nothing at the running product, and names a database that cannot be used', async () => {
  const [here, there] = await Promise.all(BOTH.map((where) => ok(where, 'doctor')))
  for (const report of [here, there]) expect(report).toMatchObject({ ok: true })
  expect((here?.['checks'] as Json[]).map(({ name }) => name)).toEqual(
    expect.arrayContaining(['application database', 'vault database', 'keys', 'gateway', 'providers']),
  )
  const local = JSON.stringify(here)
  expect(local).toContain('github (sandbox)')

  const wrong = 'postgresql://portcullis_app:hunter2-canary@127.0.0.1:1/portcullis'
  const env = { ...environment('local'), DATABASE_URL: wrong, VAULT_DATABASE_URL: wrong }
  const [sick, other] = await Promise.all([portcullis(['doctor'], env), portcullis(['agent', 'list'], env)])
  expect(sick.status).toBe(1)
  expect(sick.stdout).toMatch(/FAIL {2}application database: portcullis at 127\.0\.0\.1:1 .*DATABASE_URL/)
  expect(sick.stdout).toMatch(/FAIL {2}vault database: .*VAULT_DATABASE_URL/)
  expect([other.status, other.stderr]).toEqual([1, expect.stringContaining('portcullis doctor')])
  expect(sick.stdout + sick.stderr + other.stderr).not.toMatch(/hunter2-canary|prisma|\n\s+at /i)
})

test('secrets are printed by create, invite and issue alone', () => {
  expect(secrets).toHaveLength(4)
  for (const secret of secrets) expect(printed).not.toContain(secret.slice(4))
  expect(printed).not.toMatch(/pc[skwfi]_[A-Za-z0-9_-]{20}/)
})
