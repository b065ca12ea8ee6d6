/**
 * What the tests of providers share: an answer's class in one line, and a client whose network is a function.
 *
 * @module
 */
import type { Clock } from '../clock'
import type { Egress } from '../egress/egress'
import { Secret } from '../secret'
import { parseAnswer } from './answer'
import type { ProviderClient } from './client'
import type { ProviderDefinition } from './definition'
import { createProviders } from './registry'
import type { TokenSet } from './token-set'
import { variantOf } from './variants'

export const NOW = new Date('2026-03-01T12:00:00Z')
export const clock: Clock = { now: () => NOW }

/** `permanent invalid_grant`: what a token endpoint's answer means. */
export function classOf(
  definition: ProviderDefinition,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): string {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const parsed = parseAnswer(definition, { status, headers: new Headers(headers), body: Buffer.from(text) }, NOW)
  return parsed.kind === 'issued' ? 'issued' : `${parsed.kind} ${parsed.code}`
}

export interface Asked {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

type Answer = readonly [status: number, body: unknown, headers?: Readonly<Record<string, string>>]

/** A client of one provider, whose requests are written down and answered by a function. */
export function clientOf(
  definition: ProviderDefinition,
  answer: (asked: Asked) => Answer,
): { readonly client: ProviderClient; readonly asked: Asked[] } {
  const asked: Asked[] = []
  const egress: Egress = {
    request: (url, init = {}) => {
      const body = init.body
      const one = {
        method: init.method ?? 'GET',
        url: String(url),
        headers: { ...init.headers },
        body: typeof body === 'string' ? body : '',
      }
      asked.push(one)
      const [status, json, headers = {}] = answer(one)
      const text = typeof json === 'string' ? json : JSON.stringify(json)
      return Promise.resolve({
        status,
        headers: new Headers({ 'content-type': 'application/json', ...headers }),
        body: Buffer.from(text),
      })
    },
    fetch: () => Promise.reject(new Error('nothing is fetched here')),
    close: () => Promise.resolve(),
  }
  const providers = createProviders({
    config: {
      production: true,
      egress: { allow: [], allowUnsafe: false },
      providers: {
        [definition.name]: {
          clientId: 'client-1',
          clientSecret: new Secret('secret-1'),
          overrides: {},
          sandbox: false,
        },
      },
    },
    catalog: [definition],
    egress,
    clock,
  })
  const client = providers.get(definition.name)
  if (client === undefined) throw new Error('not configured')
  return { client, asked }
}

/** The kind of token that an answer to a consent holds. */
export async function variantOfAnswer(definition: ProviderDefinition, body: object): Promise<string> {
  const { client } = clientOf(definition, () => [200, body])
  const result = await client.exchangeCode({
    callbackUrl: new URL('https://us.example/connect/callback?code=c&state=s'),
    redirectUri: 'https://us.example/connect/callback',
    state: new Secret('s'),
    nonce: 'n',
    codeVerifier: 'v'.repeat(43),
    requestedScopes: [],
  })
  if (result.kind !== 'issued') throw new Error(result.kind)
  return variantOf(definition, result.tokens, NOW)
}

/** Where a person is sent, as its parts. */
export async function consentOf(definition: ProviderDefinition, scopes: readonly string[]) {
  const { client } = clientOf(definition, () => [500, {}])
  const url = await client.authorizationUrl({
    redirectUri: `https://us.example/connect/callback/${definition.name}`,
    state: new Secret('state-1'),
    nonce: 'nonce-1',
    codeVerifier: 'v'.repeat(43),
    scopes,
  })
  return { address: url.origin + url.pathname, parameters: Object.fromEntries(url.searchParams) }
}

export const pair = { accessToken: new Secret('access-1'), refreshToken: new Secret('refresh-1') }

/** `POST https://… body`, in order. */
export const lines = (asked: readonly Asked[]) =>
  asked.map(({ method, url, body }) => `${method} ${url} ${body}`.trim())

/** Tokens as an exchange would have left them. */
export function tokenSet(facts: Partial<TokenSet> & { readonly access: string }): TokenSet {
  const { access, ...rest } = facts
  return {
    accessToken: new Secret(access),
    refreshToken: null,
    accessExpiresAt: null,
    refreshExpiresAt: null,
    grantedScopes: [],
    ...rest,
  }
}
