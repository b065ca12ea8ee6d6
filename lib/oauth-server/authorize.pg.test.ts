import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import {
  answerConsent,
  approve,
  authorizeUrl,
  begin,
  Browser,
  CALLBACK,
  connect,
  consentPath,
  createOauthWorld,
  finish,
  newPkce,
  readConsent,
  redeem,
  registerClient,
  type OauthPerson,
  type OauthWorld,
  type TestClient,
} from '@/lib/testing/oauth'

import { newId } from '../ids'

let world: OauthWorld
let person: OauthPerson
let agent: { readonly id: string; readonly url: string }
let client: TestClient
beforeAll(async () => {
  world = await createOauthWorld()
  person = await world.newPerson()
  agent = await world.newAgent(person)
  await world.newConnection(person, 'github', 'octocat')
  client = await registerClient(world)
})
afterAll(() => world.close())

const urlWith = (fields: Record<string, string | undefined>, from: Pick<TestClient, 'id' | 'redirectUri'> = client) =>
  authorizeUrl(from, newPkce(), { resource: agent.url, ...fields })
const go = (url: string, init?: RequestInit) => person.browser.go(url, init)

/** Comes back to the client with an error. */
async function errorOf(url: string): Promise<Record<string, string>> {
  const response = await go(url)
  const location = new URL(response.headers.get('location') ?? 'about:blank')
  expect([response.status, location.origin + location.pathname]).toEqual([303, CALLBACK])
  // Where a client asked for what would come in a fragment, it looks for errors there too (RFC 6749 §4.2.2.1).
  const query = location.hash === '' ? location.searchParams : new URLSearchParams(location.hash.slice(1))
  return Object.fromEntries(query)
}

/** Ends on a page of ours that leads nowhere. */
async function expectPage(url: string, code: string): Promise<void> {
  const response = await go(url)
  const text = await response.text()
  expect([url, response.status]).toEqual([url, response.status === 401 ? 401 : 400])
  expect(response.headers.get('location')).toBeNull()
  expect(response.headers.get('content-type')).toMatch(/^text\/html/)
  expect(response.headers.get('content-security-policy')).toMatch(/default-src 'none'.*frame-ancestors 'none'/)
  expect(response.headers.get('cache-control')).toBe('no-store')
  expect(text).toContain(`<code>${code}`)
  expect(text).not.toMatch(/<a |<form|<script|<meta http-equiv|<img/i)
}

describe('the metadata of the server', () => {
  it('is where RFC 8414 says, with the origin as issuer, and names what works and nothing else [AS2, AS3, AS4, AS10, AS11]', async () => {
    const response = await fetch(`${world.origin}/.well-known/oauth-authorization-server`)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toMatch(/^application\/json/)
    expect(response.headers.get('access-control-allow-origin')).toBe('*')
    const at = (path: string) => `${world.origin}/oauth/${path}`
    expect(await response.json()).toEqual({
      issuer: world.origin,
      authorization_endpoint: at('authorize'),
      token_endpoint: at('token'),
      registration_endpoint: at('register'),
      revocation_endpoint: at('revoke'),
      introspection_endpoint: at('introspect'),
      response_types_supported: ['code'],
      response_modes_supported: ['query'],
      grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials'],
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
      token_endpoint_auth_signing_alg_values_supported: ['RS256', 'PS256', 'ES256', 'EdDSA'],
      revocation_endpoint_auth_methods_supported: [
        'none',
        'client_secret_basic',
        'client_secret_post',
        'private_key_jwt',
      ],
      revocation_endpoint_auth_signing_alg_values_supported: ['RS256', 'PS256', 'ES256', 'EdDSA'],
      introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
      introspection_endpoint_auth_signing_alg_values_supported: ['RS256', 'PS256', 'ES256', 'EdDSA'],
      scopes_supported: ['mcp:read', 'mcp:write', 'offline_access'],
      authorization_response_iss_parameter_supported: true,
      client_id_metadata_document_supported: true,
    })
  })

  it('does not claim OpenID Connect, and what the library could do besides is not there [AS2]', async () => {
    for (const path of [
      '/.well-known/openid-configuration',
      '/.well-known/openid-configuration/mcp/x',
      '/.well-known/oauth-authorization-server/mcp/x',
      '/oauth/jwks',
      '/oauth/userinfo',
      '/oauth/me',
      '/oauth/request',
      '/oauth/device',
      '/oauth/backchannel',
      '/oauth/session/end',
      '/oauth/authorize/x/y',
    ])
      expect([path, (await fetch(world.origin + path)).status]).toEqual([path, 404])
  })
})

