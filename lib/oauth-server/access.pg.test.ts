import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import {
  callTool,
  callTools,
  connect,
  createOauthWorld,
  refresh,
  sendRpc,
  type OauthPerson,
  type OauthWorld,
} from '@/lib/testing/oauth'

import { hashSecret, newId, newSecret } from '../ids'

let world: OauthWorld
let person: OauthPerson
let agent: { readonly id: string; readonly url: string }
beforeAll(async () => {
  world = await createOauthWorld()
  person = await world.newPerson()
  agent = await world.newAgent(person)
  await world.newConnection(person, 'github', 'octocat')
})
afterEach(() => {
  world.provider.answer = () => ({})
})
afterAll(() => world.close())

const sql = (text: string, ...values: unknown[]) => world.db.adminQuery('app', text, values)
const granted = async (fields: Record<string, string> = {}, url = agent.url) => {
  const { tokens, client } = await connect(world, person, url, undefined, fields)
  return { client, token: String(tokens.body['access_token']), refreshToken: String(tokens.body['refresh_token']) }
}
const metadataOf = (id: string) => `${world.origin}/.well-known/oauth-protected-resource/mcp/${id}`
const names = async (token: string) => {
  const answer = (await (await callTools(agent.url, token)).json()) as { result: { tools: { name: string }[] } } // our own answer
  return answer.result.tools.map(({ name }) => name).toSorted()
}
const issue = { owner: 'o', repo: 'r', title: 't' }

describe('the endpoint as a resource', () => {
  it('has metadata at its own path that names exactly its URL and this server [RS1, RS2, RS3, RS4, RS14, RS15]', async () => {
    for (const id of [agent.id, newId('agent')]) {
      const response = await fetch(metadataOf(id))
      expect(response.status).toBe(200)
      expect(response.headers.get('content-type')).toBe('application/json')
      expect(response.headers.get('access-control-allow-origin')).toBe('*')
      expect(await response.json()).toMatchObject({
        resource: `${world.origin}/mcp/${id}`,
        authorization_servers: [world.origin],
        scopes_supported: ['mcp:read', 'mcp:write'],
        bearer_methods_supported: ['header'],
      })
    }
    expect((await fetch(`${world.origin}/.well-known/oauth-protected-resource`)).status).toBe(404)
    expect((await fetch(metadataOf('x'))).status).toBe(404)
  })

  it('leads a client without a token there, with the scopes to ask for and no error [RS2, RS10, RS14]', async () => {
    for (const id of [agent.id, newId('agent')]) {
      const response = await fetch(`${world.origin}/mcp/${id}`, { method: 'POST', body: '{}' })
      expect(response.status).toBe(401)
      expect(response.headers.get('www-authenticate')).toBe(
        `Bearer resource_metadata="${metadataOf(id)}", scope="mcp:read mcp:write"`,
      )
    }
  })

  it('wants a token for every method, and for every session [RS5, RS17]', async () => {
    const { token } = await granted()
    const started = await sendRpc(agent.url, token, 'initialize', {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'c', version: '1' },
    })
    const session = started.headers.get('mcp-session-id') ?? ''
    expect(session).not.toBe('')
    const cookie = person.browser.cookieHeader('/')
    for (const method of ['GET', 'POST', 'DELETE', 'PUT', 'PATCH'])
      for (const headers of [{}, { 'mcp-session-id': session }, { cookie }])
        expect((await fetch(agent.url, { method, headers, ...(method === 'GET' ? {} : { body: '{}' }) })).status).toBe(
          401,
        )
  })

  it('takes a token in the header alone [RS6]', async () => {
    const { token } = await granted()
    for (const name of ['access_token', 'token', 'authorization'])
      expect((await fetch(`${agent.url}?${name}=${token}`, { method: 'POST', body: '{}' })).status).toBe(401)
    const form = await fetch(agent.url, { method: 'POST', body: new URLSearchParams({ access_token: token }) })
    expect(form.status).toBe(401)
    expect((await fetch(agent.url, { method: 'POST', headers: { authorization: token }, body: '{}' })).status).toBe(401)
    expect(
      (await fetch(agent.url, { method: 'POST', headers: { authorization: `Basic ${token}` }, body: '{}' })).status,
    ).toBe(401)
    expect((await callTools(agent.url, token)).status).toBe(200)
  })

  const foreign: [string, () => Promise<string> | string][] = [
    ['a refresh token', async () => (await granted()).refreshToken],
    ['an access token nobody issued', () => newSecret('poa_')],
    ['a session key nobody issued', () => newSecret('pcs_')],
    ['a token of a provider', () => 'gho_16C7e42F292c6912E7710c838347Ae178B4a'],
    [
      'a signed token of somebody',
      () =>
        `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"sub":"x"}').toString('base64url')}.`,
    ],
  ]
  it.each(foreign)('refuses %s and does not repeat it [RS7, RS9, RS11]', async (_name, make) => {
    const token = await make()
    const response = await callTools(agent.url, token)
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toMatch(
      /^Bearer error="invalid_token", .*scope="mcp:read mcp:write"$/,
    )
    expect(await response.text()).not.toContain(token)
    expect(world.logged.join('\n')).not.toContain(token)
  })

  it('refuses the token of another agent: of the same person, of another workspace, and the other way round [RS8]', async () => {
    const second = await world.newAgent(person)
    const stranger = await world.newPerson()
    const theirs = await world.newAgent(stranger)
    const mine = await granted()
    const other = await granted({}, second.url)
    const foreignTokens = await connect(world, stranger, theirs.url)
    const foreignToken = String(foreignTokens.tokens.body['access_token'])
    for (const [url, token] of [
      [second.url, mine.token],
      [theirs.url, mine.token],
      [agent.url, other.token],
      [agent.url, foreignToken],
    ] as const)
      expect((await callTools(url, token)).status).toBe(401)
    expect((await callTools(theirs.url, foreignToken)).status).toBe(200)
  })

  const ends: [string, (context: { token: string }) => Promise<unknown>][] = [
    [
      'expired',
      ({ token }) => sql(`UPDATE oauth_artifact SET expires_at = now() WHERE id_hash = $1`, hashSecret(token)),
    ],
    [
      'ended by a person',
      async ({ token }) => {
        const [row] = await sql('SELECT agent_session_id FROM oauth_artifact WHERE id_hash = $1', hashSecret(token))
        await world.sessions.revoke(person.principal, String(row?.['agent_session_id']))
      },
    ],
  ]
  it.each(ends)('refuses a token that %s, at the latest a moment later [RS7]', async (_name, end) => {
    const { token } = await granted()
    expect((await callTools(agent.url, token)).status).toBe(200)
    await end({ token })
    await expect.poll(async () => (await callTools(agent.url, token)).status, { timeout: 5_000 }).toBe(401)
  })

  it('refuses pages of other origins and takes none [RS16, RS11]', async () => {
    const { token } = await granted()
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      origin: 'https://evil.example',
    }
    expect((await fetch(agent.url, { method: 'POST', headers, body: '{}' })).status).toBe(403)
    const bad = await fetch(agent.url, { method: 'POST', headers: { ...headers, origin: world.origin }, body: '{' })
    expect(bad.status).toBe(400)
  })

  it('never sends a provider what the client sent us [RS9]', async () => {
    const { token } = await granted()
    world.provider.seen.length = 0
    world.provider.answer = () => ({ body: [] })
    expect((await callTool(agent.url, token, 'github_list_issues', { owner: 'o', repo: 'r' })).status).toBe(200)
    expect(world.provider.seen.length).toBeGreaterThan(0)
    for (const seen of world.provider.seen) expect(JSON.stringify(seen)).not.toContain(token)
  })
})

