import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import {
  approve,
  authorizeUrl,
  begin,
  callTools,
  connect,
  createOauthWorld,
  freePort,
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
import type { OauthDriverOptions } from '@/lib/testing/oauth-driver'
import { bundle, start, type TestProcess } from '@/lib/testing/process'

import { hashSecret } from '../ids'
import { LIFETIME_BOUNDS, createTenants } from '../tenancy/tenants'

const FULL = process.env['PORTCULLIS_FULL'] === '1'
const ROUNDS = FULL ? 100 : 4

let world: OauthWorld
let person: OauthPerson
let agent: { readonly id: string; readonly url: string }
let other: { readonly id: string; readonly url: string }
let client: TestClient
beforeAll(async () => {
  world = await createOauthWorld()
  person = await world.newPerson()
  agent = await world.newAgent(person)
  other = await world.newAgent(person)
  client = await registerClient(world)
})
afterAll(() => world.close())

const sql = (text: string, ...values: unknown[]) => world.db.adminQuery('app', text, values)
/** As if so much time had passed since everything of this token's grant happened. */
const age = (token: unknown, seconds: number) =>
  sql(
    `UPDATE oauth_artifact SET head_at = head_at - make_interval(secs => $2)
      WHERE model = 'Grant' AND id_hash = (SELECT grant_hash FROM oauth_artifact WHERE id_hash = $1)`,
    hashSecret(String(token)),
    seconds,
  )
const sessionOf = async (token: unknown) => {
  const [row] = await sql(
    `SELECT s.* FROM agent_session s JOIN oauth_artifact a ON a.agent_session_id = s.id WHERE a.id_hash = $1`,
    hashSecret(String(token)),
  )
  return row
}
const works = async (token: unknown) => (await callTools(agent.url, token)).status === 200
/** Past the memory of the endpoint, without waiting for it to age. */
const isOver = async (token: unknown) =>
  (await world.sessions.lookup(`poa_${'x'.repeat(43)}`)) === undefined &&
  (
    await sql(
      `SELECT 1 FROM oauth_artifact a CROSS JOIN LATERAL find_oauth_artifacts(ARRAY[a.model], ARRAY[a.id_hash]) l
        WHERE a.id_hash = $1 AND l.live_session_id IS NOT NULL`,
      hashSecret(String(token)),
    )
  )[0] === undefined
const newCode = async (fields: Record<string, string | undefined> = {}, from = client) => {
  const pkce = newPkce()
  const back = await approve(person.browser, authorizeUrl(from, pkce, { resource: agent.url, ...fields }))
  return { pkce, code: back.searchParams.get('code') ?? '' }
}
const invalid = (error: string, status = 400) => ({ status, body: { error } })

describe('an authorization code', () => {
  let second: TestProcess<object, string>
  let secondPort: number
  let spoolDir: string
  beforeAll(async () => {
    spoolDir = await mkdtemp(path.join(tmpdir(), 'portcullis-oauth-spool-'))
    secondPort = await freePort()
    second = start(await bundle('lib/testing/oauth-driver.ts'), {
      appUrl: world.db.urls.app,
      vaultUrl: world.db.urls.vault,
      publicUrl: world.origin,
      port: secondPort,
      keyFile: world.keyFile,
      spoolDir,
    } satisfies OauthDriverOptions)
    await second.receive((value): value is 'listening' => value === 'listening')
  })
  afterAll(async () => {
    await second.kill()
    await rm(spoolDir, { recursive: true, force: true })
  })

  /** At the other gateway, which believes to be at the same address. */
  const redeemThere = (code: string, verifier: string) =>
    new Promise<{ status: number; body: Record<string, unknown> }>((resolve, reject) => {
      const body = new URLSearchParams({
        grant_type: 'authorization_code',
        client_id: client.id,
        code,
        redirect_uri: client.redirectUri,
        code_verifier: verifier,
      }).toString()
      http
        .request(
          {
            port: secondPort,
            host: '127.0.0.1',
            method: 'POST',
            path: '/oauth/token',
            headers: { host: new URL(world.origin).host, 'content-type': 'application/x-www-form-urlencoded' },
          },
          (response) => {
            let text = ''
            response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
            response.on('end', () => {
              resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as Record<string, unknown> }) // our own answer
            })
          },
        )
        .on('error', reject)
        .end(body)
    })

  it(
    'redeemed by twenty callers at once at two gateways gives one answer, and its tokens end [TK1]',
    { timeout: FULL ? 600_000 : 60_000 },
    async () => {
      const winners = { here: 0, there: 0 }
      for (let round = 0; round < ROUNDS; round += 1) {
        const { pkce, code } = await newCode()
        const answers = await Promise.all(
          Array.from({ length: 20 }, async (_, at) => {
            const isHere = at % 2 === 0
            const answer = await (isHere ? redeem(world, client, code, pkce) : redeemThere(code, pkce.verifier))
            return { isHere, ...answer }
          }),
        )
        const good = answers.filter(({ status }) => status === 200)
        expect(good).toHaveLength(1)
        for (const answer of answers.filter(({ status }) => status !== 200))
          expect(answer).toMatchObject(invalid('invalid_grant'))
        winners[good[0]?.isHere === true ? 'here' : 'there'] += 1
        const tokens = good[0]?.body ?? {}
        expect((await refresh(world, client, tokens['refresh_token'])).body['error']).toBe('invalid_grant')
        expect(await isOver(tokens['access_token'])).toBe(true)
      }
      if (FULL) expect(Math.min(winners.here, winners.there)).toBeGreaterThan(0)
    },
  )

  it('used again later ends the tokens of the first use, and says why [TK1]', async () => {
    const { pkce, code } = await newCode()
    const { body } = await redeem(world, client, code, pkce)
    expect(await works(body['access_token'])).toBe(true)
    expect(await redeem(world, client, code, pkce)).toMatchObject(invalid('invalid_grant'))
    expect(await sessionOf(body['access_token'])).toMatchObject({ ended_reason: 'code_replayed' })
    await expect.poll(() => works(body['access_token']), { timeout: 5_000 }).toBe(false)
    expect(await refresh(world, client, body['refresh_token'])).toMatchObject(invalid('invalid_grant'))
  })

  it('used again without its verifier ends nothing: whoever saw the address bar could end sessions otherwise [TK1]', async () => {
    const { pkce, code } = await newCode()
    const { body } = await redeem(world, client, code, pkce)
    const stranger = { code_verifier: newPkce().verifier }
    expect(await redeem(world, client, code, pkce, stranger)).toMatchObject(invalid('invalid_grant'))
    expect(await isOver(body['access_token'])).toBe(false)
  })

  const mismatches: [string, () => Promise<{ fields: Record<string, string | undefined>; by?: TestClient }>][] = [
    ['another verifier', () => Promise.resolve({ fields: { code_verifier: newPkce().verifier } })],
    ['no verifier', () => Promise.resolve({ fields: { code_verifier: undefined } })],
    ['the challenge as verifier', () => Promise.resolve({ fields: { code_verifier: 'a'.repeat(43) } })],
    ['another address', () => Promise.resolve({ fields: { redirect_uri: 'http://127.0.0.1:1/callback' } })],
    ['another client', async () => ({ fields: {}, by: await registerClient(world) })],
  ]
  it.each(mismatches)('does not count with %s, and counts afterwards [TK2, AS5]', async (_name, make) => {
    const { pkce, code } = await newCode()
    const { fields, by = client } = await make()
    expect(await redeem(world, by, code, pkce, fields)).toMatchObject(invalid('invalid_grant'))
    expect((await redeem(world, client, code, pkce)).status).toBe(200)
  })

  it('does not count for another agent than the one that was approved [TK2, AS15]', async () => {
    const { pkce, code } = await newCode()
    expect(await redeem(world, client, code, pkce, { resource: other.url })).toMatchObject(invalid('invalid_target'))
  })

  it('lasts a minute [TK2]', async () => {
    const { pkce, code } = await newCode()
    const [row] = await sql(
      'SELECT extract(epoch FROM expires_at - created_at)::int AS seconds FROM oauth_artifact WHERE id_hash = $1',
      hashSecret(code),
    )
    expect(row).toEqual({ seconds: 60 })
    await sql(`UPDATE oauth_artifact SET expires_at = now() WHERE id_hash = $1`, hashSecret(code))
    expect(await redeem(world, client, code, pkce)).toMatchObject(invalid('invalid_grant'))
  })

  it('gives the resource and all scopes at once when the client names the resource [AS15, AS1]', async () => {
    const { pkce, code } = await newCode()
    const { status, body } = await redeem(world, client, code, pkce, { resource: agent.url })
    expect(status).toBe(200)
    expect(body).toMatchObject({ token_type: 'Bearer', scope: 'mcp:read mcp:write' })
  })
})

