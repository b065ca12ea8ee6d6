import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { createConnectRoutes } from '@/gateway/connect'
import { createGatewayServer } from '@/gateway/server'
import type { ProviderName } from '@/lib/config'
import { newId, type ConnectionId, type Id, type PersonId, type TenantId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import { Secret } from '@/lib/secret'
import { createTestFlows, type FlowGates, type FlowOptions, type TestFlows } from '@/lib/testing/connection-flows'
import type { DriverOptions, DriverOrder, DriverReport, Step } from '@/lib/testing/connection-driver'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity, newBrowser, PASSWORD, type TestBrowser, type TestIdentity } from '@/lib/testing/identity'
import { bundle, start as startProcess } from '@/lib/testing/process'
import type { MemberPrincipal, PersonPrincipal } from '@/lib/tenancy/principal'
import { consentAs, type Person } from '@/sandbox/browser'
import { startSandbox, type SandboxHandle } from '@/sandbox/server'

const PUBLIC_URL = 'http://localhost:3000'
const PROVIDERS = ['google', 'github', 'slack'] as const
const GMAIL = 'https://www.googleapis.com/auth/gmail.'
// As the account page's buttons carry them, and as people then see them. Slack's ids are the emulator's to choose.
const ANA = { google: 'ana@juniperfreight.example', github: 'ana-ribeiro', slack: '' }
const BEN = { google: 'ben@juniperfreight.example', github: 'bokafor', slack: '' }
const SHOWN = { ana: { ...ANA, slack: 'ana' }, ben: { ...BEN, slack: 'ben' } }

let db: TestDatabases
let sandbox: SandboxHandle
let identity: TestIdentity
let flows: TestFlows
let options: FlowOptions
let port: number
let closeGateway: () => Promise<void>

beforeAll(async () => {
  db = await createTestDatabases()
  sandbox = await startSandbox({
    redirectUris: Object.fromEntries(PROVIDERS.map((name) => [name, [`${PUBLIC_URL}/connect/callback/${name}`]])),
  })
  identity = createTestIdentity(db)
  options = {
    appUrl: db.urls.app,
    vaultUrl: db.urls.vault,
    dataDir: mkdtempSync(path.join(tmpdir(), 'portcullis-connect-')),
    publicUrl: PUBLIC_URL,
    apps: Object.fromEntries(
      PROVIDERS.map((name) => [
        name,
        {
          clientId: sandbox[name].clientId,
          clientSecret: sandbox[name].clientSecret,
          overrides: sandbox.overrides[name],
        },
      ]),
    ),
  }
  flows = await createTestFlows(options)
  const gateway = createGatewayServer({
    publicUrl: PUBLIC_URL,
    publicUrlIsLoopback: true,
    trustedProxies: [],
    allowUpgrade: false,
    readiness: () => Promise.resolve({ ready: true }),
    families: [
      createConnectRoutes({
        publicUrl: PUBLIC_URL,
        cookies: identity.cookies,
        authenticator: identity.authenticator,
        connections: flows.connections,
        providers: flows.providers,
        isReady: () => true,
      }),
    ],
    web: undefined,
    log: createLog('test', 'silent'),
  })
  port = await gateway.listen(0, '127.0.0.1')
  closeGateway = () => gateway.drain(0)
  const page = await fetch(
    (await flows.providers.get('slack')?.authorizationUrl({
      redirectUri: `${PUBLIC_URL}/connect/callback/slack`,
      state: new Secret('s'.repeat(43)),
      nonce: '',
      codeVerifier: 'v'.repeat(43),
      scopes: ['users:read'],
    })) ?? '',
  )
  const accounts = [...(await page.text()).matchAll(/name="account" value="([^"]+)"/g)].map(([, id]) => id ?? '')
  ANA.slack = accounts[0] ?? ''
  BEN.slack = accounts[1] ?? ''
})

afterAll(async () => {
  await closeGateway()
  await flows.close()
  await identity.close()
  await sandbox.close()
  await db.close()
  rmSync(options.dataDir, { recursive: true, force: true })
})

beforeEach(() => {
  sandbox.control.clearFaults()
  sandbox.control.resetCounters()
  for (const name of PROVIDERS) sandbox.control.setIss(name, 'right')
})

/** Somebody signed in, in a browser of their own. */
interface Someone {
  readonly personId: PersonId
  readonly tenantId: TenantId
  readonly email: string
  readonly browser: TestBrowser
  readonly sessionId: Id<'webSession'>
  readonly cookie: string
  readonly principal: PersonPrincipal
}

async function signIn(email: string, known: { personId: PersonId; tenantId: TenantId }): Promise<Someone> {
  const browser = newBrowser()
  const secret = await identity.activate(await identity.signIn.withPassword(email, PASSWORD, browser), browser)
  const cookie = `${identity.cookies.session}=${secret}; ${identity.cookies.browser}=${browser.browser}`
  const principal = await identity.authenticator.member({
    cookie,
    authorization: undefined,
    network: '127.0.0.1',
    address: '127.0.0.1',
  })
  if (principal?.kind !== 'person') throw new Error('nobody is signed in')
  return { ...known, email, browser, cookie, principal, sessionId: principal.webSessionId }
}

let people = 0
async function someone(): Promise<Someone> {
  people += 1
  const email = `person${people}@example.com`
  return signIn(email, await identity.person(email))
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

function http(method: string, target: string, headers: Record<string, string> = {}, body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      { host: '127.0.0.1', port, method, path: target, headers: { host: 'localhost:3000', ...headers } },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString(),
          }),
        )
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}

