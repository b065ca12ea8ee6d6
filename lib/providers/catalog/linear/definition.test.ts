import { describe, expect, it } from 'vitest'

import { Secret } from '@/lib/secret'

import { classOf, clientOf, consentOf, NOW, pair } from '../../test-kit'
import { linear } from './definition'

const graphql = (code: string) => ({ errors: [{ message: 'x', extensions: { code } }] })

describe('what Linear answers to a refresh', () => {
  it.each([
    [400, { error: 'invalid_grant' }, 'permanent invalid_grant'],
    [401, { error: 'invalid_client' }, 'app_fault invalid_client'],
    [400, { error: 'unauthorized_client' }, 'app_fault unauthorized_client'],
    [400, graphql('RATELIMITED'), 'weather RATELIMITED'],
    [400, graphql('INTERNAL_SERVER_ERROR'), 'unknown_outcome INTERNAL_SERVER_ERROR'],
    [401, graphql('AUTHENTICATION_ERROR'), 'rejected AUTHENTICATION_ERROR'],
    [429, {}, 'weather rate_limited'],
    [400, { error: 'invalid_request' }, 'rejected invalid_request'],
  ])('%i %j is %s', (status, body, expected) => {
    expect(classOf(linear, status, body)).toBe(expected)
  })
})

it('scopes are asked for with commas and answered with spaces or as a list', async () => {
  expect((await consentOf(linear, ['read', 'issues:create'])).parameters).toMatchObject({
    scope: 'read,issues:create',
    actor: 'user',
    prompt: 'consent',
    code_challenge_method: 'S256',
  })
  for (const scope of ['read issues:create', ['read', 'issues:create']]) {
    const { client } = clientOf(linear, () => [
      200,
      { access_token: 'a', token_type: 'Bearer', expires_in: 86_399, scope },
    ])
    expect(await client.refresh(new Secret('r'), {})).toMatchObject({
      tokens: { grantedScopes: ['issues:create', 'read'] },
    })
  }
})

it('a used refresh token is answered for half an hour', () => {
  expect(linear).toMatchObject({ refreshMode: 'grace', lifecycle: { graceSeconds: 1_800, rotates: 'always' } })
})

it('who it is, is asked in GraphQL', async () => {
  const { client, asked } = clientOf(linear, () => [
    200,
    { data: { viewer: { id: 'u-1', name: 'Ann', email: 'ann@example.com' }, organization: { name: 'Example' } } },
  ])
  expect(await client.identify(new Secret('access-1'))).toMatchObject({
    kind: 'known',
    identity: { subject: 'u-1', label: 'ann@example.com · Example', email: 'ann@example.com' },
  })
  expect(asked[0]).toMatchObject({
    url: 'https://api.linear.app/graphql',
    headers: { authorization: 'Bearer access-1' },
  })
  const { client: refused } = clientOf(linear, () => [200, graphql('AUTHENTICATION_ERROR')])
  expect(await refused.identify(new Secret('a'))).toMatchObject({ kind: 'rejected', code: 'AUTHENTICATION_ERROR' })
})

it('a token that was ended before is ended; a 401 is our fault', async () => {
  const dead = clientOf(linear, () => [400, { error: 'invalid_request' }])
  expect(await dead.client.revoke(pair, 'token')).toEqual({ kind: 'revoked' })
  expect(dead.asked.map(({ body }) => new URLSearchParams(body).get('token_type_hint'))).toEqual([
    'refresh_token',
    'access_token',
  ])
  const wrong = clientOf(linear, () => [401, {}])
  expect(await wrong.client.revoke(pair, 'token')).toEqual({ kind: 'app_fault', code: 'http_401' })
})

it('too many requests come as 400 from the API too', () => {
  const headers = { get: () => null }
  expect(linear.judgeApi({ status: 400, headers, json: graphql('RATELIMITED') }, NOW).kind).toBe('rate_limited')
  expect(linear.judgeApi({ status: 401, headers, json: graphql('AUTHENTICATION_ERROR') }, NOW).kind).toBe(
    'unauthorized',
  )
  expect(linear.judgeApi({ status: 200, headers, json: { data: {} } }, NOW)).toEqual({ kind: 'ok' })
})
