/**
 * The authorization server put together: keys, clients, the library and the consents over one database.
 *
 * @module
 */
import type { IncomingMessage } from 'node:http'

import type { Clock } from '../clock'
import type { AppDb } from '../db/app-db'
import type { RateLimitStore } from '../db/rate-limit-store'
import type { Egress } from '../egress/egress'
import type { PersonId } from '../ids'
import type { Log } from '../log'
import type { TenancyAudit } from '../tenancy/agents'
import { createOauthClients, type OauthClients } from './clients/clients'
import { createConsents, type ConsentDependencies, type Consents } from './consent'
import { openOauthKeys } from './keys'
import { createOauthLimits } from './limits'
import { currentNetwork } from './network'
import { createAuthorizationServer, type AuthorizationServer } from './provider'

export interface OauthServerDependencies {
  readonly publicUrl: string
  readonly keyFile: string
  readonly appDb: AppDb
  readonly audit: TenancyAudit
  readonly egress: Pick<Egress, 'request' | 'fetch'>
  readonly limitStore: RateLimitStore
  readonly clock: Clock
  readonly log: Log
  readonly personOf: (request: IncomingMessage) => Promise<PersonId | undefined>
  readonly preview: ConsentDependencies['preview']
}

export interface OauthServer {
  readonly server: AuthorizationServer
  readonly clients: OauthClients
  readonly consents: Consents
}

export async function createOauthServer(deps: OauthServerDependencies): Promise<OauthServer> {
  const keys = await openOauthKeys(deps.keyFile)
  const clients = createOauthClients({ ...deps, limits: createOauthLimits(deps.limitStore), network: currentNetwork })
  const server = createAuthorizationServer({ ...deps, clients, keys })
  const consents = createConsents({ ...deps, ...server, clients, keys })
  return { server, clients, consents }
}
