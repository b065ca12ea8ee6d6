/**
 * Where secrets may be read, and nowhere else. After a tour through everything the product does with them, no run of
 * twelve characters of any secret is found in what processes print, in either database, in any answer to browser or
 * agent, in the files that pages are served from, or in the environment of the process that serves them.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'

import { expect, test } from '@playwright/test'

import { portcullis } from './support/cli'
import { READS, startConnected, type Connected } from './support/connected'
import { query, withDatabase } from './support/database'
import { environmentOf, pidOf } from './support/gateway'
import { PROVIDERS } from './support/sandbox'
import { SecretScanner, type Finding } from './support/scanner'
import { createVisitor, redeemTicket, type Answer } from './support/visitor'

test.describe.configure({ mode: 'serial' })

const ROOT = path.resolve(import.meta.dirname, '..')
const ACCOUNT = {
  email: 'canary@juniperfreight.example',
  name: 'Ana Ribeiro',
  password: 'canary-password-Zq7vK2mX9wB4nT6sHd3',
}
const NEW_PASSWORD = 'canary-new-password-Lp4tR8nY3cJ6gV1wMz5'

let world: Connected
let scanner: SecretScanner
/** Everything that was answered, with what is meant to be in it taken out where it is. */
const answers: { readonly what: string; readonly text: string }[] = []
const say = (answer: Answer): void => {
  answers.push({ what: `answer ${answers.length}`, text: `${JSON.stringify(visible(answer))}\n${answer.body}` })
}
/** A cookie is meant to reach its browser; everything else in the header must not hold it. */
const visible = ({ headers }: Answer): unknown => ({
  ...headers,
  'set-cookie': (headers['set-cookie'] ?? []).map((line) => line.replace(/^([^=]+)=[^;]*/, '$1=')),
})
/** Takes the one intended showing of a secret out of the answer that shows it. */
const forgive = (secret: string): void => {
  const index = answers.findIndex(({ text }) => text.includes(secret))
  const found = answers[index]
  if (found === undefined) throw new Error('the secret was shown nowhere')
  answers[index] = { ...found, text: found.text.replace(secret, '') }
}

const mails = (): { readonly file: string; readonly text: string }[] => {
  const folder = path.join(world.product.dataDir, 'mail')
  return readdirSafely(folder).map((name) => ({ file: name, text: readFileSync(path.join(folder, name), 'utf8') }))
}
const readdirSafely = (folder: string): string[] => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
/** Waits for the mail whose link has this prefix. @returns the link's secret */
async function secretFromMail(prefix: string): Promise<string> {
  const find = () =>
    mails()
      .map(({ text }) => new RegExp(`#(${prefix}[A-Za-z0-9_-]{43})`).exec(text)?.[1])
      .find((secret) => secret !== undefined)
  await expect.poll(find, { timeout: 60_000 }).toBeDefined()
  return find() ?? ''
}

test.beforeAll(async () => {
  test.setTimeout(300_000)
  world = await startConnected({ account: ACCOUNT, onAnswer: say, env: { LOG_LEVEL: 'trace' } })
})
test.afterAll(() => world.close())