describe('an authorization request', () => {
  const challenges: [string, Record<string, string | undefined>][] = [
    ['no challenge', { code_challenge: undefined, code_challenge_method: undefined }],
    ['a plain challenge', { code_challenge_method: 'plain' }],
    ['a challenge without a method, which would be plain', { code_challenge_method: undefined }],
    ['a method without a challenge', { code_challenge: undefined }],
    ['an unknown method', { code_challenge_method: 's256' }],
    ['a challenge that is no hash', { code_challenge: 'short' }],
    ['an empty challenge', { code_challenge: '' }],
  ]
  it.each(challenges)('with %s is refused, to the client, by the issuer [AS5, AS9]', async (_name, fields) => {
    expect(await errorOf(urlWith(fields))).toMatchObject({
      error: 'invalid_request',
      state: 'st4te',
      iss: world.origin,
    })
  })

  it.each(['token', 'id_token', 'code token', 'code id_token', 'none'])(
    'for %s is refused, to the client, by the issuer [AZ2, AS9]',
    async (response_type) => {
      const error = await errorOf(urlWith({ response_type }))
      expect(error).toMatchObject({ error: 'unsupported_response_type', iss: world.origin })
    },
  )

  it.each(['fragment', 'form_post', 'web_message', 'jwt', 'x'])(
    'to be answered by %s is refused [AZ2]',
    async (response_mode) => {
      expect(await errorOf(urlWith({ response_mode }))).toMatchObject({ iss: world.origin, state: 'st4te' })
    },
  )

  it.each(['client_id', 'redirect_uri', 'state', 'scope', 'code_challenge', 'response_type'])(
    'with %s twice is refused [AZ1]',
    async (name) => {
      const twice = `${urlWith({})}&${name}=evil`
      const response = await go(twice)
      const location = response.headers.get('location')
      expect(location ?? '').not.toContain('/consent/')
      if (location === null) expect(response.status).toBe(400)
      else {
        expect(location.startsWith(`${CALLBACK}?`)).toBe(true)
        expect(new URL(location).searchParams.get('error')).toBe('invalid_request')
      }
    },
  )

  const elsewhere: [string, string][] = [
    ['another path', 'http://127.0.0.1:33418/callback2'],
    ['a longer path', 'http://127.0.0.1:33418/callback/x'],
    ['a path in capitals', 'http://127.0.0.1:33418/Callback'],
    ['a trailing slash', 'http://127.0.0.1:33418/callback/'],
    ['dots', 'http://127.0.0.1:33418/x/../callback'],
    ['encoded dots', 'http://127.0.0.1:33418/x/%2e%2e/callback'],
    ['an encoded letter', 'http://127.0.0.1:33418/%63allback'],
    ['a query', 'http://127.0.0.1:33418/callback?x=1'],
    ['a fragment', 'http://127.0.0.1:33418/callback#x'],
    ['a user name', 'http://evil@127.0.0.1:33418/callback'],
    ['a host behind a user name', 'http://127.0.0.1:33418@evil.example/callback'],
    ['a host that begins alike', 'http://127.0.0.1.evil.example:33418/callback'],
    ['the name instead of the number', 'http://localhost:33418/callback'],
    ['a number written otherwise', 'http://127.1:33418/callback'],
    ['a backslash', 'http://127.0.0.1:33418\\@evil.example/callback'],
    ['https', 'https://127.0.0.1:33418/callback'],
    ['a scheme in capitals', 'HTTP://127.0.0.1:33418/callback'],
    ['another host', 'https://evil.example/callback'],
    ['a scheme that runs', 'javascript:alert(1)//127.0.0.1:33418/callback'],
    ['a newline', 'http://127.0.0.1:33418/callback\n'],
    ['a tab', 'http://127.0.0.1:33418/call\tback'],
    ['nothing but a slash', '/callback'],
  ]
  it.each(elsewhere)('to %s is a page and goes nowhere [AS6, AS8, AZ8]', async (_name, redirect_uri) => {
    const response = await go(urlWith({ redirect_uri }))
    expect(response.status).toBe(400)
    expect(response.headers.get('location')).toBeNull()
    expect(await response.text()).not.toMatch(/<a |<script|<meta http-equiv/i)
  })

  it.each(['http://127.0.0.1/callback', 'http://127.0.0.1:1/callback', 'http://127.0.0.1:65535/callback'])(
    'of a native client may come back to any port of its machine: %s [AS6]',
    async (redirect_uri) => {
      const back = await approve(person.browser, urlWith({ redirect_uri }))
      expect(back.href.startsWith(new URL(redirect_uri).href)).toBe(true)
    },
  )

  it('of a client on the web comes back to its port alone [AS6]', async () => {
    const web = await registerClient(world, {
      redirect_uris: ['https://app.example/cb', 'https://app.example:8443/cb'],
    })
    for (const redirect_uri of [
      'https://app.example:444/cb',
      'https://app.example:443/cb',
      'https://sub.app.example/cb',
    ])
      await expectPage(urlWith({ redirect_uri }, web), 'invalid_redirect_uri')
    await begin(person.browser, urlWith({ redirect_uri: 'https://app.example:8443/cb' }, web))
  })

  it('of the web part of a mixed client has no exception for ports either [AS6]', async () => {
    const mixed = await registerClient(world, { redirect_uris: [CALLBACK, 'https://app.example/cb'] })
    await expectPage(urlWith({ redirect_uri: 'https://app.example:444/cb' }, mixed), 'invalid_redirect_uri')
  })

  it('without an address takes the only one that is registered [AS6]', async () => {
    const uid = await begin(person.browser, urlWith({ redirect_uri: undefined }))
    expect(await readConsent(person.browser, uid)).toMatchObject({ client: { redirectUri: CALLBACK } })
    const two = await registerClient(world, { redirect_uris: ['https://a.example/cb', 'https://b.example/cb'] })
    await expectPage(urlWith({ redirect_uri: undefined }, two), 'invalid_request')
  })

  it('of an unknown client is a page [AS8, AZ8]', async () => {
    for (const id of [
      'nobody',
      newId('oauthClient'),
      '',
      'https://unreachable.example/client',
      '<script>alert(1)</script>',
    ]) {
      const response = await go(urlWith({}, { id, redirectUri: 'https://evil.example/cb' }))
      expect(response.headers.get('location')).toBeNull()
      expect(response.status).toBe(400)
      expect(await response.text()).not.toContain('<script>')
    }
  })

  it('with an error is never sent to an address that was not checked [AS8]', async () => {
    for (const fields of [
      { response_type: 'token' },
      { code_challenge: undefined },
      { scope: 'mcp:admin' },
      { prompt: 'none' },
    ])
      await expectPage(urlWith({ ...fields, redirect_uri: 'https://evil.example/cb' }), 'invalid_redirect_uri')
  })

  it('that asks for no question is refused: nothing is granted silently, not even again [AS12, AS9]', async () => {
    await connect(world, person, agent.url, client)
    expect(await errorOf(urlWith({ prompt: 'none' }))).toMatchObject({ error: 'consent_required', iss: world.origin })
    const uid = await begin(person.browser, urlWith({}))
    expect(await readConsent(person.browser, uid)).toMatchObject({ kind: 'ask' })
  })

  it('for scopes nobody is granted is refused; among others they are dropped [SC3, AS17, SC1]', async () => {
    for (const scope of ['mcp:admin', 'openid', 'admin *', 'mcp:admin offline_access', 'MCP:READ'])
      expect(await errorOf(urlWith({ scope, prompt: 'consent' }))).toMatchObject({
        error: 'invalid_scope',
        iss: world.origin,
      })
    const { tokens } = await connect(world, person, agent.url, client, {
      scope: 'mcp:admin mcp:read openid everything',
    })
    expect(tokens.body['scope']).toBe('mcp:read')
    const write = await connect(world, person, agent.url, client, { scope: 'mcp:write' })
    expect(write.tokens.body['scope']).toBe('mcp:read mcp:write')
    const usual = await connect(world, person, agent.url, client, { scope: undefined })
    expect(usual.tokens.body['scope']).toBe('mcp:read mcp:write')
  })

  it('with what only OpenID Connect knows is answered as if it were not there [AS1]', async () => {
    const uid = await begin(
      person.browser,
      urlWith({
        nonce: 'n',
        max_age: '0',
        acr_values: 'x',
        id_token_hint: 'x',
        login_hint: 'x',
        ui_locales: 'de',
        display: 'page',
      }),
    )
    expect(await readConsent(person.browser, uid)).toMatchObject({ kind: 'ask' })
  })

  it('cannot bring its own request object, registration or client key [AZ2]', async () => {
    for (const name of ['request', 'request_uri', 'registration']) {
      const response = await go(urlWith({ [name]: 'https://evil.example/x' }))
      expect(response.headers.get('location') ?? '').not.toContain('/consent/')
    }
    expect(world.fetched).not.toContain('https://evil.example/x')
  })
})

