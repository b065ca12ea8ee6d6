/**
 * The authorization server as clients and people meet it, over real HTTP and a real database: the gateway's own server
 * with its own routes, a person who is signed in, and an agent's endpoint. The hosts of client documents are scripted.
 *
 * @module
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { createGatewayServer, type GatewayServer } from '@/gateway/server'
import { createOauthRoutes } from '@/gateway/oauth'
import { createAccessPreview } from '@/gateway/oauth-preview'
import { createMcpRoutes } from '@/gateway/mcp'

import type { Audit } from '../audit/audit'
import { createBroker } from '../broker/call'
import { createDoctor, type Doctor } from '../doctor/doctor'
import { createDoctorRecorder, type DoctorRecorder } from '../doctor/recorder'
import { createMcpObserver, hostRefused } from '../mcp/observe'
import { systemClock, type Clock } from '../clock'
import { createEgress, type Egress, type EgressResponse } from '../egress/egress'
import { newId, newSecret, hashSecret, type PersonId, type TenantId } from '../ids'
import { createLog } from '../log'
import { createOauthClients } from '../oauth-server/clients/clients'
import { createOauthLimits } from '../oauth-server/limits'
import { currentNetwork } from '../oauth-server/network'
import { createOauthServer, type OauthServer } from '../oauth-server/oauth-server'
import { createMcpState } from '../mcp/state'
import { createProviders } from '../providers/registry'
import { Secret } from '../secret'
import { createAgentSessions, type AgentSessions } from '../tenancy/agent-sessions'
import { createAgents, type Agents } from '../tenancy/agents'
import type { PersonPrincipal } from '../tenancy/principal'
import { createToolRegistry } from '../tools/registry'
import { createTestAudit } from './audit'
import { insertConnection } from './connection-row'
import { createTestDatabases, type TestDatabases } from './database'
import { createTestIdentity, type TestIdentity } from './identity'
import { createScriptedTokens, inMemoryKeys, startFakeProvider, type FakeProvider } from './mcp-world'

/** What is published where. An address that is not here cannot be reached. */
export type Hosted = Map<string, { status?: number; type?: string; body: unknown; headers?: Record<string, string> }>

export interface OauthPerson {
  readonly principal: PersonPrincipal
  readonly email: string
  readonly browser: Browser
}

export interface OauthWorld {
  readonly db: TestDatabases
  readonly audit: Audit
  readonly identity: TestIdentity
  readonly oauth: OauthServer
  readonly agents: Agents
  readonly sessions: AgentSessions
  readonly provider: FakeProvider
  readonly recorder: DoctorRecorder
  readonly doctor: Doctor
  readonly origin: string
  readonly keyFile: string
  readonly hosted: Hosted
  readonly fetched: string[]
  readonly logged: string[]
  /** A person with a workspace of their own, or in this one, signed in at a browser of their own. */
  newPerson(tenantId?: TenantId, role?: 'owner' | 'admin' | 'member' | 'auditor'): Promise<OauthPerson>
  newAgent(person: OauthPerson, tools?: readonly string[]): Promise<{ readonly id: string; readonly url: string }>
  newConnection(person: OauthPerson, provider: 'github' | 'google' | 'slack', label: string): Promise<string>
  close(): Promise<void>
}

/** A browser as far as cookies and redirects go. It never follows a redirect by itself. */
export class Browser {
  readonly #cookies = new Map<string, { value: string; path: string }>()
  readonly #origin: string

  constructor(origin: string) {
    this.#origin = origin
  }

  set(name: string, value: string, cookiePath = '/'): void {
    this.#cookies.set(`${name} ${cookiePath}`, { value, path: cookiePath })
  }