describe('a scope', () => {
  it('narrows lists and calls; what it lacks is a 403 that names everything the call takes, once [RS12, SC2, RS11]', async () => {
    const { token } = await granted({ scope: 'mcp:read' })
    expect(await names(token)).toEqual(['github_list_issues'])
    world.provider.seen.length = 0
    const response = await callTool(agent.url, token, 'github_create_issue', issue)
    expect(response.status).toBe(403)
    expect(response.headers.get('www-authenticate')).toBe(
      `Bearer error="insufficient_scope", error_description="The session was not given the scope for this call.", scope="mcp:read mcp:write", resource_metadata="${metadataOf(agent.id)}"`,
    )
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(await response.json()).toMatchObject({ error: 'insufficient_scope' })
    expect(world.provider.seen).toEqual([])
    const [record] = await sql(
      `SELECT tool, reason FROM audit_record WHERE agent_id = $1 AND tool = 'github_create_issue' ORDER BY 1 LIMIT 1`,
      agent.id,
    )
    expect(record).toEqual({ tool: 'github_create_issue', reason: 'session_scope' })
  })

  it('is judged the same for a client of the newest revision [RS12]', async () => {
    const { token } = await granted({ scope: 'mcp:read' })
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
    }
    const response = await fetch(agent.url, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'tools/call',
        'mcp-name': 'github_create_issue',
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: 'github_create_issue', arguments: issue, _meta },
      }),
    })
    expect(response.status).toBe(403)
    expect(response.headers.get('www-authenticate')).toContain('scope="mcp:read mcp:write"')
  })

  it('in a batch of the oldest revision fails its own call alone [RS12]', async () => {
    const { token } = await granted({ scope: 'mcp:read' })
    world.provider.answer = () => ({ body: [] })
    const call = (id: number, name: string) => ({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name, arguments: issue },
    })
    const response = await fetch(agent.url, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify([call(1, 'github_create_issue'), { jsonrpc: '2.0', id: 2, method: 'ping' }]),
    })
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject([
      { id: 1, error: { code: -32600 } },
      { id: 2, result: {} },
    ])
  })

  it('never widens the profile: a tool outside it is unknown, not forbidden [SC2]', async () => {
    const narrow = await world.newAgent(person, ['github_list_issues'])
    for (const scope of ['mcp:read', 'mcp:read mcp:write', 'mcp:write mcp:admin']) {
      const { token } = await granted({ scope }, narrow.url)
      for (const name of ['github_create_issue', 'github_delete_world']) {
        const response = await callTool(narrow.url, token, name, issue)
        expect(response.status).toBe(200)
        expect(response.headers.get('www-authenticate')).toBeNull()
        expect(await response.json()).toMatchObject({ error: { code: -32602, message: 'Unknown tool' } })
      }
    }
  })

  it('for writing is enough for reading [RS13, SC1]', async () => {
    const { token, client, refreshToken } = await granted({ scope: 'mcp:write' })
    expect(await names(token)).toEqual(['github_create_issue', 'github_list_issues'])
    const narrowed = await refresh(world, client, refreshToken, { scope: 'mcp:write' })
    expect(narrowed.body['scope']).toBe('mcp:write')
    expect(await names(String(narrowed.body['access_token']))).toEqual(['github_create_issue', 'github_list_issues'])
  })

  it('of a token that was refreshed narrower holds for that token [SC2, TK3]', async () => {
    const { client, refreshToken } = await granted()
    const read = await refresh(world, client, refreshToken, { scope: 'mcp:read' })
    const token = String(read.body['access_token'])
    expect(await names(token)).toEqual(['github_list_issues'])
    expect((await callTool(agent.url, token, 'github_create_issue', issue)).status).toBe(403)
    const again = await refresh(world, client, read.body['refresh_token'])
    expect(await names(String(again.body['access_token']))).toEqual(['github_create_issue', 'github_list_issues'])
  })

  it('mcp:admin is in no token, whoever asks and however [SC3]', async () => {
    const { client, refreshToken, token } = await granted({ scope: 'mcp:admin mcp:write' })
    const wider = await refresh(world, client, refreshToken, { scope: 'mcp:admin' })
    expect(wider.body['error']).toBe('invalid_scope')
    const rows = await sql(
      `SELECT payload->>'scope' AS scope FROM oauth_artifact UNION SELECT array_to_string(scopes, ' ') FROM agent_session`,
    )
    expect(JSON.stringify(rows)).not.toContain('admin')
    expect((await callTools(agent.url, token)).status).toBe(200)
  })
})