const SAME_ORIGIN = { origin: PUBLIC_URL, 'sec-fetch-site': 'same-origin', 'content-type': 'application/json' }

async function begin(who: Someone, provider: ProviderName, body: object = {}): Promise<string> {
  const answer = await http(
    'POST',
    `/connect/${provider}`,
    { ...SAME_ORIGIN, cookie: who.cookie },
    JSON.stringify(body),
  )
  expect(answer.status).toBe(200)
  return (JSON.parse(answer.body) as { location: string }).location
}

const comeBack = (who: Someone | undefined, callback: URL | string) => {
  const url = new URL(callback)
  return http('GET', url.pathname + url.search, who === undefined ? {} : { cookie: who.cookie })
}

interface Ended {
  readonly outcome: string | null
  readonly detail: Record<string, unknown>
  readonly location: string
}

async function endOf(answer: Answer): Promise<Ended> {
  expect(answer.status).toBe(303)
  const location = answer.headers.location ?? ''
  const id = /^\/connections\/result\?attempt=(cat_[0-9a-z]{26})$/.exec(location)?.[1]
  const [row] = await db.adminQuery('app', 'SELECT outcome, outcome_detail FROM connect_attempt WHERE id = $1', [id])
  return {
    outcome: (row?.['outcome'] ?? null) as string | null, // a text column
    detail: (row?.['outcome_detail'] ?? {}) as Record<string, unknown>, // a json column
    location,
  }
}

async function connect(who: Someone, provider: ProviderName, as: Person, body: object = {}): Promise<Ended> {
  return endOf(await comeBack(who, await consentAs(await begin(who, provider, body), as)))
}

const connected = async (who: Someone, provider: ProviderName, account: string): Promise<ConnectionId> => {
  const end = await connect(who, provider, { account })
  expect(end.outcome).toBe('connected')
  return end.detail['connectionId'] as ConnectionId // an id of ours
}

const vaultRow = async (id: string) =>
  (await db.adminQuery('vault', 'SELECT * FROM credential WHERE connection_id = $1', [id]))[0]
const appRow = async (id: string) => (await db.adminQuery('app', 'SELECT * FROM connection WHERE id = $1', [id]))[0]
const liveTokens = (provider: 'google' | 'github' | 'slack') =>
  sandbox.control.journal(provider).filter(({ state }) => state === 'live')
const spooled = () => {
  try {
    return readdirSync(path.join(options.dataDir, 'spool', 'connect')).filter((name) => name.endsWith('.json'))
  } catch {
    return []
  }
}
const actions = async (tenantId: string) => {
  await flows.audit.drain()
  return (
    await db.adminQuery('app', 'SELECT action, reason FROM audit_record WHERE tenant_id = $1 ORDER BY recorded_at', [
      tenantId,
    ])
  ).map((row) => String(row['action']))
}

describe('consent', () => {
  it.each(PROVIDERS)(
    'at %s becomes a connection whose token opens the account, audited before and after',
    async (name) => {
      const who = await someone()
      const id = await connected(who, name, ANA[name])
      const open = await flows.credentials.open(who.tenantId, id, { minGeneration: 1 })
      expect(open).toMatchObject({ state: 'active', generation: 1, hasRefreshToken: true })
      expect(open.accessLeftMs).toBeGreaterThan(0)
      const token = open.accessToken
      if (token === undefined) throw new Error('no token')
      const client = flows.providers.get(name)
      expect(await client?.identify(token)).toMatchObject({ kind: 'known' })
      expect(await appRow(id)).toMatchObject({
        access: 'allowed',
        state: 'active',
        credential_generation: 1,
        owner_person_id: who.personId,
        provider_app: client?.app.key,
      })
      const view = await flows.connections.show(who.principal, id)
      expect(view).toMatchObject({ provider: name, isOwn: true, missingScopes: [], sandbox: true })
      expect(view.account).toContain(SHOWN.ana[name])
      expect(await actions(who.tenantId)).toEqual(['connection.connect_started', 'connection.connected'])
      expect(spooled()).toEqual([])
      const seen = JSON.stringify([view, await appRow(id), (await vaultRow(id))?.['granted_scopes']])
      expect(seen).not.toContain(token.reveal())
    },
  )

  it('keeps several accounts of one provider apart', async () => {
    const who = await someone()
    const first = await connected(who, 'github', ANA.github)
    const second = await connected(who, 'github', BEN.github)
    expect(second).not.toBe(first)
    expect((await flows.connections.list(who.principal)).map(({ account }) => account).sort()).toEqual([
      ANA.github,
      BEN.github,
    ])
  })

  it.each(PROVIDERS)('for an account of %s that is connected already renews that connection', async (name) => {
    const who = await someone()
    const first = await connected(who, name, ANA[name])
    expect(await connected(who, name, ANA[name])).toBe(first)
    expect(await flows.connections.list(who.principal)).toHaveLength(1)
    expect((await appRow(first))?.['credential_generation']).toBe(2)
    expect((await flows.credentials.open(who.tenantId, first, { minGeneration: 2 })).state).toBe('active')
    expect(await actions(who.tenantId)).toContain('connection.reconnected')
  })

  it.each(PROVIDERS)('that is refused at %s ends at a page and stores nothing', async (name) => {
    const who = await someone()
    // Who has consented once is not asked again at GitHub.
    for (const living of liveTokens(name)) sandbox.control.ledgers[name].revokeGrant(living.grantId)
    const end = await connect(who, name, { account: ANA[name], decision: 'deny' })
    expect(end.outcome).toBe('refused')
    expect(sandbox.control.counters(name).tokenCalls).toBe(0)
    expect(await flows.connections.list(who.principal)).toEqual([])
    expect(await actions(who.tenantId)).toContain('connection.refused')
  })

  it('with a box unticked is a connection with less, and says what is missing', async () => {
    const who = await someone()
    const end = await connect(who, 'google', { account: ANA.google, untick: [`${GMAIL}compose`] })
    expect(end.outcome).toBe('partial')
    expect(end.detail['missing']).toEqual([`${GMAIL}compose`])
    const [view] = await flows.connections.list(who.principal)
    expect(view?.missingScopes).toEqual([`${GMAIL}compose`])
    expect(view?.grantedScopes).toContain(`${GMAIL}readonly`)
  })
})

