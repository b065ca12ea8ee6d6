/**
 * The providers of this installation: the catalogue, with the endpoints an operator replaced and the apps that are set,
 * and the providers an operator declared.
 *
 * @module
 */
import { createHash } from 'node:crypto'

import type { Clock } from '../clock'
import type { Config, DeclaredProvider, ProviderAppConfig, ProviderOverride } from '../config'
import type { Egress } from '../egress/egress'
import { AppError } from '../errors'
import type { Secret } from '../secret'
import { CATALOG } from './catalog/index'
import type { ProviderApp, ProviderClient, ProviderInfo, Providers } from './client'
import type { ProviderDefinition, ProviderEndpoints } from './definition'
import { createDiscoveredClient } from './discovery'
import { genericDefinition, type DiscoveredFacts } from './generic'
import { createOAuthClient } from './oauth'

export interface ProvidersOptions {
  readonly config: Pick<Config, 'providers' | 'egress' | 'production'> & Partial<Pick<Config, 'declaredProviders'>>
  readonly egress: Egress
  readonly clock: Clock
  readonly tokenTimeoutMs?: number
  readonly catalog?: readonly ProviderDefinition[]
}

/**
 * @throws AppError `config.invalid`, naming every endpoint that is plain http without being allowed by name
 */
export function createProviders(options: ProvidersOptions): Providers {
  const { config, catalog = CATALOG } = options
  const problems: string[] = []
  const clients = new Map<string, ProviderClient>()
  const infos: ProviderInfo[] = []

  for (const definition of catalog) {
    const app = config.providers[definition.name]
    const client = app === undefined ? undefined : clientOfCatalog(definition, app, options, problems)
    if (client !== undefined) clients.set(definition.name, client)
    infos.push(describe(definition, client))
  }
  for (const [name, declared] of Object.entries(config.declaredProviders ?? {})) {
    const client = clientOfDeclared(name, declared, options, problems)
    if (client === undefined) continue
    clients.set(name, client)
    infos.push(describe(client.definition, client))
  }
  if (problems.length > 0) throw new AppError('config.invalid', problems.join('\n'))
  return { get: (name) => clients.get(name), list: () => infos }
}

function clientOfCatalog(
  definition: ProviderDefinition,
  app: ProviderAppConfig,
  options: ProvidersOptions,
  problems: string[],
): ProviderClient | undefined {
  const { clientId, clientSecret } = app
  const endpoints = replaceEndpoints(definition.endpoints, app.overrides)
  const wrong = plainEndpoints(definition.name, endpoints, options.config)
  problems.push(...wrong)
  if (wrong.length > 0) return undefined
  return createOAuthClient({
    definition: { ...definition, endpoints },
    apiBaseIsOverridden: app.overrides.apiBaseUrl !== undefined,
    app: { key: appKey(definition.name, clientId), clientId, sandbox: app.sandbox },
    ...common(options, clientSecret),
  })
}

function clientOfDeclared(
  name: string,
  declared: DeclaredProvider,
  options: ProvidersOptions,
  problems: string[],
): ProviderClient | undefined {
  const { issuer, authorizationEndpoint, tokenEndpoint, jwksUri, userinfoEndpoint, revocationEndpoint } = declared
  const app: ProviderApp = { key: appKey(name, declared.clientId), clientId: declared.clientId, sandbox: false }
  const create = (found: DiscoveredFacts) =>
    createOAuthClient({
      definition: genericDefinition(name, declared, found),
      apiBaseIsOverridden: true,
      app,
      ...common(options, declared.clientSecret),
    })
  const check = (endpoints: ProviderEndpoints) => {
    const wrong = plainEndpoints(name, endpoints, options.config)
    if (wrong.length > 0) throw new AppError('config.invalid', wrong.join('\n'))
  }
  const isWhole = declared.kind === 'oidc' ? jwksUri !== undefined : userinfoEndpoint !== undefined
  if (authorizationEndpoint !== undefined && tokenEndpoint !== undefined && isWhole) {
    const endpoints: ProviderEndpoints = {
      authorization: authorizationEndpoint,
      token: tokenEndpoint,
      apiBase: trimmed(declared.apiBaseUrl) ?? new URL(tokenEndpoint).origin,
      issuer: issuer ?? new URL(authorizationEndpoint).origin,
      ...(revocationEndpoint === undefined ? {} : { revocation: revocationEndpoint }),
      ...(userinfoEndpoint === undefined ? {} : { userinfo: userinfoEndpoint }),
      ...(jwksUri === undefined ? {} : { jwks: jwksUri }),
    }
    const wrong = plainEndpoints(name, endpoints, options.config)
    problems.push(...wrong)
    return wrong.length > 0
      ? undefined
      : create({ endpoints, clientAuth: declared.clientAuth ?? 'post', callbackIssuer: 'optional' })
  }
  if (issuer === undefined) return undefined // refused where it was read
  const unknown: ProviderEndpoints = {
    authorization: issuer,
    token: issuer,
    revocation: issuer,
    apiBase: trimmed(declared.apiBaseUrl) ?? new URL(issuer).origin,
    issuer,
  }
  const wrong = plainEndpoints(name, unknown, options.config)
  problems.push(...wrong.slice(0, 1))
  if (wrong.length > 0) return undefined
  return createDiscoveredClient({
    declared: { ...declared, issuer },
    app,
    egress: options.egress,
    clock: options.clock,
    definition: genericDefinition(name, declared, {
      endpoints: unknown,
      clientAuth: declared.clientAuth ?? 'basic',
      callbackIssuer: 'optional',
    }),
    check,
    create,
  })
}

