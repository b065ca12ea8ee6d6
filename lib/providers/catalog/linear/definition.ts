/**
 * Linear: day-long tokens, and a used refresh token that answers the same new pair for half an hour.
 *
 * @see https://linear.app/developers/oauth-2-0-authentication
 * @module
 */
import { judgeByStatus } from '../../api-answer'
import { oneVariant, revokeByRfc7009, standardDialect, standardErrors, standardScopes } from '../../dialect'
import type { ProviderDefinition, TokenDialect } from '../../definition'
import { label, textAt, type Json } from '../../json'
import { linearFace } from './face'

/** Too many requests is a 400 in GraphQL's form. */
const linearDialect: TokenDialect = {
  ...standardDialect,
  refusal: (whole, status) => {
    const errors = whole['errors']
    const code = Array.isArray(errors) ? textAt(errors[0], 'extensions', 'code') : undefined
    return code === undefined ? standardDialect.refusal(whole, status) : { code }
  },
}

function read(body: Json) {
  const subject = textAt(body, 'data', 'viewer', 'id')
  if (subject === undefined) return null
  const email = textAt(body, 'data', 'viewer', 'email') ?? null
  const place = textAt(body, 'data', 'organization', 'name')
  const name = email ?? textAt(body, 'data', 'viewer', 'name') ?? subject
  return { subject, label: label(place === undefined ? name : `${name} · ${place}`), email }
}

export const linear: ProviderDefinition = {
  name: linearFace.name,
  displayName: linearFace.displayName,
  endpoints: {
    authorization: 'https://linear.app/oauth/authorize',
    token: 'https://api.linear.app/oauth/token',
    revocation: 'https://api.linear.app/oauth/revoke',
    apiBase: 'https://api.linear.app',
    issuer: 'https://linear.app',
  },
  apiHosts: {},
  clientAuth: 'post',
  tokenRequest: { encoding: 'form' },
  dialect: linearDialect,
  pkce: true,
  authorizationParameters: { prompt: 'consent', actor: 'user' },
  callbackIssuer: 'optional',
  idToken: false,
  scopes: {
    ...standardScopes,
    separator: ',',
    identity: ['read'],
    defaults: [],
    known: {
      read: { words: 'Read everything you can see', access: 'read' },
      write: {
        words: 'Change everything you can change',
        access: 'destructive',
        includes: ['read', 'issues:create', 'comments:create', 'timeSchedule:write'],
      },
      'issues:create': { words: 'Create issues', access: 'write' },
      'comments:create': { words: 'Comment on issues', access: 'write' },
      'timeSchedule:write': { words: 'Change time schedules', access: 'write' },
    },
  },
  refreshMode: 'grace',
  lifecycle: {
    accessSeconds: 86_399,
    accessMayNotExpire: false,
    refreshIdleSeconds: null,
    refreshAbsoluteSeconds: null,
    rotates: 'always',
    graceSeconds: 1_800,
    oldAccessTokenDiesOnRefresh: false,
  },
  tokenErrors: {
    ...standardErrors,
    weather: [...standardErrors.weather, 'RATELIMITED'],
    unknown: [...standardErrors.unknown, 'INTERNAL_SERVER_ERROR'],
  },
  identity: {
    isInIdToken: false,
    request: {
      method: 'POST',
      path: '/graphql',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: '{ viewer { id name email } organization { name } }' }),
    },
    read,
  },
  revocation: {
    reach: 'token',
    endsReplacedTokens: false,
    byHand: 'https://linear.app/settings/account/security',
    // 400 is its word for a token that was ended before.
    revoke: revokeByRfc7009({ client: 'post', isDead: (status) => status === 400 }),
  },
  variants: oneVariant('Access is renewed every day'),
  traps: [],
  judgeApi: (answer, now) => {
    const { json } = answer
    const errors = typeof json === 'object' && json !== null && 'errors' in json ? json.errors : undefined
    const code = Array.isArray(errors) ? textAt(errors[0], 'extensions', 'code') : undefined
    if (code === 'RATELIMITED') return judgeByStatus(linearFace.displayName)({ ...answer, status: 429 }, now)
    if (code === 'AUTHENTICATION_ERROR') return { kind: 'unauthorized', code: 'authentication_error' }
    return judgeByStatus(linearFace.displayName)(answer, now)
  },
}
