import { describe, expect, it } from 'vitest'

import { Secret } from '@/lib/secret'

import { classOf, clientOf, consentOf, lines, pair, variantOfAnswer } from '../../test-kit'
import { notion } from './definition'

const answer = {
  access_token: 'ntn_a',
  token_type: 'bearer',
  refresh_token: 'nrt_a',
  bot_id: 'bot-1',
  workspace_id: 'w-1',
  workspace_name: 'Example',
  owner: { type: 'user', user: { id: 'u-1', name: 'Ann', person: { email: 'ann@example.com' } } },
  duplicated_template_id: null,
}

describe('what Notion answers to a refresh', () => {
  it.each([
    [400, { error: 'invalid_grant' }, 'permanent invalid_grant'],
    [401, { error: 'invalid_client' }, 'app_fault invalid_client'],
    [400, { error: 'unauthorized_client' }, 'app_fault unauthorized_client'],
    [400, { object: 'error', status: 400, code: 'rate_limited' }, 'weather rate_limited'],
    [409, { object: 'error', status: 409, code: 'conflict_error' }, 'weather conflict_error'],
    [503, { object: 'error', status: 503, code: 'service_unavailable' }, 'weather http_503'],
    [500, { object: 'error', status: 500, code: 'internal_server_error' }, 'unknown_outcome http_500'],
    [401, { object: 'error', status: 401, code: 'unauthorized' }, 'rejected unauthorized'],
    [403, { object: 'error', status: 403, code: 'restricted_resource' }, 'rejected restricted_resource'],
    [400, { error: 'invalid_request' }, 'rejected invalid_request'],
  ])('%i %j is %s', (status, body, expected) => {
    expect(classOf(notion, status, body)).toBe(expected)
  })
})

it('a refresh is JSON with the app in the header, and a pair without a lifetime is renewed when it is refused', async () => {
  const { client, asked } = clientOf(notion, () => [200, { ...answer, refresh_token: 'nrt_b' }])
  const result = await client.refresh(new Secret('nrt_a'), { subject: 'w-1:u-1' })
  expect(asked[0]).toMatchObject({
    method: 'POST',
    url: 'https://api.notion.com/v1/oauth/token',
    headers: {
      'content-type': 'application/json',
      'notion-version': '2026-03-11',
      authorization: `Basic ${Buffer.from('client-1:secret-1').toString('base64')}`,
    },
  })
  expect(JSON.parse(asked[0]?.body ?? '')).toEqual({ grant_type: 'refresh_token', refresh_token: 'nrt_a' })
  expect(result).toMatchObject({ kind: 'issued', tokens: { accessExpiresAt: null, grantedScopes: null } })
  expect(await client.refresh(new Secret('nrt_a'), { subject: 'w-1:u-2' })).toMatchObject({ code: 'subject_mismatch' })
})

it('a refresh token that is null means a token that is not renewed', async () => {
  expect(await variantOfAnswer(notion, answer)).toBe('expiring')
  expect(await variantOfAnswer(notion, { ...answer, refresh_token: null })).toBe('lasting')
})

it('who it is, the answer and the API say alike', async () => {
  const { client } = clientOf(notion, () => [
    200,
    { object: 'user', type: 'bot', bot: { workspace_id: 'w-1', workspace_name: 'Example', owner: answer.owner } },
  ])
  const known = { subject: 'w-1:u-1', label: 'Ann · Example', email: 'ann@example.com' }
  expect(await client.identify(new Secret('a'))).toMatchObject({ kind: 'known', identity: known })
  expect(notion.identity.fromAnswer?.(answer)).toEqual(known)
})

it('pages are picked there, so no scope is asked for', async () => {
  const { parameters } = await consentOf(notion, [])
  expect(parameters).toMatchObject({ owner: 'user', response_type: 'code', state: 'state-1' })
  for (const name of ['scope', 'code_challenge']) expect(parameters).not.toHaveProperty(name)
})

it('both tokens are ended, each by its own word', async () => {
  const { client, asked } = clientOf(notion, () => [200, {}])
  expect(await client.revoke(pair, 'token')).toEqual({ kind: 'revoked' })
  expect(lines(asked)).toEqual([
    'POST https://api.notion.com/v1/oauth/revoke {"token":"access-1"}',
    'POST https://api.notion.com/v1/oauth/revoke {"token":"refresh-1"}',
  ])
})
