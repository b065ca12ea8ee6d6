import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { gzipSync } from 'node:zlib'

import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import type { ProviderName } from '@/lib/config'
import { createEgress, type Egress } from '@/lib/egress/egress'
import { Secret } from '@/lib/secret'

import { FACES } from './catalog/faces'
import type { ProviderClient } from './client'
import { createProviders } from './registry'

/** A provider that answers whatever the test wrote down, and remembers what it was asked. */
interface Asked {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}
type Script = (asked: Asked, response: ServerResponse, request: IncomingMessage) => void | Promise<void>

let script: Script
let asked: Asked[] = []
let origin: string
let egress: Egress
let server: ReturnType<typeof createServer>
let signingKey: CryptoKey
let otherKey: CryptoKey
let jwks: { keys: object[] }
let jwksStatus = 200

const NOW = new Date('2026-03-01T12:00:00Z')
const clock = { now: () => NOW }

beforeAll(async () => {
  const pair = await generateKeyPair('RS256')
  signingKey = pair.privateKey
  otherKey = (await generateKeyPair('RS256')).privateKey
  jwks = { keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'k1', use: 'sig', alg: 'RS256' }] }
  server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      if (request.url === '/certs') {
        response.writeHead(jwksStatus, { 'content-type': 'application/json' })
        response.end(JSON.stringify(jwks))
        return
      }
      const one = {
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
      }
      asked.push(one)
      response.sendDate = false
      void script(one, response, request)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}` // a TCP server that listens
  egress = createEgress({ allow: [origin], allowUnsafe: true, production: false })
})

afterAll(async () => {
  await egress.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

beforeEach(() => {
  asked = []
  jwksStatus = 200
  script = json(500, {})
})

function client(
  name: ProviderName,
  options: { readonly tokenTimeoutMs?: number; readonly base?: string } = {},
): ProviderClient {
  const base = options.base ?? origin
  const providers = createProviders({
    config: {
      production: false,
      egress: { allow: [base], allowUnsafe: true },
      providers: {
        [name]: {
          clientId: 'client-1',
          clientSecret: new Secret('client-secret-1'),
          sandbox: false,
          overrides: {
            authorizationEndpoint: `${base}/authorize`,
            tokenEndpoint: `${base}/token`,
            revocationEndpoint: `${base}/revoke`,
            apiBaseUrl: `${base}/api`,
            issuer: base,
            userinfoEndpoint: `${base}/userinfo`,
            jwksUri: `${base}/certs`,
          },
        },
      },
    },
    egress,
    clock,
    tokenTimeoutMs: options.tokenTimeoutMs ?? 20_000,
  })
  const found = providers.get(name)
  if (found === undefined) throw new Error('not configured')
  return found
}

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Script =>
  (_asked, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }
const raw =
  (status: number, body: string | Buffer, headers: Record<string, string> = {}): Script =>
  (_asked, response) => {
    response.writeHead(status, headers)
    response.end(body)
  }

const refresh = (name: ProviderName, options = {}) => client(name, options).refresh(new Secret('refresh-1'), {})

describe('a refresh that was refused', () => {
  const rows: [string, ProviderName, Script, object][] = [
    [
      'google: the grant is gone',
      'google',
      json(400, { error: 'invalid_grant', error_description: 'Token has been expired or revoked.' }),
      { kind: 'permanent', code: 'invalid_grant' },
    ],
    [
      'google: the workspace wants a new sign-in',
      'google',
      json(400, { error: 'invalid_grant', error_subtype: 'invalid_rapt' }),
      { kind: 'permanent', code: 'invalid_rapt' },
    ],
    [
      'google: an administrator forbids it',
      'google',
      json(403, { error: 'admin_policy_enforced' }),
      { kind: 'permanent', code: 'admin_policy_enforced' },
    ],
    [
      'google: our secret is wrong',
      'google',
      json(401, { error: 'invalid_client' }),
      { kind: 'app_fault', code: 'invalid_client' },
    ],
    [
      'google: our app may not do this',
      'google',
      json(400, { error: 'unauthorized_client' }),
      { kind: 'app_fault', code: 'unauthorized_client' },
    ],
    [
      'google: an unheard-of refusal',
      'google',
      json(400, { error: 'moon_phase' }),
      { kind: 'rejected', code: 'moon_phase', status: 400 },
    ],
    [
      'google: the dead grant said with 401',
      'google',
      json(401, { error: 'invalid_grant' }),
      { kind: 'permanent', code: 'invalid_grant' },
    ],
    [
      'google: a permanent word under 500 is not believed',
      'google',
      json(500, { error: 'invalid_grant' }),
      { kind: 'unknown_outcome', code: 'http_500', answered: true },
    ],
    [
      'google: a permanent word under 429 is not believed',
      'google',
      json(429, { error: 'invalid_grant' }),
      { kind: 'weather', code: 'rate_limited' },
    ],
    [
      'google: it failed inside',
      'google',
      json(400, { error: 'internal_failure' }),
      { kind: 'unknown_outcome', code: 'internal_failure', answered: true },
    ],
    [
      'google: an error that is an object',
      'google',
      json(403, { error: { code: 403, message: 'x' } }),
      { kind: 'rejected', code: 'http_403', status: 403 },
    ],
    [
      'github: 200 with the dead token',
      'github',
      json(200, { error: 'bad_refresh_token', error_description: 'x' }),
      { kind: 'permanent', code: 'bad_refresh_token' },
    ],
    [
      'github: 200 with our wrong secret',
      'github',
      json(200, { error: 'incorrect_client_credentials' }),
      { kind: 'app_fault', code: 'incorrect_client_credentials' },
    ],
    [
      'github: our app is suspended',
      'github',
      json(200, { error: 'application_suspended' }),
      { kind: 'app_fault', code: 'application_suspended' },
    ],
    [
      'github: an unheard-of refusal',
      'github',
      json(200, { error: 'unverified_user_email' }),
      { kind: 'rejected', code: 'unverified_user_email', status: 200 },
    ],
    [
      'github: Bad credentials of the API',
      'github',
      json(401, { message: 'Bad credentials' }),
      { kind: 'rejected', code: 'http_401', status: 401 },
    ],
    [
      'slack: ok false with the dead token',
      'slack',
      json(200, { ok: false, error: 'invalid_refresh_token' }),
      { kind: 'permanent', code: 'invalid_refresh_token' },
    ],
    [
      'slack: our secret is wrong',
      'slack',
      json(200, { ok: false, error: 'bad_client_secret' }),
      { kind: 'app_fault', code: 'bad_client_secret' },
    ],
    [
      'slack: rate limited in the body',
      'slack',
      json(200, { ok: false, error: 'ratelimited' }, { 'retry-after': '7' }),
      { kind: 'weather', code: 'ratelimited', retryAfterSeconds: 7 },
    ],
    [
      'slack: part may have succeeded',
      'slack',
      json(200, { ok: false, error: 'fatal_error' }),
      { kind: 'unknown_outcome', code: 'fatal_error', answered: true },
    ],
    [
      'slack: an unheard-of refusal',
      'slack',
      json(200, { ok: false, error: 'org_login_required' }),
      { kind: 'rejected', code: 'org_login_required', status: 200 },
    ],
    [
      'slack: ok false without a word',
      'slack',
      json(200, { ok: false }),
      { kind: 'rejected', code: 'unknown_error', status: 200 },
    ],
  ]
  it.each(rows)('%s', async (_what, name, answer, expected) => {
    script = answer
    expect(await refresh(name)).toEqual(expected)
    expect(asked).toHaveLength(1)
  })
})

describe('weather and lost answers', () => {
  const page = '<!doctype html><title>invalid_grant bad_refresh_token</title>'
  const rows: [string, Script, object][] = [
    [
      '429 with seconds',
      json(429, {}, { 'retry-after': '30' }),
      { kind: 'weather', code: 'rate_limited', retryAfterSeconds: 30 },
    ],
    [
      '429 with a date',
      json(429, {}, { 'retry-after': 'Sun, 01 Mar 2026 12:02:00 GMT' }),
      { kind: 'weather', code: 'rate_limited', retryAfterSeconds: 120 },
    ],
    ['429 without a time', json(429, {}), { kind: 'weather', code: 'rate_limited' }],
    [
      '429 for ten years',
      json(429, {}, { 'retry-after': '315360000' }),
      { kind: 'weather', code: 'rate_limited', retryAfterSeconds: 3600 },
    ],
    [
      '429 for minus five seconds',
      json(429, {}, { 'retry-after': '-5' }),
      { kind: 'weather', code: 'rate_limited', retryAfterSeconds: 1 },
    ],
    [
      '503 as a page',
      raw(503, page, { 'content-type': 'text/html', 'retry-after': '5' }),
      { kind: 'weather', code: 'http_503', retryAfterSeconds: 5 },
    ],
    ['500', json(500, {}), { kind: 'unknown_outcome', code: 'http_500', answered: true }],
    ['502 as a page', raw(502, page), { kind: 'unknown_outcome', code: 'http_502', answered: true }],
    ['504 empty', raw(504, ''), { kind: 'unknown_outcome', code: 'http_504', answered: true }],
    [
      'a captive portal that says 200',
      raw(200, page, { 'content-type': 'text/html' }),
      { kind: 'weather', code: 'html' },
    ],
    ['a firewall that says 403', raw(403, page), { kind: 'weather', code: 'html' }],
    [
      'a page after a byte order mark',
      raw(200, `\uFEFF ${page}`, { 'content-type': 'text/plain' }),
      { kind: 'weather', code: 'html' },
    ],
    ['a redirect', raw(302, '', { location: 'https://example.com/login' }), { kind: 'weather', code: 'http_302' }],
    ['200 and nothing', raw(200, ''), { kind: 'unknown_outcome', code: 'unreadable_answer', answered: true }],
    [
      '200 and half of it',
      json(200, '{"access_token":"acc'),
      { kind: 'unknown_outcome', code: 'unreadable_answer', answered: true },
    ],
    [
      '200 in another charset',
      raw(200, Buffer.from('{"access_token":"a"}', 'utf16le'), { 'content-type': 'application/json; charset=utf-16' }),
      { kind: 'unknown_outcome', code: 'unreadable_answer', answered: true },
    ],
    [
      '200 without a token',
      json(200, { token_type: 'bearer' }),
      { kind: 'unknown_outcome', code: 'no_token', answered: true },
    ],
    [
      '200 with a token that would split a header',
      json(200, { access_token: 'a\r\nx: y', token_type: 'bearer' }),
      { kind: 'unknown_outcome', code: 'no_token', answered: true },
    ],
    [
      '200 with a token for another scheme',
      json(200, { access_token: 'a', token_type: 'mac' }),
      { kind: 'unknown_outcome', code: 'no_token', answered: true },
    ],
    [
      'ten megabytes',
      raw(200, Buffer.alloc(10_000_000, 32)),
      { kind: 'unknown_outcome', code: 'too_large', answered: true },
    ],
    [
      'a bomb',
      raw(200, gzipSync(Buffer.alloc(8_000_000, 32)), { 'content-encoding': 'gzip' }),
      { kind: 'unknown_outcome', code: 'too_large', answered: true },
    ],
    ['silence', () => undefined, { kind: 'unknown_outcome', code: 'timeout' }],
    [
      'a drip',
      (_asked, response) => {
        response.writeHead(200)
        const drip = setInterval(() => response.write(' '), 20)
        response.on('close', () => clearInterval(drip))
      },
      { kind: 'unknown_outcome', code: 'timeout' },
    ],
    [
      'a reset before the headers',
      (_asked, _response, request) => {
        request.socket.resetAndDestroy()
      },
      { kind: 'unknown_outcome', code: 'connection_lost' },
    ],
    [
      'a reset after the headers',
      (_asked, response, request) => {
        response.writeHead(200, { 'content-length': '9' })
        response.write('{')
        setImmediate(() => request.socket.resetAndDestroy())
      },
      { kind: 'unknown_outcome', code: 'connection_lost' },
    ],
  ]
  for (const name of ['google', 'github', 'slack'] as const)
    it.each(rows)(`${name}: %s decides nothing about the grant`, async (_what, answer, expected) => {
      script = answer
      // Only who never answers is waited for in vain: a slow machine is not silence.
      const isSilent = 'code' in expected && expected.code === 'timeout'
      expect(await refresh(name, isSilent ? { tokenTimeoutMs: 400 } : {})).toEqual(expected)
      expect(asked).toHaveLength(1)
    })

  it('a refused connection left nothing behind, so it is weather even where a token is spent once', async () => {
    const probe = createServer()
    await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
    const base = `http://127.0.0.1:${(probe.address() as AddressInfo).port}` // a TCP server that listens
    await new Promise((resolve) => probe.close(resolve))
    const own = createEgress({ allow: [base], allowUnsafe: true, production: false })
    const before = egress
    egress = own
    try {
      expect(await refresh('github', { base })).toEqual({ kind: 'weather', code: 'unreachable' })
    } finally {
      egress = before
      await own.close()
    }
  })

  it('an abort in flight is an unknown outcome; an abort before is not', async () => {
    const caller = new AbortController()
    script = () => caller.abort()
    expect(await client('github').refresh(new Secret('r'), { signal: caller.signal })).toEqual({
      kind: 'unknown_outcome',
      code: 'aborted',
    })
    expect(await client('github').refresh(new Secret('r'), { signal: caller.signal })).toEqual({
      kind: 'weather',
      code: 'aborted',
    })
    expect(asked).toHaveLength(1)
  })
})

