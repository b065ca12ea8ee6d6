/**
 * Atlassian cloud, Jira and Confluence: hour-long tokens, refresh tokens that rotate and may be repeated for ten minutes.
 *
 * @see https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/
 * @module
 */
import { judgeByStatus } from '../../api-answer'
import { oneVariant, standardDialect, standardErrors, standardScopes } from '../../dialect'
import type { ProviderDefinition, TokenDialect } from '../../definition'
import { label, textAt, type Json } from '../../json'
import { atlassianFace } from './face'

const DAY_SECONDS = 86_400

/** A dead refresh token is a 403 `unauthorized_client` with these very words; without them it is a fault of the app. */
const atlassianDialect: TokenDialect = {
  ...standardDialect,
  refusal: (whole, status) => {
    const refusal = standardDialect.refusal(whole, status)
    return refusal?.code === 'unauthorized_client' &&
      status === 403 &&
      textAt(whole, 'error_description') === 'refresh_token is invalid'
      ? { code: 'invalid_refresh_token' }
      : refusal
  },
}

function read(body: Json) {
  const subject = textAt(body, 'account_id')
  if (subject === undefined) return null
  const email = textAt(body, 'email') ?? null
  return { subject, label: label(email ?? textAt(body, 'name') ?? subject), email }
}

export const atlassian: ProviderDefinition = {
  name: atlassianFace.name,
  displayName: atlassianFace.displayName,
  endpoints: {
    authorization: 'https://auth.atlassian.com/authorize',
    token: 'https://auth.atlassian.com/oauth/token',
    apiBase: 'https://api.atlassian.com',
    issuer: 'https://auth.atlassian.com',
  },
  apiHosts: {},
  clientAuth: 'post',
  tokenRequest: { encoding: 'json' },
  dialect: atlassianDialect,
  pkce: true,
  authorizationParameters: { audience: 'api.atlassian.com', prompt: 'consent' },
  callbackIssuer: 'optional',
  idToken: false,
  scopes: {
    ...standardScopes,
    identity: ['read:me', 'offline_access'],
    defaults: [],
    notReported: ['offline_access'],
    known: {
      'read:me': { words: 'See your name and e-mail address', access: 'read' },
      offline_access: { words: 'Stay connected until you disconnect', access: 'read' },
      'read:jira-work': { words: 'Read projects and issues', access: 'read' },
      'write:jira-work': { words: 'Create, change and delete issues', access: 'write' },
      'read:jira-user': { words: 'See people in Jira', access: 'read' },
      'manage:jira-project': { words: 'Change the settings of projects', access: 'destructive' },
      'read:confluence-content.all': { words: 'Read pages', access: 'read' },
      'search:confluence': { words: 'Search pages', access: 'read' },
      'write:confluence-content': { words: 'Create and change pages', access: 'write' },
    },
  },
  refreshMode: 'grace',
  lifecycle: {
    accessSeconds: 3_600,
    accessMayNotExpire: false,
    refreshIdleSeconds: 90 * DAY_SECONDS,
    refreshAbsoluteSeconds: 365 * DAY_SECONDS,
    rotates: 'always',
    graceSeconds: 600,
    oldAccessTokenDiesOnRefresh: false,
  },
  tokenErrors: {
    ...standardErrors,
    permanent: ['invalid_refresh_token', 'invalid_grant'],
    appFault: [...standardErrors.appFault, 'access_denied'],
  },
  identity: { isInIdToken: false, request: { method: 'GET', path: '/me' }, read },
  // There is no call that ends an access.
  revocation: {
    reach: 'none',
    endsReplacedTokens: false,
    byHand: 'https://id.atlassian.com/manage-profile/apps',
  },
  variants: oneVariant('Access is renewed every hour'),
  traps: [
    {
      id: 'not_revocable',
      severity: 'note',
      words:
        'Atlassian lets nobody end this access from outside. Disconnecting destroys what is stored here; to take the permission away too, remove the app under “Connected apps” in your Atlassian account.',
      when: {},
    },
    {
      id: 'yearly_consent',
      severity: 'note',
      words: 'Atlassian ends every access a year after it was allowed, and one that is not used for 90 days.',
      when: { hasRefreshToken: true },
    },
  ],
  judgeApi: judgeByStatus(atlassianFace.displayName),
}
