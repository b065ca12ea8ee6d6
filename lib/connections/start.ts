/**
 * The beginning of a consent: a row that can be spent once, within ten minutes, in the browser and session that asked
 * for it, and the address at the provider that carries its name. Nothing about it can be guessed or reused.
 *
 * @see RFC 9700 §2.1 and §4.7, RFC 7636 §4.1
 * @module
 */
import { randomBytes } from 'node:crypto'

import { actorOf } from '../audit/record'
import { AppError, notFound } from '../errors'
import { hashSecret, isId, newId, type Id } from '../ids'
import type { ProviderClient } from '../providers/client'
import { scopesToRequest } from '../providers/scopes'
import { Secret } from '../secret'
import { checkPermission } from '../tenancy/permission'
import type { PersonPrincipal } from '../tenancy/principal'
import { holdQuota } from '../tenancy/quotas'
import type { ConnectionsDeps } from './deps'
import { maySee } from './view'

export interface ConnectRequest {
  readonly provider: string
  /** Scopes beside those that name the account. Absent: what the tools of the catalogue need. */
  readonly scopes?: readonly string[] | undefined
  /** The connection to renew, when it is not a new one. */
  readonly connectionId?: string | undefined
}

export interface StartedConnect {
  readonly attemptId: Id<'connectAttempt'>
  /** The provider's consent page. */
  readonly location: string
}

const MAX_OPEN_ATTEMPTS = 20

export function createStart(deps: ConnectionsDeps) {
  const { appDb, audit, clock, providers, publicUrl } = deps

  /**
   * @param browserHash  hash of the browser's own cookie, compared again when the browser comes back
   * @throws AppError `auth.forbidden`, `resource.not_found`, `request.invalid`, `provider.misconfigured`
   */
  return async function start(
    principal: PersonPrincipal,
    browserHash: Buffer,
    request: ConnectRequest,
  ): Promise<StartedConnect> {
    checkPermission(principal, 'connection.connect')
    const client = clientOf(providers, request.provider)
    const { tenantId, personId } = principal
    const { connectionId } = request
    if (connectionId !== undefined && !isId('connection', connectionId)) throw notFound()
    const id = newId('connectAttempt', clock.now())
    const state = new Secret(randomBytes(32).toString('base64url'))
    const nonce = randomBytes(32).toString('base64url')
    const codeVerifier = randomBytes(32).toString('base64url')

    const { scopes, loginHint } = await appDb.tenant(tenantId, async (tx) => {
      const renewed =
        connectionId === undefined
          ? null
          : await tx.connection.findFirst({
              where: { tenantId, id: connectionId, provider: client.definition.name, access: { not: 'deleted' } },
            })
      if (connectionId !== undefined && renewed === null) throw notFound()
      // Only its owner can consent again; for anybody else the account would silently become another person's.
      if (renewed !== null && renewed.ownerPersonId !== personId) {
        if (!maySee(principal, renewed)) throw notFound()
        throw new AppError('auth.forbidden', 'Only the person who connected this account can reconnect it.')
      }
      const scopes = requestedScopes(client, request.scopes, renewed?.requestedScopes)
      await tx.$executeRaw`
        DELETE FROM connect_attempt WHERE tenant_id = ${tenantId} AND id IN (
          SELECT id FROM connect_attempt WHERE tenant_id = ${tenantId} AND person_id = ${personId} AND used_at IS NULL
           ORDER BY created_at DESC, id DESC OFFSET ${MAX_OPEN_ATTEMPTS - 1})`
      if (renewed === null) await holdQuota(tx, tenantId, 'connections')
      await tx.$executeRaw`
        INSERT INTO connect_attempt (tenant_id, id, person_id, web_session_id, browser_hash, provider, provider_app, state_hash,
            code_verifier, nonce, requested_scopes, connection_id, expected_subject, expires_at)
        VALUES (${tenantId}, ${id}, ${personId}, ${principal.webSessionId}, ${browserHash}, ${client.definition.name}, ${client.app.key},
            ${hashSecret(state.reveal())}, ${codeVerifier}, ${nonce}, ${scopes}, ${renewed?.id ?? null},
            ${renewed === null || renewed.providerApp !== client.app.key ? null : renewed.subject}, now() + interval '10 minutes')`
      await audit.event(tx, {
        tenantId,
        action: 'connection.connect_started',
        actor: actorOf(principal),
        targetId: id,
        ...(connectionId === undefined ? {} : { connectionId }),
        detail: { provider: client.definition.name, scopes: scopes.join(' ') },
        network: principal.network,
      })
      return { scopes, loginHint: renewed === null ? undefined : (renewed.accountEmail ?? renewed.accountLabel) }
    })

    const location = await client.authorizationUrl({
      redirectUri: callbackUri(publicUrl, client),
      state,
      nonce,
      codeVerifier,
      scopes,
      ...(loginHint === undefined ? {} : { loginHint }),
    })
    return { attemptId: id, location: location.href }
  }
}

/** One address per provider, so that an answer of one cannot be handed to another's handler (RFC 9700 §4.4.2). */
export function callbackUri(publicUrl: string, client: ProviderClient): string {
  return `${publicUrl}/connect/callback/${client.definition.name}`
}

/** @throws AppError `resource.not_found` for a name that is no provider, `provider.misconfigured` for one without an app */
export function clientOf(providers: ConnectionsDeps['providers'], name: string): ProviderClient {
  const client = providers.get(name)
  if (client !== undefined) return client
  const known = providers.list().find((info) => info.name === name)
  if (known === undefined) throw notFound()
  throw new AppError('provider.misconfigured', `No ${known.displayName} app is set up here. Ask the operator.`)
}

function requestedScopes(
  client: ProviderClient,
  wanted: readonly string[] | undefined,
  before: readonly string[] | undefined,
): string[] {
  const rules = client.definition.scopes
  const unknown = wanted?.find((scope) => !Object.hasOwn(rules.known, scope))
  if (unknown !== undefined)
    throw new AppError('request.invalid', 'scopes: has one that this provider is not asked for', { field: 'scopes' })
  // A reconnect asks for what there was, so that it does not take a permission away unseen.
  return scopesToRequest(rules, [...(before ?? []), ...(wanted ?? (before === undefined ? rules.defaults : []))])
}
