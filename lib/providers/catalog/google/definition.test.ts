import { describe, expect, it } from 'vitest'

import { classOf, consentOf } from '../../test-kit'
import { google } from './definition'

describe('what Google answers to a refresh', () => {
  it.each([
    [
      400,
      { error: 'invalid_grant', error_description: 'Token has been expired or revoked.' },
      'permanent invalid_grant',
    ],
    [400, { error: 'invalid_grant', error_description: 'Bad Request' }, 'permanent invalid_grant'],
    [400, { error: 'invalid_grant', error_subtype: 'invalid_rapt' }, 'permanent invalid_rapt'],
    [400, { error: 'invalid_grant', error_subtype: 'something_new' }, 'permanent invalid_grant'],
    [403, { error: 'admin_policy_enforced' }, 'permanent admin_policy_enforced'],
    [403, { error: 'access_denied' }, 'permanent access_denied'],
    [401, { error: 'invalid_client' }, 'app_fault invalid_client'],
    [401, { error: 'deleted_client' }, 'app_fault deleted_client'],
    [403, { error: 'disabled_client' }, 'app_fault disabled_client'],
    [400, { error: 'unauthorized_client' }, 'app_fault unauthorized_client'],
    [400, { error: 'redirect_uri_mismatch' }, 'app_fault redirect_uri_mismatch'],
    [400, { error: 'unsupported_grant_type' }, 'app_fault unsupported_grant_type'],
    [403, { error: 'org_internal' }, 'app_fault org_internal'],
    [403, { error: 'rate_limit_exceeded' }, 'weather rate_limit_exceeded'],
    [400, { error: 'temporarily_unavailable' }, 'weather temporarily_unavailable'],
    [429, {}, 'weather rate_limited'],
    [503, {}, 'weather http_503'],
    [400, { error: 'internal_failure' }, 'unknown_outcome internal_failure'],
    [500, { error: 'internal_failure' }, 'unknown_outcome http_500'],
    [400, { error: 'invalid_request' }, 'rejected invalid_request'],
    [400, { error: 'invalid_scope' }, 'rejected invalid_scope'],
  ])('%i %j is %s', (status, body, expected) => {
    expect(classOf(google, status, body)).toBe(expected)
  })
})

it('Google is asked for consent in full, for what this connection needs alone, and for a refresh token', async () => {
  expect(await consentOf(google, ['openid', 'email'])).toMatchObject({
    address: 'https://accounts.google.com/o/oauth2/v2/auth',
    parameters: {
      access_type: 'offline',
      prompt: 'consent select_account',
      include_granted_scopes: 'false',
      scope: 'openid email',
      code_challenge_method: 'S256',
      nonce: 'nonce-1',
    },
  })
})

it('the trap of an app in testing is known by the seven days its refresh tokens live, and by nothing else', () => {
  const [testing] = google.traps
  expect(testing?.when).toEqual({ refreshLifetimeAtMostSeconds: 604_800 })
})