describe('a refresh token', () => {
  it('is replaced at every use [AS14]', async () => {
    const { tokens } = await connect(world, person, agent.url, client)
    const first = await refresh(world, client, tokens.body['refresh_token'])
    const second = await refresh(world, client, first.body['refresh_token'])
    expect(second.status).toBe(200)
    expect(new Set([tokens, first, second].map(({ body }) => body['refresh_token'])).size).toBe(3)
  })

  it('may be used again for a minute and three times, as long as no successor was: clients race [AS14]', async () => {
    const { tokens } = await connect(world, person, agent.url, client)
    const parent = tokens.body['refresh_token']
    const answers = await Promise.all(Array.from({ length: 4 }, () => refresh(world, client, parent)))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect(await works(answers[3]?.body['access_token'])).toBe(true)
    // The fifth is one too many.
    expect(await refresh(world, client, parent)).toMatchObject(invalid('invalid_grant'))
    expect(await sessionOf(parent)).toMatchObject({ ended_reason: 'refresh_token_replayed' })
    expect(await refresh(world, client, answers[0]?.body['refresh_token'])).toMatchObject(invalid('invalid_grant'))
  })

  it('used again after a minute ends everything [AS14]', async () => {
    const { tokens } = await connect(world, person, agent.url, client)
    const parent = tokens.body['refresh_token']
    const next = await refresh(world, client, parent)
    await age(parent, 61)
    expect(await refresh(world, client, parent)).toMatchObject(invalid('invalid_grant'))
    expect(await refresh(world, client, next.body['refresh_token'])).toMatchObject(invalid('invalid_grant'))
    expect(await isOver(next.body['access_token'])).toBe(true)
  })

  it('used again within the minute still works just before its end [AS14]', async () => {
    const { tokens } = await connect(world, person, agent.url, client)
    const parent = tokens.body['refresh_token']
    await refresh(world, client, parent)
    await age(parent, 55)
    expect((await refresh(world, client, parent)).status).toBe(200)
  })

  it('used again after a successor was ends everything, within the minute too [AS14]', async () => {
    const { tokens } = await connect(world, person, agent.url, client)
    const parent = tokens.body['refresh_token']
    const child = await refresh(world, client, parent)
    const grandchild = await refresh(world, client, child.body['refresh_token'])
    expect(grandchild.status).toBe(200)
    expect(await refresh(world, client, parent)).toMatchObject(invalid('invalid_grant'))
    expect(await isOver(grandchild.body['access_token'])).toBe(true)
  })

  it('dies with its siblings: once one of them is used, the use of another ends everything [AS14]', async () => {
    const { tokens } = await connect(world, person, agent.url, client)
    const parent = tokens.body['refresh_token']
    const [one, two] = await Promise.all([refresh(world, client, parent), refresh(world, client, parent)])
    const next = await refresh(world, client, one.body['refresh_token'])
    expect(next.status).toBe(200)
    expect(await refresh(world, client, two.body['refresh_token'])).toMatchObject(invalid('invalid_grant'))
    expect(await isOver(next.body['access_token'])).toBe(true)
  })

  it('of two siblings used at once leaves one alive or none, never two lines [AS14]', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const { tokens } = await connect(world, person, agent.url, client)
      const parent = tokens.body['refresh_token']
      const siblings = await Promise.all([refresh(world, client, parent), refresh(world, client, parent)])
      const answers = await Promise.all(siblings.map(({ body }) => refresh(world, client, body['refresh_token'])))
      expect(answers.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(1)
      expect(await isOver(parent)).toBe(true)
    }
  })

  it('of one client is nothing in the hands of another [TK3]', async () => {
    const { tokens } = await connect(world, person, agent.url, client)
    const thief = await registerClient(world)
    expect(await refresh(world, thief, tokens.body['refresh_token'])).toMatchObject(invalid('invalid_grant'))
    expect((await refresh(world, client, tokens.body['refresh_token'])).status).toBe(200)
  })

  it('narrows scopes and never widens them [TK3, AS17]', async () => {
    const { tokens } = await connect(world, person, agent.url, client, { scope: 'mcp:read' })
    expect(tokens.body['scope']).toBe('mcp:read')
    const wide = { scope: 'mcp:read mcp:write' }
    expect(await refresh(world, client, tokens.body['refresh_token'], wide)).toMatchObject(invalid('invalid_scope'))
    const full = await connect(world, person, agent.url, client)
    const narrow = await refresh(world, client, full.tokens.body['refresh_token'], { scope: 'mcp:read' })
    expect(narrow.body['scope']).toBe('mcp:read')
    const [row] = await sql(
      `SELECT payload->>'scope' AS scope FROM oauth_artifact WHERE id_hash = $1`,
      hashSecret(String(narrow.body['access_token'])),
    )
    expect(row).toEqual({ scope: 'mcp:read' })
  })

  it('asked for another agent is refused before it is spent [TK3, AS15]', async () => {
    const { tokens } = await connect(world, person, agent.url, client)
    const parent = tokens.body['refresh_token']
    expect(await refresh(world, client, parent, { resource: other.url })).toMatchObject(invalid('invalid_target'))
    const [row] = await sql('SELECT consumed_at FROM oauth_artifact WHERE id_hash = $1', hashSecret(String(parent)))
    expect(row).toEqual({ consumed_at: null })
    expect((await refresh(world, client, parent, { resource: agent.url })).status).toBe(200)
  })

  it('is not spent when its successors cannot be kept: an outage costs no client its session [AS14]', async () => {
    const { tokens } = await connect(world, person, agent.url, client)
    const parent = tokens.body['refresh_token']
    const state = () =>
      sql(
        `SELECT r.consumed_at, g.head_hash FROM oauth_artifact r JOIN oauth_artifact g ON g.model = 'Grant' AND g.id_hash = r.grant_hash
          WHERE r.id_hash = $1`,
        hashSecret(String(parent)),
      )
    const before = await state()
    await sql('REVOKE INSERT ON oauth_artifact FROM portcullis_app')
    try {
      expect((await refresh(world, client, parent)).status).toBe(500)
    } finally {
      await sql('GRANT INSERT ON oauth_artifact TO portcullis_app')
    }
    expect(await state()).toEqual(before)
    expect((await refresh(world, client, parent)).status).toBe(200)
  })

  it('is given without asking for offline_access, and to nobody who did not register for it [AS18]', async () => {
    expect((await connect(world, person, agent.url, client, { scope: 'mcp:read' })).tokens.body).toHaveProperty(
      'refresh_token',
    )
    const once = await registerClient(world, { grant_types: ['authorization_code'] })
    const { tokens } = await connect(world, person, agent.url, once, {
      scope: 'mcp:read offline_access',
      prompt: 'consent',
    })
    expect(tokens.body).not.toHaveProperty('refresh_token')
    expect(await works(tokens.body['access_token'])).toBe(true)
  })

  it('ends ninety days after the consent, however much it is used [AS14]', async () => {
    const { tokens } = await connect(world, person, agent.url, client)
    const hash = hashSecret(String(tokens.body['refresh_token']))
    await sql(
      `UPDATE oauth_artifact SET payload = jsonb_set(payload, '{iiat}', to_jsonb((payload->>'iiat')::bigint - 89 * 86400 - 43200)) WHERE id_hash = $1`,
      hash,
    )
    const next = await refresh(world, client, tokens.body['refresh_token'])
    const [row] = await sql(
      'SELECT extract(epoch FROM expires_at - now())::int AS left FROM oauth_artifact WHERE id_hash = $1',
      hashSecret(String(next.body['refresh_token'])),
    )
    expect(Number(row?.['left'])).toBeGreaterThan(43_000)
    expect(Number(row?.['left'])).toBeLessThanOrEqual(43_200)
  })
})