describe('a call', () => {
  it('that outlives its token, and the session’s own time, finishes [AS13]', async () => {
    const { token } = await granted()
    let release: () => void = () => undefined
    const held = new Promise<void>((resolve) => (release = resolve))
    let arrived: () => void = () => undefined
    const isThere = new Promise<void>((resolve) => (arrived = resolve))
    world.provider.answer = async () => {
      arrived()
      await held
      return { body: [] }
    }
    world.provider.aborted = 0
    const call = callTool(agent.url, token, 'github_list_issues', { owner: 'o', repo: 'r' })
    await isThere
    await sql(
      `UPDATE agent_session SET expires_at = now() WHERE id = (SELECT agent_session_id FROM oauth_artifact WHERE id_hash = $1)`,
      hashSecret(token),
    )
    await sql('UPDATE oauth_artifact SET expires_at = now() WHERE id_hash = $1', hashSecret(token))
    // Until nobody new is let in, and the calls under way were looked at.
    await expect.poll(async () => (await callTools(agent.url, token)).status, { timeout: 5_000 }).toBe(401)
    const before = performance.now()
    await expect.poll(() => performance.now() - before > 2_500, { timeout: 5_000 }).toBe(true)
    release()
    const response = await call
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({ result: { structuredContent: { issues: [] } } })
    expect(world.provider.aborted).toBe(0)
  })

  it('ends with its session when that is revoked: it does not go on until the token would expire [RS7]', async () => {
    const { token } = await granted()
    let arrived: () => void = () => undefined
    const isThere = new Promise<void>((resolve) => (arrived = resolve))
    world.provider.answer = async () => {
      arrived()
      return new Promise(() => undefined)
    }
    const call = callTool(agent.url, token, 'github_list_issues', { owner: 'o', repo: 'r' })
    await isThere
    const [row] = await sql('SELECT agent_session_id FROM oauth_artifact WHERE id_hash = $1', hashSecret(token))
    await world.sessions.revoke(person.principal, String(row?.['agent_session_id']))
    const response = await call
    expect(await response.text()).toMatch(/isError":true|invalid_token/)
  })
})
