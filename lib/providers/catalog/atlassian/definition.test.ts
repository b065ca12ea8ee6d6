import { describe, expect, it } from 'vitest'

import { Secret } from '@/lib/secret'

import { classOf, clientOf, consentOf, pair } from '../../test-kit'
import { atlassian } from './definition'

describe('what Atlassian answers to a refresh', () => {
  const words = 'refresh_token is invalid'
  it.each([
    [403, { error: 'unauthorized_client', error_description: words }, 'permanent invalid_refresh_token'],
    // The same word without those very words under that very status is about the app.
    [403, { error: 'unauthorized_client', error_description: 'client is invalid' }, 'app_fault unauthorized_client'],
    [400, { error: 'unauthorized_client', error_description: words }, 'app_fault unauthorized_client'],
    [403, { error: 'access_denied', error_description: words }, 'app_fault access_denied'],
    [401, { error: 'access_denied', error_description: 'Unauthorized' }, 'app_fault access_denied'],
    [403, { error: 'invalid_grant' }, 'permanent invalid_grant'],
    [401, { error: 'invalid_client' }, 'app_fault invalid_client'],
    [429, { error: 'too_many_requests' }, 'weather rate_limited'],
    [400, { error: 'invalid_request' }, 'rejected invalid_request'],
    [403, { error: 'forbidden_word', error_description: words }, 'rejected forbidden_word'],
  ])('%i %j is %s', (status, body, expected) => {
    expect(classOf(atlassian, status, body)).toBe(expected)
  })
})

it('token requests are JSON with the app within', async () => {
  const { client, asked } = clientOf(atlassian, () => [
    200,
    {
      access_token: 'a',
      token_type: 'Bearer',
      expires_in: 3_600,
      refresh_token: 'r2',
      scope: 'read:me offline_access',
    },
  ])
  expect(await client.refresh(new Secret('r1'), {})).toMatchObject({ kind: 'issued' })
  expect(asked[0]?.headers['content-type']).toBe('application/json')
  expect(JSON.parse(asked[0]?.body ?? '')).toEqual({
    grant_type: 'refresh_token',
    refresh_token: 'r1',
    client_id: 'client-1',
    client_secret: 'secret-1',
  })
})

it('Atlassian is asked for the audience of its API and for a refresh token', async () => {
  expect((await consentOf(atlassian, atlassian.scopes.identity)).parameters).toMatchObject({
    audience: 'api.atlassian.com',
    prompt: 'consent',
    scope: 'read:me offline_access',
  })
})

it('who it is, is the account’s id', async () => {
  const { client } = clientOf(atlassian, () => [200, { account_id: 'acc-1', email: 'ann@example.com', name: 'Ann' }])
  expect(await client.identify(new Secret('a'))).toMatchObject({
    identity: { subject: 'acc-1', label: 'ann@example.com', email: 'ann@example.com' },
  })
})

it('nothing can be ended there from outside; a year ends it', async () => {
  const { client, asked } = clientOf(atlassian, () => [200, {}])
  expect(await client.revoke(pair, 'grant')).toMatchObject({ kind: 'unsupported' })
  expect(asked).toEqual([])
  expect(atlassian.lifecycle).toMatchObject({
    refreshIdleSeconds: 7_776_000,
    refreshAbsoluteSeconds: 31_536_000,
    graceSeconds: 600,
  })
})
