import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import { createRetention } from '@/workers/retention'
import { DOCUMENTS, REGISTRATIONS } from '@/lib/testing/client-fixtures'
import {
  approve,
  authorizeUrl,
  begin,
  callTools,
  connect,
  createOauthWorld,
  newPkce,
  post,
  readConsent,
  redeem,
  refresh,
  registerClient,
  type OauthPerson,
  type OauthWorld,
  type TestClient,
} from '@/lib/testing/oauth'

import { createEgress, type Egress } from '../../egress/egress'
import { newId } from '../../ids'
import { createLog } from '../../log'
import { QUOTAS } from '../../tenancy/quotas'
import { OAUTH_RATES } from '../limits'
import { createClientDocuments, isDocumentId } from './document'
import { displayText, judgeRedirect, normaliseClient } from './normalise'

const clock = { at: Date.now(), now: () => new Date(clock.at) }
let world: OauthWorld
let person: OauthPerson
let agent: { readonly id: string; readonly url: string }
beforeAll(async () => {
  world = await createOauthWorld({ clientClock: clock })
  person = await world.newPerson()
  agent = await world.newAgent(person)
})
afterAll(() => world.close())
afterEach(async () => {
  await world.db.adminQuery('app', `DELETE FROM rate_limit`)
})
const sql = (text: string, ...values: unknown[]) => world.db.adminQuery('app', text, values)

const register = async (body: unknown, headers: Record<string, string> = {}) => {
  const response = await fetch(`${world.origin}/oauth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  } // our own answer
}
const minimal = { client_name: 'C', redirect_uris: ['https://app.example/cb'], token_endpoint_auth_method: 'none' }

describe('clients that people use', () => {
  it.each(DOCUMENTS)('$name connects with its document as it is, and refreshes [CD6, AS10, AS1]', async (fixture) => {
    const { url, document, redirectUri, scope, hasKey } = fixture
    world.hosted.set(url, { body: document })
    const { publicKey, privateKey } = await generateKeyPair('RS256')
    world.hosted.set('https://chatgpt.com/oauth/jwks.json', {
      body: { keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'RS256', use: 'sig' }] },
    })
    const client: TestClient = { id: url, secret: undefined, redirectUri }
    const proof = async () =>
      hasKey === undefined
        ? {}
        : {
            client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
            client_assertion: await new SignJWT({ jti: crypto.randomUUID(), iss: url, sub: url, aud: world.origin })
              .setProtectedHeader({ alg: 'RS256', kid: 'k' })
              .setIssuedAt()
              .setExpirationTime('1m')
              .sign(privateKey),
          }
    const pkce = newPkce()
    const request = authorizeUrl(client, pkce, {
      resource: agent.url,
      ...(scope === undefined ? {} : { scope, prompt: 'consent' }),
    })
    const back = await approve(person.browser, request)
    expect(`${back.protocol}//${back.host}${back.pathname}`).toBe(redirectUri)
    const code = back.searchParams.get('code') ?? ''
    const tokens = await redeem(world, client, code, pkce, { resource: agent.url, ...(await proof()) })
    expect(tokens).toMatchObject({ status: 200, body: { scope: 'mcp:read mcp:write' } })
    expect((await callTools(agent.url, tokens.body['access_token'])).status).toBe(200)
    const next = await refresh(world, client, tokens.body['refresh_token'], { resource: agent.url, ...(await proof()) })
    expect(next.status).toBe(200)
    if (hasKey === true)
      expect(await refresh(world, client, next.body['refresh_token'])).toMatchObject({
        status: 401,
        body: { error: 'invalid_client' },
      })
  })

  it.each(REGISTRATIONS)(
    '$name connects with its registration as it is, and refreshes [CD6, AS11, AS7]',
    async (fixture) => {
      const { metadata, redirectUri, scope } = fixture
      const client = { ...(await registerClient(world, metadata)), redirectUri }
      const pkce = newPkce()
      const request = authorizeUrl(client, pkce, {
        resource: agent.url,
        ...(scope === undefined ? {} : { scope, prompt: 'consent' }),
      })
      const back = await approve(person.browser, request)
      expect(back.href.startsWith(redirectUri)).toBe(true)
      const tokens = await redeem(world, client, back.searchParams.get('code') ?? '', pkce, { resource: agent.url })
      expect(tokens.status).toBe(200)
      expect((await refresh(world, client, tokens.body['refresh_token'])).status).toBe(200)
    },
  )
})