describe('a refresh that succeeded oddly', () => {
  const tokens = async (name: ProviderName, body: object, headers = {}) => {
    script = json(200, body, headers)
    const result = await refresh(name)
    if (result.kind !== 'issued') throw new Error(`refresh ended as ${result.kind}`)
    return result.tokens
  }
  const inSeconds = (date: Date | null) => (date === null ? null : (date.getTime() - NOW.getTime()) / 1000)

  it.each([
    ['absent', {}],
    ['null', { refresh_token: null }],
    ['empty', { refresh_token: '' }],
    ['a number', { refresh_token: 5 }],
  ])('keeps the old refresh token when the new one is %s', async (_what, extra) => {
    const issued = await tokens('google', { access_token: 'a', token_type: 'Bearer', expires_in: 3599, ...extra })
    expect(issued.refreshToken).toBeNull()
    expect(issued.accessToken.reveal()).toBe('a')
  })

  it.each([
    ['absent', undefined, 3599],
    ['null', null, 3599],
    ['a numeric string', '3600', 3600],
    ['zero', 0, 3599],
    ['negative', -1, 3599],
    ['a word', 'soon', 3599],
    ['of thirty thousand years', 1e12, 365 * 86_400],
    ['fractional', 100.9, 100],
  ])('gives a sane expiry when expires_in is %s', async (_what, value, seconds) => {
    const issued = await tokens('google', { access_token: 'a', token_type: 'Bearer', expires_in: value })
    expect(inSeconds(issued.accessExpiresAt)).toBe(seconds)
  })

  it('takes a renewed token without expires_in for one that ends as documented', async () => {
    const body = { access_token: 'gho_a', token_type: 'bearer', scope: 'repo' }
    expect(inSeconds((await tokens('github', body)).accessExpiresAt)).toBe(28_800)
  })

  it('reads the time of the answer from a believable Date, and from our clock otherwise', async () => {
    const body = { access_token: 'a', token_type: 'Bearer', expires_in: 100 }
    expect(inSeconds((await tokens('google', body, { date: 'Sun, 01 Mar 2026 11:59:50 GMT' })).accessExpiresAt)).toBe(
      90,
    )
    expect(inSeconds((await tokens('google', body, { date: 'Sun, 01 Mar 2036 12:00:00 GMT' })).accessExpiresAt)).toBe(
      100,
    )
  })

  it('leaves the scopes alone when none are named, and applies a narrower set when one is', async () => {
    const body = { access_token: 'a', token_type: 'Bearer', expires_in: 100 }
    expect((await tokens('google', body)).grantedScopes).toBeNull()
    expect(
      (await tokens('google', { ...body, scope: 'openid https://www.googleapis.com/auth/userinfo.email' }))
        .grantedScopes,
    ).toEqual(['email', 'openid'])
    expect((await tokens('github', { ...body, access_token: 'ghu_a', scope: '' })).grantedScopes).toBeNull()
    expect((await tokens('github', { ...body, access_token: 'gho_a', scope: 'repo,gist' })).grantedScopes).toEqual([
      'gist',
      'repo',
    ])
  })

  it('takes a token of 8 kB, and the last of duplicate keys', async () => {
    const long = 'a'.repeat(8_192)
    expect((await tokens('google', { access_token: long, token_type: 'Bearer' })).accessToken.reveal()).toBe(long)
    script = json(200, '{"access_token":"first","access_token":"second","token_type":"bearer"}')
    const result = await refresh('google')
    expect(result.kind === 'issued' && result.tokens.accessToken.reveal()).toBe('second')
  })

  it('is not lost to an ID token that nobody asked for', async () => {
    const issued = await tokens('google', {
      access_token: 'a',
      token_type: 'Bearer',
      expires_in: 60,
      id_token: 'not.a.jwt',
    })
    expect(issued.accessToken.reveal()).toBe('a')
  })

  it.each([
    [
      'on top',
      { ok: true, access_token: 'xoxe.xoxp-1', token_type: 'user', refresh_token: 'xoxe-1-n', expires_in: 43200 },
    ],
    [
      'nested',
      {
        ok: true,
        authed_user: {
          id: 'U1',
          access_token: 'xoxe.xoxp-1',
          token_type: 'user',
          refresh_token: 'xoxe-1-n',
          expires_in: 43200,
        },
      },
    ],
  ])('finds the Slack user token %s', async (_where, body) => {
    const issued = await tokens('slack', body)
    expect(issued.accessToken.reveal()).toBe('xoxe.xoxp-1')
    expect(issued.refreshToken?.reveal()).toBe('xoxe-1-n')
    expect(inSeconds(issued.accessExpiresAt)).toBe(43_200)
  })

  it('does not take a Slack bot token for the person', async () => {
    script = json(200, { ok: true, access_token: 'xoxb-1', token_type: 'bot' })
    expect(await refresh('slack')).toEqual({ kind: 'unknown_outcome', code: 'no_token', answered: true })
  })

  it('prints no token', async () => {
    script = json(200, { access_token: 'a-very-secret-token', token_type: 'Bearer' })
    const result = await refresh('google')
    expect(JSON.stringify(result)).not.toContain('a-very-secret')
    expect(inspect(result, { depth: 9 })).not.toContain('a-very-secret')
  })
})

