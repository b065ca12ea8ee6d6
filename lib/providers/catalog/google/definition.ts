/**
 * Google: OpenID Connect, a refresh token that stays, consent by checkbox.
 *
 * @see https://developers.google.com/identity/protocols/oauth2/web-server
 * @module
 */
import { oneVariant, openIdIdentity, revokeByRfc7009, standardDialect } from '../../dialect'
import type { ProviderDefinition } from '../../definition'
import { judgeGoogle } from './api-answer'
import { googleFace } from './face'

const DAY_SECONDS = 86_400

const PREFIX = 'https://www.googleapis.com/auth/'

export const google: ProviderDefinition = {
  name: googleFace.name,
  displayName: googleFace.displayName,
  endpoints: {
    authorization: 'https://accounts.google.com/o/oauth2/v2/auth',
    token: 'https://oauth2.googleapis.com/token',
    revocation: 'https://oauth2.googleapis.com/revoke',
    apiBase: 'https://www.googleapis.com',
    issuer: 'https://accounts.google.com',
    jwks: 'https://www.googleapis.com/oauth2/v3/certs',
    userinfo: 'https://openidconnect.googleapis.com/v1/userinfo',
  },
  apiHosts: { '/gmail/': 'https://gmail.googleapis.com' },
  clientAuth: 'post',
  tokenRequest: { encoding: 'form' },
  dialect: standardDialect,
  pkce: true,
  authorizationParameters: {
    access_type: 'offline',
    // A refresh token comes only when consent was shown.
    prompt: 'consent select_account',
    // Otherwise every token would carry all that the person ever allowed this project.
    include_granted_scopes: 'false',
  },
  loginHintParameter: 'login_hint',
  callbackIssuer: 'optional',
  idToken: true,
  scopes: {
    separator: ' ',
    areRequested: true,
    unnamedPrefixes: [],
    identity: ['openid', 'email', 'profile'],
    defaults: [`${PREFIX}gmail.readonly`, `${PREFIX}gmail.compose`, `${PREFIX}calendar.events`],
    aliases: { [`${PREFIX}userinfo.email`]: 'email', [`${PREFIX}userinfo.profile`]: 'profile' },
    notReported: [],
    known: {
      openid: { words: 'Know which Google account this is', access: 'read' },
      email: { words: 'See your e-mail address', access: 'read' },
      profile: { words: 'See your name', access: 'read' },
      [`${PREFIX}gmail.readonly`]: {
        words: 'Read your mail and its settings',
        access: 'read',
        includes: [`${PREFIX}gmail.metadata`],
      },
      [`${PREFIX}gmail.metadata`]: { words: 'Read headers and labels of your mail', access: 'read' },
      [`${PREFIX}gmail.compose`]: {
        words: 'Write, change and send drafts',
        access: 'write',
        includes: [`${PREFIX}gmail.send`],
      },
      [`${PREFIX}gmail.send`]: { words: 'Send mail as you', access: 'write' },
      [`${PREFIX}gmail.modify`]: {
        words: 'Read, label, send and bin your mail',
        access: 'write',
        includes: [`${PREFIX}gmail.readonly`, `${PREFIX}gmail.compose`, `${PREFIX}gmail.labels`],
      },
      [`${PREFIX}gmail.labels`]: { words: 'Manage the labels of your mail', access: 'write' },
      'https://mail.google.com/': {
        words: 'Do everything with your mail, delete it for good too',
        access: 'destructive',
        includes: [`${PREFIX}gmail.modify`],
      },
      [`${PREFIX}calendar.events`]: {
        words: 'See, create, change and delete events',
        access: 'write',
        includes: [`${PREFIX}calendar.events.readonly`],
      },
      [`${PREFIX}calendar.events.readonly`]: { words: 'See events', access: 'read' },
      [`${PREFIX}calendar.readonly`]: {
        words: 'See your calendars and events',
        access: 'read',
        includes: [`${PREFIX}calendar.events.readonly`],
      },
      [`${PREFIX}calendar`]: {
        words: 'Do everything with your calendars',
        access: 'destructive',
        includes: [`${PREFIX}calendar.events`, `${PREFIX}calendar.readonly`],
      },
      [`${PREFIX}drive.file`]: { words: 'Use files made with or picked for this app', access: 'write' },
      [`${PREFIX}drive.readonly`]: { words: 'Read all your files', access: 'read' },
      [`${PREFIX}drive`]: {
        words: 'Do everything with your files',
        access: 'destructive',
        includes: [`${PREFIX}drive.file`, `${PREFIX}drive.readonly`],
      },
    },
  },
  refreshMode: 'static',
  lifecycle: {
    accessSeconds: 3_599,
    accessMayNotExpire: false,
    refreshIdleSeconds: 182 * DAY_SECONDS,
    refreshAbsoluteSeconds: null,
    rotates: 'never',
    graceSeconds: null,
    oldAccessTokenDiesOnRefresh: false,
  },
  tokenErrors: {
    permanent: ['invalid_grant', 'invalid_rapt', 'admin_policy_enforced', 'access_denied'],
    appFault: [
      'invalid_client',
      'unauthorized_client',
      'deleted_client',
      'disabled_client',
      'redirect_uri_mismatch',
      'unsupported_grant_type',
      'org_internal',
    ],
    weather: ['temporarily_unavailable', 'rate_limit_exceeded', 'slow_down'],
    unknown: ['internal_failure', 'server_error', 'backend_error'],
  },
  identity: openIdIdentity,
  revocation: {
    // Ends all that the person allowed this project, whichever of its tokens is named.
    reach: 'grant',
    endsReplacedTokens: false,
    byHand: 'https://myaccount.google.com/connections',
    revoke: revokeByRfc7009({
      client: 'none',
      isDead: (status, body) => status === 400 && body?.['error'] === 'invalid_token',
      isWhole: true,
    }),
  },
  variants: oneVariant('Access is renewed every hour'),
  traps: [
    {
      id: 'google_testing',
      title: 'The consent ends after seven days',
      severity: 'warning',
      words:
        'This server’s Google app is still in testing, so Google ends every consent seven days after it was given. Until its operator publishes it (Google Cloud console, Audience, “Publish app”), reconnect before that day; after publishing, reconnect once.',
      // 604799 seconds for an app in testing; no other end is named for an app that is published.
      when: { refreshLifetimeAtMostSeconds: 7 * DAY_SECONDS },
    },
    {
      id: 'google_no_refresh_token',
      title: 'This access cannot be renewed',
      severity: 'warning',
      words:
        'Google gave access without the means to renew it, which it does when it has not shown its consent page in full. Remove this app at myaccount.google.com/connections, then reconnect.',
      when: { hasRefreshToken: false, accessExpires: true },
    },
  ],
  judgeApi: judgeGoogle,
}
