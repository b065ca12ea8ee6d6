/**
 * Slack, acting as an app in a workspace: the install flow. One bot per workspace, with a chain of tokens of its own.
 *
 * @see https://docs.slack.dev/authentication/installing-with-oauth
 * @module
 */
import type { ProviderDefinition } from '../../definition'
import { judgeSlack } from '../slack/api-answer'
import { slackDialect, slackErrors } from '../slack/dialect'
import { readAuthTest, slackBotOf } from '../slack/identity'
import { revokeAtSlack, slackLifecycle, slackTraps } from '../slack/lifecycle'
import { slackBotFace } from './face'

export const slackBot: ProviderDefinition = {
  name: slackBotFace.name,
  displayName: slackBotFace.displayName,
  endpoints: {
    authorization: 'https://slack.com/oauth/v2/authorize',
    token: 'https://slack.com/api/oauth.v2.access',
    revocation: 'https://slack.com/api/auth.revoke',
    apiBase: 'https://slack.com/api',
    issuer: 'https://slack.com',
  },
  apiHosts: {},
  clientAuth: 'post',
  tokenRequest: { encoding: 'form' },
  dialect: slackDialect('bot'),
  // Refused with `pkce_not_allowed` unless the app was made a public client, which then has no bot.
  pkce: false,
  authorizationParameters: {},
  callbackIssuer: 'optional',
  idToken: false,
  scopes: {
    separator: ',',
    areRequested: true,
    unnamedPrefixes: [],
    identity: ['users:read'],
    defaults: [],
    aliases: {},
    notReported: [],
    known: {
      'users:read': { words: 'See people in the workspace', access: 'read' },
      'channels:read': { words: 'List public channels', access: 'read' },
      'channels:history': { words: 'Read messages in channels the bot is in', access: 'read' },
      'channels:join': { words: 'Join public channels', access: 'write' },
      'groups:read': { words: 'List private channels the bot is in', access: 'read' },
      'groups:history': { words: 'Read messages in private channels the bot is in', access: 'read' },
      'chat:write': { words: 'Post, change and delete messages as the bot', access: 'write' },
      'reactions:write': { words: 'Add and remove reactions', access: 'write' },
      'files:read': { words: 'Read files', access: 'read' },
      'files:write': { words: 'Upload and delete files', access: 'write' },
    },
  },
  refreshMode: 'grace',
  lifecycle: slackLifecycle,
  tokenErrors: slackErrors,
  identity: {
    isInIdToken: false,
    fromAnswer: slackBotOf,
    request: { method: 'POST', path: '/auth.test' },
    read: readAuthTest,
  },
  // Installing again can end the chain before it, and ending that one by word could end this one.
  revocation: {
    reach: 'token',
    endsReplacedTokens: false,
    byHand: 'https://slack.com/apps/manage',
    revoke: revokeAtSlack,
  },
  variants: {
    known: {
      bot_rotating: { words: 'Acts as an app; access is renewed every twelve hours' },
      bot: { words: 'Acts as an app; the token does not expire' },
    },
    prefixes: ['xoxe.xoxb-', 'xoxb-'],
    of: ({ hasRefreshToken, accessExpires }) => (hasRefreshToken || accessExpires ? 'bot_rotating' : 'bot'),
  },
  traps: slackTraps('bot_rotating', 'bot'),
  judgeApi: judgeSlack,
}
