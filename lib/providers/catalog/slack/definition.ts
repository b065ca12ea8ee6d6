/**
 * Slack, acting as the person: the user-only flow. Every answer has status 200 and says `ok`.
 *
 * @see https://docs.slack.dev/authentication/installing-with-oauth
 * @see https://docs.slack.dev/authentication/using-token-rotation
 * @module
 */
import type { ProviderDefinition } from '../../definition'
import { judgeSlack } from './api-answer'
import { slackDialect, slackErrors } from './dialect'
import { slackFace } from './face'
import { readAuthTest, slackUserOf } from './identity'
import { revokeAtSlack, slackLifecycle, slackTraps } from './lifecycle'

export const slack: ProviderDefinition = {
  name: slackFace.name,
  displayName: slackFace.displayName,
  endpoints: {
    authorization: 'https://slack.com/oauth/v2_user/authorize',
    token: 'https://slack.com/api/oauth.v2.user.access',
    revocation: 'https://slack.com/api/auth.revoke',
    apiBase: 'https://slack.com/api',
    issuer: 'https://slack.com',
  },
  apiHosts: {},
  clientAuth: 'post',
  tokenRequest: { encoding: 'form' },
  // A bot's token would act as the app, not as the person who consented.
  dialect: slackDialect('user'),
  pkce: true,
  authorizationParameters: {},
  callbackIssuer: 'optional',
  idToken: false,
  scopes: {
    separator: ',',
    areRequested: true,
    unnamedPrefixes: [],
    identity: [],
    defaults: ['channels:read', 'channels:history', 'users:read', 'chat:write'],
    aliases: {},
    notReported: [],
    known: {
      'channels:read': { words: 'List public channels', access: 'read' },
      'channels:history': { words: 'Read messages in public channels', access: 'read' },
      'groups:read': { words: 'List your private channels', access: 'read' },
      'groups:history': { words: 'Read messages in your private channels', access: 'read' },
      'users:read': { words: 'See people in the workspace', access: 'read' },
      'users:read.email': { words: "See people's e-mail addresses", access: 'read' },
      'search:read': { words: 'Search everything you can see', access: 'read' },
      'chat:write': { words: 'Post, change and delete messages as you', access: 'write' },
      'reactions:read': { words: 'See reactions', access: 'read' },
      'reactions:write': { words: 'Add and remove reactions', access: 'write' },
      'files:read': { words: 'Read files', access: 'read' },
      'files:write': { words: 'Upload and delete files', access: 'write' },
    },
  },
  // A used refresh token answers for a short, undocumented while: repeat at once.
  refreshMode: 'grace',
  lifecycle: slackLifecycle,
  tokenErrors: slackErrors,
  identity: {
    isInIdToken: false,
    fromAnswer: slackUserOf,
    request: { method: 'POST', path: '/auth.test' },
    read: readAuthTest,
  },
  revocation: {
    reach: 'token',
    // Consents add up here: each leaves a chain of its own.
    endsReplacedTokens: true,
    byHand: 'https://slack.com/apps/manage',
    revoke: revokeAtSlack,
  },
  variants: {
    known: {
      user_rotating: { words: 'Acts as you; access is renewed every twelve hours' },
      user: { words: 'Acts as you; the token does not expire' },
    },
    prefixes: ['xoxe.xoxp-', 'xoxp-'],
    of: ({ hasRefreshToken, accessExpires }) => (hasRefreshToken || accessExpires ? 'user_rotating' : 'user'),
  },
  traps: slackTraps('user_rotating', 'user'),
  judgeApi: judgeSlack,
}