it('sends the client secret and the refresh token in the body, on a connection of its own', async () => {
  script = json(200, { access_token: 'a', token_type: 'Bearer' })
  await refresh('google')
  const [request] = asked
  expect(Object.fromEntries(new URLSearchParams(request?.body))).toEqual({
    grant_type: 'refresh_token',
    refresh_token: 'refresh-1',
    client_id: 'client-1',
    client_secret: 'client-secret-1',
  })
  expect(request?.headers['connection']).toBe('close')
  expect(request?.headers['accept']).toBe('application/json')
})

describe('the authorization request', () => {
  const build = (name: ProviderName, extra = {}) =>
    client(name).authorizationUrl({
      redirectUri: `https://portcullis.example/connect/callback/${name}`,
      state: new Secret('state-1'),
      nonce: 'nonce-1',
      codeVerifier: 'v'.repeat(43),
      scopes: ['one', 'two'],
      ...extra,
    })

  it.each(['google', 'github', 'slack'] as const)('of %s carries state, S256 and the exact redirect', async (name) => {
    const { searchParams: query } = await build(name)
    expect(query.get('state')).toBe('state-1')
    expect(query.get('code_challenge')).toBe(createHash('sha256').update('v'.repeat(43)).digest('base64url'))
    expect(query.get('code_challenge_method')).toBe('S256')
    expect(query.get('redirect_uri')).toBe(`https://portcullis.example/connect/callback/${name}`)
    expect(query.get('client_id')).toBe('client-1')
    expect(query.get('response_type')).toBe('code')
    expect(query.get('scope')).toBe(name === 'slack' ? 'one,two' : 'one two')
    expect(query.get('nonce')).toBe(name === 'google' ? 'nonce-1' : null)
    expect([...query.keys()]).not.toContain('client_secret')
  })

  it('asks Google for a refresh token of exactly these scopes', async () => {
    const { searchParams: query } = await build('google', { loginHint: 'ann@example.com' })
    expect(query.get('access_type')).toBe('offline')
    expect(query.get('prompt')).toContain('consent')
    expect(query.get('include_granted_scopes')).toBe('false')
    expect(query.get('login_hint')).toBe('ann@example.com')
  })
})

