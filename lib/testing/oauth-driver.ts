/**
 * A second gateway in a process of its own: the authorization server over the same database, with the same keys.
 *
 * @module
 */
import { createOauthRoutes } from '../../gateway/oauth'
import { createGatewayServer } from '../../gateway/server'
import { createAudit } from '../audit/audit'
import { systemClock } from '../clock'
import { createAppDb } from '../db/app-db'
import { createVaultDb } from '../db/vault-db'
import { createLog } from '../log'
import { createOauthClients } from '../oauth-server/clients/clients'
import { createOauthServer } from '../oauth-server/oauth-server'

export interface OauthDriverOptions {
  readonly appUrl: string
  readonly vaultUrl: string
  readonly publicUrl: string
  readonly port: number
  readonly keyFile: string
  readonly spoolDir: string
}

const options = JSON.parse(process.argv[2] ?? '{}') as OauthDriverOptions // written by the test
const { publicUrl } = options
const clock = systemClock
const log = createLog('test', 'error')
const appDb = createAppDb(options.appUrl)
const unreachable = () => Promise.reject(new Error('unreachable'))
const key = Promise.resolve({ version: 1, key: Buffer.alloc(32, 7) })
const audit = createAudit({
  databaseUrl: options.appUrl,
  appDb,
  vaultDb: createVaultDb(options.vaultUrl),
  keys: { audit: () => key, auditAt: async () => (await key).key },
  clock,
  log,
  spoolDir: options.spoolDir,
})
const oauth = await createOauthServer({
  publicUrl,
  keyFile: options.keyFile,
  appDb,
  audit,
  egress: { fetch: unreachable },
  clients: createOauthClients({
    appDb,
    audit,
    egress: { request: unreachable },
    limits: { count: () => Promise.resolve() },
    clock,
    network: () => '',
  }),
  clock,
  log,
  personOf: () => Promise.resolve(undefined),
  preview: unreachable,
})
const server = createGatewayServer({
  publicUrl,
  publicUrlIsLoopback: true,
  trustedProxies: [],
  allowUpgrade: false,
  families: [
    createOauthRoutes({
      publicUrl,
      ...oauth,
      authenticator: { session: () => Promise.resolve(undefined) },
      isReady: () => true,
    }),
  ],
  web: undefined,
  readiness: () => Promise.resolve({ ready: true }),
  log,
})
await server.listen(options.port, '127.0.0.1')
process.send?.('listening')
