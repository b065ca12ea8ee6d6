/**
 * A token endpoint in a process of its own: ours with everything on, or the library with its memory adapter and the same
 * settings as far as they cost time.
 *
 * @module
 */
import path from 'node:path'

import Provider from 'oidc-provider'

import type { RouteFamily } from '@/gateway/http'
import { createOauthRoutes } from '@/gateway/oauth'
import { createGatewayServer } from '@/gateway/server'
import { createAudit } from '@/lib/audit/audit'
import { systemClock } from '@/lib/clock'
import { createAppDb } from '@/lib/db/app-db'
import { createVaultDb } from '@/lib/db/vault-db'
import { hashSecret, newId, newSecret } from '@/lib/ids'
import { createLog } from '@/lib/log'
import { clientDigest, normaliseClient } from '@/lib/oauth-server/clients/normalise'
import { createOauthClients } from '@/lib/oauth-server/clients/clients'
import { createOauthServer } from '@/lib/oauth-server/oauth-server'

export interface TokenTargetOptions {
  readonly mode: 'memory' | 'portcullis'
  readonly port: number
  readonly appUrl: string
  readonly vaultUrl: string
  readonly dataDir: string
  /** Refresh tokens to begin with. */
  readonly families: number
}

export interface TokenTarget {
  readonly origin: string
  readonly clientId: string
  readonly refreshTokens: string[]
  readonly headless: { readonly client_id: string; readonly client_secret: string; readonly resource: string }
}

const options = JSON.parse(process.argv[2] ?? '{}') as TokenTargetOptions // written by oauth-token.ts
const origin = `http://127.0.0.1:${options.port}`
const log = createLog('bench', 'error')
const scope = 'mcp:read mcp:write'
const wire = {
  client_name: 'Bench',
  redirect_uris: ['https://bench.example/cb'],
  grant_types: ['authorization_code', 'refresh_token'],
}

const { family, ...target } = await (options.mode === 'memory' ? memory() : everything())
const server = createGatewayServer({
  publicUrl: origin,
  publicUrlIsLoopback: true,
  trustedProxies: [],
  allowUpgrade: false,
  families: [family],
  web: undefined,
  readiness: () => Promise.resolve({ ready: true }),
  log,
})
await server.listen(options.port, '127.0.0.1')
process.send?.({ origin, ...target } satisfies TokenTarget)
process.on('message', () => process.send?.(process.cpuUsage()))
process.on('disconnect', () => process.exit(0))

type Target = Omit<TokenTarget, 'origin'> & { readonly family: RouteFamily }

async function memory(): Promise<Target> {
  const resource = `${origin}/mcp/agent`
  const secret = newSecret('pco_')
  const provider = new Provider(origin, {
    routes: { token: '/oauth/token' },
    clients: [
      { ...wire, client_id: 'people', token_endpoint_auth_method: 'none', response_types: ['code'] },
      {
        client_id: 'headless',
        client_secret: secret,
        token_endpoint_auth_method: 'client_secret_post',
        redirect_uris: [],
        response_types: [],
        grant_types: ['client_credentials'],
      },
    ],
    scopes: scope.split(' '),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({ scope, audience: resource, accessTokenFormat: 'opaque', accessTokenTTL: 900 }),
      },
    },
    ttl: { AccessToken: 900, ClientCredentials: 900, Grant: 7_776_000, RefreshToken: 2_592_000 },
    rotateRefreshToken: true,
    issueRefreshToken: () => true,
    expiresWithSession: () => false,
    findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  })
  const callback = provider.callback()
  return {
    clientId: 'people',
    refreshTokens: await newRefreshTokens(provider, 'people', resource, 'person', () => Promise.resolve()),
    headless: { client_id: 'headless', client_secret: secret, resource },
    family: { prefixes: ['/oauth/'], handle: ({ raw }, response) => callback(raw, response) },
  }
}

