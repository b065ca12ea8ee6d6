/**
 * The authorization server put together: keys, the library and the consents over one database.
 *
 * @module
 */
import type { IncomingMessage } from 'node:http'

import type { Clock } from '../clock'
import type { AppDb } from '../db/app-db'
import type { Egress } from '../egress/egress'
import type { PersonId } from '../ids'
import type { Log } from '../log'
import type { TenancyAudit } from '../tenancy/agents'
import type { OauthClients } from './clients/clients'
import { createConsents, type ConsentDependencies, type Consents } from './consent'
import { openOauthKeys } from './keys'
import { createAuthorizationServer, type AuthorizationServer } from './provider'

export interface OauthServerDependencies {
  readonly publicUrl: string
  readonly keyFile: string
  readonly appDb: AppDb
  readonly audit: TenancyAudit
  readonly clients: OauthClients
  readonly egress: Pick<Egress, 'fetch'>
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
  const server = createAuthorizationServer({ ...deps, keys })
  const consents = createConsents({ ...deps, ...server, keys })
  return { server, clients: deps.clients, consents }
}
