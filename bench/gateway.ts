/**
 * The processes that are measured, one at a time, behind the same HTTP server of ours:
 *
 * - `portcullis`: everything on. Real session lookup, profile, audit intent and outcome in PostgreSQL, sealed credential, egress.
 * - `sdk`: the MCP SDK's own handler with a tool that makes one undici request. The limit of the budget.
 * - `pass`: no MCP at all, and not our server: bare node:http that checks the key and hands the provider's bytes back.
 * - `wiring`: our endpoint with a broker that makes one undici request: the SDK without its Request and Response.
 *
 * @module
 */
import http from 'node:http'

import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { toNodeHandler } from '@modelcontextprotocol/node'
import { Pool } from 'undici'

import type { RouteFamily } from '@/gateway/http'
import { createMcpRoutes } from '@/gateway/mcp'
import { createGatewayServer } from '@/gateway/server'
import { createBroker } from '@/lib/broker/call'
import { systemClock } from '@/lib/clock'
import { loadConfig } from '@/lib/config'
import { brand, hashSecret, newId, newSecret, type AgentId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import { createMcpState } from '@/lib/mcp/state'
import { STREAM_LIMITS } from '@/lib/mcp/streams'
import { Secret } from '@/lib/secret'
import { createAgentSessions } from '@/lib/tenancy/agent-sessions'
import { createAgents } from '@/lib/tenancy/agents'
import { createToolRegistry, TOOLS, type ToolListing } from '@/lib/tools/registry'
import { createCore } from '@/wiring/core'

const LISTED_TOOLS = 40
const [mode = 'portcullis', provider = '', streamsPerSession = ''] = process.argv.slice(2)
const config = loadConfig()
const log = createLog('bench', 'error')

/** The catalogue, and copies under other names until there are forty. */
const registry = createToolRegistry(
  Array.from({ length: LISTED_TOOLS }, (_, i) => {
    const tool = TOOLS[i % TOOLS.length]!
    return i < TOOLS.length ? tool : { ...tool, name: `${tool.name}_${i}` }
  }),
)

interface Target {
  readonly family: RouteFamily
  readonly agentId: AgentId
  readonly key: string
  /** The same session's access token, as the authorization server keeps it. */
  readonly token?: string
}

async function createTarget(): Promise<Target> {
  if (mode === 'portcullis') return everything()
  const agentId = newId('agent')
  const hop = createHop()
  if (mode === 'wiring') return wiring(agentId, hop)
  const handler = toNodeHandler(
    createMcpHandler(() => {
      const server = new McpServer({ name: 'limit', version: '1' }, { capabilities: {} })
      server.server.registerCapabilities({ tools: {} })
      server.server.setRequestHandler('tools/list', () => ({ tools: listed as never })) // the SDK's type is mutable
      server.server.setRequestHandler('tools/call', async () => {
        const structured = await hop()
        return { content: [{ type: 'text', text: JSON.stringify(structured) }], structuredContent: structured }
      })
      return server
    }),
  )
  return {
    agentId,
    key: 'none',
    family: { prefixes: ['/mcp/'], handle: ({ raw }, response) => handler(raw as never, response) }, // its type predates exactOptionalPropertyTypes
  }
}

const listed: readonly ToolListing[] = registry.tools.map(({ listing }) => listing)

/** One request to the provider, parsed. */
function createHop(): () => Promise<Record<string, unknown>> {
  const pool = new Pool(provider, { connections: 64, pipelining: 1 })
  return async () => {
    const { body } = await pool.request({
      method: 'GET',
      path: '/repos/acme/app/issues?state=open&per_page=20&page=1',
      headers: { authorization: 'Bearer none' },
    })
    return { issues: await body.json(), next_cursor: null }
  }
}

function wiring(agentId: AgentId, hop: () => Promise<Record<string, unknown>>): Target {
  const session = {
    tenantId: newId('tenant'),
    agentId,
    agentSessionId: newId('agentSession'),
    personId: null,
    scopes: ['mcp:read', 'mcp:write'],
    expiresAt: new Date(Date.now() + 86_400_000),
  }
  const family = createMcpRoutes({
    sessions: { lookup: () => Promise.resolve(session), touch: () => undefined },
    broker: {
      isReady: () => Promise.resolve(true),
      list: () => Promise.resolve(listed),
      call: async () => {
        const structured = await hop()
        return { kind: 'success', structured, text: JSON.stringify(structured) }
      },
    },
    state: createMcpState({
      appDb: {} as never, // no stream is opened
      keys: { current: refuseKey, at: refuseKey },
      clock: systemClock,
      log,
      instanceId: 'bench',
    }),
    publicUrl: config.publicUrl,
    log,
  })
  return { agentId, key: `pcs_${'A'.repeat(43)}`, family }
}

const refuseKey = () => Promise.reject(new Error('no key'))

async function everything(): Promise<Target> {
  const core = await createCore(config, log)
  const { appDb, audit, clock, credentials, egress, providers, refresher } = core
  const tenantId = newId('tenant')
  const connectionId = newId('connection')
  await appDb.tenant(tenantId, (tx) =>
    tx.tenant.create({ data: { id: tenantId, name: 'Bench', slug: tenantId.replace('_', '-') } }),
  )
  const client = providers.get('github')
  if (client === undefined) throw new Error('no provider app')
  const credential = {
    tenantId,
    connectionId,
    provider: 'github',
    providerApp: client.app.key,
    subject: '1',
    tokens: {
      accessToken: new Secret('gho_benchmarkbenchmarkbenchmark0123456789'),
      refreshToken: null,
      accessExpiresAt: null,
      refreshExpiresAt: null,
      grantedScopes: ['repo'],
    },
  }
  const { generation } = await credentials.create(credential)
  await appDb.tenant(tenantId, (tx) =>
    tx.connection.create({
      data: {
        tenantId,
        id: connectionId,
        provider: 'github',
        providerApp: client.app.key,
        subject: '1',
        accountLabel: 'octocat',
        access: 'allowed',
        state: 'active',
        credentialGeneration: generation,
        grantedScopes: ['repo'],
      },
    }),
  )
  const operator = { kind: 'operator', tenantId, role: 'owner', network: 'local' } as const
  const agents = createAgents({ appDb, audit, knownTools: registry.known, publicUrl: config.publicUrl, clock })
  const sessions = createAgentSessions({ appDb, audit, clock, log })
  const agent = await agents.create(operator, {
    name: 'Bench',
    profile: { version: 1, tools: { allow: [...registry.names] } },
  })
  const session = await sessions.issue(operator, agent.id)
  const broker = createBroker({
    audit,
    refresher,
    providers,
    egress,
    appDb,
    registry,
    publicUrl: config.publicUrl,
    clock,
    log,
  })
  const token = newSecret('poa_')
  await appDb.global.$executeRaw`
    INSERT INTO oauth_artifact (model, id_hash, payload, tenant_id, agent_session_id, expires_at)
    VALUES ('AccessToken', ${hashSecret(token)}, '{"scope":"mcp:read mcp:write"}', ${tenantId}, ${session.id}, now() + interval '1 hour')`
  return {
    agentId: brand<'agent'>(agent.id),
    key: session.sessionKey.reveal(),
    token,
    family: createMcpRoutes({
      sessions,
      broker,
      state: createMcpState({
        ...core,
        instanceId: 'bench',
        // One agent's session stands for the many of a real installation.
        ...(streamsPerSession === ''
          ? {}
          : { limits: { ...STREAM_LIMITS, perAgentSession: Number(streamsPerSession) } }),
      }),
      publicUrl: config.publicUrl,
      log,
    }),
  }
}

/** The least that stands between an agent and a provider. */
function listenBare(): Promise<number> {
  const pool = new Pool(provider, { connections: 64, pipelining: 1 })
  const bare = http.createServer((request, response) => {
    if (request.headers.authorization !== 'Bearer none') {
      response.writeHead(401).end()
      return
    }
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      void pool
        .request({ method: 'GET', path: '/repos/acme/app/issues', headers: { authorization: 'Bearer none' } })
        .then(async ({ body }) => {
          const answer = `{"jsonrpc":"2.0","id":1,"result":${await body.text()}}`
          response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) })
          response.end(answer)
        })
    })
  })
  return new Promise((resolve) => bare.listen(config.port, '127.0.0.1', () => resolve(config.port)))
}

async function listenGateway(family: RouteFamily): Promise<number> {
  const server = createGatewayServer({
    publicUrl: config.publicUrl,
    publicUrlIsLoopback: true,
    trustedProxies: [],
    allowUpgrade: false,
    families: [family],
    web: undefined,
    readiness: () => Promise.resolve({ ready: true }),
    log,
  })
  return server.listen(config.port, '127.0.0.1')
}

if (mode === 'pass') process.send?.({ port: await listenBare(), agentId: newId('agent'), key: 'none' })
else {
  const target = await createTarget()
  const { family, ...ready } = target
  process.send?.({ port: await listenGateway(family), ...ready })
}
process.on('message', (message) => {
  if (message === 'usage')
    process.send?.({ cpu: process.cpuUsage(), rss: process.memoryUsage().rss, live: process.memoryUsage().heapUsed })
})
// A parent that died must not leave a server behind. With --cpu-prof the profile is written on exit.
process.on('disconnect', () => process.exit(0))