describe('a registration', () => {
  it('answers with everything that was kept, not to be stored, for any page [RG1, AS20]', async () => {
    const { status, headers, body } = await register({
      ...minimal,
      application_type: 'web',
      tos_uri: 'https://x.example',
      made_up: 1,
    })
    expect(status).toBe(201)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('access-control-allow-origin')).toBe('*')
    expect(body).toEqual({
      client_id: expect.stringMatching(/^cli_/) as string,
      client_id_issued_at: expect.any(Number) as number,
      client_name: 'C',
      application_type: 'web',
      redirect_uris: ['https://app.example/cb'],
      grant_types: ['authorization_code'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    })
  })

  it('gives a secret once, and keeps its hash alone [RG1, TK5]', async () => {
    const unsaid = { client_name: 'C', redirect_uris: ['https://app.example/cb'] }
    const { body } = await register(unsaid)
    expect(body).toMatchObject({ token_endpoint_auth_method: 'client_secret_basic', client_secret_expires_at: 0 })
    const secret = String(body['client_secret'])
    expect(secret).toMatch(/^pco_[\w-]{43}$/)
    const [row] = await sql('SELECT c::text AS row FROM oauth_client c WHERE id = $1', body['client_id'])
    expect(String(row?.['row'])).not.toContain(secret.slice(4))
  })

  const refused: [string, unknown, string][] = [
    ['no addresses', { client_name: 'C' }, 'invalid_redirect_uri'],
    ['an empty list of them', { ...minimal, redirect_uris: [] }, 'invalid_redirect_uri'],
    [
      'eleven of them',
      { ...minimal, redirect_uris: Array.from({ length: 11 }, (_, n) => `https://a.example/${n}`) },
      'invalid_redirect_uri',
    ],
    [
      'one that is too long',
      { ...minimal, redirect_uris: [`https://a.example/${'x'.repeat(2_048)}`] },
      'invalid_redirect_uri',
    ],
    ['one that is no text', { ...minimal, redirect_uris: [{ toString: 'x' }] }, 'invalid_redirect_uri'],
    ['a method nobody knows', { ...minimal, token_endpoint_auth_method: 'tls_client_auth' }, 'invalid_client_metadata'],
    [
      'a key method without keys',
      { ...minimal, token_endpoint_auth_method: 'private_key_jwt' },
      'invalid_client_metadata',
    ],
    [
      'the implicit grant alone',
      { ...minimal, grant_types: ['implicit'], response_types: ['token'] },
      'invalid_client_metadata',
    ],
    [
      'a private key',
      { ...minimal, token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [{ kty: 'EC', d: 'x' }] } },
      'invalid_client_metadata',
    ],
    [
      'a key set at http',
      { ...minimal, token_endpoint_auth_method: 'private_key_jwt', jwks_uri: 'http://a.example/jwks' },
      'invalid_client_metadata',
    ],
    ['a list', [minimal], 'invalid_client_metadata'],
    ['no JSON', '{', 'invalid_client_metadata'],
  ]
  it.each(refused)('with %s is refused [RG2, RG1]', async (_name, body, error) => {
    const answer = await register(body)
    expect(answer).toMatchObject({ status: 400, body: { error } })
    expect(answer.headers.get('cache-control')).toBe('no-store')
  })

  const dangerous = [
    'javascript:alert(1)',
    'JavaScript:alert(1)',
    ' javascript:alert(1)',
    'java\nscript:alert(1)',
    'java\tscript:alert(1)',
    'data:text/html,<script>alert(1)</script>',
    'vbscript:x',
    'file:///etc/passwd',
    'blob:https://a.example/x',
    'about:blank',
    'filesystem:https://a.example/x',
    'view-source:https://a.example',
    'ws://a.example/',
    'intent://a#Intent;end',
    'http://a.example/cb',
    'http://10.0.0.1/cb',
    'http://127.0.0.1.evil.example/cb',
    'http://user@127.0.0.1/cb',
    'https://user:pw@a.example/cb',
    'https://a.example/cb#fragment',
    'https://*.example/cb',
    'https://a.example\\@evil.example/cb',
    'https:',
    '//a.example/cb',
    '/cb',
    '',
  ]
  it.each(dangerous)('with the address %j is refused, beside a good one too [RG2, AS7]', async (uri) => {
    const answer = await register({ ...minimal, redirect_uris: ['https://app.example/cb', uri] })
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_redirect_uri' } })
    expect(judgeRedirect(uri).kind).toBe('refused')
  })

  it('keeps the rest when a private scheme has no owner that it names [AS7]', async () => {
    const uris = ['myapp://cb', 'com.example.app:/cb', 'https://app.example/cb']
    expect((await register({ ...minimal, redirect_uris: uris })).body['redirect_uris']).toEqual([
      'com.example.app:/cb',
      'https://app.example/cb',
    ])
    expect(await register({ ...minimal, redirect_uris: ['myapp://cb'] })).toMatchObject({
      status: 400,
      body: { error: 'invalid_redirect_uri' },
    })
  })

  it('is called native by its addresses, whatever it says or does not say [AS6]', async () => {
    const native = { ...minimal, application_type: 'web', redirect_uris: ['http://localhost:1/cb'] }
    expect((await register(native)).body['application_type']).toBe('native')
    expect((await register({ ...minimal, application_type: 'native' })).body['application_type']).toBe('web')
  })

  it('takes JSON of sixteen kilobytes by POST [RG3, TK8]', async () => {
    const big = await fetch(`${world.origin}/oauth/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...minimal, x: 'x'.repeat(17_000) }),
    })
    expect(big.status).toBe(413)
    expect((await fetch(`${world.origin}/oauth/register`)).status).toBe(405)
    expect((await register(JSON.stringify(minimal), { 'content-type': 'text/plain' })).status).toBe(400)
  })

  it('of one network is bounded, and another network goes on [RG3]', async () => {
    const from = (network: string) => register(minimal, { 'x-forwarded-for': network })
    const { points } = OAUTH_RATES.register.network
    const answers = await Promise.all(Array.from({ length: points + 5 }, () => from('198.51.100.7')))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(points)
    const [late] = answers.filter(({ status }) => status === 429)
    expect(Number(late?.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await from('203.0.113.9')).status).toBe(201)
  })

  it('is bounded altogether: when too many wait for approval nobody registers [RG3]', async () => {
    await sql(
      `INSERT INTO oauth_client (id, kind, metadata, expires_at) SELECT 'flood_' || n, 'registered', '{}', now() + interval '1 hour' FROM generate_series(1, 10000) n`,
    )
    expect((await register(minimal)).status).toBe(429)
    await sql(`DELETE FROM oauth_client WHERE id LIKE 'flood_%'`)
    expect((await register(minimal)).status).toBe(201)
  })

  it('that nobody approved is over after a day and deleted; an approved one after ninety days without use [RG3]', async () => {
    const unused = await registerClient(world)
    const used = await registerClient(world)
    const { tokens } = await connect(world, person, agent.url, used)
    const days = async (id: string) => {
      const [row] = await sql(
        'SELECT round(extract(epoch FROM expires_at - now()) / 86400)::int AS days FROM oauth_client WHERE id = $1',
        id,
      )
      return row?.['days']
    }
    expect([await days(unused.id), await days(used.id)]).toEqual([1, 90])
    await sql(`UPDATE oauth_client SET expires_at = now() - interval '25 hours' WHERE id = $1`, unused.id)
    const request = authorizeUrl(unused, newPkce(), { resource: agent.url })
    expect((await person.browser.go(request)).status).toBe(400)
    await createRetention({ appDb: world.db.app, log: createLog('test', 'silent') })()
    expect(await sql('SELECT 1 FROM oauth_client WHERE id = $1', unused.id)).toEqual([])
    expect((await refresh(world, used, tokens.body['refresh_token'])).status).toBe(200)
  })
})

describe('what a client calls itself', () => {
  const shown: [unknown, string | undefined][] = [
    ['Claude', 'Claude'],
    ['  a\n\tb  ', 'a b'],
    ['Cla\u200bude', 'Claude'],
    ['\u202eedualC', 'edualC'],
    ['Claude\u2066 (verified)\u2069', 'Claude (verified)'],
    ['a\u0000b\u001b[31m', 'a b [31m'],
    ['\ufb01le \uff21', 'file A'],
    ['z' + '\u0301'.repeat(50), 'z' + '\u0301'.repeat(4)],
    ['x'.repeat(10_000), 'x'.repeat(80)],
    ['\u200b\u202e\ue000', undefined],
    ['', undefined],
    [42, undefined],
    [{ toString: () => 'Claude' }, undefined],
  ]
  it.each(shown)('%j is shown as %j [RG4]', (given, text) => {
    // Composition may join a letter with its first mark.
    expect(displayText(given, 80)?.normalize('NFD')).toBe(text?.normalize('NFD'))
  })

  it('reaches the consent, the session and the record in that form, as text [RG4, AS16]', async () => {
    const client = await registerClient(world, { client_name: '<img src=x onerror=alert(1)>\u202e\nGoogle' })
    const uid = await begin(person.browser, authorizeUrl(client, newPkce(), { resource: agent.url }))
    expect(await readConsent(person.browser, uid)).toMatchObject({
      client: { name: '<img src=x onerror=alert(1)> Google' },
    })
    await connect(world, person, agent.url, client)
    const [row] = await sql('SELECT client_name, label FROM agent_session WHERE client_id = $1', client.id)
    expect(row).toEqual({
      client_name: '<img src=x onerror=alert(1)> Google',
      label: '<img src=x onerror=alert(1)> Google',
    })
  })

  it('may be nothing in a registration, and is then called so [RG4]', () => {
    expect(normaliseClient('registered', { redirect_uris: ['https://a.example/'] })).toMatchObject({
      client: { client_name: 'A client without a name' },
    })
  })
})

describe('a client that is a URL', () => {
  const good = (url: string, more: object = {}) => ({
    client_id: url,
    client_name: 'Documented',
    redirect_uris: ['https://app.example/cb'],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
    ...more,
  })
  const fresh = () => `https://docs.example/${newId('oauthClient')}`

  const ids: [string, boolean][] = [
    ['https://a.example/client', true],
    ['https://a.example:8443/client.json', true],
    ['https://a.example/client?x=1', true],
    ['https://a.example/.well-known/client', true],
    ['http://a.example/client', false],
    ['https://a.example', false],
    ['https://a.example/', false],
    ['https://a.example/x/../client', false],
    ['https://a.example/./client', false],
    ['https://a.example/%2e%2e/client', false],
    ['https://a.example/.%2E/client', false],
    ['https://a.example/client#x', false],
    ['https://u@a.example/client', false],
    ['https://u:p@a.example/client', false],
    ['https://a.example\\@b.example/client', false],
    ['https://a.example/cli ent', false],
    ['https://a.example/cli\nent', false],
    ['HTTPS://a.example/client', false],
    [`https://a.example/${'x'.repeat(1_024)}`, false],
    ['ocl_1', false],
  ]
  it.each(ids)('%s may be one: %s [CD1]', (id, isOne) => {
    expect(isDocumentId(id)).toBe(isOne)
  })

  const bad: [string, (url: string) => Record<string, unknown> & { body?: unknown }][] = [
    ['another id', () => ({ body: good('https://docs.example/other') })],
    ['its id with a slash more', (url) => ({ body: good(`${url}/`) })],
    ['no id', (url) => ({ body: { ...good(url), client_id: undefined } })],
    ['a secret', (url) => ({ body: good(url, { client_secret: 'x' }) })],
    ['a method with a secret', (url) => ({ body: good(url, { token_endpoint_auth_method: 'client_secret_post' }) })],
    ['no name', (url) => ({ body: good(url, { client_name: '' }) })],
    ['no addresses', (url) => ({ body: good(url, { redirect_uris: [] }) })],
    ['an address that runs', (url) => ({ body: good(url, { redirect_uris: ['javascript:alert(1)'] }) })],
    ['a redirect', (url) => ({ status: 302, headers: { location: url }, body: good(url) })],
    ['an error page', (url) => ({ status: 404, body: good(url) })],
    ['another status', (url) => ({ status: 203, body: good(url) })],
    ['a page', (url) => ({ type: 'text/html', body: good(url) })],
    ['a list', (url) => ({ body: [good(url)] })],
    ['no JSON', () => ({ body: '{' })],
  ]
  it.each(bad)('whose document has %s is unknown [CD3, CD2, AS8]', async (_name, make) => {
    const url = fresh()
    world.hosted.set(url, { body: '', ...make(url) })
    const request = authorizeUrl({ id: url, redirectUri: 'https://app.example/cb' }, newPkce(), { resource: agent.url })
    const response = await person.browser.go(request)
    expect([response.status, response.headers.get('location')]).toEqual([400, null])
    // Nothing of it is remembered: the next try, after the host put it right, works.
    world.hosted.set(url, { body: good(url) })
    await begin(person.browser, request)
  })

  it('is fetched once while it is fresh, and not asked more than its host wants [CD4]', async () => {
    const url = fresh()
    world.hosted.set(url, { body: good(url), headers: { 'cache-control': 'max-age=999999999' } })
    const request = () =>
      authorizeUrl({ id: url, redirectUri: 'https://app.example/cb' }, newPkce(), { resource: agent.url })
    const count = () => world.fetched.filter((one) => one === url).length
    await Promise.all(Array.from({ length: 5 }, () => begin(person.browser, request())))
    expect(count()).toBe(1)
    clock.at += 23 * 3_600_000
    await begin(person.browser, request())
    expect(count()).toBe(1)
    clock.at += 2 * 3_600_000
    await begin(person.browser, request())
    expect(count()).toBe(2)
  })

  it('is looked at again after five minutes when its host says nothing, and kept a week when the host fails [CD4]', async () => {
    const url = fresh()
    world.hosted.set(url, { body: good(url), headers: { 'cache-control': 'no-store' } })
    const client: TestClient = { id: url, secret: undefined, redirectUri: 'https://app.example/cb' }
    const { tokens } = await connect(world, person, agent.url, client)
    const before = world.fetched.length
    clock.at += 4 * 60_000
    const second = await refresh(world, client, tokens.body['refresh_token'])
    expect([second.status, world.fetched.length]).toEqual([200, before])
    clock.at += 2 * 60_000
    world.hosted.set(url, { status: 503, body: 'busy' })
    const third = await refresh(world, client, second.body['refresh_token'])
    expect(third.status).toBe(200)
    expect(world.fetched.length).toBeGreaterThan(before)
    world.hosted.delete(url)
    clock.at += 6 * 86_400_000
    const fourth = await refresh(world, client, third.body['refresh_token'])
    expect(fourth.status).toBe(200)
    clock.at += 2 * 86_400_000
    expect(await refresh(world, client, fourth.body['refresh_token'])).toMatchObject({
      status: 401,
      body: { error: 'invalid_client' },
    })
  })

  const changes: [string, object][] = [
    ['its name', { client_name: 'Somebody else' }],
    ['an address', { redirect_uris: ['https://app.example/cb', 'https://evil.example/cb'] }],
    [
      'its keys',
      {
        token_endpoint_auth_methods_supported: ['none'],
        token_endpoint_auth_method: 'private_key_jwt',
        jwks_uri: 'https://docs.example/jwks',
      },
    ],
  ]
  it.each(changes)('that changes %s is asked about again, and what it had ends [CD5, AS12]', async (_name, change) => {
    const url = fresh()
    world.hosted.set(url, { body: good(url) })
    const client: TestClient = { id: url, secret: undefined, redirectUri: 'https://app.example/cb' }
    const { tokens } = await connect(world, person, agent.url, client)
    world.hosted.set(url, { body: good(url, change) })
    clock.at += 10 * 60_000
    const answer = await refresh(world, client, tokens.body['refresh_token'])
    expect(answer.status).toBeGreaterThanOrEqual(400)
    world.hosted.set(url, { body: good(url) })
    clock.at += 10 * 60_000
    expect((await connect(world, person, agent.url, client)).tokens.status).toBe(200)
  })

  it('that changes while its consent is open is not approved as it was shown [CD5, AZ6]', async () => {
    const url = fresh()
    world.hosted.set(url, { body: good(url) })
    const request = authorizeUrl({ id: url, redirectUri: 'https://app.example/cb' }, newPkce(), { resource: agent.url })
    const uid = await begin(person.browser, request)
    const { proof } = await readConsent(person.browser, uid)
    world.hosted.set(url, { body: good(url, { client_name: 'Somebody else' }) })
    clock.at += 10 * 60_000
    const response = await person.browser.go(`/oauth/authorize/${uid}/consent`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ decision: 'approve', proof }),
    })
    expect(response.status).toBe(403)
  })

  it('is shown with the host of its id, not with what resembles it [AS16]', async () => {
    const url = 'https://claude.ai.evil.example/oauth/client'
    world.hosted.set(url, { body: good(url, { client_name: 'Claude', redirect_uris: ['http://localhost/callback'] }) })
    const request = authorizeUrl({ id: url, redirectUri: 'http://localhost:9/callback' }, newPkce(), {
      resource: agent.url,
    })
    const uid = await begin(person.browser, request)
    expect(await readConsent(person.browser, uid)).toMatchObject({
      client: { name: 'Claude', idHost: 'claude.ai.evil.example', source: 'document', isLocalOnly: true },
    })
  })

  it('makes us fetch a bounded number of addresses for one network [RG3, CD2]', async () => {
    const { points } = OAUTH_RATES.document.network
    const before = world.fetched.length
    await Promise.all(
      Array.from({ length: points + 10 }, () =>
        fetch(world.origin + authorizeUrl({ id: fresh(), redirectUri: 'https://app.example/cb' }, newPkce()), {
          redirect: 'manual',
          headers: { 'x-forwarded-for': '198.51.100.8' },
        }),
      ),
    )
    expect(world.fetched.length - before).toBe(points)
  })
})