describe('what the answer to a consent says of the provider’s app', () => {
  const AS_USUAL = {
    google: { accessS: 3_599, refreshS: null },
    github: { accessS: 28_800, refreshS: 15_897_600 },
    slack: { accessS: 43_200, refreshS: null },
  } as const
  afterEach(() => {
    for (const name of PROVIDERS) sandbox.control.setLifetimes(name, AS_USUAL[name])
  })

  /** As the page gets it, once the copy of the credential's facts is there. */
  const trapsOf = async (who: Someone, id: string) => {
    await flows.credentials.settled()
    const { traps } = await flows.connections.show(who.principal, id)
    return traps.map(({ code, severity, action }) => [code, severity, action])
  }
  const idOf = (end: Ended) => String(end.detail['connectionId'])

  it('nothing, where nothing is odd', async () => {
    const who = await someone()
    expect(await trapsOf(who, await connected(who, 'google', ANA.google))).toEqual([])
    expect(await trapsOf(who, await connected(who, 'github', ANA.github))).toEqual([])
  })

  it('Google: an app in testing, whose refresh tokens live for seven days', async () => {
    sandbox.control.setLifetimes('google', { refreshS: 604_799 })
    const who = await someone()
    const id = await connected(who, 'google', ANA.google)
    expect(await trapsOf(who, id)).toEqual([['google_testing', 'warning', 'reconnect']])
    const [trap] = (await flows.connections.show(who.principal, id)).traps
    expect(Date.parse(trap?.at ?? '') - Date.now()).toBeGreaterThan(6.9 * 86_400_000)
  })

  it('Google: no refresh token came', async () => {
    sandbox.control.inject({ provider: 'google', target: 'token', fault: { kind: 'refresh_token', as: 'missing' } })
    const who = await someone()
    const id = await connected(who, 'google', ANA.google)
    expect(await trapsOf(who, id)).toEqual([['google_no_refresh_token', 'warning', 'reconnect']])
  })

  it('Google: a box was unticked, and a full consent ends that', async () => {
    const who = await someone()
    const id = idOf(await connect(who, 'google', { account: ANA.google, untick: [`${GMAIL}compose`] }))
    expect(await trapsOf(who, id)).toEqual([['partial_consent', 'warning', 'reconnect']])
    await connect(who, 'google', { account: ANA.google }, { connectionId: id })
    expect(await trapsOf(who, id)).toEqual([])
  })

  it('GitHub: an OAuth app without expiry, and one with it after the account was connected again', async () => {
    sandbox.control.setLifetimes('github', { accessS: null })
    const who = await someone()
    const id = await connected(who, 'github', ANA.github)
    expect(await trapsOf(who, id)).toEqual([['github_oauth_never_expires', 'info', 'none']])
    sandbox.control.setLifetimes('github', AS_USUAL.github)
    await connect(who, 'github', { account: ANA.github }, { connectionId: id })
    expect(await trapsOf(who, id)).toEqual([])
  })

  it('GitHub: a GitHub App without expiry', async () => {
    const answers = [
      ['token', { access_token: `ghu_${'a'.repeat(36)}`, scope: '', token_type: 'bearer' }],
      ['api', { id: 4_711, login: 'app-user', name: null, email: null }],
    ] as const
    for (const [target, body] of answers)
      sandbox.control.inject({ provider: 'github', target, fault: { kind: 'error', status: 200, body } })
    const who = await someone()
    const end = await connect(who, 'github', { account: ANA.github })
    expect(await trapsOf(who, idOf(end))).toEqual([['github_never_expires', 'info', 'none']])
  })

  it('Slack: rotation that cannot be turned off again, or that is off', async () => {
    const who = await someone()
    const id = await connected(who, 'slack', ANA.slack)
    expect(await trapsOf(who, id)).toEqual([['slack_rotation_on', 'info', 'none']])
    sandbox.control.setLifetimes('slack', { accessS: null })
    await connect(who, 'slack', { account: ANA.slack }, { connectionId: id })
    expect(await trapsOf(who, id)).toEqual([['slack_rotation_off', 'info', 'none']])
  })
})

