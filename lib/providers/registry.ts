/**
 * The providers of this installation: the catalogue, with the endpoints an operator replaced and the apps that are set.
 *
 * @module
 */
import { createHash } from 'node:crypto'

import type { Clock } from '../clock'
import type { Config, ProviderName, ProviderOverride } from '../config'
import type { Egress } from '../egress/egress'
import { AppError } from '../errors'
import { github } from './catalog/github'
import { google } from './catalog/google'
import { slack } from './catalog/slack'
import type { ProviderClient, ProviderInfo, Providers } from './client'
import type { ProviderDefinition, ProviderEndpoints } from './definition'
import { createOAuthClient } from './oauth'

/** In the order in which people are shown them. */
export const CATALOG: readonly ProviderDefinition[] = [github, google, slack]

export interface ProvidersOptions {
  readonly config: Pick<Config, 'providers' | 'egress' | 'production'>
  readonly egress: Egress
  readonly clock: Clock
  readonly tokenTimeoutMs?: number
}

/** @throws AppError `config.invalid` when an endpoint is plain http without being allowed by name */
export function createProviders(options: ProvidersOptions): Providers {
  const clients = new Map<string, ProviderClient>()
  for (const definition of CATALOG) {
    const app = options.config.providers[definition.name]
    if (app === undefined) continue
    const endpoints = replaceEndpoints(definition.endpoints, app.overrides)
    checkEndpoints(definition.name, endpoints, options.config)
    clients.set(
      definition.name,
      createOAuthClient({
        definition: { ...definition, endpoints },
        apiBaseIsOverridden: app.overrides.apiBaseUrl !== undefined,
        app: { key: appKey(definition.name, app.clientId), clientId: app.clientId, sandbox: app.sandbox },
        clientSecret: app.clientSecret,
        egress: options.egress,
        clock: options.clock,
        ...(options.tokenTimeoutMs === undefined ? {} : { tokenTimeoutMs: options.tokenTimeoutMs }),
      }),
    )
  }
  return {
    get: (name) => clients.get(name),
    list: () => CATALOG.map((definition) => describe(definition, clients.get(definition.name))),
  }
}

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
export function appKey(provider: ProviderName, clientId: string): string {
  return createHash('sha256').update(`${provider}\0${clientId}`).digest('base64url').slice(0, 22)
}

function replaceEndpoints(endpoints: ProviderEndpoints, overrides: ProviderOverride): ProviderEndpoints {
  const jwks = overrides.jwksUri ?? endpoints.jwks
  const userinfo = overrides.userinfoEndpoint ?? endpoints.userinfo
  const apiBase = trimmed(overrides.apiBaseUrl) ?? endpoints.apiBase
  return {
    authorization: overrides.authorizationEndpoint ?? endpoints.authorization,
    token: overrides.tokenEndpoint ?? endpoints.token,
    // GitHub revokes through its API, so an Enterprise Server's address carries over.
    revocation:
      trimmed(overrides.revocationEndpoint) ??
      (endpoints.revocation.startsWith(endpoints.apiBase)
        ? apiBase + endpoints.revocation.slice(endpoints.apiBase.length)
        : endpoints.revocation),
    apiBase,
    issuer: overrides.issuer ?? endpoints.issuer,
    ...(jwks === undefined ? {} : { jwks }),
    ...(userinfo === undefined ? {} : { userinfo }),
  }
}

const trimmed = (url: string | undefined) => url?.replace(/\/+$/, '')

function checkEndpoints(name: ProviderName, endpoints: ProviderEndpoints, config: ProvidersOptions['config']): void {
  const allowed = new Set(
    config.egress.allow.filter((entry) => URL.canParse(entry)).map((entry) => new URL(entry).origin),
  )
  for (const [endpoint, value] of Object.entries(endpoints) as [string, string][]) {
    // values of ProviderEndpoints are strings
    const url = new URL(value.replace('{clientId}', 'client'))
    if (url.protocol === 'https:') continue
    if (!config.egress.allowUnsafe || !allowed.has(url.origin))
      throw new AppError(
        'config.invalid',
        `PROVIDER_OVERRIDES: ${name} ${endpoint} is plain http; its origin must be in EGRESS_ALLOW with EGRESS_ALLOW_UNSAFE=1`,
      )
  }
}
