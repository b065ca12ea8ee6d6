/**
 * The authorization server: oidc-provider, set up so that one thing is possible and nothing else. Authorization codes
 * with S256 for everybody, opaque tokens for exactly one agent's URL, a person's click before every grant.
 *
 * Addresses come from the public URL, whatever a request claims. The library's own session is never kept: who is asking
 * is always the person's web session, and the one who returns from a consent must be the one who gave it.
 *
 * @see OAuth 2.1, RFC 8707, RFC 9207, RFC 7009, RFC 7662
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

import Provider, { errors, interactionPolicy, type Configuration, type KoaContextWithOIDC } from 'oidc-provider'

import type { Clock } from '../clock'
import type { AppDb } from '../db/app-db'
import type { Egress } from '../egress/egress'
import { newSecret, type AgentId, type PersonId } from '../ids'
import type { Log } from '../log'
import { SESSION_SCOPES } from '../policy/decide'
import type { TenancyAudit } from '../tenancy/agents'
import { createAdapterFactory, type GrantStore } from './adapter'
import { isClientSecret, type OauthClients } from './clients/clients'
import { errorPage } from './error-page'
import type { OauthKeys } from './keys'
import { LONGEST, refreshSeconds } from './lifetimes'
import { ASSERTION_ALGORITHMS, AUTH_METHODS, PATHS } from './metadata'
import { agentOfResource, resourceOf } from './resource'
import { grantableScopes, SUPPORTED_SCOPES } from './scopes'

export const CODE_SECONDS = 60
/** Long enough to sign in by a mailed link. */
export const CONSENT_SECONDS = 30 * 60
export const ACCESS_TOKEN_PREFIX = 'poa_'
const REFRESH_TOKEN_PREFIX = 'por_'
const CODE_PREFIX = 'poz_'
export const CONSENT_PAGE = '/consent/'
export const RESUME_COOKIE = 'portcullis-consent-resume'

export interface AuthorizationServerDependencies {
  readonly publicUrl: string
  readonly appDb: AppDb
  readonly audit: TenancyAudit
  readonly clients: OauthClients
  readonly egress: Pick<Egress, 'fetch'>
  readonly keys: OauthKeys
  readonly clock: Clock
  readonly log: Log
  /** The person whose web session this request carries. */
  readonly personOf: (request: IncomingMessage) => Promise<PersonId | undefined>
}