describe('reconnecting', () => {
  it.each(PROVIDERS)('with another account of %s changes nothing, ends the new access and names both', async (name) => {
    const who = await someone()
    const id = await connected(who, name, ANA[name])
    const before = await vaultRow(id)
    const livingBefore = new Set(liveTokens(name).map(({ value }) => value))
    const end = await connect(who, name, { account: BEN[name] }, { connectionId: id })
    expect(end.outcome).toBe('other_account')
    expect(end.detail).toMatchObject({ connectionId: id })
    expect(String(end.detail['expectedAccount'])).toContain(SHOWN.ana[name])
    expect(String(end.detail['givenAccount'])).toContain(SHOWN.ben[name])
    expect(await vaultRow(id)).toEqual(before)
    expect(await flows.connections.list(who.principal)).toHaveLength(1)
    expect(liveTokens(name).filter(({ value }) => !livingBefore.has(value))).toEqual([])
    expect(spooled()).toEqual([])
  })

  it('with an account that another connection holds does not end that one', async () => {
    const other = await someone()
    const kept = await connected(other, 'google', BEN.google)
    const who = await someone()
    const id = await connected(who, 'google', ANA.google)
    expect((await connect(who, 'google', { account: BEN.google }, { connectionId: id })).outcome).toBe('other_account')
    expect(sandbox.control.counters('google').revokeCalls).toBe(0)
    const open = await flows.credentials.open(other.tenantId, kept, { minGeneration: 1 })
    expect(await flows.providers.get('google')?.identify(open.accessToken!)).toMatchObject({ kind: 'known' })
  })

  it("somebody else's connection is refused like one that is not there", async () => {
    const owner = await someone()
    const id = await connected(owner, 'github', ANA.github)
    const stranger = await someone()
    const post = (connectionId: string) =>
      http('POST', '/connect/github', { ...SAME_ORIGIN, cookie: stranger.cookie }, JSON.stringify({ connectionId }))
    const [foreign, missing, malformed] = await Promise.all([post(id), post(newId('connection')), post('nonsense')])
    expect([foreign.status, missing.status, malformed.status]).toEqual([404, 404, 404])
    expect(foreign.body).toBe(missing.body)
    expect(malformed.body).toBe(missing.body)
  })
})