describe('a workspace’s own limits', () => {
  it('shorten what its clients are given, at the consent, at once and when they refresh [TK9, AS13]', async () => {
    const owner = await world.newPerson()
    const { url } = await world.newAgent(owner)
    const { tokens } = await connect(world, owner, url, client)
    expect(tokens.body['expires_in']).toBe(900)
    const tenants = createTenants({ appDb: world.db.app, events: world.audit })
    await tenants.update(owner.principal, { accessTokenMinutes: 5, sessionIdleDays: 2, sessionAbsoluteDays: 1 })

    const next = await refresh(world, client, tokens.body['refresh_token'])
    expect(next.body['expires_in']).toBe(300)
    const [row] = await sql(
      `SELECT extract(epoch FROM r.expires_at - now())::int AS left, extract(epoch FROM s.expires_at - now())::int AS session
         FROM oauth_artifact r JOIN agent_session s ON s.id = r.agent_session_id WHERE r.id_hash = $1`,
      hashSecret(String(next.body['refresh_token'])),
    )
    expect(Number(row?.['left'])).toBeLessThanOrEqual(86_400)
    expect(Number(row?.['left'])).toBeGreaterThan(86_300)
    expect(Number(row?.['session'])).toBeLessThanOrEqual(86_400)
    const fresh = await connect(world, owner, url, client)
    expect(fresh.tokens.body['expires_in']).toBe(300)
    const uid = await begin(owner.browser, authorizeUrl(client, newPkce(), { resource: url }))
    expect(await readConsent(owner.browser, uid)).toMatchObject({ idleDays: 1, absoluteDays: 1 })
  })

  it('cannot be longer than the server’s, neither by us nor in the database [TK9]', async () => {
    const tenants = createTenants({ appDb: world.db.app, events: world.audit })
    for (const [field, most] of Object.entries(LIFETIME_BOUNDS))
      for (const value of [0, most + 1, 1.5, Number.NaN])
        await expect(tenants.update(person.principal, { [field]: value })).rejects.toMatchObject({ field })
    await expect(sql('UPDATE tenant SET access_minutes = 16')).rejects.toThrow(/check constraint/)
    await expect(sql('UPDATE tenant SET session_idle_days = 31')).rejects.toThrow(/check constraint/)
    await expect(sql('UPDATE tenant SET session_absolute_days = 91')).rejects.toThrow(/check constraint/)
  })

  it('are not a member’s to change [TK9]', async () => {
    const member = await world.newPerson(person.principal.tenantId, 'member')
    const tenants = createTenants({ appDb: world.db.app, events: world.audit })
    await expect(tenants.update(member.principal, { sessionIdleDays: 1 })).rejects.toMatchObject({
      code: 'auth.forbidden',
    })
  })
})

