/**
 * GitHub, as OAuth app or GitHub App: errors come with status 200, and a refresh kills both tokens before it.
 *
 * @see https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens
 * @module
 */
import type { ProviderDefinition } from '../definition'

export const github: ProviderDefinition = {
  name: 'github',
  displayName: 'GitHub',
  endpoints: {
    authorization: 'https://github.com/login/oauth/authorize',
    token: 'https://github.com/login/oauth/access_token',
    revocation: 'https://api.github.com/applications/{clientId}',
    apiBase: 'https://api.github.com',
    issuer: 'https://github.com/login/oauth',
  },
  apiHosts: {},
  clientAuth: 'post',
  dialect: 'github',
  authorizationParameters: { allow_signup: 'false', prompt: 'select_account' },
  loginHintParameter: 'login',
  // Sent since 2026, after one roll-back.
  callbackIssuer: 'optional',
  idToken: false,
  scopes: {
    separator: ' ',
    // offline_access asks an OAuth app for tokens that expire.
    identity: ['read:user', 'offline_access'],
    defaults: ['repo'],
    aliases: {},
    notReported: ['offline_access'],
    known: {
      'read:user': { words: 'Read your profile', access: 'read' },
      user: {
        words: 'Change your profile',
        access: 'write',
        includes: ['read:user', 'user:email', 'user:follow'],
      },
      'user:email': { words: 'See your e-mail addresses', access: 'read' },
      offline_access: { words: 'Stay connected until you disconnect', access: 'read' },
      repo: {
        words: 'Read and change all repositories you can reach, private ones too',
        access: 'write',
        includes: ['public_repo', 'security_events', 'repo:status', 'repo_deployment', 'repo:invite'],
      },
      public_repo: { words: 'Read and change public repositories', access: 'write' },
      notifications: { words: 'Read your notifications', access: 'read' },
      gist: { words: 'Write gists', access: 'write' },
      'admin:org': { words: 'Administer organisations', access: 'destructive', includes: ['write:org'] },
      'write:org': { words: 'Change organisation membership', access: 'write', includes: ['read:org'] },
      'read:org': { words: 'See your organisations', access: 'read' },
      project: { words: 'Change projects', access: 'write', includes: ['read:project'] },
      'read:project': { words: 'Read projects', access: 'read' },
      workflow: { words: 'Change workflow files', access: 'write' },
      delete_repo: { words: 'Delete repositories', access: 'destructive' },
    },
  },
  refreshMode: 'strict',
  oldAccessTokenDiesOnRefresh: true,
  defaultAccessLifetimeSeconds: null,
  tokenErrors: {
    permanent: ['bad_refresh_token'],
    appFault: [
      'incorrect_client_credentials',
      'invalid_client',
      'unauthorized_client',
      'redirect_uri_mismatch',
      'unsupported_grant_type',
      'application_suspended',
    ],
    weather: ['temporarily_unavailable', 'slow_down'],
    unknown: ['server_error'],
  },
  identity: 'github_user',
  revocation: { style: 'github', reach: 'both' },
}