const common = ({ egress, clock, tokenTimeoutMs }: ProvidersOptions, clientSecret: Secret) => ({
  clientSecret,
  egress,
  clock,
  ...(tokenTimeoutMs === undefined ? {} : { tokenTimeoutMs }),
})

function describe(definition: ProviderDefinition, client: ProviderClient | undefined): ProviderInfo {
  return {
    name: definition.name,
    displayName: definition.displayName,
    configured: client !== undefined,
    sandbox: client?.app.sandbox ?? false,
    scopes: [...definition.scopes.identity, ...definition.scopes.defaults].map((name) => ({
      name,
      words: definition.scopes.known[name]?.words ?? name,
      access: definition.scopes.known[name]?.access ?? 'read',
      required: definition.scopes.identity.includes(name),
    })),
  }
}

/** A connection belongs to the registration that made it: tokens of one app are refused by another. */
export function appKey(provider: string, clientId: string): string {
  return createHash('sha256').update(`${provider}\0${clientId}`).digest('base64url').slice(0, 22)
}

function replaceEndpoints(endpoints: ProviderEndpoints, overrides: ProviderOverride): ProviderEndpoints {
  const jwks = overrides.jwksUri ?? endpoints.jwks
  const userinfo = overrides.userinfoEndpoint ?? endpoints.userinfo
  const apiBase = trimmed(overrides.apiBaseUrl) ?? endpoints.apiBase
  // Where revoking is a call of the API, the address of another installation carries over.
  const revocation =
    trimmed(overrides.revocationEndpoint) ??
    (endpoints.revocation?.startsWith(endpoints.apiBase) === true
      ? apiBase + endpoints.revocation.slice(endpoints.apiBase.length)
      : endpoints.revocation)
  return {
    authorization: overrides.authorizationEndpoint ?? endpoints.authorization,
    token: overrides.tokenEndpoint ?? endpoints.token,
    apiBase,
    issuer: overrides.issuer ?? endpoints.issuer,
    ...(revocation === undefined ? {} : { revocation }),
    ...(jwks === undefined ? {} : { jwks }),
    ...(userinfo === undefined ? {} : { userinfo }),
  }
}

const trimmed = (url: string | undefined) => url?.replace(/\/+$/, '')

/** What is wrong with the endpoints, each named. */
function plainEndpoints(name: string, endpoints: ProviderEndpoints, config: ProvidersOptions['config']): string[] {
  const allowed = new Set(
    config.egress.allow.filter((entry) => URL.canParse(entry)).map((entry) => new URL(entry).origin),
  )
  return Object.entries<string>({ ...endpoints }).flatMap(([endpoint, value]) => {
    const text = value.replace('{clientId}', 'client').replace('{tenantid}', 'tenant')
    if (!URL.canParse(text)) return [`PROVIDER_OVERRIDES: ${name} ${endpoint} is not a URL`]
    const url = new URL(text)
    if (url.protocol === 'https:') return []
    return url.protocol === 'http:' && config.egress.allowUnsafe && allowed.has(url.origin)
      ? []
      : [
          `PROVIDER_OVERRIDES: ${name} ${endpoint} is plain http; its origin must be in EGRESS_ALLOW with EGRESS_ALLOW_UNSAFE=1`,
        ]
  })
}
