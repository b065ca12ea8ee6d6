/**
 * GitLab, in the cloud or self-managed: OpenID Connect, and a refresh that ends both tokens before it.
 *
 * @see https://docs.gitlab.com/api/oauth2/
 * @module
 */
import { judgeByStatus } from '../../api-answer'
import {
  openIdIdentity,
  revokeByRfc7009,
  standardDialect,
  standardErrors,
  standardScopes,
  variantsByExpiry,
} from '../../dialect'
import type { ProviderDefinition } from '../../definition'
import { gitlabFace } from './face'

export const gitlab: ProviderDefinition = {
  name: gitlabFace.name,
  displayName: gitlabFace.displayName,
  endpoints: {
    authorization: 'https://gitlab.com/oauth/authorize',
    token: 'https://gitlab.com/oauth/token',
    revocation: 'https://gitlab.com/oauth/revoke',
    apiBase: 'https://gitlab.com/api/v4',
    issuer: 'https://gitlab.com',
    jwks: 'https://gitlab.com/oauth/discovery/keys',
    userinfo: 'https://gitlab.com/oauth/userinfo',
  },
  apiHosts: {},
  clientAuth: 'post',
  tokenRequest: { encoding: 'form' },
  dialect: standardDialect,
  pkce: true,
  authorizationParameters: {},
  callbackIssuer: 'optional',
  idToken: true,
  scopes: {
    ...standardScopes,
    identity: ['openid', 'profile', 'email'],
    defaults: ['read_user'],
    known: {
      openid: { words: 'Know which GitLab account this is', access: 'read' },
      profile: { words: 'See your name', access: 'read' },
      email: { words: 'See your e-mail address', access: 'read' },
      read_user: { words: 'Read your profile', access: 'read' },
      read_api: {
        words: 'Read everything you can see',
        access: 'read',
        includes: ['read_user', 'read_repository'],
      },
      api: {
        words: 'Do everything you can do',
        access: 'destructive',
        includes: ['read_api', 'write_repository'],
      },
      read_repository: { words: 'Read repositories', access: 'read' },
      write_repository: { words: 'Change repositories', access: 'write', includes: ['read_repository'] },
      mcp: { words: "Use GitLab's own tools for agents", access: 'write' },
    },
  },
  refreshMode: 'strict',
  lifecycle: {
    accessSeconds: 7_200,
    accessMayNotExpire: true,
    refreshIdleSeconds: null,
    refreshAbsoluteSeconds: null,
    rotates: 'always',
    graceSeconds: 0,
    oldAccessTokenDiesOnRefresh: true,
  },
  tokenErrors: standardErrors,
  identity: openIdIdentity,
  revocation: {
    reach: 'token',
    endsReplacedTokens: true,
    byHand: 'https://gitlab.com/-/user_settings/applications',
    revoke: revokeByRfc7009({ client: 'post', isDead: () => false }),
  },
  variants: variantsByExpiry(
    'Access is renewed every two hours',
    'An older self-managed GitLab whose tokens do not expire',
  ),
  traps: [],
  judgeApi: judgeByStatus(gitlabFace.displayName),
}