describe('revocation', () => {
  it('by the refresh token ends the access tokens too, and is 200 twice [AS21]', async () => {
    const { tokens } = await connect(world, person, agent.url, client)
    const form = { client_id: client.id, token: String(tokens.body['refresh_token']), token_type_hint: 'refresh_token' }
    for (let time = 0; time < 2; time += 1) expect((await post(world, '/oauth/revoke', form)).status).toBe(200)
    expect(await sessionOf(tokens.body['access_token'])).toMatchObject({ ended_reason: 'revoked_by_client' })
    await expect.poll(() => works(tokens.body['access_token']), { timeout: 5_000 }).toBe(false)
  })

  it('by the access token ends them all, with a wrong hint too [AS21]', async () => {
    const { tokens } = await connect(world, person, agent.url, client)
    const form = { client_id: client.id, token: String(tokens.body['access_token']), token_type_hint: 'refresh_token' }
    expect((await post(world, '/oauth/revoke', form)).status).toBe(200)
    expect(await refresh(world, client, tokens.body['refresh_token'])).toMatchObject(invalid('invalid_grant'))
  })

  it('by another client does nothing and says nothing [AS21]', async () => {
    const { tokens } = await connect(world, person, agent.url, client)
    const thief = await registerClient(world)
    const token = String(tokens.body['refresh_token'])
    const foreign = await post(world, '/oauth/revoke', { client_id: thief.id, token })
    const unknown = await post(world, '/oauth/revoke', { client_id: thief.id, token: `por_${'x'.repeat(43)}` })
    expect([foreign.status, foreign.body]).toEqual([unknown.status, unknown.body])
    expect((await refresh(world, client, token)).status).toBe(200)
  })

  it('of a client with a secret takes the secret [AS21, AS1]', async () => {
    const confidential = await registerClient(world, { token_endpoint_auth_method: 'client_secret_post' })
    const { tokens } = await connect(world, person, agent.url, confidential)
    const token = String(tokens.body['refresh_token'])
    for (const client_secret of [undefined, 'wrong'])
      expect(await post(world, '/oauth/revoke', { client_id: confidential.id, client_secret, token })).toMatchObject(
        invalid('invalid_client', 401),
      )
    expect((await refresh(world, confidential, token)).status).toBe(200)
  })
})

