import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'

import { Secret } from '@/lib/secret'

import { classOf, clientOf, consentOf, pair } from '../../test-kit'
import { microsoft } from './definition'

describe('what Entra ID answers to a refresh', () => {
  const answer = (error: string, numbers: readonly number[], suberror?: string) => ({
    error,
    error_description: `AADSTS${numbers[0] ?? 0}: words. Trace ID: 1`,
    error_codes: numbers,
    ...(suberror === undefined ? {} : { suberror }),
  })
  it.each([
    ['password changed or access revoked', answer('invalid_grant', [50_173]), 'permanent invalid_grant'],
    ['not used for too long', answer('invalid_grant', [700_082]), 'permanent invalid_grant'],
    ['a single-page app’s day is over', answer('invalid_grant', [700_084], 'token_expired'), 'permanent invalid_grant'],
    ['expired', answer('invalid_grant', [70_008], 'bad_token'), 'permanent invalid_grant'],
    ['a second factor is wanted', answer('invalid_grant', [50_076], 'basic_action'), 'permanent invalid_grant'],
    ['consent is gone', answer('invalid_grant', [65_001], 'consent_required'), 'permanent consent_required'],
    ['the person is gone', answer('invalid_grant', [50_034]), 'permanent invalid_grant'],
    ['the person is disabled', answer('invalid_grant', [50_057]), 'permanent invalid_grant'],
    ['a sign-in is wanted', answer('interaction_required', [50_079]), 'permanent interaction_required'],
    ['our secret is wrong', answer('invalid_client', [7_000_215]), 'app_fault invalid_client'],
    ['our secret has run out', answer('invalid_client', [7_000_222]), 'app_fault invalid_client'],
    ['our app is not in this directory', answer('unauthorized_client', [700_016]), 'app_fault invalid_client'],
    ['our app may not do this', answer('unauthorized_client', [50_194]), 'app_fault unauthorized_client'],
    ['it is unwell', answer('temporarily_unavailable', [90_033]), 'weather temporarily_unavailable'],
    [
      'it is unwell and says that the grant is invalid',
      answer('invalid_grant', [90_033]),
      'weather temporarily_unavailable',
    ],
    ['it was asked too often for the same', answer('invalid_grant', [50_196]), 'weather temporarily_unavailable'],
    ['it failed inside', answer('server_error', [90_002]), 'unknown_outcome server_error'],
    ['it knows no such resource', answer('invalid_resource', [500_011]), 'app_fault invalid_resource'],
    ['it did not understand', answer('invalid_request', [90_014]), 'rejected invalid_request'],
  ])('%s', (_what, body, expected) => {
    expect(classOf(microsoft, 400, body)).toBe(expected)
  })
})

describe('an ID token of Microsoft names its directory as issuer', () => {
  const exchange = async (claims: Readonly<Record<string, unknown>>) => {
    const { privateKey, publicKey } = await generateKeyPair('RS256')
    const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'RS256', use: 'sig' }] }
    const idToken = await new SignJWT({
      nonce: 'nonce-1',
      tid: 'dir-1',
      oid: 'object-1',
      preferred_username: 'ann@example.com',
      ...claims,
    })
      .setProtectedHeader({ alg: 'RS256', kid: 'k' })
      .setSubject('pairwise')
      .setAudience('client-1')
      .setIssuedAt(Math.floor(Date.parse('2026-03-01T12:00:00Z') / 1_000))
      .setExpirationTime(Math.floor(Date.parse('2026-03-01T13:00:00Z') / 1_000))
      .sign(privateKey)
    const { client, asked } = clientOf(microsoft, ({ url }) =>
      url.includes('/keys')
        ? [200, jwks]
        : [
            200,
            {
              access_token: 'a',
              token_type: 'Bearer',
              expires_in: 3_600,
              refresh_token: 'r',
              scope: 'User.Read',
              id_token: idToken,
            },
          ],
    )
    const result = await client.exchangeCode({
      callbackUrl: new URL('https://us.example/connect/callback/microsoft?code=c&state=s'),
      redirectUri: 'https://us.example/connect/callback/microsoft',
      state: new Secret('s'),
      nonce: 'nonce-1',
      codeVerifier: 'v'.repeat(43),
      requestedScopes: [],
    })
    return { result, codesSpent: asked.filter(({ url }) => url.endsWith('/token')).length }
  }

  it('and is taken from that one, its person told by directory and object; the code is spent once', async () => {
    const { result, codesSpent } = await exchange({ iss: 'https://login.microsoftonline.com/dir-1/v2.0' })
    expect(codesSpent).toBe(1)
    expect(result).toMatchObject({
      kind: 'issued',
      tokens: { grantedScopes: ['https://graph.microsoft.com/User.Read'] },
      identity: { subject: 'dir-1:object-1', label: 'ann@example.com' },
    })
  })

  it.each([
    ['another directory’s name', { iss: 'https://login.microsoftonline.com/dir-2/v2.0' }],
    ['another host', { iss: 'https://login.microsoftonline.example/dir-1/v2.0' }],
    [
      'a directory that would change the address',
      { tid: 'dir-1/../x', iss: 'https://login.microsoftonline.com/dir-1/../x/v2.0' },
    ],
    ['no directory', { tid: undefined, iss: 'https://login.microsoftonline.com/-/v2.0', oid: undefined }],
    ['another nonce', { iss: 'https://login.microsoftonline.com/dir-1/v2.0', nonce: 'other' }],
  ])('and is refused with %s', async (_what, claims) => {
    const { result } = await exchange(claims)
    expect(result.kind === 'issued' ? result.identity : result).toSatisfy(
      (value: unknown) =>
        value === null || (typeof value === 'object' && 'kind' in value && value.kind === 'untrusted'),
    )
  })
})

it('nothing can be ended at Microsoft from outside, and nothing is asked', async () => {
  const { client, asked } = clientOf(microsoft, () => [200, {}])
  expect(await client.revoke(pair, 'grant')).toEqual({ kind: 'unsupported', code: 'not_supported' })
  expect(asked).toEqual([])
  expect(microsoft.revocation).toMatchObject({ reach: 'none', byHand: 'https://myapps.microsoft.com' })
})

it('Microsoft is asked for a refresh token and for the account to use', async () => {
  expect(await consentOf(microsoft, ['openid', 'offline_access'])).toMatchObject({
    address: 'https://login.microsoftonline.com/common/oauth2/v2.0/authorize',
    parameters: {
      scope: 'openid offline_access',
      prompt: 'select_account',
      response_mode: 'query',
      code_challenge_method: 'S256',
    },
  })
})