describe('attacks on the flow', () => {
  it('a start from another site, from a program or from nobody begins nothing', async () => {
    const who = await someone()
    const tries = [
      http(
        'POST',
        '/connect/github',
        { ...SAME_ORIGIN, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site', cookie: who.cookie },
        '{}',
      ),
      http('POST', '/connect/github', { ...SAME_ORIGIN, origin: 'null', cookie: who.cookie }, '{}'),
      http('POST', '/connect/github', { 'content-type': 'application/json', cookie: who.cookie }, '{}'),
      http('POST', '/connect/github', SAME_ORIGIN, '{}'),
      http('POST', '/connect/github', { ...SAME_ORIGIN, authorization: 'Bearer pck_x' }, '{}'),
    ]
    expect((await Promise.all(tries)).map(({ status }) => status)).toEqual([403, 403, 403, 401, 401])
    expect(await db.adminQuery('app', 'SELECT 1 FROM connect_attempt WHERE person_id = $1', [who.personId])).toEqual([])
  })

  it('a GET begins nothing and leads to the page that asks', async () => {
    const who = await someone()
    const answer = await http('GET', '/connect/github', { cookie: who.cookie })
    expect([answer.status, answer.headers.location]).toEqual([303, '/connections/new?provider=github'])
    expect(await db.adminQuery('app', 'SELECT 1 FROM connect_attempt WHERE person_id = $1', [who.personId])).toEqual([])
    expect((await http('GET', '/connect/evil', { cookie: who.cookie })).status).toBe(404)
    expect((await http('GET', '/connect/callback/evil?state=x', { cookie: who.cookie })).status).toBe(404)
  })

  it("an attacker's link finished by a victim lands nowhere (COSF), not even when the attacker tries once more", async () => {
    const attacker = await someone()
    const victim = await someone()
    const callback = await consentAs(await begin(attacker, 'github'), { account: BEN.github })
    const answer = await comeBack(victim, callback)
    expect(answer.headers.location).toBe('/connections/result?problem=other_browser')
    expect(sandbox.control.counters('github').tokenCalls).toBe(0)
    await comeBack(attacker, callback)
    expect(sandbox.control.counters('github').tokenCalls).toBe(0)
    for (const who of [attacker, victim]) expect(await flows.connections.list(who.principal)).toEqual([])
    expect(await actions(attacker.tenantId)).toContain('connection.refused')
  })

  it('the same person in another browser, another session in the same browser and nobody are all strangers', async () => {
    const who = await someone()
    const elsewhere = await signIn(who.email, who)
    const mixed = { ...who, cookie: `${elsewhere.cookie.split('; ')[0] ?? ''}; ${who.cookie.split('; ')[1] ?? ''}` }
    const borrowed = { ...who, cookie: `${who.cookie.split('; ')[0] ?? ''}; ${elsewhere.cookie.split('; ')[1] ?? ''}` }
    for (const returning of [elsewhere, mixed, borrowed, undefined]) {
      const callback = await consentAs(await begin(who, 'github'), { account: ANA.github })
      expect((await comeBack(returning, callback)).headers.location).toBe('/connections/result?problem=other_browser')
    }
    expect(sandbox.control.counters('github').tokenCalls).toBe(0)
  })

  it('a code of one provider handed to the callback of another is not sent anywhere (COAT)', async () => {
    const who = await someone()
    const callback = await consentAs(await begin(who, 'github'), { account: ANA.github })
    const mixed = new URL(callback)
    mixed.pathname = '/connect/callback/slack'
    const end = await endOf(await comeBack(who, mixed))
    expect(end).toMatchObject({ outcome: 'failed', detail: { code: 'wrong_provider' } })
    for (const name of PROVIDERS) expect(sandbox.control.counters(name).tokenCalls).toBe(0)
    await comeBack(who, callback)
    expect(sandbox.control.counters('github').tokenCalls).toBe(0)
  })

  it('an attempt begun with another app of the provider is not finished with this one', async () => {
    const who = await someone()
    const callback = await consentAs(await begin(who, 'github'), { account: ANA.github })
    await db.adminQuery('app', "UPDATE connect_attempt SET provider_app = 'another' WHERE person_id = $1", [
      who.personId,
    ])
    expect((await endOf(await comeBack(who, callback))).detail['code']).toBe('wrong_provider')
    expect(sandbox.control.counters('github').tokenCalls).toBe(0)
  })

  it.each(['google', 'github'] as const)(
    'an answer of %s that names another issuer is not used (mix-up)',
    async (name) => {
      const who = await someone()
      sandbox.control.setIss(name, 'wrong')
      const end = await connect(who, name, { account: ANA[name] })
      expect(end).toMatchObject({ outcome: 'failed', detail: { code: 'answer_not_trusted' } })
      expect(sandbox.control.counters(name).tokenCalls).toBe(0)
    },
  )

  it("an attacker's code in the victim's own flow is refused by the provider (code injection)", async () => {
    const attacker = await someone()
    const victim = await someone()
    const stolen = await consentAs(await begin(attacker, 'github'), { account: BEN.github })
    const own = await consentAs(await begin(victim, 'github'), { account: ANA.github })
    own.searchParams.set('code', stolen.searchParams.get('code') ?? '')
    expect(await endOf(await comeBack(victim, own))).toMatchObject({
      outcome: 'failed',
      detail: { code: 'code_refused' },
    })
    expect(await flows.connections.list(victim.principal)).toEqual([])
  })

  it('a state that is invented, missing, doubled or huge is answered with a page and no trace of it', async () => {
    const who = await someone()
    for (const query of ['state=invented&code=c', 'code=c', '', 'state=a&state=b', `state=${'x'.repeat(5_000)}`]) {
      const answer = await comeBack(who, `${PUBLIC_URL}/connect/callback/github?${query}`)
      expect([answer.status, answer.headers.location]).toEqual([303, '/connections/result?problem=unknown_link'])
    }
  })

  it('an expired state is refused before the code is spent', async () => {
    const who = await someone()
    const callback = await consentAs(await begin(who, 'github'), { account: ANA.github })
    await db.adminQuery(
      'app',
      "UPDATE connect_attempt SET expires_at = now() - interval '1 second' WHERE person_id = $1",
      [who.personId],
    )
    expect((await endOf(await comeBack(who, callback))).outcome).toBe('expired')
    expect(sandbox.control.counters('github').tokenCalls).toBe(0)
  })

  it.each(PROVIDERS)('twenty returns at once to %s make one exchange and one connection', async (name) => {
    const who = await someone()
    const callback = await consentAs(await begin(who, name), { account: ANA[name] })
    const answers = await Promise.all(Array.from({ length: 20 }, () => comeBack(who, callback)))
    expect(new Set(answers.map(({ status, headers }) => `${status} ${headers.location}`)).size).toBe(1)
    expect(sandbox.control.counters(name).tokenCalls).toBe(1)
    expect(await flows.connections.list(who.principal)).toHaveLength(1)
    await comeBack(who, callback)
    expect(sandbox.control.counters(name).tokenCalls).toBe(1)
  })

  it('two tabs that connect one account at once end with one connection and one credential', async () => {
    const who = await someone()
    const callbacks = []
    for (let tab = 0; tab < 2; tab += 1)
      callbacks.push(await consentAs(await begin(who, 'google'), { account: ANA.google }))
    const ends = await Promise.all(callbacks.map(async (callback) => endOf(await comeBack(who, callback))))
    expect(ends.map(({ outcome }) => outcome)).toEqual(['connected', 'connected'])
    expect(new Set(ends.map(({ detail }) => detail['connectionId'])).size).toBe(1)
    const held = await db.adminQuery(
      'vault',
      'SELECT connection_id FROM credential WHERE tenant_id = $1 AND dek_wrapped IS NOT NULL',
      [who.tenantId],
    )
    expect(held).toHaveLength(1)
    expect(await flows.connections.list(who.principal)).toHaveLength(1)
  })

  it('somebody who left the workspace meanwhile connects nothing', async () => {
    const who = await someone()
    const callback = await consentAs(await begin(who, 'github'), { account: ANA.github })
    await db.adminQuery('app', 'DELETE FROM membership WHERE person_id = $1', [who.personId])
    expect((await endOf(await comeBack(who, callback))).detail['code']).toBe('not_permitted')
    expect(sandbox.control.counters('github').tokenCalls).toBe(0)
  })

  it('nothing of the provider gets into the address of the page, and the answer is not kept', async () => {
    const who = await someone()
    const callback = await consentAs(await begin(who, 'github'), { account: ANA.github, decision: 'deny' })
    callback.searchParams.set('error_description', '<script>alert(1)</script>')
    const answer = await comeBack(who, callback)
    expect(answer.headers.location).toMatch(/^\/connections\/result\?attempt=cat_[0-9a-z]{26}$/)
    expect(answer.headers['referrer-policy']).toBe('no-referrer')
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.body).toBe('')
  })

  it('a flow that ended keeps neither verifier nor nonce', async () => {
    const who = await someone()
    await connected(who, 'google', ANA.google)
    const rows = await db.adminQuery('app', 'SELECT code_verifier, nonce FROM connect_attempt WHERE person_id = $1', [
      who.personId,
    ])
    expect(rows).toEqual([{ code_verifier: '', nonce: '' }])
  })
})