describe('the resource', () => {
  const strange: [string, (url: string) => string][] = [
    ['another origin', () => `https://evil.example/mcp/${agent.id}`],
    ['the server itself', () => world.origin],
    ['a query', (url) => `${url}?x=1`],
    ['a fragment', (url) => `${url}#x`],
    ['a longer path', (url) => `${url}/x`],
    ['dots', (url) => url.replace('/mcp/', '/mcp/../mcp/')],
    ['an encoded slash', (url) => url.replace('/mcp/', '/mcp%2F')],
    ['a user name', (url) => url.replace('://', '://evil@')],
    ['another scheme', (url) => url.replace('http:', 'https:')],
    ['no address', () => agent.id],
  ]
  it.each(strange)('that is %s is invalid_target [AS15, AS9]', async (_name, make) => {
    expect(await errorOf(urlWith({ resource: make(agent.url) }))).toMatchObject({
      error: 'invalid_target',
      state: 'st4te',
      iss: world.origin,
    })
  })

  it('may be named once [AS15]', async () => {
    const other = await world.newAgent(person)
    expect(await errorOf(`${urlWith({})}&resource=${encodeURIComponent(other.url)}`)).toMatchObject({
      error: 'invalid_target',
    })
  })

  it('may differ in the case of its host and in one slash [AS15]', async () => {
    const { tokens } = await connect(world, person, `${agent.url.replace('http', 'HTTP')}/`, client)
    expect(tokens.status).toBe(200)
    expect((await fetch(agent.url, { method: 'POST', headers: bearer(tokens.body['access_token']) })).status).not.toBe(
      401,
    )
  })

  it('missing is the only agent of a person who has one [AZ3]', async () => {
    const lone = await world.newPerson()
    const only = await world.newAgent(lone)
    const pkce = newPkce()
    const back = await approve(lone.browser, authorizeUrl(client, pkce))
    const tokens = await redeem(world, client, back.searchParams.get('code') ?? '', pkce)
    expect(tokens.status).toBe(200)
    expect((await fetch(only.url, { method: 'POST', headers: bearer(tokens.body['access_token']) })).status).not.toBe(
      401,
    )
    expect((await fetch(agent.url, { method: 'POST', headers: bearer(tokens.body['access_token']) })).status).toBe(401)
  })

  it('missing is invalid_target for a person with several agents, and with none [AZ3, AS15]', async () => {
    const several = await world.newPerson()
    await world.newAgent(several)
    await world.newAgent(several)
    const nobody = await world.newPerson()
    for (const [who, reason] of [
      [several, 'several_agents'],
      [nobody, 'no_agent'],
    ] as const) {
      const uid = await begin(who.browser, authorizeUrl(client, newPkce()))
      expect(await readConsent(who.browser, uid)).toMatchObject({ kind: 'refused', reason })
      expect((await answerConsent(who.browser, uid, { decision: 'approve', proof: 'x' })).status).toBe(403)
      expect((await answerConsent(who.browser, uid, { decision: 'deny' })).status).toBe(200)
      const back = await finish(who.browser, uid)
      expect(Object.fromEntries(back.searchParams)).toMatchObject({ error: 'invalid_target', iss: world.origin })
    }
  })

  it('of another workspace, and one that does not exist, look the same and are not granted [AZ4]', async () => {
    const stranger = await world.newPerson()
    const views: unknown[] = []
    for (const resource of [agent.url, `${world.origin}/mcp/${newId('agent')}`]) {
      const uid = await begin(stranger.browser, authorizeUrl(client, newPkce(), { resource }))
      views.push(await readConsent(stranger.browser, uid))
      expect((await answerConsent(stranger.browser, uid, { decision: 'approve', proof: 'x' })).status).toBe(403)
    }
    expect(views[0]).toMatchObject({ kind: 'refused', reason: 'no_access' })
    expect(views[0]).toEqual(views[1])
    expect(JSON.stringify(views)).not.toContain('Mail helper')
  })

  it('is not granted by somebody whose role may not issue sessions [AZ4]', async () => {
    const auditor = await world.newPerson(person.principal.tenantId, 'auditor')
    const uid = await begin(auditor.browser, urlWith({}))
    expect(await readConsent(auditor.browser, uid)).toMatchObject({ kind: 'refused', reason: 'role' })
    expect((await answerConsent(auditor.browser, uid, { decision: 'approve', proof: 'x' })).status).toBe(403)
  })
})