export interface AuthorizationServer {
  readonly provider: Provider
  readonly grants: GrantStore
  /** Serves one of the library's endpoints. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>
}

/** Parameters of OpenID Connect, which this is not. The library refuses them without `openid`; RFC 6749 §3.1 says to ignore. */
const IGNORED = [
  'acr_values',
  'claims_locales',
  'display',
  'id_token_hint',
  'login_hint',
  'max_age',
  'nonce',
  'ui_locales',
]

export function createAuthorizationServer(deps: AuthorizationServerDependencies): AuthorizationServer {
  const { publicUrl, clients, keys, log } = deps
  const { host, protocol, origin } = new URL(publicUrl)
  const factory = createAdapterFactory({
    ...deps,
    returnTo: (uid) => `${publicUrl}${PATHS.authorization}/${uid}`,
  })

  const provider: Provider = new Provider(publicUrl, {
    adapter: factory,
    routes: { ...PATHS, jwks: '/oauth/jwks' },
    jwks: { keys: keys.signingKeys.map((key) => ({ ...key, use: 'sig', alg: 'ES256' })) },
    clientAuthMethods: [...AUTH_METHODS],
    enabledJWA: {
      clientAuthSigningAlgValues: [...ASSERTION_ALGORITHMS],
      idTokenSigningAlgValues: ['ES256'],
    },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    scopes: [...SUPPORTED_SCOPES],
    claims: {},
    responseTypes: ['code'],
    pkce: { required: () => true },
    allowOmittingSingleRegisteredRedirectUri: true,
    conformIdTokenClaims: true,
    clientBasedCORS: () => true, // no credentials travel by themselves to these endpoints, so any page may call them
    cookies: {
      keys: [...keys.cookieKeys],
      names: { interaction: 'portcullis-consent', resume: RESUME_COOKIE, session: 'portcullis-oauth' },
      short: { httpOnly: true, sameSite: 'lax', signed: true, overwrite: true },
      long: { httpOnly: true, sameSite: 'lax', signed: true, overwrite: true },
    },
    features: {
      devInteractions: { enabled: false },
      userinfo: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      dPoP: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      clientCredentials: { enabled: true },
      revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
      introspection: {
        enabled: true,
        // A public client proves nothing about itself, so it learns nothing.
        allowedPolicy: (_ctx, client, token) =>
          client.clientAuthMethod !== 'none' && token.clientId === client.clientId,
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: (ctx, client) => defaultResource(ctx, client.clientId),
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, indicator, client) => resourceServer(ctx, indicator, client.clientId),
      },
    },
    ttl: {
      AccessToken: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? LONGEST.accessSeconds,
      AuthorizationCode: CODE_SECONDS,
      ClientCredentials: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? LONGEST.accessSeconds,
      Grant: LONGEST.absoluteSeconds,
      Interaction: CONSENT_SECONDS,
      RefreshToken: (ctx, token) => refreshSeconds(factory.lifetimesOf(ctx), token.totalLifetime()),
      Session: CODE_SECONDS,
    },
    interactions: { policy: policy(), url: (ctx, { uid }) => consentPage(ctx, uid) },
    expiresWithSession: () => false,
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken(ctx) {
      // Before the token is spent: a request that can only fail must not cost the client its session.
      const { resource } = ctx.oidc.params ?? {}
      const granted = ctx.oidc.entities.RefreshToken?.resourceIndicators
      if (resource !== undefined && (typeof resource !== 'string' || granted?.has(resource) !== true))
        throw new errors.InvalidTarget('the resource is not the one that was approved')
      return true
    },
    revokeGrantPolicy: () => false, // the grant's session ends; the row keeps saying which one that was
    async loadExistingGrant(ctx) {
      const grantId = ctx.oidc.result?.consent?.grantId
      return grantId === undefined ? undefined : provider.Grant.find(grantId)
    },
    async findAccount(ctx, accountId, token) {
      // Who returns from a consent is who gave it: a link to somebody else's half-finished one leads nowhere.
      if (token === undefined && (await deps.personOf(ctx.req)) !== accountId)
        throw unredirected(new errors.SessionNotFound('the person who returned is not the one who consented'))
      return { accountId, claims: () => ({ sub: accountId }) }
    },
    renderError(ctx, out) {
      if (ctx.oidc.route !== 'authorization' && ctx.oidc.route !== 'resume') {
        ctx.body = out
        return
      }
      const { body, contentSecurityPolicy } = errorPage(out.error, out.error_description)
      ctx.set('content-security-policy', contentSecurityPolicy)
      ctx.type = 'html'
      ctx.body = body
    },
    fetch: (url, init) => deps.egress.fetch(url, init),
    fetchResponseBodyLimits: { jwks_uri: 65_536 },
  } satisfies Configuration)

  // A request of a foreign Host or scheme never gets here; behind a proxy the socket would say http.
  for (const [name, value] of Object.entries({
    host,
    protocol: protocol.slice(0, -1),
    origin,
    secure: protocol === 'https:',
  }))
    Object.defineProperty(provider.request, name, { configurable: true, get: () => value })
  provider.Client.prototype.compareClientSecret = function compare(actual) {
    return isClientSecret(this.clientSecret, actual)
  }
  for (const [model, prefix] of [
    [provider.AccessToken, ACCESS_TOKEN_PREFIX],
    [provider.ClientCredentials, ACCESS_TOKEN_PREFIX],
    [provider.RefreshToken, REFRESH_TOKEN_PREFIX],
    [provider.AuthorizationCode, CODE_PREFIX],
  ] as const)
    Object.assign(model.prototype, {
      generateTokenId(this: { format?: 'opaque' }) {
        this.format = 'opaque'
        return newSecret(prefix)
      },
    })