  delete(name: string): void {
    for (const key of this.#cookies.keys()) if (key.startsWith(`${name} `)) this.#cookies.delete(key)
  }

  cookieHeader(pathname: string): string {
    return [...this.#cookies]
      .filter(([, { path: at }]) => pathname === at || pathname.startsWith(at.endsWith('/') ? at : `${at}/`))
      .map(([key, { value }]) => `${key.split(' ')[0] ?? ''}=${value}`)
      .join('; ')
  }

  /** What a person does in the address bar, or a page of ours by fetch. */
  async go(target: string, init: RequestInit = {}): Promise<Response> {
    const url = new URL(target, this.#origin)
    const headers = new Headers(init.headers)
    headers.set('cookie', this.cookieHeader(url.pathname))
    if (init.method === 'POST' && !headers.has('origin')) {
      headers.set('origin', this.#origin)
      headers.set('sec-fetch-site', 'same-origin')
    }
    const response = await fetch(url, { ...init, headers, redirect: 'manual' })
    for (const line of response.headers.getSetCookie()) {
      const [pair = '', ...attributes] = line.split('; ')
      const at = pair.indexOf('=')
      const cookiePath = attributes.find((one) => one.toLowerCase().startsWith('path='))?.slice(5) ?? '/'
      const isGone = attributes.some((one) => /^expires=thu, 01 jan 1970/i.test(one))
      const key = `${pair.slice(0, at)} ${cookiePath}`
      if (isGone) this.#cookies.delete(key)
      else this.#cookies.set(key, { value: pair.slice(at + 1), path: cookiePath })
    }
    return response
  }
}

export interface Pkce {
  readonly verifier: string
  readonly challenge: string
}

export function newPkce(): Pkce {
  const verifier = randomBytes(32).toString('base64url')
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') }
}

/** A port nobody has at the moment is found by asking for any, once, for all worlds of a file. */
export async function createOauthWorld(
  options: {
    readonly db?: TestDatabases
    readonly port?: number
    readonly egress?: Egress
    readonly clientClock?: Clock
  } = {},
): Promise<OauthWorld> {
  const db = options.db ?? (await createTestDatabases())
  const audit = createTestAudit(db)
  const provider = await startFakeProvider()
  const port = options.port ?? (await freePort())
  const origin = `http://127.0.0.1:${port}`
  const identity = createTestIdentity(db, { publicUrl: origin, events: audit })
  const dataDir = mkdtempSync(path.join(tmpdir(), 'portcullis-oauth-'))
  const keyFile = path.join(dataDir, 'oauth-keys.json')
  const logged: string[] = []
  const log = createLog('test', 'silent')
  const write = (...parts: unknown[]) => {
    logged.push(
      parts.map((part) => (part instanceof Error ? String(part.stack) : JSON.stringify(part, errorText))).join(' '),
    )
  }
  Object.assign(log, { info: write, warn: write, error: write })
  const clock = systemClock
  const hosted: Hosted = new Map()
  const fetched: string[] = []
  const egress = options.egress ?? scriptedEgress(hosted, fetched)
  const allow = [provider.origin]
  const upstream = createEgress({ allow, allowUnsafe: true, production: false })
  const providers = createProviders({
    config: {
      providers: {
        github: {
          clientId: 'client',
          clientSecret: new Secret('client-secret'),
          overrides: { apiBaseUrl: `${provider.origin}/github` },
          sandbox: true,
        },
      },
      egress: { allow, allowUnsafe: true },
      production: false,
    },
    egress: upstream,
    clock,
  })
  const registry = createToolRegistry()
  const agents = createAgents({ appDb: db.app, audit, knownTools: registry.known, publicUrl: origin, clock })
  const sessions = createAgentSessions({ appDb: db.app, audit, clock, log })
  const tokens = createScriptedTokens()
  tokens.grantedScopes = ['repo']
  const broker = createBroker({
    audit,
    refresher: tokens,
    providers,
    egress: upstream,
    appDb: db.app,
    registry,
    publicUrl: origin,
    clock,
    log,
  })
  const oauth = await createOauthServer({
    publicUrl: origin,
    keyFile,
    appDb: db.app,
    audit,
    egress,
    clients: createOauthClients({
      appDb: db.app,
      audit,
      egress,
      limits: createOauthLimits(identity.store),
      clock: options.clientClock ?? clock,
      network: currentNetwork,
    }),
    clock,
    log,
    personOf: async (request) => (await identity.authenticator.session({ cookie: request.headers.cookie }))?.personId,
    preview: createAccessPreview({ appDb: db.app, registry }),
  })
  const recorder = createDoctorRecorder({ appDb: db.app, clock, log })
  const { observe } = recorder
  const server: GatewayServer = createGatewayServer({
    publicUrl: origin,
    publicUrlIsLoopback: true,
    trustedProxies: ['127.0.0.1/32'],
    allowUpgrade: false,
    families: [
      createOauthRoutes({
        publicUrl: origin,
        ...oauth,
        authenticator: identity.authenticator,
        isReady: () => true,
        observe,
      }),
      createMcpRoutes({
        sessions,
        broker,
        state: createMcpState({ appDb: db.app, keys: inMemoryKeys(), clock, log, instanceId: 'only' }),
        publicUrl: origin,
        log,
        observer: createMcpObserver({ observe, clock }),
      }),
    ],
    onForeignHost: (request, network) => {
      const observed = hostRefused(request, { network, at: clock.now() })
      if (observed !== undefined) observe(observed)
    },
    web: undefined,
    readiness: () => Promise.resolve({ ready: true }),
    log,
  })
  await server.listen(port, '127.0.0.1')

  return {
    db,
    audit,
    identity,
    oauth,
    agents,
    sessions,
    provider,
    recorder,
    doctor: createDoctor({ appDb: db.app }),
    origin,
    keyFile,
    hosted,
    fetched,
    logged,
    async newPerson(given, role = 'owner') {
      const personId: PersonId = newId('person')
      const email = `${personId}@example.test`
      await db.app.transaction((tx) =>
        tx.person.create({ data: { id: personId, email, emailCanonical: email, name: 'Ada' } }),
      )
      const tenantId = given ?? newId('tenant')
      await db.app.tenant(tenantId, async (tx) => {
        if (given === undefined)
          await tx.tenant.create({ data: { id: tenantId, name: 'Analytical', slug: tenantId.replace('_', '-') } })
        await tx.membership.create({ data: { tenantId, personId, role } })
      })
      const secret = newSecret('pcw_')
      const webSessionId = newId('webSession')
      await db.app.transaction(
        (tx) => tx.$executeRaw`
          INSERT INTO web_session (id, secret_hash, person_id, tenant_id, status, browser_hash, method, idle_expires_at, expires_at)
          VALUES (${webSessionId}, ${hashSecret(secret)}, ${personId}, ${tenantId}, 'active', ${randomBytes(32)}, 'password',
                  now() + interval '1 day', now() + interval '1 day')`,
      )
      const browser = new Browser(origin)
      browser.set(identity.cookies.session, secret)
      return {
        email,
        browser,
        principal: {
          kind: 'person',
          tenantId,
          personId,
          role,
          webSessionId,
          authenticatedAt: new Date(),
          network: '192.0.2.1',
        },
      }
    },
    async newAgent({ principal }, tools = ['github_list_issues', 'github_create_issue']) {
      const agent = await agents.create(principal, {
        name: 'Mail helper',
        profile: { version: 1, tools: { allow: tools } },
      })
      return { id: agent.id, url: agent.mcpUrl }
    },
    newConnection: ({ principal }, provider, label) => insertConnection(db.app, principal, provider, label),
    async close() {
      await server.drain(0)
      await recorder.close()
      await upstream.close()
      await provider.close()
      await audit.close()
      await identity.close()
      rmSync(dataDir, { recursive: true, force: true })
      if (options.db === undefined) await db.close()
    },
  }
}

const errorText = (_key: string, value: unknown): unknown => (value instanceof Error ? value.stack : value)

export async function freePort(): Promise<number> {
  const { createServer } = await import('node:net')
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.on('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

function scriptedEgress(hosted: Hosted, fetched: string[]): Egress {
  const request: Egress['request'] = (url): Promise<EgressResponse> => {
    const target = String(url)
    fetched.push(target)
    const found = hosted.get(target)
    if (found === undefined) return Promise.reject(new Error('unreachable'))
    const body = Buffer.from(typeof found.body === 'string' ? found.body : JSON.stringify(found.body))
    return Promise.resolve({
      status: found.status ?? 200,
      headers: new Headers({ 'content-type': found.type ?? 'application/json', ...found.headers }),
      body,
    })
  }
  return {
    request,
    fetch: async (input) => {
      const { status, headers, body } = await request(input instanceof Request ? input.url : input)
      return new Response(new Uint8Array(body), { status, headers })
    },
    close: () => Promise.resolve(),
  }
}

export interface TestClient {
  readonly id: string
  readonly secret: string | undefined
  readonly redirectUri: string
}

export const CALLBACK = 'http://127.0.0.1:33418/callback'

/** Registers as a desktop client does. */
export async function registerClient(world: OauthWorld, metadata: object = {}): Promise<TestClient> {
  const response = await fetch(`${world.origin}/oauth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_name: 'Desk client',
      redirect_uris: [CALLBACK],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
      ...metadata,
    }),
  })
  const body = (await response.json()) as Record<string, unknown> // our own answer
  if (response.status !== 201) throw new Error(`not registered: ${JSON.stringify(body)}`)
  return {
    id: String(body['client_id']),
    secret: typeof body['client_secret'] === 'string' ? body['client_secret'] : undefined,
    redirectUri: String((body['redirect_uris'] as string[])[0]), // it has one
  }
}

export function authorizeUrl(
  client: Pick<TestClient, 'id' | 'redirectUri'>,
  pkce: Pkce,
  fields: Readonly<Record<string, string | undefined>> = {},
): string {
  const query = new URLSearchParams()
  const all: Readonly<Record<string, string | undefined>> = {
    response_type: 'code',
    client_id: client.id,
    redirect_uri: client.redirectUri,
    code_challenge: pkce.challenge,
    code_challenge_method: 'S256',
    state: 'st4te',
    scope: 'mcp:read mcp:write',
    ...fields,
  }
  for (const [name, value] of Object.entries(all)) if (value !== undefined) query.set(name, value)
  return `/oauth/authorize?${query.toString()}`
}

/** Begins and comes to the consent page. @returns the id of the request under way */
export async function begin(browser: Browser, url: string): Promise<string> {
  const response = await browser.go(url)
  const location = response.headers.get('location') ?? ''
  const uid = /^\/consent\/([\w-]+)$/.exec(location)?.[1]
  if (response.status !== 303 || uid === undefined)
    throw new Error(`no consent: ${response.status} ${location} ${(await response.text()).slice(-600)}`)
  return uid
}

export const consentPath = (uid: string) => `/oauth/authorize/${uid}/consent`

export async function readConsent(browser: Browser, uid: string): Promise<Record<string, unknown>> {
  const response = await browser.go(consentPath(uid))
  return (await response.json()) as Record<string, unknown> // our own answer
}

export function answerConsent(browser: Browser, uid: string, answer: object): Promise<Response> {
  return browser.go(consentPath(uid), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(answer),
  })
}

/** Follows the answer back to the client's address. */
export async function finish(browser: Browser, uid: string): Promise<URL> {
  const response = await browser.go(`/oauth/authorize/${uid}`)
  const location = response.headers.get('location')
  if (response.status !== 303 || location === null)
    throw new Error(`no way back: ${response.status} ${(await response.text()).slice(-600)}`)
  return new URL(location)
}

/** A person reads the page and approves. @returns where the client is called back */
export async function approve(browser: Browser, url: string): Promise<URL> {
  const uid = await begin(browser, url)
  const { proof } = await readConsent(browser, uid)
  const answered = await answerConsent(browser, uid, { decision: 'approve', proof })
  if (answered.status !== 200) throw new Error(`not approved: ${answered.status} ${await answered.text()}`)
  return finish(browser, uid)
}

export interface TokenAnswer {
  readonly status: number
  readonly headers: Headers
  readonly body: Readonly<Record<string, unknown>>
}

export async function post(
  world: Pick<OauthWorld, 'origin'>,
  endpoint: string,
  form: Readonly<Record<string, string | undefined>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<TokenAnswer> {
  const body = new URLSearchParams()
  for (const [name, value] of Object.entries(form)) if (value !== undefined) body.set(name, value)
  const response = await fetch(`${world.origin}${endpoint}`, { method: 'POST', body, headers })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>), // our own answer
  }
}

export function redeem(
  world: Pick<OauthWorld, 'origin'>,
  client: TestClient,
  code: string,
  pkce: Pkce,
  fields: Readonly<Record<string, string | undefined>> = {},
): Promise<TokenAnswer> {
  return post(world, '/oauth/token', {
    grant_type: 'authorization_code',
    client_id: client.id,
    client_secret: client.secret,
    code,
    redirect_uri: client.redirectUri,
    code_verifier: pkce.verifier,
    ...fields,
  })
}

export function refresh(
  world: Pick<OauthWorld, 'origin'>,
  client: TestClient,
  token: unknown,
  fields: Readonly<Record<string, string | undefined>> = {},
): Promise<TokenAnswer> {
  return post(world, '/oauth/token', {
    grant_type: 'refresh_token',
    client_id: client.id,
    client_secret: client.secret,
    refresh_token: String(token),
    ...fields,
  })
}

/** The whole way: registered or given, approved, redeemed. */
export async function connect(
  world: OauthWorld,
  person: OauthPerson,
  resource: string,
  given?: TestClient,
  fields: Readonly<Record<string, string | undefined>> = {},
): Promise<{ readonly client: TestClient; readonly tokens: TokenAnswer; readonly code: string; readonly pkce: Pkce }> {
  const client = given ?? (await registerClient(world))
  const pkce = newPkce()
  const back = await approve(person.browser, authorizeUrl(client, pkce, { resource, ...fields }))
  const code = back.searchParams.get('code') ?? ''
  return { client, code, pkce, tokens: await redeem(world, client, code, pkce) }
}

/** What the agent's endpoint answers to this bearer. */
export function callTools(url: string, token: unknown): Promise<Response> {
  return sendRpc(url, token, 'tools/list')
}

export function callTool(url: string, token: unknown, name: string, args: object): Promise<Response> {
  return sendRpc(url, token, 'tools/call', { name, arguments: args })
}

export function sendRpc(url: string, token: unknown, method: string, params?: object): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${String(token)}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  })
}