describe('the code exchange', () => {
  const idToken = (claims: object = {}, key = signingKey, header: object = {}) =>
    new SignJWT({ nonce: 'nonce-1', email: 'ann@example.com', ...claims })
      .setProtectedHeader({ alg: 'RS256', kid: 'k1', ...header })
      .setIssuer(origin)
      .setSubject('sub-1')
      .setAudience('client-1')
      .setIssuedAt(Math.floor(NOW.getTime() / 1000))
      .setExpirationTime(Math.floor(NOW.getTime() / 1000) + 3600)
      .sign(key)

  const exchange = (name: ProviderName, query: string) =>
    client(name).exchangeCode({
      callbackUrl: new URL(`https://portcullis.example/connect/callback/${name}?${query}`),
      redirectUri: `https://portcullis.example/connect/callback/${name}`,
      state: new Secret('state-1'),
      nonce: 'nonce-1',
      codeVerifier: 'v'.repeat(43),
      requestedScopes: ['openid', 'email', 'repo'],
    })

  const google = (token: string, extra = {}) =>
    json(200, {
      access_token: 'a',
      token_type: 'Bearer',
      expires_in: 3599,
      refresh_token: 'r',
      scope: 'openid email',
      id_token: token,
      ...extra,
    })

  it('of Google yields tokens and the subject of a checked ID token', async () => {
    script = google(await idToken())
    const result = await exchange('google', 'code=c&state=state-1')
    expect(result).toMatchObject({
      kind: 'issued',
      identity: { subject: 'sub-1', label: 'ann@example.com', email: 'ann@example.com' },
      tokens: { grantedScopes: ['email', 'openid'] },
    })
    expect(Object.fromEntries(new URLSearchParams(asked[0]?.body))).toMatchObject({
      code: 'c',
      code_verifier: 'v'.repeat(43),
      redirect_uri: 'https://portcullis.example/connect/callback/google',
    })
  })

  it.each([
    ['nonce', () => idToken({ nonce: 'of-another-browser' })],
    ['missing nonce', () => idToken({ nonce: undefined })],
    ['signature', () => idToken({}, otherKey)],
    ['key id', () => idToken({}, signingKey, { kid: 'k2' })],
    ['absence', () => Promise.resolve(undefined)],
    ['shape', () => Promise.resolve('not.a.jwt')],
    [
      'unsigned form',
      async () => `${Buffer.from('{"alg":"none"}').toString('base64url')}.${(await idToken()).split('.')[1] ?? ''}.`,
    ],
  ])(
    'of Google is refused for the %s of its ID token, and gives the tokens back to be revoked',
    async (_what, token) => {
      script = google((await token()) ?? '', {})
      const result = await exchange('google', 'code=c&state=state-1')
      expect(result).toMatchObject({ kind: 'untrusted', code: 'invalid_id_token' })
      expect(result.kind === 'untrusted' && result.tokens?.refreshToken?.reveal()).toBe('r')
    },
  )

  it('of Google spends no code while nobody could check the answer', async () => {
    jwksStatus = 500
    jwks = { ...jwks }
    script = google(await idToken())
    const result = await exchange('google', 'code=c&state=state-1')
    expect(result.kind).toBe('weather')
    expect(asked).toEqual([])
  })

  it.each([
    ['a foreign issuer', `code=c&state=state-1&iss=${encodeURIComponent('https://evil.example')}`],
    ['another state', 'code=c&state=state-2'],
    ['no state', 'code=c'],
    ['two states', 'code=c&state=state-1&state=state-1'],
    ['no code', 'state=state-1'],
    ['two codes', 'code=c&code=d&state=state-1'],
  ])('is not tried for a callback with %s', async (_what, query) => {
    for (const name of ['google', 'github', 'slack'] as const)
      expect((await exchange(name, query)).kind).toBe('untrusted')
    expect(asked).toEqual([])
  })

  it.each(['', `&iss=ORIGIN`])('of GitHub goes on with the right issuer or none (%j)', async (iss) => {
    script = json(200, { access_token: 'gho_a', token_type: 'bearer', scope: 'repo,read:user' })
    const result = await exchange('github', `code=c&state=state-1${iss.replace('ORIGIN', encodeURIComponent(origin))}`)
    expect(result).toMatchObject({
      kind: 'issued',
      identity: null,
      tokens: { refreshToken: null, accessExpiresAt: null, grantedScopes: ['read:user', 'repo'] },
    })
  })

  it('of Slack names team and user', async () => {
    script = json(200, {
      ok: true,
      authed_user: { id: 'U1', access_token: 'xoxp-1', token_type: 'user', scope: 'channels:read' },
      team: { id: 'T1', name: 'Example\u202E' },
    })
    expect(await exchange('slack', 'code=c&state=state-1')).toMatchObject({
      kind: 'issued',
      identity: { subject: 'T1:U1', label: 'Example · U1' },
      tokens: { grantedScopes: ['channels:read'] },
    })
  })

  it.each([
    ['access_denied', 'access_denied'],
    ['temporarily_unavailable', 'temporarily_unavailable'],
    ['Your%20account%20<b>is</b>', 'provider_error'],
  ])('is not tried when the callback says %s', async (error, code) => {
    expect(await exchange('github', `error=${error}&error_description=secret&state=state-1`)).toEqual({
      kind: 'declined',
      code,
    })
    expect(asked).toEqual([])
  })

  it.each([
    [
      'github',
      json(200, { error: 'bad_verification_code' }),
      { kind: 'rejected', code: 'bad_verification_code', status: 200 },
    ],
    [
      'slack',
      json(200, { ok: false, error: 'code_already_used' }),
      { kind: 'rejected', code: 'code_already_used', status: 200 },
    ],
    ['google', json(400, { error: 'invalid_grant' }), { kind: 'permanent', code: 'invalid_grant' }],
    [
      'github',
      json(200, { error: 'incorrect_client_credentials' }),
      { kind: 'app_fault', code: 'incorrect_client_credentials' },
    ],
    ['github', raw(502, '<html>'), { kind: 'unknown_outcome', code: 'http_502', answered: true }],
  ] as const)('of %s reports a refused code as it is', async (name, answer, expected) => {
    script = answer
    expect(await exchange(name, 'code=c&state=state-1')).toEqual(expected)
  })
})