  provider.on('server_error', (ctx: KoaContextWithOIDC, error: Error) =>
    log.error({ err: error, route: ctx.oidc.route }, 'the authorization server failed'),
  )
  provider.use(async (ctx, next) => {
    for (const name of IGNORED) Reflect.deleteProperty(ctx.query, name)
    // The code alone travels, and in the query; the library would also post it or put it into the fragment.
    if (ctx.query['response_mode'] !== undefined && ctx.query['response_mode'] !== 'query')
      ctx.query['response_mode'] = 'unsupported'
    await next()
    // Who proves nothing is told nothing, not even that a token is unknown.
    const oidc = ctx.oidc as KoaContextWithOIDC['oidc'] | undefined // the middleware's own type does not know it
    if (oidc?.route === 'introspection' && ctx.status === 200 && oidc.client?.clientAuthMethod === 'none') {
      ctx.status = 401
      ctx.body = { error: 'invalid_client', error_description: 'introspection takes a client that authenticates' }
    }
    // Its session is never kept, so neither is the cookie.
    const cookies = [ctx.res.getHeader('set-cookie') ?? []].flat().map(String)
    const kept = cookies.filter((cookie) => !cookie.startsWith('portcullis-oauth'))
    if (kept.length < cookies.length) ctx.res.setHeader('set-cookie', kept)
  })

  async function defaultResource(ctx: KoaContextWithOIDC, clientId: string): Promise<string[] | string> {
    if (ctx.oidc.route !== 'token') return [] // the consent settles it
    const facts = await clients.facts(clientId)
    if (facts?.agentId === undefined) throw new errors.InvalidTarget('name the resource')
    return resourceOf(publicUrl, facts.agentId)
  }

  async function resourceServer(ctx: KoaContextWithOIDC, indicator: string, clientId: string) {
    const { resource } = ctx.oidc.params ?? {}
    if (Array.isArray(resource) && resource.length > 1) throw new errors.InvalidTarget('one resource at a time')
    const agentId = agentOfResource(indicator, publicUrl)
    if (agentId === undefined) throw new errors.InvalidTarget('the resource is not an MCP address of this server')
    return {
      scope: SESSION_SCOPES.join(' '),
      audience: resourceOf(publicUrl, agentId),
      accessTokenFormat: 'opaque' as const,
      accessTokenTTL: await accessSeconds(ctx, clientId, agentId),
    }
  }

  async function accessSeconds(ctx: KoaContextWithOIDC, clientId: string, agentId: AgentId): Promise<number> {
    if (ctx.oidc.route !== 'token' || ctx.oidc.params === undefined) return LONGEST.accessSeconds
    const { params } = ctx.oidc
    if (params['grant_type'] !== 'client_credentials') return factory.lifetimesOf(ctx).accessSeconds
    const facts = await clients.facts(clientId)
    if (facts?.agentId !== agentId || facts.lifetimes === undefined)
      throw new errors.InvalidTarget('the resource is not one of this client')
    const { scope } = params
    const asked = typeof scope === 'string' ? scope : ''
    const scopes = grantableScopes(asked)
    if (scopes === undefined) throw new errors.InvalidScope('none of the requested scopes can be granted', asked)
    params['scope'] = scopes.join(' ')
    return facts.lifetimes.accessSeconds
  }

  const callback = provider.callback()
  return {
    provider,
    grants: factory,
    handle: (request, response) => callback(request, response),
  }
}

/** Every authorization is asked for, whatever was granted before; whatever `prompt` says is answered by the same page. */
function policy(): interactionPolicy.Prompt[] {
  const { Check, Prompt } = interactionPolicy
  return [
    new Prompt({ name: 'login', requestable: true }),
    new Prompt({ name: 'select_account', requestable: true }),
    new Prompt(
      { name: 'consent', requestable: true },
      new Check('always', 'the person must agree', 'consent_required', (ctx) => ctx.oidc.result?.consent === undefined),
    ),
  ]
}

/** The last look before a person is asked: what could never be granted is refused at once. */
function consentPage(ctx: KoaContextWithOIDC, uid: string): string {
  const { scope } = ctx.oidc.params ?? {}
  if (grantableScopes(typeof scope === 'string' ? scope : undefined) === undefined)
    throw new errors.InvalidScope('none of the requested scopes can be granted', typeof scope === 'string' ? scope : '')
  return CONSENT_PAGE + uid
}

function unredirected<E extends Error>(error: E): E {
  return Object.assign(error, { allow_redirect: false })
}