describe('introspection', () => {
  it('answers a client that authenticates about its own tokens, and about nobody else’s [TK7]', async () => {
    const confidential = await registerClient(world, { token_endpoint_auth_method: 'client_secret_post' })
    const { tokens } = await connect(world, person, agent.url, confidential)
    const credentials = { client_id: confidential.id, client_secret: confidential.secret }
    const mine = await post(world, '/oauth/introspect', { ...credentials, token: String(tokens.body['access_token']) })
    expect(mine.body).toMatchObject({ active: true, aud: agent.url, iss: world.origin, scope: 'mcp:read mcp:write' })
    expect(mine.headers.get('cache-control')).toBe('no-store')

    const theirs = await connect(world, person, agent.url, client)
    const token = String(theirs.tokens.body['access_token'])
    expect((await post(world, '/oauth/introspect', { ...credentials, token })).body).toEqual({ active: false })
    const wrong = { client_id: confidential.id, client_secret: 'wrong', token }
    expect(await post(world, '/oauth/introspect', wrong)).toMatchObject(invalid('invalid_client', 401))
  })

  it('answers a public client nothing, about its own tokens as about unknown ones [TK7]', async () => {
    const { tokens } = await connect(world, person, agent.url, client)
    const own = await post(world, '/oauth/introspect', {
      client_id: client.id,
      token: String(tokens.body['access_token']),
    })
    const unknown = await post(world, '/oauth/introspect', { client_id: client.id, token: 'poa_x' })
    expect(own).toMatchObject(invalid('invalid_client', 401))
    expect(unknown.body).toEqual(own.body)
  })
})

