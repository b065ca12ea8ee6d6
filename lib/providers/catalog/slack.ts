/**
 * Slack, acting as the person: the user-only flow. Every answer has status 200 and says `ok`.
 *
 * @see https://docs.slack.dev/authentication/installing-with-oauth
 * @see https://docs.slack.dev/authentication/using-token-rotation
 * @module
 */
import type { ProviderDefinition } from '../definition'

export const slack: ProviderDefinition = {
  name: 'slack',
  displayName: 'Slack',
  endpoints: {
    authorization: 'https://slack.com/oauth/v2_user/authorize',
    token: 'https://slack.com/api/oauth.v2.user.access',
    revocation: 'https://slack.com/api/auth.revoke',
    apiBase: 'https://slack.com/api',
    issuer: 'https://slack.com',
  },
  apiHosts: {},
  clientAuth: 'post',
  dialect: 'slack',
  authorizationParameters: {},
  callbackIssuer: 'optional',
  idToken: false,
  scopes: {
    separator: ',',
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
  oldAccessTokenDiesOnRefresh: false,
  defaultAccessLifetimeSeconds: 43_200,
  tokenErrors: {
    permanent: ['invalid_refresh_token'],
    appFault: [
      'bad_client_secret',
      'invalid_client_id',
      'invalid_grant_type',
      'pkce_not_allowed',
      'token_rotation_not_enabled',
      'bad_redirect_uri',
      'oauth_authorization_url_mismatch',
      'cannot_install_an_org_installed_app',
    ],
    weather: ['ratelimited', 'rate_limited', 'service_unavailable', 'team_added_to_org'],
    unknown: ['internal_error', 'fatal_error', 'request_timeout'],
  },
  identity: 'slack_token',
  revocation: { style: 'slack', reach: 'token' },
}
