import { describe, expect, it } from 'vitest'

import { classOf, consentOf, variantOfAnswer } from '../../test-kit'
import { github } from './definition'

describe('what GitHub answers to a refresh, with status 200', () => {
  it.each([
    ['bad_refresh_token', 'permanent bad_refresh_token'],
    ['incorrect_client_credentials', 'app_fault incorrect_client_credentials'],
    ['redirect_uri_mismatch', 'app_fault redirect_uri_mismatch'],
    ['unsupported_grant_type', 'app_fault unsupported_grant_type'],
    ['application_suspended', 'app_fault application_suspended'],
    ['slow_down', 'weather slow_down'],
    ['server_error', 'unknown_outcome server_error'],
    ['bad_verification_code', 'rejected bad_verification_code'],
    ['unverified_user_email', 'rejected unverified_user_email'],
    ['invalid_grant', 'rejected invalid_grant'],
  ])('%s is %s', (error, expected) => {
    expect(classOf(github, 200, { error, error_description: 'x', error_uri: 'https://docs.github.com' })).toBe(expected)
  })

  it('an API’s “Bad credentials” is no word of the token endpoint', () => {
    expect(classOf(github, 401, { message: 'Bad credentials' })).toBe('rejected http_401')
  })
})

describe('the kind of a GitHub token is told by its answer', () => {
  it.each([
    [
      'app',
      {
        access_token: 'ghu_a',
        expires_in: 28_800,
        refresh_token: 'ghr_a',
        refresh_token_expires_in: 15_897_600,
        scope: '',
      },
    ],
    ['app_without_expiry', { access_token: 'ghu_a', scope: '' }],
    ['oauth_app', { access_token: 'gho_a', expires_in: 28_800, refresh_token: 'ghr_a', scope: 'repo' }],
    ['oauth_app_without_expiry', { access_token: 'gho_a', scope: 'repo,gist' }],
    // Tokens from before they had prefixes.
    ['oauth_app_without_expiry', { access_token: 'e72e16c7e42f292c6912e7710c838347ae178b4a', scope: 'repo' }],
  ])('%s', async (variant, body) => {
    expect(await variantOfAnswer(github, { token_type: 'bearer', ...body })).toBe(variant)
    expect(Object.keys(github.variants.known)).toContain(variant)
  })
})

it('GitHub is asked for tokens that expire, and which account it is to be', async () => {
  expect(await consentOf(github, github.scopes.identity)).toMatchObject({
    address: 'https://github.com/login/oauth/authorize',
    parameters: { scope: 'read:user offline_access', prompt: 'select_account', code_challenge_method: 'S256' },
  })
})