test('a tour through everything that handles secrets', async () => {
  test.setTimeout(240_000)
  const { agent, owner, product, sandbox } = world
  const { dataDir } = product
  const secrets = new Map<string, string>()
  const add = (name: string, value: string | undefined): void => {
    if (value === undefined || value.length < 12) throw new Error(`${name} is no secret`)
    secrets.set(name, value)
  }

  // What was made while the product started and the accounts were connected.
  add('password', ACCOUNT.password)
  add('new password', NEW_PASSWORD)
  add('sign-up link', new URL(product.signUpLink ?? '').hash.slice(1))
  add('session key', agent.sessionKey)
  forgive(agent.sessionKey)
  for (const [name, value] of owner.cookies) if (/^pc\w_/.test(value)) add(`cookie ${name}`, value)
  const gateway = environmentOf(pidOf(product, 'gateway'))
  add('NEXTAUTH_SECRET', gateway['NEXTAUTH_SECRET'])
  for (const name of ['DATABASE_URL', 'VAULT_DATABASE_URL'])
    add(`password in ${name}`, new URL(gateway[name] ?? '').password)
  const sandboxApps = JSON.parse(gateway['SANDBOX_PROVIDERS'] ?? '{}') as Record<string, { clientSecret: string }> // our launcher's own
  for (const provider of PROVIDERS) add(`client secret of ${provider}`, sandboxApps[provider]?.clientSecret)
  const kek = JSON.parse(readFileSync(path.join(dataDir, 'keys', 'kek.json'), 'utf8')) as { key: string } // our own file
  add('KEK', kek.key)
  add('KEK as bytes', Buffer.from(kek.key, 'base64').toString('latin1'))
  add('superuser password', readFileSync(path.join(dataDir, 'postgres/cluster/superuser-password'), 'utf8').trim())

  // Calls that go well, calls whose provider echoes the credential, calls that fail.
  for (const provider of PROVIDERS) {
    const { tool, args } = READS[provider]
    expect((await agent.call(tool, args)).isError).toBe(false)
    for (const where of ['body', 'header', 'error'] as const) {
      await sandbox.inject({ provider, target: 'api', fault: { kind: 'echo_authorization', where } })
      expect((await agent.call(tool, args)).status).toBe(200)
    }
    for (const kind of ['error_500', 'html_502', 'reset_after', 'form_encoded'] as const) {
      await sandbox.inject({ provider, target: 'api', fault: { kind } })
      await agent.call(tool, args)
    }
  }
  await agent.call('github_create_issue', { owner: 'juniper-freight', repo: 'route-planner', title: 'A canary sings' })
  await agent.call('github_search_repositories', { query: agent.sessionKey }) // an agent that is careless with its own key
  await agent.call('no_such_tool', { token: 'x' })
  await agent.post('{"broken', {})

  // Refreshes: good ones, refused ones, answers that are lost.
  for (const provider of PROVIDERS) {
    const { tool, args } = READS[provider]
    await query(
      dataDir,
      'portcullis_vault',
      `UPDATE credential SET issued_at = now() - interval '8 hours', access_expires_at = now() - interval '1 second', refresh_at = NULL
        WHERE connection_id = $1`,
      [world.connections[provider]],
    )
    await sandbox.expireAll(provider)
    await sandbox.inject({ provider, target: 'token', fault: { kind: 'error_500' } })
    await agent.call(tool, args)
    await query(
      dataDir,
      'portcullis_vault',
      'UPDATE credential SET refresh_at = NULL, failures = 0 WHERE connection_id = $1',
      [world.connections[provider]],
    )
    expect((await agent.call(tool, args)).isError).toBe(false)
  }
  await sandbox.clearFaults()

  // An API key, used, wrong and revoked; the command line; the pages.
  const key = await owner.send('/api/v1/api-keys', { json: { name: 'Automation' } })
  const { apiKey, id: apiKeyId } = key.json() as { apiKey: string; id: string } // the API's own shape
  add('API key', apiKey)
  forgive(apiKey)
  const machine = createVisitor(product.url)
  for (const target of ['/api/v1/agents', '/api/v1/activity', '/api/v1/account', `/api/v1/agents?key=${apiKey}`])
    say(await machine.send(target, { headers: { authorization: `Bearer ${apiKey}` } }))
  const tail = await portcullis(['audit', 'tail', '--lines', '100', '--json'], { PORTCULLIS_DATA_DIR: dataDir })
  const listed = await portcullis(['session', 'list', '--json'], { PORTCULLIS_DATA_DIR: dataDir })
  const remote = await portcullis(['agent', 'list', '--json'], {
    PORTCULLIS_URL: product.url,
    PORTCULLIS_API_KEY: apiKey,
  })
  for (const { stdout, stderr } of [tail, listed, remote])
    answers.push({ what: 'the command line', text: stdout + stderr })
  for (const page of [
    '/',
    '/connections',
    '/agents',
    '/activity',
    '/sessions',
    '/settings/account',
    `/agents/${agent.agentId}`,
  ])
    await owner.send(page, { headers: { accept: 'text/html' } })
  await owner.send(`/api/v1/api-keys/${apiKeyId}`, { method: 'DELETE' })
  for (const list of ['connections', 'agents', 'sessions', 'activity', 'api-keys', 'account'])
    await owner.send(`/api/v1/${list}`)

  // Sign-ins by every door, a wrong password, a reset; each door's secret is its own.
  const visitor = createVisitor(product.url)
  const door = async (target: string, json: unknown): Promise<Answer> => {
    const answer = await visitor.send(target, { json })
    say(answer)
    return answer
  }
  await door('/signin/password', { email: ACCOUNT.email, password: `${NEW_PASSWORD}-wrong` })
  await door('/signin/magic-link', { email: ACCOUNT.email })
  const magic = await secretFromMail('pcm_')
  add('magic link', magic)
  await door('/signin/link', { secret: magic })
  expect((await door('/signin/magic-link/confirm', { secret: magic })).status).toBe(200)
  add('cookie of the magic link', visitor.cookie('portcullis-ticket'))
  await redeemTicket(visitor)
  await door('/signin/magic-link/confirm', { secret: magic })
  await door('/signin/reset', { email: ACCOUNT.email })
  const reset = await secretFromMail('pcr_')
  add('reset link', reset)
  expect((await door('/signin/reset/confirm', { secret: reset, password: NEW_PASSWORD })).status).toBe(200)
  // The reset ended every session of the person; a new one does the rest.
  expect((await owner.send('/api/v1/account')).status).toBe(401)
  expect((await door('/signin/password', { email: ACCOUNT.email, password: NEW_PASSWORD })).status).toBe(200)
  add('ticket', visitor.cookie('portcullis-ticket'))
  await redeemTicket(visitor)
  expect(
    (await visitor.send(`/api/v1/connections/${world.connections.slack}`, { method: 'DELETE' })).status,
  ).toBeLessThan(300)
  await expect.poll(async () => (await sandbox.counters('slack')).revokeCalls, { timeout: 60_000 }).toBeGreaterThan(0)
  await door('/signin/sign-out', {})

  // Every token the providers ever issued, and every code.
  for (const provider of PROVIDERS)
    for (const [index, token] of (await sandbox.journal(provider)).entries())
      add(`${token.kind} token ${index} of ${provider}`, token.value)
  expect(secrets.size).toBeGreaterThan(25)
  // The prefixes that all secrets of a kind share are no secret.
  scanner = new SecretScanner(secrets)
})

