/**
 * The endpoints of an authorization server that publishes them, asked for when they are first needed and kept for an hour.
 *
 * The document must name the very issuer it was asked of, and every endpoint in it must be one that could have been
 * declared by hand; it is fetched through the egress client like everything else, so it cannot lead to a private address.
 *
 * @see RFC 8414 §3.3, OpenID Connect Discovery 1.0 §4.3
 * @module
 */
import type { Clock } from '../clock'
import type { DeclaredProvider } from '../config'
import type { Egress } from '../egress/egress'
import { AppError } from '../errors'
import type { ProviderApp, ProviderClient } from './client'
import type { ProviderDefinition, ProviderEndpoints } from './definition'
import type { DiscoveredFacts } from './generic'
import { parseObject, textAt, type Json } from './json'

const KEEP_MS = 60 * 60_000
const RETRY_MS = 60_000
const TIMEOUT_MS = 10_000
const MAX_BYTES = 256 * 1024

export interface DiscoveredClientOptions {
  readonly declared: DeclaredProvider & { readonly issuer: string }
  readonly app: ProviderApp
  readonly egress: Egress
  readonly clock: Clock
  /** Before anything is known of the endpoints. */
  readonly definition: ProviderDefinition
  /** @throws AppError `config.invalid` for an endpoint that may not be used */
  readonly check: (endpoints: ProviderEndpoints) => void
  readonly create: (found: DiscoveredFacts) => ProviderClient
}

/** A client whose requests wait for the metadata. Without it nothing was sent, so every failure is one that may pass. */
export function createDiscoveredClient(options: DiscoveredClientOptions): ProviderClient {
  const { app, clock, definition, declared } = options
  let known: { readonly client: ProviderClient; readonly until: number } | undefined
  let asking: Promise<ProviderClient | undefined> | undefined

  const find = async (): Promise<ProviderClient | undefined> => {
    if (known !== undefined && clock.now().getTime() < known.until) return known.client
    asking ??= discover(options)
      .then((found) => {
        if (found === undefined) {
          // An old answer is better than none, for as long as it takes to ask again.
          if (known !== undefined) known = { ...known, until: clock.now().getTime() + RETRY_MS }
          return known?.client
        }
        const client = options.create(found)
        known = { client, until: clock.now().getTime() + KEEP_MS }
        return client
      })
      .finally(() => (asking = undefined))
    return asking
  }

  const weather = { kind: 'weather', code: 'discovery_failed' } as const
  const base = (declared.apiBaseUrl ?? new URL(declared.issuer).origin).replace(/\/+$/, '')
  return {
    get definition() {
      return known?.client.definition ?? definition
    },
    app,
    apiBaseUrl: base,
    apiUrl: (path) => new URL(base + path),
    async authorizationUrl(request) {
      const client = await find()
      if (client === undefined)
        throw new AppError('provider.unavailable', `${definition.displayName} cannot be reached. Try again later.`)
      return client.authorizationUrl(request)
    },
    exchangeCode: async (exchange) => (await find())?.exchangeCode(exchange) ?? weather,
    refresh: async (token, refreshOptions) => (await find())?.refresh(token, refreshOptions) ?? weather,
    revoke: async (tokens, scope, revokeOptions) => (await find())?.revoke(tokens, scope, revokeOptions) ?? weather,
    identify: async (token, identifyOptions) => (await find())?.identify(token, identifyOptions) ?? weather,
  }
}

async function discover(options: DiscoveredClientOptions): Promise<DiscoveredFacts | undefined> {
  const { declared, egress } = options
  for (const url of metadataUrls(declared)) {
    const document = await fetchDocument(egress, url)
    const found = document === undefined ? undefined : readMetadata(document, declared)
    if (found === undefined) continue
    try {
      options.check(found.endpoints)
      return found
    } catch {
      continue
    }
  }
  return undefined
}

/** OpenID Connect appends its path to the issuer; RFC 8414 puts its own between host and path. */
function metadataUrls({ issuer, kind }: DiscoveredClientOptions['declared']): string[] {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/+$/, '')
  const openId = `${origin}${path}/.well-known/openid-configuration`
  const oauth = `${origin}/.well-known/oauth-authorization-server${path}`
  return kind === 'oidc' ? [openId, oauth] : [oauth, openId]
}

async function fetchDocument(egress: Egress, url: string): Promise<Json | undefined> {
  try {
    const { status, body } = await egress.request(url, {
      headers: { accept: 'application/json' },
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_BYTES,
    })
    return status === 200 ? parseObject(body) : undefined
  } catch {
    return undefined
  }
}

function readMetadata(
  document: Json,
  declared: DeclaredProvider & { readonly issuer: string },
): DiscoveredFacts | undefined {
  // Whoever answers for another issuer answers for none (RFC 8414 §3.3).
  if (document['issuer'] !== declared.issuer) return undefined
  const authorization = declared.authorizationEndpoint ?? textAt(document, 'authorization_endpoint')
  const token = declared.tokenEndpoint ?? textAt(document, 'token_endpoint')
  if (authorization === undefined || token === undefined) return undefined
  const revocation = declared.revocationEndpoint ?? textAt(document, 'revocation_endpoint')
  const userinfo = declared.userinfoEndpoint ?? textAt(document, 'userinfo_endpoint')
  const jwks = declared.jwksUri ?? textAt(document, 'jwks_uri')
  if (declared.kind === 'oidc' && jwks === undefined) return undefined
  if (declared.kind === 'oauth2' && userinfo === undefined) return undefined
  const methods = document['token_endpoint_auth_methods_supported']
  return {
    endpoints: {
      authorization,
      token,
      apiBase: declared.apiBaseUrl ?? new URL(declared.issuer).origin,
      issuer: declared.issuer,
      ...(revocation === undefined ? {} : { revocation }),
      ...(userinfo === undefined ? {} : { userinfo }),
      ...(jwks === undefined ? {} : { jwks }),
    },
    // Unnamed means basic (RFC 8414 §2).
    clientAuth:
      declared.clientAuth ?? (Array.isArray(methods) && methods.includes('client_secret_post') ? 'post' : 'basic'),
    callbackIssuer: document['authorization_response_iss_parameter_supported'] === true ? 'required' : 'optional',
  }
}