describe('the consent', () => {
  const asked = async (fields: Record<string, string | undefined> = {}, from = client) => {
    const uid = await begin(person.browser, urlWith(fields, from))
    const view = await readConsent(person.browser, uid)
    return { uid, view, proof: String(view['proof']) }
  }

  it('says who asks, for whom, for which agent, what it gives and where the answer goes [AS16, AS12]', async () => {
    const { view } = await asked()
    expect(view).toMatchObject({
      kind: 'ask',
      client: {
        name: 'Desk client',
        idHost: null,
        source: 'registered',
        redirectUri: CALLBACK,
        redirectHost: '127.0.0.1:33418',
        isLocalOnly: true,
      },
      person: { name: 'Ada', email: person.email },
      workspace: { name: 'Analytical' },
      agent: { id: agent.id, name: 'Mail helper' },
      scopes: ['mcp:read', 'mcp:write'],
      access: {
        tools: [
          { name: 'github_list_issues', isReadOnly: true },
          { name: 'github_create_issue', isReadOnly: false },
        ],
        accounts: [{ provider: 'github', label: 'octocat', isUsable: true }],
        missingProviders: [],
      },
      idleDays: 30,
      absoluteDays: 90,
    })
    const web = await registerClient(world, { redirect_uris: ['https://xn--80ak6aa92e.example/cb', CALLBACK] })
    const uid = await begin(person.browser, urlWith({ redirect_uri: 'https://xn--80ak6aa92e.example/cb' }, web))
    expect(await readConsent(person.browser, uid)).toMatchObject({
      client: { redirectHost: 'xn--80ak6aa92e.example', isLocalOnly: false },
    })
  })

  it('shows what the asked scopes reach and no more [SC2]', async () => {
    const { view } = await asked({ scope: 'mcp:read' })
    expect(view).toMatchObject({ scopes: ['mcp:read'], access: { tools: [{ name: 'github_list_issues' }] } })
  })

  it('goes back with code, state and issuer, by a 303, once [AS9, AS19, AZ5]', async () => {
    const { uid, proof } = await asked()
    expect((await answerConsent(person.browser, uid, { decision: 'approve', proof })).status).toBe(200)
    const back = await finish(person.browser, uid)
    expect([...back.searchParams.keys()].toSorted()).toEqual(['code', 'iss', 'state'])
    expect(back.searchParams.get('iss')).toBe(world.origin)
    expect(back.searchParams.get('state')).toBe('st4te')
    const again = await go(`/oauth/authorize/${uid}`)
    expect([again.status, again.headers.get('location')]).toEqual([400, null])
  })

  it('denied goes back as access_denied with state and issuer, and leaves nothing behind [AZ7, AS9]', async () => {
    const count = () => world.db.adminQuery('app', `SELECT count(*)::int AS n FROM agent_session`)
    const before = await count()
    const { uid } = await asked()
    expect((await answerConsent(person.browser, uid, { decision: 'deny' })).status).toBe(200)
    const back = await finish(person.browser, uid)
    expect(Object.fromEntries(back.searchParams)).toEqual({
      error: 'access_denied',
      error_description: 'the person did not agree',
      state: 'st4te',
      iss: world.origin,
    })
    expect(await count()).toEqual(before)
  })

  it('answered twice at once counts once [AZ5]', async () => {
    const { uid, proof } = await asked()
    await Promise.all([1, 2].map(() => answerConsent(person.browser, uid, { decision: 'approve', proof })))
    const backs = await Promise.all([1, 2].map(() => go(`/oauth/authorize/${uid}`)))
    expect(backs.map(({ status }) => status).toSorted()).toEqual([303, 400])
  })

  const forged: [string, (proof: string) => object][] = [
    ['no proof', () => ({ decision: 'approve' })],
    ['an empty proof', () => ({ decision: 'approve', proof: '' })],
    ['a wrong proof', () => ({ decision: 'approve', proof: 'x'.repeat(43) })],
    [
      'a proof with one bit turned',
      (proof) => ({ decision: 'approve', proof: (proof.startsWith('A') ? 'B' : 'A') + proof.slice(1) }),
    ],
    ['more than was asked', (proof) => ({ decision: 'approve', proof, scopes: ['mcp:admin'] })],
    ['no decision', (proof) => ({ proof })],
  ]
  it.each(forged)('with %s is not given [AZ5, AZ6]', async (_name, make) => {
    const { uid, proof } = await asked()
    const response = await answerConsent(person.browser, uid, make(proof))
    expect([400, 403]).toContain(response.status)
    const on = await go(`/oauth/authorize/${uid}`)
    expect(on.headers.get('location') ?? '').not.toContain('code=')
  })

  it('with the proof of another request, other scopes or another client is not given [AZ6]', async () => {
    const wide = await asked()
    const narrow = await asked({ scope: 'mcp:read' })
    const twin = await asked()
    for (const { proof } of [narrow, twin])
      expect((await answerConsent(person.browser, wide.uid, { decision: 'approve', proof })).status).toBe(403)
    expect((await answerConsent(person.browser, wide.uid, { decision: 'approve', proof: wide.proof })).status).toBe(200)
  })

  const origins: [string, Record<string, string>][] = [
    ['another site', { origin: 'https://evil.example' }],
    ['no origin', { origin: '' }],
    ['a null origin', { origin: 'null' }],
    ['another site, by its fetch metadata', { origin: 'ours', 'sec-fetch-site': 'cross-site' }],
  ]
  it.each(origins)('posted from %s is not given [AZ5]', async (_name, headers) => {
    const { uid, proof } = await asked()
    const response = await person.browser.go(consentPath(uid), {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...headers,
        ...(headers['origin'] === 'ours' ? { origin: world.origin } : {}),
      },
      body: JSON.stringify({ decision: 'approve', proof }),
    })
    expect(response.status).toBe(403)
    expect((await go(`/oauth/authorize/${uid}`)).headers.get('location') ?? '').not.toContain('code=')
  })

  it('sent as a form, as another site could, is not given [AZ5]', async () => {
    const { uid, proof } = await asked()
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
      const response = await person.browser.go(consentPath(uid), {
        method: 'POST',
        headers: { 'content-type': type },
        body: JSON.stringify({ decision: 'approve', proof }),
      })
      expect(response.status).toBeGreaterThanOrEqual(400)
    }
  })

  it('is nobody’s in another browser, of the same person too [AZ5]', async () => {
    const { uid, proof } = await asked()
    const elsewhere = new Browser(world.origin)
    elsewhere.set(
      world.identity.cookies.session,
      /(?:^|; )[^=]*session[^=]*=([^;]*)/.exec(person.browser.cookieHeader('/'))?.[1] ?? '',
    )
    for (const browser of [elsewhere, new Browser(world.origin), (await world.newPerson()).browser]) {
      expect((await browser.go(consentPath(uid))).status).toBe(404)
      expect((await answerConsent(browser, uid, { decision: 'approve', proof })).status).toBe(404)
      expect((await browser.go(`/oauth/authorize/${uid}`)).status).toBe(400)
    }
    expect((await answerConsent(person.browser, uid, { decision: 'approve', proof })).status).toBe(200)
  })

  it('read by one person is not given by another who signs in at the same browser [AZ5]', async () => {
    const victim = await world.newPerson()
    const theirs = await world.newAgent(victim)
    const shared = await world.newPerson()
    const uid = await begin(victim.browser, authorizeUrl(client, newPkce(), { resource: theirs.url }))
    const { proof } = await readConsent(victim.browser, uid)
    const own = victim.browser.cookieHeader('/')
    const foreign = shared.browser.cookieHeader('/')
    const [name = '', value = ''] = foreign.split('=')
    victim.browser.set(name, value)
    expect((await answerConsent(victim.browser, uid, { decision: 'approve', proof })).status).toBe(403)
    const [, mine = ''] = own.split('=')
    victim.browser.set(name, mine)
    expect((await answerConsent(victim.browser, uid, { decision: 'approve', proof })).status).toBe(200)
    // Given by one, taken back to the client by another: nothing.
    victim.browser.set(name, value)
    const back = await victim.browser.go(`/oauth/authorize/${uid}`)
    expect([back.status, back.headers.get('location')]).toEqual([400, null])
  })

  it('is not given without a session, nor after the session ended [AZ5]', async () => {
    const { uid, proof } = await asked()
    const [name = '', value = ''] = person.browser.cookieHeader('/').split('=')
    person.browser.delete(name)
    expect((await answerConsent(person.browser, uid, { decision: 'approve', proof })).status).toBe(401)
    person.browser.set(name, value)
    expect((await answerConsent(person.browser, uid, { decision: 'approve', proof })).status).toBe(200)
  })

  it('is not stored by anybody and its id is nothing without its cookie [AZ6]', async () => {
    const { uid } = await asked()
    const response = await go(consentPath(uid))
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(response.headers.get('access-control-allow-origin')).toBeNull()
    expect((await fetch(world.origin + consentPath(uid))).status).toBe(404)
    expect((await fetch(world.origin + consentPath('x'.repeat(21)))).status).toBe(404)
  })

  it('is shown again for every request of the same client: no answer is remembered [AS12]', async () => {
    for (let time = 0; time < 2; time += 1) {
      const { uid, proof } = await asked()
      expect((await answerConsent(person.browser, uid, { decision: 'approve', proof })).status).toBe(200)
    }
    const { view } = await asked()
    expect(view['kind']).toBe('ask')
  })

  it('is recorded with client, host, agent and person, given and refused [AS12]', async () => {
    const { uid, proof } = await asked()
    await answerConsent(person.browser, uid, { decision: 'approve', proof })
    const denied = await asked()
    await answerConsent(person.browser, denied.uid, { decision: 'deny' })
    const [issued] = await world.db.adminQuery(
      'app',
      `SELECT client_name, client_host, person_id, agent_id, acts_for FROM agent_session WHERE client_id = $1 ORDER BY created_at DESC LIMIT 1`,
      [client.id],
    )
    expect(issued).toEqual({
      client_name: 'Desk client',
      client_host: '127.0.0.1:33418',
      person_id: person.principal.personId,
      agent_id: agent.id,
      acts_for: 'person',
    })
    await world.audit.drain()
    const records = await world.db.adminQuery(
      'app',
      `SELECT action, actor_kind, agent_id, sealed IS NOT NULL AS sealed FROM audit_record
        WHERE tenant_id = $1 AND action IN ('session.issued', 'session.refused') ORDER BY occurred_at DESC LIMIT 2`,
      [person.principal.tenantId],
    )
    const by = { actor_kind: 'person', agent_id: agent.id, sealed: true }
    expect(records).toEqual([
      { ...by, action: 'session.refused' },
      { ...by, action: 'session.issued' },
    ])
  })
})

const bearer = (token: unknown) => ({ authorization: `Bearer ${String(token)}` })
