import { describe, expect, it } from 'vitest'

import { classOf, clientOf, consentOf, pair } from '../../test-kit'
import { gitlab } from './definition'

describe('what GitLab answers to a refresh', () => {
  it.each([
    [400, { error: 'invalid_grant' }, 'permanent invalid_grant'],
    [401, { error: 'invalid_client' }, 'app_fault invalid_client'],
    [400, { error: 'unauthorized_client' }, 'app_fault unauthorized_client'],
    [400, { error: 'unsupported_grant_type' }, 'app_fault unsupported_grant_type'],
    [400, { error: 'temporarily_unavailable' }, 'weather temporarily_unavailable'],
    [400, { error: 'server_error' }, 'unknown_outcome server_error'],
    [401, { error: 'invalid_token' }, 'rejected invalid_token'],
    [403, { error: 'insufficient_scope' }, 'rejected insufficient_scope'],
    [401, { message: '401 Unauthorized' }, 'rejected http_401'],
    [429, 'Retry later\n', 'weather rate_limited'],
  ])('%i %j is %s', (status, body, expected) => {
    expect(classOf(gitlab, status, body)).toBe(expected)
  })
})

it('a refresh ends both tokens before it', () => {
  expect(gitlab).toMatchObject({
    refreshMode: 'strict',
    lifecycle: { oldAccessTokenDiesOnRefresh: true, accessSeconds: 7_200 },
  })
})

it('tokens are ended with the app’s own credentials', async () => {
  const { client, asked } = clientOf(gitlab, () => [200, {}])
  expect(await client.revoke(pair, 'token')).toEqual({ kind: 'revoked' })
  expect(asked.map(({ url }) => url)).toEqual(['https://gitlab.com/oauth/revoke', 'https://gitlab.com/oauth/revoke'])
  expect(Object.fromEntries(new URLSearchParams(asked[0]?.body))).toEqual({
    token: 'refresh-1',
    token_type_hint: 'refresh_token',
    client_id: 'client-1',
    client_secret: 'secret-1',
  })
})

it('GitLab is asked who it is, with a nonce', async () => {
  expect((await consentOf(gitlab, gitlab.scopes.identity)).parameters).toMatchObject({
    scope: 'openid profile email',
    nonce: 'nonce-1',
    code_challenge_method: 'S256',
  })
})