describe('the fetch of a document', () => {
  const closing: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const close of closing.splice(0)) await close()
  })
  const listen = async (listener: RequestListener) => {
    const server = createServer(listener)
    let connections = 0
    server.on('connection', () => (connections += 1))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    closing.push(() => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(resolve))
    })
    const { port } = server.address() as AddressInfo // it listens on a port
    return { port, origin: `http://127.0.0.1:${port}`, connections: () => connections }
  }
  const egressWith = (options: Partial<Parameters<typeof createEgress>[0]>): Egress => {
    const egress = createEgress({ allow: [], allowUnsafe: false, production: true, ...options })
    closing.push(() => egress.close())
    return egress
  }

  const hosts = [
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '0.0.0.0',
    'localhost',
    'localhost.',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '[fc00::1]',
    '[fe80::1]',
    '10.0.0.1',
    '172.16.0.1',
    '192.168.0.1',
    '169.254.169.254',
    '100.64.0.1',
    'one.private.example',
    'mixed.example',
  ]
  it.each(hosts)('from %s does not happen [CD2]', async (host) => {
    const target = await listen((_request, response) => response.end('{}'))
    const egress = egressWith({
      resolver: (name) =>
        Promise.resolve(
          name === 'mixed.example'
            ? [
                { address: '93.184.216.34', family: 4 },
                { address: '127.0.0.1', family: 4 },
              ]
            : [{ address: '127.0.0.1', family: 4 }],
        ),
    })
    const documents = createClientDocuments({ egress, clock })
    expect(await documents.find(`https://${host}:${target.port}/client`)).toBeUndefined()
    expect(target.connections()).toBe(0)
  })

  /** Speaks https as far as the document is concerned. */
  const through = (egress: Egress, origin: string): Pick<Egress, 'request'> => ({
    request: (url, options) => egress.request(String(url).replace('https://docs.example', origin), options),
  })
  const find = async (listener: RequestListener) => {
    const host = await listen(listener)
    const egress = egressWith({ allow: [host.origin], allowUnsafe: true, production: false })
    const documents = createClientDocuments({ egress: through(egress, host.origin), clock })
    return { client: await documents.find('https://docs.example/client'), host }
  }
  const body = JSON.stringify({
    client_id: 'https://docs.example/client',
    client_name: 'D',
    redirect_uris: ['https://a.example/'],
  })

  it('asks once, for JSON, and takes it [CD2]', async () => {
    let accept: string | undefined
    const { client } = await find((request, response) => {
      accept = request.headers.accept
      response.writeHead(200, { 'content-type': 'application/cimd+json' }).end(body)
    })
    expect(client).toMatchObject({ client_name: 'D' })
    expect(accept).toBe('application/json')
  })

  it('follows no redirect [CD2]', async () => {
    const inside = await listen((_request, response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end(body),
    )
    const { client } = await find((_request, response) =>
      response.writeHead(302, { location: `${inside.origin}/client` }).end(),
    )
    expect(client).toBeUndefined()
    expect(inside.connections()).toBe(0)
  })

  it('takes sixteen kilobytes and not one more, packed or not [CD2]', async () => {
    const padded = (length: number) => JSON.stringify({ ...(JSON.parse(body) as object), x: 'x'.repeat(length) })
    const long = await find((_request, response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end(padded(16_384)),
    )
    expect(long.client).toBeUndefined()
    const { gzipSync } = await import('node:zlib')
    const bomb = await find((_request, response) =>
      response
        .writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
        .end(gzipSync(padded(10_000_000))),
    )
    expect(bomb.client).toBeUndefined()
    const fits = await find((_request, response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end(padded(15_000)),
    )
    expect(fits.client).toBeDefined()
  })

  it('ends after five seconds, however slowly the host goes on [CD2]', { timeout: 15_000 }, async () => {
    const startedAt = performance.now()
    const { client } = await find((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      const drip = setInterval(() => response.write(' '), 200)
      response.on('close', () => clearInterval(drip))
    })
    expect(client).toBeUndefined()
    expect(performance.now() - startedAt).toBeLessThan(8_000)
  })
})

describe('a manual client', () => {
  it('has a limit that twenty who make the last one at once do not pass', async () => {
    const person = await world.newPerson()
    await world.db.adminQuery(
      'app',
      `INSERT INTO oauth_client (id, kind, metadata, tenant_id, expires_at)
       SELECT 'ocl_' || lpad(to_hex(n) || substr(md5($1), 1, 8), 26, '0'), 'manual', '{}', $1, now() + interval '1 day'
         FROM generate_series(1, $2::int) n`,
      [person.principal.tenantId, QUOTAS.clients.most - 1],
    )
    const make = () =>
      world.oauth.clients.create(person.principal, {
        name: 'Last',
        redirectUris: ['https://app.example/cb'],
        authMethod: 'none',
      })
    // Connections that are open already, so that they do begin together.
    await Promise.all(Array.from({ length: 10 }, () => world.db.app.global.$queryRaw`SELECT pg_sleep(0.1)::text`))
    const made = await Promise.allSettled(Array.from({ length: 20 }, make))
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    const refusals = made.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []))
    expect(new Set(refusals)).toEqual(
      new Set([`AppError: A workspace has at most ${QUOTAS.clients.most} OAuth clients. Revoke one first.`]),
    )
  })

  it('of a workspace works for its members and its agents alone [AZ4, AS1]', async () => {
    const made = await world.oauth.clients.create(person.principal, {
      name: 'Own',
      redirectUris: ['https://own.example/cb'],
      authMethod: 'client_secret_post',
    })
    const client: TestClient = { id: made.id, secret: made.secret?.reveal(), redirectUri: 'https://own.example/cb' }
    expect((await connect(world, person, agent.url, client)).tokens.status).toBe(200)
    const stranger = await world.newPerson()
    const theirs = await world.newAgent(stranger)
    const uid = await begin(stranger.browser, authorizeUrl(client, newPkce(), { resource: theirs.url }))
    expect(await readConsent(stranger.browser, uid)).toMatchObject({ kind: 'refused', reason: 'foreign_client' })
    await expect(world.oauth.clients.revoke(stranger.principal, made.id)).rejects.toMatchObject({
      code: 'resource.not_found',
    })
    expect(await world.oauth.clients.list(stranger.principal)).toEqual([])
    await world.oauth.clients.revoke(person.principal, made.id)
    const answer = await post(world, '/oauth/token', {
      grant_type: 'refresh_token',
      client_id: made.id,
      client_secret: client.secret,
      refresh_token: 'x',
    })
    expect(answer).toMatchObject({ status: 401, body: { error: 'invalid_client' } })
    await world.audit.drain()
    const records = await sql(
      `SELECT action, actor_kind, sealed IS NOT NULL AS sealed FROM audit_record WHERE target_id = $1 ORDER BY occurred_at`,
      made.id,
    )
    expect(records).toEqual([
      { action: 'client.created', actor_kind: 'person', sealed: true },
      { action: 'client.revoked', actor_kind: 'person', sealed: true },
    ])
  })
})