describe('a provider that fails', () => {
  it.each([
    ['error_500', { kind: 'error_500' }, 'answer_lost'],
    ['html_502', { kind: 'html_502' }, 'answer_lost'],
    ['rate limited', { kind: 'rate_limited', retryAfterS: 5 }, 'provider_unavailable'],
    ['reset', { kind: 'reset_before' }, 'answer_lost'],
    [
      'our secret refused',
      { kind: 'error', status: 200, body: { error: 'incorrect_client_credentials' } },
      'app_misconfigured',
    ],
  ] as const)('at the exchange (%s) ends at a page and leaves nothing behind', async (_what, fault, code) => {
    const who = await someone()
    const callback = await consentAs(await begin(who, 'github'), { account: ANA.github })
    sandbox.control.inject({ provider: 'github', target: 'token', fault })
    expect(await endOf(await comeBack(who, callback))).toMatchObject({ outcome: 'failed', detail: { code } })
    expect(await flows.connections.list(who.principal)).toEqual([])
    expect(spooled()).toEqual([])
  })

  it('when it is asked whose account this is, ends the access that cannot be stored', async () => {
    const who = await someone()
    const callback = await consentAs(await begin(who, 'github'), { account: ANA.github })
    sandbox.control.inject({ provider: 'github', target: 'api', times: 3, fault: { kind: 'error_500' } })
    const living = new Set(liveTokens('github').map(({ value }) => value))
    expect((await endOf(await comeBack(who, callback))).outcome).toBe('failed')
    expect(liveTokens('github').filter(({ value, kind }) => kind === 'access' && !living.has(value))).toEqual([])
  })
})

describe('a fault of our own', () => {
  const finishWith = async (who: Someone, gates: FlowGates) => {
    const own = await createTestFlows(options, gates)
    try {
      const callback = await consentAs(await begin(who, 'slack'), { account: ANA.slack })
      const result = await own.connections.callback('slack', callback, {
        session: { sessionId: who.sessionId, personId: who.personId },
        browserHash: who.browser.browserHash,
        network: '127.0.0.1',
      })
      expect(result.kind).toBe('attempt')
    } finally {
      await own.close()
    }
    const [row] = await db.adminQuery(
      'app',
      'SELECT outcome, outcome_detail FROM connect_attempt WHERE person_id = $1',
      [who.personId],
    )
    return row
  }
  const disk = () => Promise.reject(new Error('the disk is full'))

  it('before the code is spent leaves the code alone and says so', async () => {
    const who = await someone()
    const row = await finishWith(who, { spool: (spool) => ({ ...spool, prepare: disk }) })
    expect(row).toMatchObject({ outcome: 'failed', outcome_detail: { code: 'service_unavailable', retryable: true } })
    expect(sandbox.control.counters('slack').tokenCalls).toBe(0)
  })

  it('in keeping the answer ends the access that could be lost', async () => {
    const who = await someone()
    const living = new Set(liveTokens('slack').map(({ value }) => value))
    const row = await finishWith(who, { spool: (spool) => ({ ...spool, write: disk }) })
    expect(row?.['outcome']).toBe('failed')
    expect(sandbox.control.counters('slack').tokenCalls).toBe(1)
    expect(liveTokens('slack').filter(({ value }) => !living.has(value))).toEqual([])
    expect(await flows.connections.list(who.principal)).toEqual([])
  })

  it('in the vault keeps the answer, and the sweeper makes the connection', async () => {
    const who = await someone()
    const row = await finishWith(who, { credentials: (credentials) => ({ ...credentials, create: disk }) })
    expect(row?.['outcome']).toBeNull()
    expect(spooled()).toHaveLength(1)
    expect(await flows.connections.sweep({ minAgeMs: 0 })).toMatchObject({ finished: 1 })
    expect(await flows.connections.list(who.principal)).toHaveLength(1)
    expect(sandbox.control.counters('slack').tokenCalls).toBe(1)
  })
})

