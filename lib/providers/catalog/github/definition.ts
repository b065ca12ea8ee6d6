/**
 * GitHub, as OAuth app or GitHub App: errors come with status 200, and a refresh kills both tokens before it.
 *
 * @see https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens
 * @module
 */
import { standardDialect } from '../../dialect'
import type { ProviderDefinition } from '../../definition'
import { judgeGithub } from './api-answer'
import { githubFace } from './face'
import { readGithubUser } from './identity'
import { revokeAtGithub } from './revoke'

const HALF_YEAR_SECONDS = 15_897_600

export const github: ProviderDefinition = {
  name: githubFace.name,
  displayName: githubFace.displayName,
  endpoints: {
    authorization: 'https://github.com/login/oauth/authorize',
    token: 'https://github.com/login/oauth/access_token',
    revocation: 'https://api.github.com/applications/{clientId}',
    apiBase: 'https://api.github.com',
    issuer: 'https://github.com/login/oauth',
  },
  apiHosts: {},
  clientAuth: 'post',
  tokenRequest: { encoding: 'form' },
  dialect: standardDialect,
  pkce: true,
  authorizationParameters: { allow_signup: 'false', prompt: 'select_account' },
  loginHintParameter: 'login',
  // Sent since 2026, after one roll-back.
  callbackIssuer: 'optional',
  idToken: false,
  scopes: {
    separator: ' ',
    areRequested: true,
    // A GitHub App's user token has permissions instead and answers an empty scope.
    unnamedPrefixes: ['ghu_'],
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
  lifecycle: {
    accessSeconds: 28_800,
    accessMayNotExpire: true,
    refreshIdleSeconds: null,
    refreshAbsoluteSeconds: HALF_YEAR_SECONDS,
    rotates: 'always',
    graceSeconds: 0,
    oldAccessTokenDiesOnRefresh: true,
  },
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
  identity: { isInIdToken: false, request: { method: 'GET', path: '/user' }, read: readGithubUser },
  revocation: {
    reach: 'both',
    endsReplacedTokens: false,
    byHand: 'https://github.com/settings/applications',
    revoke: revokeAtGithub,
  },
  variants: {
    known: {
      app: { words: 'GitHub App; access is renewed every eight hours' },
      app_without_expiry: { words: 'GitHub App whose tokens do not expire' },
      oauth_app: { words: 'OAuth app with expiring tokens; access is renewed every eight hours' },
      oauth_app_without_expiry: { words: 'OAuth app whose tokens do not expire' },
    },
    prefixes: ['ghu_', 'gho_'],
    of: ({ prefix, hasRefreshToken, accessExpires }) => {
      const kind = prefix === 'ghu_' ? 'app' : 'oauth_app'
      return hasRefreshToken || accessExpires ? kind : (`${kind}_without_expiry` as const)
    },
  },
  traps: [
    {
      id: 'github_never_expires',
      title: 'A token that never expires',
      severity: 'note',
      words:
        'This server’s GitHub app gives tokens that never expire: one that leaks works until somebody revokes it. Whoever owns the app can turn on “Expire user authorization tokens” in its settings; reconnect afterwards. Until then grant little, and disconnect what is not used.',
      when: { variants: ['app_without_expiry'] },
    },
    {
      id: 'github_oauth_never_expires',
      title: 'A token that never expires',
      severity: 'note',
      words:
        'This server’s GitHub app gives tokens that are never renewed. That one was withdrawn is noticed at the next call, and GitHub drops one that nobody uses for a year. Its owner can turn on expiring tokens in its settings; reconnect afterwards.',
      when: { variants: ['oauth_app_without_expiry'] },
    },
  ],
  judgeApi: judgeGithub,
}
