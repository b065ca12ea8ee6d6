/**
 * Notion: the person picks pages instead of scopes, tokens name no lifetime, and requests are JSON.
 *
 * @see https://developers.notion.com/docs/authorization
 * @module
 */
import { judgeByStatus } from '../../api-answer'
import type { ProviderIdentity } from '../../client'
import { basicAuth, standardDialect, standardErrors, standardScopes, variantsByExpiry } from '../../dialect'
import type { ProviderDefinition, TokenDialect } from '../../definition'
import { at, label, textAt, type Json } from '../../json'
import { notionFace } from './face'

const HEADERS = { 'notion-version': '2026-03-11' }

/** Beside RFC 6749 it answers in the shape of its API: `{"object": "error", "code": …}`. */
const notionDialect: TokenDialect = {
  ...standardDialect,
  refusal: (whole, status) => {
    const code = whole['object'] === 'error' ? textAt(whole, 'code') : undefined
    return code === undefined ? standardDialect.refusal(whole, status) : { code }
  },
}

function identityOf(workspace: string | undefined, name: string | undefined, user: unknown): ProviderIdentity | null {
  const id = textAt(user, 'id')
  if (workspace === undefined || id === undefined) return null
  const email = textAt(user, 'person', 'email') ?? null
  return {
    subject: `${workspace}:${id}`,
    label: label(`${textAt(user, 'name') ?? email ?? id} · ${name ?? workspace}`),
    email,
  }
}

const fromAnswer = (whole: Json) =>
  identityOf(textAt(whole, 'workspace_id'), textAt(whole, 'workspace_name'), at(whole, 'owner', 'user'))

/** `/v1/users/me` is the integration's bot, which says whose it is. */
const read = (body: Json) =>
  identityOf(
    textAt(body, 'bot', 'workspace_id'),
    textAt(body, 'bot', 'workspace_name'),
    at(body, 'bot', 'owner', 'user'),
  )

export const notion: ProviderDefinition = {
  name: notionFace.name,
  displayName: notionFace.displayName,
  endpoints: {
    authorization: 'https://api.notion.com/v1/oauth/authorize',
    token: 'https://api.notion.com/v1/oauth/token',
    revocation: 'https://api.notion.com/v1/oauth/revoke',
    apiBase: 'https://api.notion.com/v1',
    issuer: 'https://api.notion.com',
  },
  apiHosts: {},
  clientAuth: 'basic',
  tokenRequest: { encoding: 'json', headers: HEADERS },
  dialect: notionDialect,
  pkce: false,
  authorizationParameters: { owner: 'user' },
  callbackIssuer: 'optional',
  idToken: false,
  scopes: { ...standardScopes, areRequested: false, unnamedPrefixes: [''], identity: [], defaults: [], known: {} },
  // Nobody has written down what happens to a used refresh token.
  refreshMode: 'strict',
  lifecycle: {
    accessSeconds: null,
    accessMayNotExpire: true,
    refreshIdleSeconds: null,
    refreshAbsoluteSeconds: null,
    rotates: 'always',
    graceSeconds: null,
    oldAccessTokenDiesOnRefresh: false,
  },
  tokenErrors: {
    ...standardErrors,
    weather: [...standardErrors.weather, 'rate_limited', 'service_unavailable', 'conflict_error'],
    unknown: [...standardErrors.unknown, 'internal_server_error', 'gateway_timeout'],
  },
  identity: { isInIdToken: false, fromAnswer, request: { method: 'GET', path: '/users/me', headers: HEADERS }, read },
  revocation: {
    reach: 'token',
    endsReplacedTokens: false,
    byHand: 'https://www.notion.so/my-integrations',
    revoke: async (request) => {
      const { refreshToken, accessToken } = request.tokens
      for (const token of [accessToken, refreshToken]) {
        if (token === undefined) continue
        const result = await request.send(
          request.endpoint,
          {
            method: 'POST',
            headers: { ...HEADERS, authorization: basicAuth(request), 'content-type': 'application/json' },
            body: JSON.stringify({ token: token.reveal() }),
          },
          (status, body) => status === 200 || (status === 400 && textAt(body, 'error') === 'invalid_token'),
        )
        if (result.kind !== 'revoked') return result
      }
      return { kind: 'revoked' }
    },
  },
  variants: variantsByExpiry('Renewed when Notion asks for it', 'The token does not expire and is never renewed'),
  traps: [
    {
      id: 'pages_are_picked',
      severity: 'note',
      words:
        'Agents reach the pages that were picked when the account was connected, and none beside. Connect again to pick others.',
      when: {},
    },
  ],
  judgeApi: judgeByStatus(notionFace.displayName),
}