describe('revocation', () => {
  const both = { accessToken: new Secret('access-1'), refreshToken: new Secret('refresh-1') }

  it('at Google names the refresh token, and a dead one is done', async () => {
    script = raw(200, '')
    expect(await client('google').revoke(both, 'grant')).toEqual({ kind: 'revoked' })
    expect(asked[0]?.body).toBe('token=refresh-1')
    script = json(400, { error: 'invalid_token' })
    expect(await client('google').revoke(both, 'grant')).toEqual({ kind: 'revoked' })
  })

  it('at GitHub deletes the grant under our own credentials', async () => {
    script = raw(204, '')
    expect(await client('github').revoke(both, 'grant')).toEqual({ kind: 'revoked' })
    expect(asked).toHaveLength(1)
    expect(asked[0]).toMatchObject({ method: 'DELETE', path: '/revoke/grant', body: '{"access_token":"access-1"}' })
    expect(asked[0]?.headers.authorization).toBe(`Basic ${Buffer.from('client-1:client-secret-1').toString('base64')}`)
  })

  it('at GitHub of the tokens alone ends the access token and the refresh token, and never the grant', async () => {
    script = (one, response) => void response.writeHead(one.method === 'DELETE' ? 204 : 202).end()
    expect(await client('github').revoke(both, 'token')).toEqual({ kind: 'revoked' })
    expect(asked.map(({ method, path, body }) => `${method} ${path} ${body}`)).toEqual([
      'DELETE /revoke/token {"access_token":"access-1"}',
      'POST /api/credentials/revoke {"credentials":["refresh-1"]}',
    ])
    expect(asked[1]?.headers.authorization).toBeUndefined()
    script = (one, response) => void response.writeHead(one.method === 'DELETE' ? 204 : 500).end()
    expect(await client('github').revoke(both, 'token')).toEqual({ kind: 'weather', code: 'http_500' })
  })

  it('at GitHub renews an expired access token first, because the grant is named by a living one', async () => {
    script = (one, response, request) => {
      if (one.path === '/token')
        return json(200, { access_token: 'access-2', token_type: 'bearer' })(one, response, request)
      response.writeHead(one.body.includes('access-2') ? 204 : 404).end()
    }
    expect(await client('github').revoke(both, 'grant')).toEqual({ kind: 'revoked' })
    expect(asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'DELETE /revoke/grant',
      'POST /token',
      'DELETE /revoke/grant',
    ])
  })

  it('at Slack ends the access token and the refresh token', async () => {
    script = json(200, { ok: true, revoked: true })
    expect(await client('slack').revoke(both, 'token')).toEqual({ kind: 'revoked' })
    expect(asked.map(({ headers }) => headers.authorization)).toEqual(['Bearer access-1', 'Bearer refresh-1'])
  })

  it('at Slack goes on to the refresh token when the access token is dead already', async () => {
    script = (one, response, request) =>
      json(200, one.headers.authorization === 'Bearer access-1' ? { ok: false, error: 'token_revoked' } : { ok: true })(
        one,
        response,
        request,
      )
    expect(await client('slack').revoke(both, 'token')).toEqual({ kind: 'revoked' })
    expect(asked).toHaveLength(2)
  })

  it.each([
    ['google', raw(503, '', { 'retry-after': '9' }), { kind: 'weather', code: 'http_503', retryAfterSeconds: 9 }],
    ['github', raw(500, ''), { kind: 'weather', code: 'http_500' }],
    ['github', raw(429, ''), { kind: 'weather', code: 'rate_limited' }],
    ['github', raw(401, ''), { kind: 'app_fault', code: 'http_401' }],
    ['slack', json(200, { ok: false, error: 'ratelimited' }), { kind: 'weather', code: 'ratelimited' }],
    ['slack', json(200, { ok: false, error: 'strange' }), { kind: 'rejected', code: 'http_200', status: 200 }],
    ['slack', raw(200, '<html>'), { kind: 'rejected', code: 'http_200', status: 200 }],
    ['google', json(400, { error: 'strange' }), { kind: 'rejected', code: 'http_400', status: 400 }],
  ] as const)('at %s is not called done for an answer that does not say so', async (name, answer, expected) => {
    script = answer
    expect(await client(name).revoke(both, 'grant')).toEqual(expected)
  })
})

