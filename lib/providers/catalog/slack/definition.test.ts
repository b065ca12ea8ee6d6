import { describe, expect, it } from 'vitest'

import { classOf, consentOf, variantOfAnswer } from '../../test-kit'
import { slack } from './definition'

describe('what Slack answers to a refresh, with status 200', () => {
  it.each([
    ['invalid_refresh_token', 'permanent invalid_refresh_token'],
    ['bad_client_secret', 'app_fault bad_client_secret'],
    ['invalid_client_id', 'app_fault invalid_client_id'],
    ['invalid_grant_type', 'app_fault invalid_grant_type'],
    ['pkce_not_allowed', 'app_fault pkce_not_allowed'],
    ['token_rotation_not_enabled', 'app_fault token_rotation_not_enabled'],
    ['bad_redirect_uri', 'app_fault bad_redirect_uri'],
    ['oauth_authorization_url_mismatch', 'app_fault oauth_authorization_url_mismatch'],
    ['cannot_install_an_org_installed_app', 'app_fault cannot_install_an_org_installed_app'],
    ['ratelimited', 'weather ratelimited'],
    ['service_unavailable', 'weather service_unavailable'],
    ['team_added_to_org', 'weather team_added_to_org'],
    ['internal_error', 'unknown_outcome internal_error'],
    ['fatal_error', 'unknown_outcome fatal_error'],
    ['request_timeout', 'unknown_outcome request_timeout'],
    ['invalid_code', 'rejected invalid_code'],
    ['code_already_used', 'rejected code_already_used'],
    ['org_login_required', 'rejected org_login_required'],
    ['invalid_auth', 'rejected invalid_auth'],
    ['token_expired', 'rejected token_expired'],
  ])('%s is %s', (error, expected) => {
    expect(classOf(slack, 200, { ok: false, error })).toBe(expected)
  })
})

describe('the kind of a Slack token is told by its answer', () => {
  const team = { id: 'T1', name: 'Example' }
  it.each([
    [
      'user_rotating',
      { id: 'U1', access_token: 'xoxe.xoxp-1-a', token_type: 'user', expires_in: 43_200, refresh_token: 'xoxe-1-a' },
    ],
    ['user', { id: 'U1', access_token: 'xoxp-a', token_type: 'user' }],
  ])('%s', async (variant, user) => {
    expect(await variantOfAnswer(slack, { ok: true, team, authed_user: user })).toBe(variant)
    expect(Object.keys(slack.variants.known)).toContain(variant)
  })
})

it('Slack is asked for a person’s token, its scopes set off by commas', async () => {
  expect(await consentOf(slack, ['chat:write', 'users:read'])).toMatchObject({
    address: 'https://slack.com/oauth/v2_user/authorize',
    parameters: { scope: 'chat:write,users:read', code_challenge_method: 'S256' },
  })
})
