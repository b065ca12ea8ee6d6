/**
 * The gateway process: opens databases and keys, serves until it is told to stop, then lets what is under way finish.
 *
 * Exit status: 0 after a stop, 2 when the environment is wrong, 1 when it cannot start.
 *
 * @module
 */
import path from 'node:path'

import { createNoise } from '@/lib/audit/noise'
import { actorOf } from '@/lib/audit/record'
import { loadConfig } from '@/lib/config'
import { AppError } from '@/lib/errors'
import { createChainLag } from '@/lib/audit/chain/lag'
import { createLog } from '@/lib/log'
import { createMetrics } from '@/lib/metrics'
import type { AgentPrincipal } from '@/lib/tenancy/principal'
import { createMcpObserver, hostRefused } from '@/lib/mcp/observe'
import { createCore, type Core } from '@/wiring/core'

import { createApi } from './api/route'
import { openApiDocument } from './api/openapi'
import { apiRoutes } from './api/routes'
import { createConnectRoutes } from './connect'
import { createGatewayDeps, type GatewayDeps } from './deps'
import type { Readiness } from './health'
import type { RouteFamily } from './http'
import { createLeakedKeyHandler } from './leaked-keys'
import { createMetricsServer } from './metrics'
import { createMcpRoutes, createMcpRuntime, type McpRuntime } from './mcp'
import { openOauth } from './oauth'
import { createWebProxy } from './proxy'
import { createGatewayServer } from './server'
import { createSignInRoutes } from './signin'
import { createSignInElsewhereRoutes } from './signin-elsewhere'

const DRAIN_MS = 25_000
const READINESS_AGE_MS = 1_000

async function main(): Promise<void> {
  const config = loadConfig()
  const log = createLog('gateway', config.logLevel)
  const core = await createCore(config, log)
  const deps = createGatewayDeps(core)
  const mcp = createMcpRuntime(core)
  const server = createGatewayServer({
    publicUrl: config.publicUrl,
    publicUrlIsLoopback: config.publicUrlIsLoopback,
    trustedProxies: config.trustedProxies,
    allowUpgrade: config.development,
    families: [...routeFamilies(deps, mcp), await openOauth(deps)],
    web:
      config.webOrigin === undefined
        ? undefined
        : createWebProxy({ webOrigin: config.webOrigin, publicUrl: config.publicUrl, log }),
    readiness: createReadiness(core),
    onForeignHost: (request, network) => {
      const observed = hostRefused(request, { network, at: core.clock.now() })
      if (observed !== undefined) deps.doctorRecorder.observe(observed)
    },
    log,
  })
  await deps.signUp.prepareFirstLink()
  // What an earlier process left half done is finished before the first call may need it.
  if (core.notReady === undefined) await core.refresher.recoverAbandoned()
  else {
    log.error({ reason: core.notReady }, 'not ready: no credential is opened')
    core.keyAccess.whenReady(() => {
      core.refresher.recoverAbandoned().catch((error: unknown) => log.error({ err: error }, 'refreshes wait still'))
    })
  }
  await mcp.start()
  await server.listen(config.port)
  const metrics = createMetricsServer(createMetrics({ sources: [createChainLag(core)], log }))
  if (config.metricsPort !== undefined) await metrics.listen(config.metricsPort)
  log.info({ port: config.port }, 'the gateway listens')

  let isStopping = false
  const stop = async () => {
    if (isStopping) return
    isStopping = true
    // Streams never end by themselves; their clients open others elsewhere.
    mcp.state.close()
    await Promise.all([server.drain(DRAIN_MS), metrics.close()])
    await mcp.close()
    await deps.close()
    await core.close()
    process.exit(0)
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop())
}

function routeFamilies(deps: GatewayDeps, mcp: McpRuntime): RouteFamily[] {
  const { core, authenticator } = deps
  const { publicUrl } = core.config
  const routes = apiRoutes(deps)
  const noise = createNoise({ clock: core.clock, log: core.log })
  return [
    createApi(routes, openApiDocument(routes, publicUrl), {
      publicUrl,
      authenticate: (request) =>
        authenticator.member({
          cookie: request.raw.headers.cookie,
          authorization: request.raw.headers.authorization,
          network: request.network,
          address: request.clientAddress,
        }),
      open: { '/api/v1/leaked-keys': createLeakedKeyHandler(deps.leakedKeys) },
      isReady: () => core.notReady === undefined,
      onRefused: (principal, routeId, code) =>
        core.audit.never(null, {
          tenantId: principal.tenantId,
          action: 'api.refused',
          actor: actorOf(principal),
          network: principal.network,
          outcome: 'denied',
          reason: code,
          detail: { operation: routeId },
        }),
    }),
    createMcpRoutes({
      sessions: deps.agentSessions,
      broker: deps.broker,
      state: mcp.state,
      publicUrl,
      log: core.log,
      observer: createMcpObserver({ observe: deps.doctorRecorder.observe, clock: core.clock }),
      onUnauthenticated: (network) => noise.count('mcp_unauthenticated', network),
      onRefused: (principal, status) => {
        // A few a minute of each session are records; a loop that sends rubbish fills no table.
        if (noise.count('mcp_refused', principal.agentSessionId)) void recordRefusal(core, principal, status)
      },
    }),
    createConnectRoutes({
      publicUrl,
      cookies: deps.cookies,
      authenticator,
      connections: deps.connections,
      providers: core.providers,
      isReady: () => core.notReady === undefined,
    }),
    // Before the rest of /signin/: the first family that claims a path has it.
    createSignInElsewhereRoutes({ ...deps, publicUrl, isReady: () => core.notReady === undefined, noise }),
    createSignInRoutes({
      ...deps,
      publicUrl,
      credentials: deps.personCredentials,
      noise,
      ...(core.config.publicUrlIsLoopback && core.config.smtp.url === undefined
        ? { mailFolder: path.join(core.config.dataDir, 'mail') }
        : {}),
    }),
  ]
}

function recordRefusal(core: Core, principal: AgentPrincipal, status: number): Promise<void> {
  return core.audit.never(null, {
    tenantId: principal.tenantId,
    action: 'mcp.refused',
    actor: actorOf(principal),
    agentId: principal.agentId,
    agentSessionId: principal.agentSessionId,
    network: principal.network,
    outcome: 'denied',
    reason: `http_${status}`,
  })
}

/** Asked by probes every second or so: databases are tried at most once a second. */
function createReadiness(core: Core): () => Promise<Readiness> {
  let last: { readonly at: number; readonly answer: Promise<Readiness> } | undefined
  const check = async (): Promise<Readiness> => {
    if (core.notReady !== undefined) return { ready: false, reason: core.notReady }
    try {
      await Promise.all([core.appDb.global.$queryRaw`SELECT 1`, core.vaultDb.global.$queryRaw`SELECT 1`])
      return { ready: true }
    } catch {
      return { ready: false, reason: 'a database does not answer' }
    }
  }
  return () => {
    const now = performance.now()
    if (last === undefined || now - last.at > READINESS_AGE_MS) last = { at: now, answer: check() }
    return last.answer
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : 'The gateway could not start.'}\n`)
  process.exit(error instanceof AppError && error.code === 'config.invalid' ? 2 : 1)
})
