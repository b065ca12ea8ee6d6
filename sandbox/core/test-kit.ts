/**
 * The client's side of the three dialects, for the tests of this folder: openid-client with the one adaptation GitHub and
 * Slack need, errors in a 200 turned into the 400 they should have been.
 *
 * @module
 */
import * as oc from 'openid-client'

import { consentAs, type Person } from '@/sandbox/browser'
import type { Provider } from '@/sandbox/core/ledger'
import type { SandboxHandle } from '@/sandbox/server'

export const REDIRECT_URI = 'http://localhost:3000/connect/callback'

export function clientFor(sandbox: SandboxHandle, provider: Provider): oc.Configuration {
  const { clientId, clientSecret } = sandbox[provider]
  const endpoints = sandbox.overrides[provider]
  const config = new oc.Configuration(
    {
      issuer: endpoints['issuer'] ?? '',
      authorization_endpoint: endpoints['authorizationEndpoint'] ?? '',
      token_endpoint: endpoints['tokenEndpoint'] ?? '',
      ...(provider === 'google'
        ? { jwks_uri: endpoints['jwksUri'] ?? '', revocation_endpoint: endpoints['revocationEndpoint'] ?? '' }
        : {}),
    },
    clientId,
    undefined,
    oc.ClientSecretPost(clientSecret),
  )
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- deprecated to make it stand out; this is loopback
  oc.allowInsecureRequests(config)
  if (provider !== 'google') config[oc.customFetch] = normalized
  return config
}

const normalized: oc.CustomFetch = async (url, init) => {
  const response = await fetch(url, init as RequestInit) // openid-client's options are fetch's
  const text = await response.text()
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return new Response(text, response)
  }
  const fields = body as Record<string, unknown> // the token endpoint answers with objects
  const failed = fields['ok'] === false || typeof fields['error'] === 'string'
  const user = fields['authed_user'] as Record<string, unknown> | undefined // Slack's nesting
  const flat = typeof user?.['access_token'] === 'string' ? { ...user, token_type: 'bearer', slack: fields } : fields
  if (flat['token_type'] === 'user' || flat['token_type'] === 'bot') flat['token_type'] = 'bearer'
  const headers = new Headers(response.headers)
  headers.delete('content-length')
  return new Response(JSON.stringify(flat), {
    status: failed && response.status === 200 ? 400 : response.status,
    headers,
  })
}

export interface Connected {
  readonly accessToken: string
  readonly refreshToken: string
  readonly scope: string
  readonly tokens: oc.TokenEndpointResponse
  readonly callback: URL
  readonly config: oc.Configuration
}

export interface Start {
  readonly config: oc.Configuration
  readonly url: URL
  readonly state: string
  readonly verifier: string
  readonly nonce: string
}

export async function start(
  sandbox: SandboxHandle,
  provider: Provider,
  scopes: readonly string[],
  parameters: Record<string, string> = {},
): Promise<Start> {
  const config = clientFor(sandbox, provider)
  const verifier = oc.randomPKCECodeVerifier()
  const state = oc.randomState()
  const nonce = oc.randomNonce()
  const url = oc.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT_URI,
    scope: scopes.join(provider === 'slack' ? ',' : ' '),
    state,
    code_challenge: await oc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...(provider === 'google' ? { access_type: 'offline', prompt: 'consent', nonce } : {}),
    ...parameters,
  })
  return { config, url, state, verifier, nonce }
}

export async function connect(
  sandbox: SandboxHandle,
  provider: Provider,
  person: Person,
  scopes: readonly string[],
  parameters: Record<string, string> = {},
): Promise<Connected> {
  const { config, url, state, verifier, nonce } = await start(sandbox, provider, scopes, parameters)
  const callback = await consentAs(url, person)
  const tokens = await oc.authorizationCodeGrant(config, callback, {
    expectedState: state,
    pkceCodeVerifier: verifier,
    ...(provider === 'google' ? { expectedNonce: nonce, idTokenExpected: true } : {}),
  })
  return {
    accessToken: tokens.access_token,
    refreshToken: tokens.refresh_token ?? '',
    scope: tokens.scope ?? '',
    tokens,
    callback,
    config,
  }
}

/** The OAuth error of a failed grant. */
export async function oauthError(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt
  } catch (error) {
    if (error instanceof oc.ResponseBodyError || error instanceof oc.AuthorizationResponseError) return error.error
    throw error
  }
  throw new Error('the grant succeeded')
}