describe('disconnecting', () => {
  const work = async (who: Someone) => {
    for (const { tenantId, revocationId } of await flows.connections.due(100))
      if (tenantId === who.tenantId) await flows.connections.revoke(tenantId, revocationId)
  }

  it.each(PROVIDERS)('at %s blocks here, destroys what is stored and ends the access there', async (name) => {
    const who = await someone()
    // An account of its own at the provider: others of these tests share Ana and Ben.
    for (const living of liveTokens(name)) sandbox.control.revoke(name, { token: living.value })
    await db.adminQuery('app', "UPDATE connection SET access = 'deleted' WHERE provider = $1", [name])
    const id = await connected(who, name, ANA[name])
    expect(liveTokens(name).length).toBeGreaterThan(0)
    expect(await flows.connections.disconnect(who.principal, id)).toEqual({ provider: 'queued' })
    expect(await appRow(id)).toMatchObject({ access: 'deleted', state: 'disconnected' })
    expect(await vaultRow(id)).toMatchObject({
      state: 'disconnected',
      dek_wrapped: null,
      access_sealed: null,
      refresh_sealed: null,
    })
    await work(who)
    expect(liveTokens(name)).toEqual([])
    expect(await db.adminQuery('vault', 'SELECT 1 FROM revocation WHERE tenant_id = $1', [who.tenantId])).toEqual([])
    expect(await actions(who.tenantId)).toEqual(
      expect.arrayContaining(['connection.disconnected', 'connection.revoked_at_provider']),
    )
    await expect(flows.connections.show(who.principal, id)).rejects.toMatchObject({ code: 'resource.not_found' })
    await expect(flows.connections.disconnect(who.principal, id)).rejects.toMatchObject({ code: 'resource.not_found' })
  })

  it('one of two connections to a Google account leaves the grant they share alone', async () => {
    const [first, second] = [await someone(), await someone()]
    const ended = await connected(first, 'google', ANA.google)
    const kept = await connected(second, 'google', ANA.google)
    expect(await flows.connections.disconnect(first.principal, ended)).toEqual({ provider: 'shared' })
    await work(first)
    expect(sandbox.control.counters('google').revokeCalls).toBe(0)
    const open = await flows.credentials.open(second.tenantId, kept, { minGeneration: 1 })
    expect(await flows.providers.get('google')?.identify(open.accessToken!)).toMatchObject({ kind: 'known' })
  })

  it('and connecting the account again before the worker came does not end the new grant', async () => {
    const who = await someone()
    await db.adminQuery('app', "UPDATE connection SET access = 'deleted' WHERE provider = 'google'")
    const ended = await connected(who, 'google', ANA.google)
    expect(await flows.connections.disconnect(who.principal, ended)).toEqual({ provider: 'queued' })
    const again = await connected(who, 'google', ANA.google)
    expect(again).not.toBe(ended)
    await work(who)
    expect(sandbox.control.counters('google').revokeCalls).toBe(0)
    const open = await flows.credentials.open(who.tenantId, again, { minGeneration: 1 })
    expect(await flows.providers.get('google')?.identify(open.accessToken!)).toMatchObject({ kind: 'known' })
  })

  it('is retried until the provider confirms', async () => {
    const who = await someone()
    await db.adminQuery('app', "UPDATE connection SET access = 'deleted' WHERE provider = 'github'")
    const id = await connected(who, 'github', ANA.github)
    await flows.connections.disconnect(who.principal, id)
    const revocationId = flows.queued.at(-1) ?? ''
    sandbox.control.inject({ provider: 'github', target: 'revoke', fault: { kind: 'error_500' } })
    expect(await flows.connections.revoke(who.tenantId, revocationId)).toBe('postponed')
    expect(await flows.connections.revoke(who.tenantId, revocationId)).toBe('done')
    expect(await flows.connections.revoke(who.tenantId, revocationId)).toBe('done')
  })

  it("is for its owner and administrators; a member does not even see another's connection", async () => {
    const owner = await someone()
    const id = await connected(owner, 'github', ANA.github)
    const as = (role: PersonPrincipal['role'], tenantId = owner.tenantId): MemberPrincipal => ({
      ...owner.principal,
      personId: newId('person'),
      role,
      tenantId,
    })
    const stranger = await someone()
    for (const outsider of [as('member'), as('owner', stranger.tenantId), stranger.principal]) {
      await expect(flows.connections.show(outsider, id)).rejects.toMatchObject({ code: 'resource.not_found' })
      await expect(flows.connections.disconnect(outsider, id)).rejects.toMatchObject({ code: 'resource.not_found' })
      expect(await flows.connections.list(outsider)).toEqual([])
    }
    expect((await flows.connections.show(as('auditor'), id)).isOwn).toBe(false)
    await expect(flows.connections.disconnect(as('auditor'), id)).rejects.toMatchObject({ code: 'auth.forbidden' })
    expect((await appRow(id))?.['access']).toBe('allowed')
    await flows.connections.disconnect(as('admin'), id)
    expect((await appRow(id))?.['access']).toBe('deleted')
  })
})