describe('identity', () => {
  it('of GitHub is the number, and the scopes are what the API says they are', async () => {
    script = json(200, { id: 42, login: 'ann', email: null }, { 'x-oauth-scopes': 'repo, read:user' })
    expect(await client('github').identify(new Secret('a'))).toEqual({
      kind: 'known',
      identity: { subject: '42', label: 'ann', email: null },
      grantedScopes: ['read:user', 'repo'],
    })
    expect(asked[0]?.headers.authorization).toBe('Bearer a')
  })

  it('of Slack is organisation or team, and user', async () => {
    script = json(200, { ok: true, user: 'ann', user_id: 'U1', team: 'Example', team_id: 'T1', enterprise_id: 'E1' })
    expect(await client('slack').identify(new Secret('a'))).toMatchObject({
      identity: { subject: 'E1:U1', label: 'ann · Example' },
    })
  })

  it.each([
    [
      'github',
      json(401, { message: 'Bad credentials' }),
      { kind: 'rejected', code: 'http_401', status: 401, refusedToken: {} },
    ],
    ['github', json(200, { login: 'ann' }), { kind: 'rejected', code: 'http_200', status: 200 }],
    [
      'github',
      json(403, { message: 'x' }, { 'x-ratelimit-remaining': '0' }),
      { kind: 'weather', code: 'rate_limited' },
    ],
    [
      'slack',
      json(200, { ok: false, error: 'invalid_auth' }),
      { kind: 'rejected', code: 'invalid_auth', status: 200, refusedToken: {} },
    ],
    [
      'slack',
      json(200, { ok: false, error: 'token_expired' }),
      { kind: 'rejected', code: 'token_expired', status: 200, refusedToken: { documented: 'expired' } },
    ],
    [
      'slack',
      json(200, { ok: false, error: 'token_revoked' }),
      { kind: 'rejected', code: 'token_revoked', status: 200, refusedToken: { documented: 'revoked' } },
    ],
    [
      'slack',
      json(200, { ok: false, error: 'missing_scope' }),
      { kind: 'rejected', code: 'missing_scope', status: 200 },
    ],
    ['google', raw(200, '<html>'), { kind: 'weather', code: 'unreadable_answer' }],
  ] as const)('of %s is not guessed', async (name, answer, expected) => {
    script = answer
    expect(await client(name).identify(new Secret('a'))).toEqual(expected)
  })
})

