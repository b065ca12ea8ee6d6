/**
 * Microsoft, as work, school or personal account: OpenID Connect, a new refresh token each time beside the old one.
 *
 * @see https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow
 * @module
 */
import { judgeByStatus } from '../../api-answer'
import { oneVariant } from '../../dialect'
import type { ProviderDefinition } from '../../definition'
import { label, textAt, type Json } from '../../json'
import { microsoftDialect } from './dialect'
import { microsoftFace } from './face'

const DAY_SECONDS = 86_400
const GRAPH = 'https://graph.microsoft.com/'

/** `sub` differs from app to app; directory and object together stay. */
function readClaims(claims: Json) {
  const tenant = textAt(claims, 'tid')
  const object = textAt(claims, 'oid')
  if (tenant === undefined || object === undefined) return null
  const email = textAt(claims, 'email') ?? null
  const name = textAt(claims, 'preferred_username') ?? email ?? textAt(claims, 'name') ?? object
  return { subject: `${tenant}:${object}`, label: label(name), email }
}

export const microsoft: ProviderDefinition = {
  name: microsoftFace.name,
  displayName: microsoftFace.displayName,
  endpoints: {
    authorization: 'https://login.microsoftonline.com/common/oauth2/v2.0/authorize',
    token: 'https://login.microsoftonline.com/common/oauth2/v2.0/token',
    apiBase: 'https://graph.microsoft.com/v1.0',
    issuer: 'https://login.microsoftonline.com/{tenantid}/v2.0',
    jwks: 'https://login.microsoftonline.com/common/discovery/v2.0/keys',
    userinfo: 'https://graph.microsoft.com/oidc/userinfo',
  },
  apiHosts: {},
  clientAuth: 'post',
  tokenRequest: { encoding: 'form' },
  dialect: microsoftDialect,
  pkce: true,
  authorizationParameters: { response_mode: 'query', prompt: 'select_account' },
  loginHintParameter: 'login_hint',
  callbackIssuer: 'optional',
  idToken: true,
  scopes: {
    separator: ' ',
    areRequested: true,
    unnamedPrefixes: [],
    identity: ['openid', 'profile', 'email', 'offline_access'],
    defaults: [`${GRAPH}User.Read`],
    // Answered with and without the resource they belong to.
    aliases: Object.fromEntries(
      [
        'User.Read',
        'Mail.Read',
        'Mail.ReadWrite',
        'Mail.Send',
        'Calendars.Read',
        'Calendars.ReadWrite',
        'Files.Read',
      ].map((name) => [name, GRAPH + name]),
    ),
    // They ask for an ID token and a refresh token, and are left out of most answers.
    notReported: ['openid', 'profile', 'email', 'offline_access'],
    known: {
      openid: { words: 'Know which Microsoft account this is', access: 'read' },
      profile: { words: 'See your name', access: 'read' },
      email: { words: 'See your e-mail address', access: 'read' },
      offline_access: { words: 'Stay connected until you disconnect', access: 'read' },
      [`${GRAPH}User.Read`]: { words: 'Read your profile', access: 'read' },
      [`${GRAPH}Mail.Read`]: { words: 'Read your mail', access: 'read' },
      [`${GRAPH}Mail.ReadWrite`]: {
        words: 'Read, change and delete your mail',
        access: 'destructive',
        includes: [`${GRAPH}Mail.Read`],
      },
      [`${GRAPH}Mail.Send`]: { words: 'Send mail as you', access: 'write' },
      [`${GRAPH}Calendars.Read`]: { words: 'See your calendars', access: 'read' },
      [`${GRAPH}Calendars.ReadWrite`]: {
        words: 'See, create, change and delete events',
        access: 'write',
        includes: [`${GRAPH}Calendars.Read`],
      },
      [`${GRAPH}Files.Read`]: { words: 'Read your files', access: 'read' },
    },
  },
  // The old refresh token keeps working beside the new one.
  refreshMode: 'static',
  lifecycle: {
    accessSeconds: 3_600,
    accessMayNotExpire: false,
    refreshIdleSeconds: 90 * DAY_SECONDS,
    refreshAbsoluteSeconds: null,
    rotates: 'always',
    graceSeconds: null,
    oldAccessTokenDiesOnRefresh: false,
  },
  tokenErrors: {
    permanent: ['invalid_grant', 'interaction_required', 'consent_required', 'login_required'],
    appFault: [
      'invalid_client',
      'unauthorized_client',
      'unsupported_grant_type',
      'unsupported_response_type',
      'invalid_resource',
      'redirect_uri_mismatch',
    ],
    weather: ['temporarily_unavailable', 'slow_down'],
    unknown: ['server_error'],
  },
  identity: { isInIdToken: true, request: { method: 'GET' }, read: readClaims },
  // There is no call that ends one app's access: `revokeSignInSessions` signs the person out everywhere.
  revocation: { reach: 'none', endsReplacedTokens: false, byHand: 'https://myapps.microsoft.com' },
  variants: oneVariant('Access is renewed about every hour'),
  traps: [
    {
      id: 'not_revocable',
      severity: 'note',
      words:
        'Microsoft lets nobody end this access from outside. Disconnecting destroys what is stored here; to take the permission away too, remove the app in your Microsoft account.',
      when: {},
    },
  ],
  judgeApi: judgeByStatus(microsoftFace.displayName),
}