describe('a process killed with -9', () => {
  const killAt = async (stopAt: Step, order: DriverOrder) => {
    const driver = startProcess<DriverOrder, DriverReport>(await bundle('lib/testing/connection-driver.ts'), {
      ...options,
      stopAt,
    } satisfies DriverOptions)
    try {
      await driver.receive((report): report is DriverReport => report.event === 'ready')
      driver.send(order)
      await driver.receive((report): report is DriverReport => report.event === 'reached')
    } finally {
      await driver.kill()
    }
  }
  const callbackOrder = (who: Someone, provider: ProviderName, url: URL): DriverOrder => ({
    op: 'callback',
    provider,
    url: url.href,
    sessionId: who.sessionId,
    personId: who.personId,
    browserHash: who.browser.browserHash.toString('base64'),
  })

  it.each([
    ['after the provider answered', 'spooled'],
    ['after the vault committed', 'vaulted'],
    ['after everything but the tidying', 'shown'],
  ] as const)(
    '%s leaves a consent that is finished later',
    async (_when, stopAt) => {
      for (const name of PROVIDERS) {
        const who = await someone()
        const callback = await consentAs(await begin(who, name), { account: ANA[name] })
        await killAt(stopAt, callbackOrder(who, name, callback))
        expect(await flows.connections.list(who.principal)).toHaveLength(stopAt === 'shown' ? 1 : 0)
        await flows.connections.sweep({ minAgeMs: 0 })
        const [view] = await flows.connections.list(who.principal)
        const open = await flows.credentials.open(who.tenantId, view?.id as ConnectionId, { minGeneration: 1 })
        expect(await flows.providers.get(name)?.identify(open.accessToken!)).toMatchObject({ kind: 'known' })
        expect(sandbox.control.counters(name).tokenCalls).toBe(1)
        const [row] = await db.adminQuery('app', 'SELECT outcome FROM connect_attempt WHERE person_id = $1', [
          who.personId,
        ])
        expect(row?.['outcome']).toBe('connected')
        expect(spooled()).toEqual([])
        expect(await flows.connections.list(who.principal)).toHaveLength(1)
        sandbox.control.resetCounters()
      }
    },
    120_000,
  )

  it('during a consent whose person has left since leaves no access behind', async () => {
    const who = await someone()
    await db.adminQuery('app', "UPDATE connection SET access = 'deleted' WHERE provider = 'github'")
    const living = new Set(liveTokens('github').map(({ value }) => value))
    const callback = await consentAs(await begin(who, 'github'), { account: ANA.github })
    await killAt('spooled', callbackOrder(who, 'github', callback))
    expect(liveTokens('github').filter(({ value }) => !living.has(value))).not.toEqual([])
    await db.adminQuery('app', 'DELETE FROM membership WHERE person_id = $1', [who.personId])
    expect(await flows.connections.sweep({ minAgeMs: 0 })).toMatchObject({ finished: 0, discarded: 1 })
    expect(liveTokens('github').filter(({ value }) => !living.has(value))).toEqual([])
    expect(spooled()).toEqual([])
  })

  it('while another process may still be at work is not repaired yet', async () => {
    const who = await someone()
    const callback = await consentAs(await begin(who, 'github'), { account: ANA.github })
    await killAt('vaulted', callbackOrder(who, 'github', callback))
    expect(await flows.connections.sweep()).toMatchObject({ finished: 0, discarded: 0, destroyed: 0 })
    expect(spooled()).toHaveLength(1)
    expect(await flows.connections.sweep({ minAgeMs: 0 })).toMatchObject({ finished: 1 })
  })

  it.each([
    ['after the block', 'blocked'],
    ['after the ciphertext was destroyed', 'destroyed'],
  ] as const)(
    '%s of a disconnect leaves nothing usable, and the provider is told in the end',
    async (_when, stopAt) => {
      const who = await someone()
      await db.adminQuery('app', "UPDATE connection SET access = 'deleted' WHERE provider = 'github'")
      const id = await connected(who, 'github', ANA.github)
      await killAt(stopAt, { op: 'disconnect', principal: who.principal, connectionId: id })
      expect((await appRow(id))?.['access']).toBe('deleted')
      await flows.connections.sweep({ minAgeMs: 0 })
      expect(await vaultRow(id)).toMatchObject({ state: 'disconnected', dek_wrapped: null })
      const due = (await flows.connections.due(100)).filter(({ tenantId }) => tenantId === who.tenantId)
      expect(due).toHaveLength(1)
      const tokens = new Set(liveTokens('github').map(({ value }) => value))
      for (const { tenantId, revocationId } of due) await flows.connections.revoke(tenantId, revocationId)
      expect(liveTokens('github').length).toBeLessThan(tokens.size)
      expect(await flows.connections.sweep({ minAgeMs: 0 })).toMatchObject({ destroyed: 0 })
    },
  )
})

describe('the sweeper', () => {
  it('blocks a connection whose credential is gone, once, and says why', async () => {
    const who = await someone()
    const id = await connected(who, 'github', ANA.github)
    await db.adminQuery('vault', 'DELETE FROM credential WHERE connection_id = $1', [id])
    expect(await flows.connections.sweep({ minAgeMs: 0 })).toMatchObject({ blocked: 1 })
    expect(await appRow(id)).toMatchObject({
      access: 'blocked',
      state: 'reauthorization_required',
      access_reason: 'credential_missing',
    })
    expect(await flows.connections.sweep({ minAgeMs: 0 })).toMatchObject({ blocked: 0 })
    expect(await actions(who.tenantId)).toContain('connection.repaired')
  })

  it('lets a person reconnect what it blocked', async () => {
    const who = await someone()
    const id = await connected(who, 'github', ANA.github)
    await db.adminQuery('vault', 'DELETE FROM credential WHERE connection_id = $1', [id])
    await flows.connections.sweep({ minAgeMs: 0 })
    const end = await connect(who, 'github', { account: ANA.github }, { connectionId: id })
    expect(end.outcome).toBe('connected')
    const [view, ...rest] = await flows.connections.list(who.principal)
    expect(rest).toEqual([])
    expect(view).toMatchObject({ access: 'allowed', state: 'active' })
  })

  it('destroys a credential that no connection shows, across pages, and touches no other', async () => {
    const who = await someone()
    const kept = await connected(who, 'google', ANA.google)
    const lost = await connected(who, 'github', ANA.github)
    await db.adminQuery('app', 'DELETE FROM connection WHERE id = $1', [lost])
    expect(await flows.connections.sweep({ minAgeMs: 0, pageSize: 2 })).toMatchObject({ destroyed: 1 })
    expect((await vaultRow(lost))?.['dek_wrapped']).toBeNull()
    expect((await vaultRow(kept))?.['dek_wrapped']).not.toBeNull()
  })
})
