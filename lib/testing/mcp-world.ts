/**
 * An MCP endpoint as agents meet it, over real HTTP: real database, audit trail, broker and egress, and a provider that
 * answers what a test tells it to. Only the source of access tokens is scripted.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'

import type { Audit } from '../audit/audit'
import { createBroker, type Broker, type BrokerDependencies } from '../broker/call'
import { systemClock } from '../clock'
import type { ProviderName } from '../config'
import { createEgress, type Egress } from '../egress/egress'
import { newId, type AgentId, type ConnectionId, type PersonId, type TenantId } from '../ids'
import { createLog } from '../log'
import { createMcpEndpoint, sendProtectedResource } from '../mcp/endpoint'
import type { Relay } from '../mcp/relay'
import { createMcpState, newInstanceId } from '../mcp/state'
import type { StreamLimits } from '../mcp/streams'
import { createProviders } from '../providers/registry'
import type { AccessToken, Refresher } from '../refresh/refresher'
import { Secret } from '../secret'
import { createAgentSessions, type AgentSessions } from '../tenancy/agent-sessions'
import { createAgents, type Agents } from '../tenancy/agents'
import type { PersonPrincipal } from '../tenancy/principal'
import { createToolRegistry, type ToolRegistry } from '../tools/registry'
import { createTestAudit } from './audit'
import { insertConnection } from './connection-row'
import { createTestDatabases, type TestDatabases } from './database'

export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}
export interface ScriptedAnswer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}

export interface FakeProvider {
  readonly origin: string
  readonly seen: SeenRequest[]
  /** Decides every answer. A promise holds the request open. */
  answer: (request: SeenRequest) => ScriptedAnswer | Promise<ScriptedAnswer>
  /** Number of requests that the other side gave up. */
  aborted: number
  close(): Promise<void>
}

export async function startFakeProvider(): Promise<FakeProvider> {
  const server = http.createServer((request, response) => {
    response.on('close', () => {
      if (!response.writableFinished) provider.aborted += 1
    })
    void (async () => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer) // no encoding is set, so chunks are buffers
      const seen: SeenRequest = {
        method: request.method ?? '',
        url: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks).toString('utf8'),
      }
      provider.seen.push(seen)
      const { status = 200, headers = {}, body = {} } = await provider.answer(seen)
      if (response.destroyed) return
      response.writeHead(status, { 'content-type': 'application/json', ...headers })
      response.end(typeof body === 'string' ? body : JSON.stringify(body))
    })().catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const provider: FakeProvider = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, // it listens on a port
    seen: [],
    answer: () => ({}),
    aborted: 0,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return provider
}

/** Hands out tokens by generation; `rotate` is what a refresh would do. */
export interface ScriptedTokens extends Pick<Refresher, 'accessToken' | 'afterUnauthorized'> {
  token: (connectionId: ConnectionId, generation: number) => string
  grantedScopes: string[]
  refreshes: number
  fail: Error | undefined
}

export function createScriptedTokens(): ScriptedTokens {
  const generations = new Map<string, number>()
  const issue = (connectionId: ConnectionId, generation: number): AccessToken => ({
    token: new Secret(tokens.token(connectionId, generation)),
    generation,
    grantedScopes: tokens.grantedScopes,
  })
  const tokens: ScriptedTokens = {
    token: (connectionId, generation) => `tok_${connectionId.slice(-8)}_${generation}_secret0123456789`,
    grantedScopes: [],
    refreshes: 0,
    fail: undefined,
    accessToken: (_tenantId, connectionId) => {
      if (tokens.fail !== undefined) return Promise.reject(tokens.fail)
      return Promise.resolve(issue(connectionId, generations.get(connectionId) ?? 1))
    },
    afterUnauthorized: (_tenantId, connectionId, used) => {
      if (tokens.fail !== undefined) return Promise.reject(tokens.fail)
      tokens.refreshes += 1
      generations.set(connectionId, used + 1)
      return Promise.resolve(issue(connectionId, used + 1))
    },
  }
  return tokens
}

export interface Member extends PersonPrincipal {
  readonly email: string
}

export interface McpWorld {
  readonly db: TestDatabases
  readonly audit: Audit
  readonly provider: FakeProvider
  readonly tokens: ScriptedTokens
  readonly egress: Egress
  readonly broker: Broker
  readonly agents: Agents
  readonly sessions: AgentSessions
  readonly registry: ToolRegistry
  /** Where the endpoint listens; also the public URL. */
  readonly origin: string
  readonly logged: string[]
  newTenant(): Promise<TenantId>
  newOwner(tenantId?: TenantId): Promise<Member>
  newConnection(owner: Member, provider: ProviderName, label: string, access?: string): Promise<ConnectionId>
  /** An agent of the owner that may use these tools, with a session key. */
  newAgent(
    owner: Member,
    tools: readonly string[],
  ): Promise<{ id: AgentId; url: string; key: string; sessionId: string }>
  records(agentId: string): Promise<Record<string, unknown>[]>
  close(): Promise<void>
}