describe('a headless client', () => {
  const token = (form: Record<string, string | undefined>) =>
    post(world, '/oauth/token', { grant_type: 'client_credentials', ...form })

  it('gets tokens for its agent by its secret, without a refresh token, until it is revoked [TK6, AS1]', async () => {
    const made = await world.oauth.clients.create(person.principal, { name: 'Nightly', agentId: agent.id })
    const basic = `Basic ${Buffer.from(`${made.id}:${made.secret?.reveal() ?? ''}`).toString('base64')}`
    const answer = await post(world, '/oauth/token', { grant_type: 'client_credentials' }, { authorization: basic })
    expect(answer.body).toMatchObject({ token_type: 'Bearer', expires_in: 900, scope: 'mcp:read mcp:write' })
    expect(answer.body).not.toHaveProperty('refresh_token')
    expect(await works(answer.body['access_token'])).toBe(true)
    expect((await callTools(other.url, answer.body['access_token'])).status).toBe(401)

    await world.oauth.clients.revoke(person.principal, made.id)
    expect(await isOver(answer.body['access_token'])).toBe(true)
    const after = await post(world, '/oauth/token', { grant_type: 'client_credentials' }, { authorization: basic })
    expect(after).toMatchObject(invalid('invalid_client', 401))
  })

  it('gets nothing for another agent, with a wrong secret, or for mcp:admin alone [TK6, AS15, SC3]', async () => {
    const made = await world.oauth.clients.create(person.principal, {
      name: 'Nightly',
      agentId: agent.id,
      authMethod: 'client_secret_post',
    })
    const good = { client_id: made.id, client_secret: made.secret?.reveal() }
    expect(await token({ ...good, resource: other.url })).toMatchObject(invalid('invalid_target'))
    expect(await token({ ...good, client_secret: 'wrong' })).toMatchObject(invalid('invalid_client', 401))
    expect(await token({ ...good, scope: 'mcp:admin' })).toMatchObject(invalid('invalid_scope'))
    const read = await token({ ...good, resource: agent.url, scope: 'mcp:read mcp:admin openid' })
    expect(read.body['scope']).toBe('mcp:read')
  })

  it('gets tokens by its key, each assertion once, for this server alone [TK6]', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256')
    const made = await world.oauth.clients.create(person.principal, {
      name: 'Nightly',
      agentId: agent.id,
      authMethod: 'private_key_jwt',
      jwks: { keys: [{ ...(await exportJWK(publicKey)), kid: 'one' }] },
    })
    expect(made.secret).toBeNull()
    const assertion = (claims: Record<string, unknown> = {}, key = privateKey) =>
      new SignJWT({ jti: crypto.randomUUID(), iss: made.id, sub: made.id, aud: world.origin, ...claims })
        .setProtectedHeader({ alg: 'ES256', kid: 'one' })
        .setIssuedAt()
        .setExpirationTime(claims['exp'] === undefined ? '1m' : 1)
        .sign(key)
    const by = (client_assertion: string) =>
      token({ client_assertion, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer' })

    const once = await assertion()
    const [first, ...replays] = await Promise.all(Array.from({ length: 5 }, () => by(once))).then((answers) =>
      answers.toSorted((a, b) => a.status - b.status),
    )
    expect(first?.status).toBe(200)
    expect(await works(first?.body['access_token'])).toBe(true)
    for (const replay of replays) expect(replay).toMatchObject(invalid('invalid_client', 401))

    const stranger = (await generateKeyPair('ES256')).privateKey
    const wrong = await Promise.all([
      assertion({ aud: 'https://other.example' }),
      assertion({ iss: 'ocl_other' }),
      assertion({ exp: 1 }),
      assertion({}, stranger),
    ])
    for (const one of wrong) expect(await by(one)).toMatchObject(invalid('invalid_client', 401))
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${once.split('.')[1] ?? ''}.`
    expect(await by(none)).toMatchObject(invalid('invalid_client', 401))
  })

  it('ends with the person who made it, and with its agent [TK6]', async () => {
    const colleague = await world.newPerson(person.principal.tenantId, 'admin')
    const made = await world.oauth.clients.create(colleague.principal, {
      name: 'Nightly',
      agentId: agent.id,
      authMethod: 'client_secret_post',
    })
    const answer = await token({ client_id: made.id, client_secret: made.secret?.reveal() })
    expect(answer.status).toBe(200)
    await sql('DELETE FROM membership WHERE person_id = $1', colleague.principal.personId)
    expect(await isOver(answer.body['access_token'])).toBe(true)
  })

  it('is not made for another workspace’s agent, nor with a grant for people [TK6, AZ4]', async () => {
    const stranger = await world.newPerson()
    await expect(
      world.oauth.clients.create(stranger.principal, { name: 'Nightly', agentId: agent.id }),
    ).rejects.toMatchObject({ code: 'resource.not_found' })
    const interactive = await registerClient(world, { token_endpoint_auth_method: 'client_secret_post' })
    const answer = await token({ client_id: interactive.id, client_secret: interactive.secret, resource: agent.url })
    expect(answer.status).toBe(400)
    expect(answer.body).not.toHaveProperty('access_token')
  })
})

describe('the token endpoint', () => {
  it('stores nothing that could be presented [TK5]', async () => {
    const confidential = await registerClient(world, { token_endpoint_auth_method: 'client_secret_post' })
    const pkce = newPkce()
    const uid = await begin(person.browser, authorizeUrl(confidential, pkce, { resource: agent.url }))
    const { tokens, code } = await connect(world, person, agent.url, confidential)
    const next = await refresh(world, confidential, tokens.body['refresh_token'])
    const presentable = [
      uid,
      code,
      confidential.secret,
      ...[tokens, next].flatMap(({ body }) => [body['access_token'], body['refresh_token']]),
    ].map(String)
    expect(new Set(presentable).size).toBe(7)
    const rows = await sql(`
      SELECT a::text AS row FROM oauth_artifact a UNION ALL SELECT c::text FROM oauth_client c
      UNION ALL SELECT s::text FROM agent_session s UNION ALL SELECT r::text FROM audit_record r UNION ALL SELECT o::text FROM audit_outbox o`)
    const stored = rows.map(({ row }) => String(row)).join('\n')
    expect(stored).toContain(confidential.id)
    for (const secret of presentable) {
      expect(stored).not.toContain(secret)
      expect(stored).not.toContain(secret.replace(/^p\w\w_/, ''))
    }
    expect(world.logged.join('\n')).not.toMatch(/po[arz]_[\w-]{20}/)
  })

  it('says not to keep what it answers, good or bad, and lets any page ask [AS20]', async () => {
    const { tokens, client: fresh } = await connect(world, person, agent.url)
    const answers = [
      tokens,
      await refresh(world, fresh, tokens.body['refresh_token']),
      await refresh(world, fresh, 'por_unknown'),
      await post(world, '/oauth/token', { grant_type: 'refresh_token', client_id: 'ocl_unknown', refresh_token: 'x' }),
      await post(world, '/oauth/revoke', { client_id: fresh.id, token: 'x' }),
    ]
    for (const { headers } of answers) {
      expect(headers.get('cache-control')).toBe('no-store')
      expect(headers.get('set-cookie')).toBeNull()
    }
    for (const { headers } of answers.slice(0, 4)) expect(headers.get('content-type')).toMatch(/^application\/json/)
    const asked = await post(
      world,
      '/oauth/token',
      { grant_type: 'refresh_token', client_id: fresh.id, refresh_token: 'x' },
      { origin: 'https://inspector.example' },
    )
    expect(asked.headers.get('access-control-allow-origin')).toBe('https://inspector.example')
    expect(asked.headers.get('access-control-allow-credentials')).toBeNull()
    const preflight = await fetch(`${world.origin}/oauth/token`, {
      method: 'OPTIONS',
      headers: {
        origin: 'https://inspector.example',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization',
      },
    })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('access-control-allow-headers')).toContain('authorization')
  })

  it('tells a dead grant from an unknown client [TK4]', async () => {
    expect(await refresh(world, client, `por_${'x'.repeat(43)}`)).toMatchObject(invalid('invalid_grant'))
    const unknown = { ...client, id: 'cli_01JZZZZZZZZZZZZZZZZZZZZZZZ' }
    expect(await refresh(world, unknown, 'por_x')).toMatchObject(invalid('invalid_client', 401))
    const basic = { authorization: `Basic ${Buffer.from('nobody:wrong').toString('base64')}` }
    const answer = await post(world, '/oauth/token', { grant_type: 'refresh_token', refresh_token: 'x' }, basic)
    expect(answer).toMatchObject(invalid('invalid_client', 401))
    expect(answer.headers.get('www-authenticate')).toMatch(/^Basic /)
  })

  it('answers what is no form by POST with an error and goes on [TK8]', async () => {
    const url = `${world.origin}/oauth/token`
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    const twice = `grant_type=refresh_token&client_id=${client.id}&refresh_token=a&refresh_token=b`
    const bad: [number, RequestInit][] = [
      [405, { method: 'GET' }],
      [405, { method: 'PUT', body: 'x' }],
      [
        400,
        { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"grant_type":"refresh_token"}' },
      ],
      [400, { method: 'POST', headers: form, body: '' }],
      [400, { method: 'POST', headers: form, body: twice }],
      [
        400,
        { method: 'POST', headers: form, body: `grant_type=password&client_id=${client.id}&username=a&password=b` },
      ],
      [400, { method: 'POST', headers: form, body: `grant_type=implicit&client_id=${client.id}` }],
      [400, { method: 'POST', headers: form, body: 'grant_type[]=refresh_token&client_id[$ne]=x' }],
      [413, { method: 'POST', headers: form, body: `refresh_token=${'a'.repeat(20_000)}` }],
    ]
    for (const [status, init] of bad) {
      const response = await fetch(url, init)
      expect([init.body, response.status]).toEqual([init.body, status])
      expect(response.headers.get('cache-control')).toBe('no-store')
      expect(await response.text()).not.toContain('at ')
    }
    expect((await connect(world, person, agent.url, client)).tokens.status).toBe(200)
  })
})