const found = (what: string, text: string | Buffer): Finding[] => scanner.scan(what, text)

test('the scanner finds what is planted, whole, in part and encoded', () => {
  const secret = scanner.sample('session key')
  const middle = secret.slice(12, 26)
  for (const text of [
    `x${middle}x`,
    Buffer.from(`..${secret}..`).toString('hex'),
    Buffer.from(`..${secret}`).toString('base64'),
    Buffer.from(`.${secret}`).toString('base64'),
    Buffer.from(secret).toString('base64url'),
    encodeURIComponent(`"${secret}`),
  ])
    expect(found('planted', text).map(({ secret: name }) => name)).toContain('session key')
  expect(found('planted', `x${secret.slice(12, 23)}x`)).toEqual([])
})

test('nothing that any process printed or logged holds one', () => {
  const { dataDir } = world.product
  const logs = walk(path.join(dataDir, 'run', 'logs')).concat(path.join(dataDir, 'postgres', 'postgres.log'))
  expect(logs.length).toBeGreaterThanOrEqual(5)
  // The first line with the sign-up link is how the first person gets in.
  const link = world.product.signUpLink ?? 'none'
  expect(found('output', world.product.output().replace(link, ''))).toEqual([])
  for (const file of logs) expect(found(file, readFileSync(file))).toEqual([])
})