export async function createMcpWorld(
  options: Partial<Pick<BrokerDependencies, 'limits' | 'timeoutMs' | 'registry'>> & {
    readonly db?: TestDatabases
    readonly keys?: McpKeys
    readonly instanceId?: string
    readonly relay?: Relay
    readonly streamLimits?: StreamLimits
  } = {},
): Promise<McpWorld> {
  const db = options.db ?? (await createTestDatabases())
  const audit = createTestAudit(db)
  const provider = await startFakeProvider()
  const tokens = createScriptedTokens()
  const clock = systemClock
  const logged: string[] = []
  const log = recordingLog(logged)
  const allow = [provider.origin]
  const egress = createEgress({ allow, allowUnsafe: true, production: false })
  const app = (apiBaseUrl: string) => ({
    clientId: 'client',
    clientSecret: new Secret('client-secret'),
    overrides: { apiBaseUrl },
    sandbox: true,
  })
  const providers = createProviders({
    config: {
      providers: {
        github: app(`${provider.origin}/github`),
        google: app(`${provider.origin}/google`),
        slack: app(`${provider.origin}/slack`),
      },
      egress: { allow, allowUnsafe: true },
      production: false,
    },
    egress,
    clock,
  })
  const registry = options.registry ?? createToolRegistry()

  const server = http.createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}` // it listens on a port

  const agents = createAgents({
    appDb: db.app,
    audit,
    knownTools: new Map([...createToolRegistry().known, ...registry.known]),
    publicUrl: origin,
    clock,
  })
  const sessions = createAgentSessions({ appDb: db.app, audit, clock, log })
  const broker = createBroker({
    audit,
    refresher: tokens,
    providers,
    egress,
    appDb: db.app,
    registry,
    publicUrl: origin,
    clock,
    log,
    ...options,
  })
  const state = createMcpState({
    appDb: db.app,
    keys: options.keys ?? inMemoryKeys(),
    clock,
    log,
    instanceId: options.instanceId ?? newInstanceId(),
    ...(options.relay === undefined ? {} : { relay: options.relay }),
    ...(options.streamLimits === undefined ? {} : { limits: options.streamLimits }),
  })
  const endpoint = createMcpEndpoint({ sessions, broker, state, publicUrl: origin, log })
  const metadata = '/.well-known/oauth-protected-resource/mcp/'
  server.on('request', (request: http.IncomingMessage, response: http.ServerResponse) => {
    const path = (request.url ?? '').split('?', 1)[0] ?? ''
    if (path.startsWith(metadata)) {
      sendProtectedResource(request, response, { publicUrl: origin, agentId: path.slice(metadata.length) })
      return
    }
    const controller = new AbortController()
    response.on('close', () => {
      if (!response.writableFinished) controller.abort()
    })
    const context = { agentId: path.slice('/mcp/'.length), network: '192.0.2.7', signal: controller.signal }
    endpoint(request, response, context).catch(() => response.destroy())
  })

  const newTenant = async () => {
    const id = newId('tenant')
    await db.app.tenant(id, (tx) => tx.tenant.create({ data: { id, name: 'Test', slug: id.replace('_', '-') } }))
    return id
  }
  return {
    db,
    audit,
    provider,
    tokens,
    egress,
    broker,
    agents,
    sessions,
    registry,
    origin,
    logged,
    newTenant,
    async newOwner(given) {
      const tenantId = given ?? (await newTenant())
      const personId: PersonId = newId('person')
      const email = `${personId}@example.test`
      await db.app.transaction((tx) => tx.person.create({ data: { id: personId, email, emailCanonical: email } }))
      await db.app.tenant(tenantId, (tx) => tx.membership.create({ data: { tenantId, personId, role: 'owner' } }))
      return {
        kind: 'person',
        tenantId,
        personId,
        email,
        role: 'owner',
        webSessionId: newId('webSession'),
        authenticatedAt: new Date(),
        network: '192.0.2.1',
      }
    },
    newConnection: (owner, provider, label, access) => insertConnection(db.app, owner, provider, label, access),
    async newAgent(owner, tools) {
      const agent = await agents.create(owner, { name: 'Agent', profile: { version: 1, tools: { allow: tools } } })
      const session = await sessions.issue(owner, agent.id)
      return { id: agent.id, url: agent.mcpUrl, key: session.sessionKey.reveal(), sessionId: session.id }
    },
    async records(agentId) {
      await audit.settled()
      return db.adminQuery(
        'app',
        'SELECT * FROM audit_record WHERE agent_id = $1 AND action = $2 ORDER BY call_id, kind',
        [agentId, 'tool.call'],
      )
    },
    async close() {
      state.close()
      server.closeAllConnections()
      server.close()
      await egress.close()
      await provider.close()
      await audit.close().catch(() => undefined) // a test may have closed it to take it away
      if (options.db === undefined) await db.close()
    },
  }
}

export type McpKeys = Parameters<typeof createMcpState>[0]['keys']

/** One key for each tenant, for as long as the object lives. */
export function inMemoryKeys(): McpKeys {
  const keys = new Map<string, Buffer>()
  const keyOf = (tenantId: string) => {
    const key = keys.get(tenantId) ?? randomBytes(32)
    keys.set(tenantId, key)
    return Buffer.from(key)
  }
  return {
    current: (tenantId) => Promise.resolve({ version: 1, key: keyOf(tenantId) }),
    at: (tenantId) => Promise.resolve(keyOf(tenantId)),
  }
}

/** Keeps what would have been logged, so that a test can look for what must not be there. */
function recordingLog(lines: string[]): ReturnType<typeof createLog> {
  const write = (...parts: unknown[]) => {
    lines.push(
      parts
        .map((part) => JSON.stringify(part, (_key, value: unknown) => (value instanceof Error ? value.stack : value)))
        .join(' '),
    )
  }
  const log = createLog('test', 'silent')
  return Object.assign(log, { debug: write, info: write, warn: write, error: write, fatal: write, child: () => log })
}