describe('the registry', () => {
  it('refuses a plain http endpoint that was not allowed by name', () => {
    const make = (allowUnsafe: boolean, allow: string[]) =>
      createProviders({
        config: {
          production: true,
          egress: { allow, allowUnsafe },
          providers: {
            github: {
              clientId: 'c',
              clientSecret: new Secret('s'),
              sandbox: false,
              overrides: { tokenEndpoint: 'http://ghe.test/token' },
            },
          },
        },
        egress,
        clock,
      })
    expect(() => make(false, [])).toThrow(expect.objectContaining({ code: 'config.invalid' }))
    expect(() => make(true, ['http://other.test'])).toThrow(expect.objectContaining({ code: 'config.invalid' }))
    expect(make(true, ['http://ghe.test']).get('github')).toBeDefined()
  })

  it('lists every provider and offers only those with an app', () => {
    const providers = createProviders({
      config: { production: false, egress: { allow: [], allowUnsafe: false }, providers: {} },
      egress,
      clock,
    })
    expect(providers.list().map(({ name, configured }) => [name, configured])).toEqual([
      ...FACES.map(({ name }) => [name, false]),
    ])
    expect(providers.get('github')).toBeUndefined()
    expect(providers.get('__proto__')).toBeUndefined()
  })

  it('sends each API path to the host that serves it', () => {
    const google = createProviders({
      config: {
        production: false,
        egress: { allow: [], allowUnsafe: false },
        providers: { google: { clientId: 'c', clientSecret: new Secret('s'), sandbox: false, overrides: {} } },
      },
      egress,
      clock,
    }).get('google')
    expect(google?.apiUrl('/gmail/v1/users/me/messages').href).toBe(
      'https://gmail.googleapis.com/gmail/v1/users/me/messages',
    )
    expect(google?.apiUrl('/calendar/v3/calendars').href).toBe('https://www.googleapis.com/calendar/v3/calendars')
    expect(client('google').apiUrl('/gmail/v1/x').href).toBe(`${origin}/api/gmail/v1/x`)
  })
})