test('no column of any table of either database holds one', async () => {
  test.setTimeout(120_000)
  const { dataDir } = world.product
  let columns = 0
  const leaks: Finding[] = [] // compared once: a test's own expectations cost more than the looking
  for (const database of ['portcullis', 'portcullis_vault'] as const)
    await withDatabase(dataDir, database, async (run) => {
      await run('CREATE TABLE public.planted_canary (plain text, raw bytea, document jsonb)')
      const secret = scanner.sample('session key')
      await run(`INSERT INTO public.planted_canary VALUES ('', $1, '{}'), ('', '', $2)`, [
        Buffer.from(`..${secret}`),
        JSON.stringify({ deep: [secret.slice(10, 30)] }),
      ])
      const tables = await run(
        `SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) AS name FROM information_schema.tables
          WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`,
      )
      const bitten = new Set<string>()
      for (const { name } of tables) {
        const rows = await run(`SELECT * FROM ${String(name)}`)
        for (const row of rows)
          for (const [column, value] of Object.entries(row)) {
            columns += 1
            const text = Buffer.isBuffer(value) || typeof value === 'string' ? value : JSON.stringify(value)
            const findings = found(`${database} ${String(name)}.${column}`, text)
            if (String(name) !== 'public.planted_canary') leaks.push(...findings)
            else if (findings.length > 0) bitten.add(column)
          }
      }
      expect([...bitten].sort()).toEqual(['document', 'raw'])
      await run('DROP TABLE public.planted_canary')
      const names = tables.map(({ name }) => String(name))
      expect(names).toContain(database === 'portcullis' ? 'public.audit_record' : 'public.credential')
      if (database === 'portcullis') expect(names.some((name) => name.startsWith('bullmq.'))).toBe(true)
    })
  expect(leaks).toEqual([])
  expect(columns).toBeGreaterThan(500)
})

test('no answer to browser, agent, API client or command line holds one', () => {
  expect(answers.length).toBeGreaterThan(50)
  expect(answers.flatMap(({ what, text }) => found(`${what}: ${text.slice(0, 120)}`, text))).toEqual([])
})

test('no mail holds one but the link it was sent for', () => {
  expect(mails().length).toBeGreaterThanOrEqual(2)
  for (const { file, text } of mails()) {
    expect(text.match(/#pc\w_/g)?.length ?? 0).toBeLessThanOrEqual(1)
    expect(found(file, text.replace(/#pc\w_[A-Za-z0-9_-]{43}/, ''))).toEqual([])
    expect(statSync(path.join(world.product.dataDir, 'mail', file)).mode & 0o077).toBe(0)
  }
})

test('no file that pages or bundles are served from holds one', () => {
  const files = [
    path.join(ROOT, '.next', 'static'),
    path.join(ROOT, '.next', 'server'),
    path.join(ROOT, '.build'),
    path.join(ROOT, 'public'),
  ]
    .flatMap(walk)
    .filter((file) => !file.endsWith('.map'))
  expect(files.length).toBeGreaterThan(20)
  expect(files.flatMap((file) => found(file, readFileSync(file)))).toEqual([])
})

test('the process that serves pages knows no vault, no key and no provider', () => {
  const web = environmentOf(pidOf(world.product, 'web'))
  const gateway = environmentOf(pidOf(world.product, 'gateway'))
  for (const name of Object.keys(web))
    expect(name).not.toMatch(/^(VAULT|KEK|KEY_STORE|REDIS|SANDBOX_PROVIDERS|SMTP|GITHUB|GOOGLE|SLACK|PORTCULLIS)/)
  expect(web['DATABASE_URL']).not.toBe(gateway['DATABASE_URL'])
  const { NEXTAUTH_SECRET, DATABASE_URL, ...rest } = web
  expect(NEXTAUTH_SECRET).toBeDefined() // next-auth's own, which opens no session by itself
  expect(DATABASE_URL).toBeDefined()
  expect(found('environment of web', JSON.stringify(rest))).toEqual([])
  expect(found('database URL of web', DATABASE_URL ?? '')).toEqual([])
  // The same look at the gateway's finds them.
  expect(found('environment of the gateway', JSON.stringify(gateway)).length).toBeGreaterThan(3)
})

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
}
