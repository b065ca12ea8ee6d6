import { describe, expect, it } from 'vitest'

import { systemClock } from '../clock'
import type { Egress } from '../egress/egress'
import { createIssuers } from './issuer'

/** Answers with documents, by address; what is not there is a 404. */
function issuersOf(documents: Readonly<Record<string, unknown>>) {
  const asked: string[] = []
  const egress: Egress = {
    request: (url) => {
      asked.push(String(url))
      const document = documents[String(url)]
      return Promise.resolve({
        status: document === undefined ? 404 : 200,
        headers: new Headers({ 'content-type': 'application/json' }),
        body: Buffer.from(typeof document === 'string' ? document : JSON.stringify(document ?? {})),
      })
    },
    fetch: () => Promise.reject(new Error('nothing is fetched here')),
    close: () => Promise.resolve(),
  }
  return { issuers: createIssuers({ egress, clock: systemClock }), asked }
}

const document = (issuer: string, more: object = {}) => ({
  issuer,
  authorization_endpoint: `${issuer.replace(/\/$/, '')}/authorize`,
  token_endpoint: `${issuer.replace(/\/$/, '')}/token`,
  jwks_uri: `${issuer.replace(/\/$/, '')}/keys`,
  id_token_signing_alg_values_supported: ['RS256'],
  token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
  ...more,
})
const WELL_KNOWN = '/.well-known/openid-configuration'

describe('the document of an issuer', () => {
  it.each([
    ['Google', 'https://accounts.google.com', `https://accounts.google.com${WELL_KNOWN}`],
    ['Okta, the organization’s own server', 'https://corp.okta.com', `https://corp.okta.com${WELL_KNOWN}`],
    [
      'Okta, a custom server',
      'https://corp.okta.com/oauth2/default',
      `https://corp.okta.com/oauth2/default${WELL_KNOWN}`,
    ],
    [
      'Keycloak, a realm',
      'https://sso.corp.example/realms/staff',
      `https://sso.corp.example/realms/staff${WELL_KNOWN}`,
    ],
    [
      'Auth0, with the slash that is part of its name',
      'https://corp.eu.auth0.com/',
      `https://corp.eu.auth0.com${WELL_KNOWN}`,
    ],
    [
      'Entra ID, one directory',
      'https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0',
      `https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0${WELL_KNOWN}`,
    ],
  ])('is found for %s', async (_, issuer, at) => {
    const { issuers, asked } = issuersOf({ [at]: document(issuer) })
    expect(await issuers.discover(issuer)).toMatchObject({ kind: 'found', document: { issuer } })
    expect(asked).toEqual([at])
  })

  it('is refused for Entra’s common directories, before and after it is asked', async () => {
    for (const name of ['common', 'organizations', 'consumers', 'Common']) {
      const { issuers, asked } = issuersOf({})
      expect(await issuers.discover(`https://login.microsoftonline.com/${name}/v2.0`)).toMatchObject({
        problem: 'issuer_shared',
      })
      expect(asked).toEqual([])
    }
    const elsewhere = 'https://login.corp.example/common/v2.0'
    const { issuers } = issuersOf({
      [`${elsewhere}${WELL_KNOWN}`]: document('https://login.microsoftonline.com/{tenantid}/v2.0'),
    })
    expect(await issuers.discover(elsewhere)).toMatchObject({ problem: 'issuer_shared' })
  })

  it('is refused when it is of another issuer, by as little as a slash', async () => {
    const at = `https://corp.eu.auth0.com${WELL_KNOWN}`
    for (const [asked, named] of [
      ['https://corp.eu.auth0.com', 'https://corp.eu.auth0.com/'],
      ['https://corp.eu.auth0.com', 'https://evil.example'],
    ] as const) {
      const { issuers } = issuersOf({ [at]: document(named) })
      expect(await issuers.discover(asked)).toEqual({ kind: 'failed', problem: 'issuer_mismatch', detail: named })
    }
  })

  it('is refused without what is needed, or with addresses and algorithms that may not be used', async () => {
    const issuer = 'https://idp.example'
    const cases: [object | string, string][] = [
      ['<html>', 'discovery_unreadable'],
      [{ hello: 1 }, 'discovery_unreadable'],
      [document(issuer, { jwks_uri: undefined }), 'endpoint_missing'],
      [document(issuer, { authorization_endpoint: 'javascript:alert(1)' }), 'endpoint_refused'],
      [document(issuer, { token_endpoint: 'http://idp.example/token' }), 'endpoint_refused'],
      [document(issuer, { userinfo_endpoint: 'https://a:b@idp.example/me' }), 'endpoint_refused'],
      [document(issuer, { id_token_signing_alg_values_supported: ['HS256', 'none'] }), 'algorithms_refused'],
      [document(issuer, { token_endpoint_auth_methods_supported: ['private_key_jwt'] }), 'client_auth_unsupported'],
    ]
    for (const [body, problem] of cases) {
      const { issuers } = issuersOf({ [`${issuer}${WELL_KNOWN}`]: body })
      expect(await issuers.discover(issuer), problem).toMatchObject({ kind: 'failed', problem })
    }
    expect(await issuersOf({}).issuers.discover(issuer)).toMatchObject({ problem: 'discovery_missing' })
  })

  it('leads to an authorization with S256, state and nonce, and to a fresh proof where one is asked for', async () => {
    const issuer = 'https://idp.example'
    const { issuers } = issuersOf({
      [`${issuer}${WELL_KNOWN}`]: document(issuer, {
        authorization_endpoint: 'https://idp.example/authorize?tenant=7',
      }),
    })
    const found = await issuers.discover(issuer)
    if (found.kind === 'failed') throw new Error(found.problem)
    const url = await issuers.authorizationUrl(found.document, 'client-1', {
      redirectUri: 'https://us.example/back',
      state: 's',
      nonce: 'n',
      codeVerifier: 'v'.repeat(64),
      renew: true,
    })
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      tenant: '7',
      client_id: 'client-1',
      response_type: 'code',
      redirect_uri: 'https://us.example/back',
      scope: 'openid email profile',
      state: 's',
      nonce: 'n',
      code_challenge_method: 'S256',
      prompt: 'login',
      max_age: '0',
    })
    expect(url.searchParams.get('code_challenge')).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(url.href).not.toContain('v'.repeat(64))
  })
})