async function everything(): Promise<Target> {
  const appDb = createAppDb(options.appUrl)
  const key = Promise.resolve({ version: 1, key: Buffer.alloc(32, 7) })
  const audit = createAudit({
    databaseUrl: options.appUrl,
    appDb,
    vaultDb: createVaultDb(options.vaultUrl),
    keys: { audit: () => key, auditAt: async () => (await key).key },
    clock: systemClock,
    log,
    spoolDir: path.join(options.dataDir, 'spool'),
  })
  const unreachable = () => Promise.reject(new Error('unreachable'))
  const clients = createOauthClients({
    appDb,
    audit,
    egress: { request: unreachable },
    limits: { count: () => Promise.resolve() },
    clock: systemClock,
    network: () => '',
  })
  const oauth = await createOauthServer({
    publicUrl: origin,
    keyFile: path.join(options.dataDir, 'oauth-keys.json'),
    appDb,
    audit,
    egress: { fetch: unreachable },
    clients,
    clock: systemClock,
    log,
    personOf: () => Promise.resolve(undefined),
    preview: unreachable,
  })
  const personId = newId('person')
  const tenantId = newId('tenant')
  const agentId = newId('agent')
  const resource = `${origin}/mcp/${agentId}`
  const email = `${personId}@example.test`
  await appDb.global.person.create({ data: { id: personId, email, emailCanonical: email } })
  await appDb.tenant(tenantId, async (tx) => {
    await tx.tenant.create({ data: { id: tenantId, name: 'Bench', slug: tenantId.replace('_', '-') } })
    await tx.membership.create({ data: { tenantId, personId, role: 'owner' } })
    await tx.agent.create({ data: { tenantId, id: agentId, name: 'Agent' } })
  })
  const principal = {
    kind: 'person',
    tenantId,
    personId,
    role: 'owner',
    webSessionId: newId('webSession'),
    authenticatedAt: new Date(),
    network: '',
  } as const
  const headless = await clients.create(principal, { name: 'Headless', agentId, authMethod: 'client_secret_post' })
  const registered = await clients.register({ ...wire, token_endpoint_auth_method: 'none' }, '')
  const normalised = normaliseClient('registered', wire)
  if (!registered.ok || !normalised.ok) throw new Error('not registered')
  const clientId = String(registered.answer['client_id'])
  await clients.noteApproval(clientId)
  const { provider, grants } = oauth.server
  return {
    clientId,
    refreshTokens: await newRefreshTokens(provider, clientId, resource, personId, (grantId) =>
      appDb.tenant(tenantId, async (tx) => {
        const agentSessionId = newId('agentSession')
        await tx.agentSession.create({
          data: {
            tenantId,
            id: agentSessionId,
            agentId,
            kind: 'oauth',
            secretHash: Uint8Array.from(hashSecret(newSecret('none_'))),
            secretHint: '',
            personId,
            clientId,
            clientDigest: Uint8Array.from(clientDigest(normalised.client)),
            scopes: scope.split(' '),
            expiresAt: new Date(Date.now() + 3_600_000),
          },
          omit: { secretHash: true },
        })
        await grants.link(tx, grantId, { tenantId, agentSessionId })
      }),
    ),
    headless: { client_id: headless.id, client_secret: headless.secret?.reveal() ?? '', resource },
    family: createOauthRoutes({
      publicUrl: origin,
      ...oauth,
      authenticator: { session: () => Promise.resolve(undefined) },
      isReady: () => true,
    }),
  }
}

/** As many grants as there are connections, each with the refresh token a code would have been redeemed for. */
async function newRefreshTokens(
  provider: Provider,
  clientId: string,
  resource: string,
  accountId: string,
  link: (grantId: string) => Promise<void>,
): Promise<string[]> {
  const client = await provider.Client.find(clientId)
  if (client === undefined) throw new Error('no client')
  return Promise.all(
    Array.from({ length: options.families }, async () => {
      const grant = new provider.Grant({ accountId, clientId })
      grant.addResourceScope(resource, scope)
      const grantId = await save(grant)
      await link(grantId)
      const token = new provider.RefreshToken({
        client,
        accountId,
        grantId,
        gty: 'authorization_code',
        scope,
        resource,
        rotations: 0,
        expiresIn: 86_400,
        iiat: Math.floor(Date.now() / 1_000),
      })
      return save(token)
    }),
  )
}

/** The library takes a lifetime here that its types do not know; without one it would ask for a request. */
function save(model: object): Promise<string> {
  return (model as { save(seconds: number): Promise<string> }).save(86_400)
}
