/**
 * A provider that an operator declared: any authorization server that follows RFC 6749, or OpenID Connect, described by a
 * few facts. What is not said is taken to be strict: a used refresh token is spent, and only `invalid_grant` is final.
 *
 * @see RFC 6749, RFC 7009, RFC 8414 §3, OpenID Connect Discovery 1.0 §4
 * @module
 */
import type { DeclaredProvider } from '../config'
import { judgeByStatus } from './api-answer'
import type { ProviderDefinition, ProviderEndpoints, ScopeInfo } from './definition'
import {
  claimsIdentity,
  revokeByRfc7009,
  standardDialect,
  standardErrors,
  standardScopes,
  variantsByExpiry,
} from './dialect'
import { label, textAt, type Json } from './json'

const OPEN_ID: Readonly<Record<string, ScopeInfo>> = {
  openid: { words: 'Know which account this is', access: 'read' },
  email: { words: 'See your e-mail address', access: 'read' },
  profile: { words: 'See your name', access: 'read' },
  offline_access: { words: 'Stay connected until you disconnect', access: 'read' },
}

/** What the metadata of an authorization server adds to what was declared. */
export interface DiscoveredFacts {
  readonly endpoints: ProviderEndpoints
  readonly clientAuth: 'post' | 'basic'
  readonly callbackIssuer: 'required' | 'optional'
}

/** @param name  as the operator wrote it, for what people are shown when no other name is given */
export function genericDefinition(
  name: string,
  declared: DeclaredProvider,
  found: DiscoveredFacts,
): ProviderDefinition {
  const { endpoints, clientAuth } = found
  const isOpenId = declared.kind === 'oidc'
  const displayName = declared.displayName ?? name.charAt(0).toUpperCase() + name.slice(1)
  const declaredScopes = Object.entries(declared.scopes)
  const identity = [
    ...(isOpenId ? ['openid', 'email', 'profile'] : []),
    ...declaredScopes.filter(([, scope]) => scope.required).map(([scope]) => scope),
  ]
  return {
    name,
    displayName,
    endpoints,
    apiHosts: {},
    clientAuth,
    tokenRequest: { encoding: declared.tokenEncoding },
    dialect: standardDialect,
    pkce: declared.pkce,
    authorizationParameters: declared.authorizationParameters,
    ...(isOpenId ? { loginHintParameter: 'login_hint' } : {}),
    callbackIssuer: found.callbackIssuer,
    idToken: isOpenId,
    scopes: {
      ...standardScopes,
      separator: declared.scopeSeparator,
      areRequested: identity.length + declaredScopes.length > 0,
      identity: [...new Set(identity)],
      defaults: declaredScopes.filter(([, scope]) => !scope.required).map(([scope]) => scope),
      // These ask for an ID token and a refresh token; servers differ in whether they name them as granted.
      notReported: ['openid', 'email', 'profile', 'offline_access'],
      known: {
        ...(isOpenId ? OPEN_ID : {}),
        ...Object.fromEntries(declaredScopes.map(([scope, { words, access }]) => [scope, { words, access }])),
      },
    },
    refreshMode: declared.refreshMode,
    lifecycle: {
      accessSeconds: declared.accessLifetimeSeconds,
      accessMayNotExpire: true,
      refreshIdleSeconds: null,
      refreshAbsoluteSeconds: null,
      rotates: declared.refreshMode === 'static' ? 'never' : 'sometimes',
      graceSeconds: null,
      oldAccessTokenDiesOnRefresh: false,
    },
    tokenErrors: standardErrors,
    identity: isOpenId
      ? { isInIdToken: true, request: { method: 'GET' }, read: claimsIdentity }
      : { isInIdToken: false, request: { method: 'GET' }, read: userinfoReader(declared.identity) },
    revocation: {
      reach: endpoints.revocation === undefined ? 'none' : 'token',
      endsReplacedTokens: false,
      byHand: null,
      revoke: revokeByRfc7009({
        client: clientAuth,
        isDead: (status, body) => status === 400 && body?.['error'] === 'invalid_token',
      }),
    },
    variants: variantsByExpiry('Access is renewed before it ends', 'The token does not expire and is never renewed'),
    traps: [],
    judgeApi: judgeByStatus(displayName),
  }
}

function userinfoReader(paths: DeclaredProvider['identity']) {
  return (body: Json) => {
    const subject = plainAt(body, paths.subject)
    if (subject === undefined) return null
    const email = plainAt(body, paths.email) ?? null
    return { subject, label: label(email ?? plainAt(body, paths.name) ?? subject), email }
  }
}

/** `data.user.id`, as a text: ids are numbers in many APIs. */
function plainAt(body: Json, path: string): string | undefined {
  const names = path.split('.')
  const last = names.pop() ?? ''
  let found: Json = body
  for (const name of names) {
    const next = Object.hasOwn(found, name) ? found[name] : undefined
    if (typeof next !== 'object' || next === null || Array.isArray(next)) return undefined
    found = { ...next }
  }
  const value = Object.hasOwn(found, last) ? found[last] : undefined
  return typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : textAt(found, last)
}
