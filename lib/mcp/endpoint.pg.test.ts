import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client'
import { Client as LegacyClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as LegacyTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { newId } from '@/lib/ids'
import { createMcpWorld, type McpWorld, type Member } from '@/lib/testing/mcp-world'

const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
}
const TOOLS = ['github_search_repositories', 'github_create_issue', 'gmail_create_draft']
const rpc = (method: string, params: Record<string, unknown> = {}) => ({ jsonrpc: '2.0', id: 7, method, params })
const modern = (method: string, params: Record<string, unknown> = {}) => rpc(method, { ...params, _meta: META })
const modernHeaders = (method: string, name?: string) => ({
  'mcp-protocol-version': '2026-07-28',
  'mcp-method': method,
  ...(name === undefined ? {} : { 'mcp-name': name }),
})

describe('the MCP endpoint', () => {
  let world: McpWorld
  let owner: Member
  let agent: { id: string; url: string; key: string; sessionId: string }
  beforeAll(async () => {
    world = await createMcpWorld()
    owner = await world.newOwner()
    await world.newConnection(owner, 'github', 'octocat')
    agent = await world.newAgent(owner, TOOLS)
  })
  afterAll(() => world.close())
  beforeEach(() => {
    world.provider.seen.length = 0
    world.tokens.grantedScopes = ['repo']
    world.provider.answer = () => ({
      body: { number: 1, title: 'T', state: 'open', html_url: 'https://github.com/o/r/issues/1' },
    })
  })

  const post = (body: unknown, headers: Record<string, string> = {}, url = agent.url) =>
    fetch(url, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${agent.key}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...headers,
      },
      body: typeof body === 'string' || body instanceof Uint8Array ? (body as string) : JSON.stringify(body), // bytes are a body too
    })
  const issue = { owner: 'o', repo: 'r', title: 'T' }

  // Every row of the protocol's table of statuses and codes.
  const rows: [string, unknown, Record<string, string>, number, number | undefined][] = [
    ['bad JSON', '{"jsonrpc":', {}, 400, -32700],
    ['an empty body', '', {}, 400, -32700],
    ['bytes that are not UTF-8', new Uint8Array([0x22, 0xff, 0xfe, 0x22]), {}, 400, -32700],
    ['nesting without end', '['.repeat(5000), {}, 400, -32700],
    ['a body that is no JSON-RPC', { hello: 1 }, {}, 400, -32600],
    ['another content type', modern('tools/list'), { 'content-type': 'text/plain' }, 415, -32000],
    ['nothing acceptable', modern('tools/list'), { accept: 'text/html' }, 406, -32000],
    ['a modern header without _meta', rpc('tools/list'), modernHeaders('tools/list'), 400, -32602],
    [
      '_meta without capabilities',
      rpc('tools/list', { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } }),
      modernHeaders('tools/list'),
      400,
      -32602,
    ],
    ['a missing version header', modern('tools/list'), { 'mcp-method': 'tools/list' }, 400, -32020],
    [
      'a version header that differs',
      modern('tools/list'),
      { ...modernHeaders('tools/list'), 'mcp-protocol-version': '2025-11-25' },
      400,
      -32020,
    ],
    ['a missing method header', modern('tools/list'), { 'mcp-protocol-version': '2026-07-28' }, 400, -32020],
    ['a method header that differs', modern('tools/call'), modernHeaders('tools/list'), 400, -32020],
    [
      'a missing name header',
      modern('tools/call', { name: 'github_create_issue', arguments: issue }),
      modernHeaders('tools/call'),
      400,
      -32020,
    ],
    [
      'a name header of a harmless tool over the body of another',
      modern('tools/call', { name: 'github_create_issue', arguments: issue }),
      modernHeaders('tools/call', 'github_search_repositories'),
      400,
      -32020,
    ],
    [
      'a name header in broken Base64',
      modern('tools/call', { name: 'github_create_issue', arguments: issue }),
      modernHeaders('tools/call', '=?base64?!!!?='),
      400,
      -32020,
    ],
    [
      'an unknown modern version',
      rpc('tools/list', { _meta: { ...META, 'io.modelcontextprotocol/protocolVersion': '2027-01-01' } }),
      { ...modernHeaders('tools/list'), 'mcp-protocol-version': '2027-01-01' },
      400,
      -32022,
    ],
    ['an unknown method', modern('tools/destroy'), modernHeaders('tools/destroy'), 404, -32601],
    ['a removed method', modern('ping'), modernHeaders('ping'), 404, -32601],
    ['initialize on the modern leg', modern('initialize'), modernHeaders('initialize'), 404, -32601],
    ['a method we do not serve', modern('prompts/list'), modernHeaders('prompts/list'), 404, -32601],
    ['initialize under a modern header', rpc('initialize'), modernHeaders('initialize'), 400, -32020],
    ['a batch with a modern request', [modern('tools/list')], {}, 400, -32600],
    ['an empty batch', [], {}, 400, -32600],
    [
      'a response under the modern header',
      { jsonrpc: '2.0', id: 1, result: {} },
      { 'mcp-protocol-version': '2026-07-28' },
      400,
      -32000,
    ],
    [
      'an unknown tool',
      modern('tools/call', { name: 'nope', arguments: {} }),
      modernHeaders('tools/call', 'nope'),
      200,
      -32602,
    ],
    ['a call without a name', modern('tools/call', {}), modernHeaders('tools/call'), 200, -32602],
    ['a cursor of another kind', modern('tools/list', { cursor: [[]] }), modernHeaders('tools/list'), 200, -32602],
    ['a cursor we never gave', modern('tools/list', { cursor: 'x' }), modernHeaders('tools/list'), 200, -32602],
    ['an unknown older version', rpc('tools/list'), { 'mcp-protocol-version': '2024-01-01' }, 400, -32000],
    ['a batch in a revision without', [rpc('ping')], { 'mcp-protocol-version': '2025-06-18' }, 400, -32600],
    ['a batch that is too long', Array.from({ length: 21 }, (_, id) => ({ ...rpc('ping'), id })), {}, 400, -32600],
    ['an unknown method of old', rpc('tools/destroy'), {}, 200, -32601],
    ['an older ping', rpc('ping'), {}, 200, undefined],
    ['a modern list', modern('tools/list'), modernHeaders('tools/list'), 200, undefined],
  ]
  it.each(rows)('answers %s exactly', async (_name, body, headers, status, code) => {
    const response = await post(body, headers)
    const answer = (await response.json()) as { error?: { code: number; message: string } }
    expect([response.status, answer.error?.code]).toEqual([status, code])
    expect(response.headers.get('cache-control')).toContain('no-store')
    expect(world.provider.seen).toEqual([])
  })

  it('answers every row that the SDK itself serves as the SDK does', async () => {
    const reference = createMcpHandler(() => {
      const server = new McpServer({ name: 'x', version: '1' }, { capabilities: {} })
      server.server.registerCapabilities({ tools: {} })
      server.server.setRequestHandler('tools/list', () => ({ tools: [] }))
      return server
    })
    // Ours on purpose: JSON-only clients are served, and an older revision that has no batches gets none.
    const own =
      /acceptable|UTF-8|without end|cursor|tool$|without a name|in a revision|too long|older|of old|empty body/
    for (const [name, body, headers] of rows.filter(([name]) => !own.test(name))) {
      const request = new Request(agent.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      })
      const [theirs, ours] = [await reference.fetch(request), await post(body, headers)]
      const codeOf = async (response: Response) => ((await response.json()) as { error?: { code: number } }).error?.code
      expect([name, ours.status, await codeOf(ours)]).toEqual([name, theirs.status, await codeOf(theirs)])
    }
    await reference.close()
  })

  it('reads a name header in Base64 before it compares', async () => {
    const response = await post(
      modern('tools/call', { name: 'github_create_issue', arguments: issue }),
      modernHeaders('tools/call', `=?base64?${Buffer.from('github_create_issue').toString('base64')}?=`),
    )
    expect(response.status).toBe(200)
    expect(world.provider.seen).toHaveLength(1)
  })

  it('refuses a body over its limit without reading on', async () => {
    const response = await post(JSON.stringify({ ...rpc('ping'), pad: 'x'.repeat(1024 * 1024) }))
    expect(response.status).toBe(413)
  })

  it.each(['GET', 'DELETE', 'PUT', 'PATCH'])('takes no %s, once it knows who asks', async (method) => {
    const response = await fetch(agent.url, { method, headers: { authorization: `Bearer ${agent.key}` } })
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
    expect((await fetch(agent.url, { method })).status).toBe(401)
  })

  it('takes notifications and sends nothing back', async () => {
    for (const [body, headers] of [
      [{ jsonrpc: '2.0', method: 'notifications/initialized' }, {}],
      [
        { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1, _meta: META } },
        { 'mcp-protocol-version': '2026-07-28' },
      ],
    ] as const) {
      const response = await post(body, headers)
      expect([response.status, await response.text()]).toEqual([202, ''])
    }
  })

  it('answers a batch of the revision that had them, each request its own', async () => {
    const response = await post([
      { ...rpc('ping'), id: 1 },
      { jsonrpc: '2.0', method: 'notifications/initialized' },
      { ...rpc('tools/list'), id: 2 },
    ])
    const answers = (await response.json()) as { id: number; result: { tools?: unknown[] } }[]
    expect(answers.map(({ id }) => id)).toEqual([1, 2])
    expect(answers[1]!.result.tools).toHaveLength(3)
    const twins = await post([rpc('ping'), rpc('ping')])
    expect(twins.status).toBe(400)
  })

  it('sends one event to a client that takes nothing but a stream', async () => {
    const response = await post(rpc('ping'), { accept: 'text/event-stream' })
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    expect(await response.text()).toBe('event: message\ndata: {"result":{},"jsonrpc":"2.0","id":7}\n\n')
  })

  describe('without a usable session', () => {
    const challenge = (id: string, error = '') =>
      `Bearer ${error}resource_metadata="${world.origin}/.well-known/oauth-protected-resource/mcp/${id}", scope="mcp:read mcp:write"`
    const invalid = 'error="invalid_token", error_description="The session is unknown, ended, or not for this agent.", '

    it('says the same on both legs, for any body, and for agents that do not exist', async () => {
      const bytes = new Set<string>()
      for (const body of [modern('tools/list'), rpc('initialize'), '{', [], 'x'.repeat(2_000_000)]) {
        const id = newId('agent')
        for (const [url, agentId] of [
          [agent.url, agent.id],
          [`${world.origin}/mcp/${id}`, id],
        ] as const) {
          const response = await fetch(url, {
            method: 'POST',
            body: typeof body === 'string' ? body : JSON.stringify(body),
          })
          expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, challenge(agentId)])
          bytes.add(await response.text())
        }
      }
      expect(bytes.size).toBe(1)
    })

    it.each([
      ['a made-up key', () => `Bearer pcs_${'A'.repeat(43)}`],
      ['a token of a provider', () => 'Bearer gho_16C7e42F292c6912E7710c838347Ae178B4a'],
      ['two tokens', () => `Bearer ${agent.key} ${agent.key}`],
    ])('calls %s invalid', async (_name, authorization) => {
      const response = await post(modern('tools/list'), { authorization: authorization() })
      expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, challenge(agent.id, invalid)])
    })

    it.each(['Bearer ', 'Basic cGNzXzphYmM=', 'pcs'])('takes %j for no credential at all', async (authorization) => {
      const response = await post(modern('tools/list'), { authorization })
      expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, challenge(agent.id)])
    })

    it('gives a session of one agent nothing at the URL of another', async () => {
      const other = await world.newAgent(owner, TOOLS)
      const response = await post(modern('tools/list'), modernHeaders('tools/list'), other.url)
      expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, challenge(other.id, invalid)])
    })

    it('does not take a key from the URL, even beside a good header, and never logs it', async () => {
      for (const suffix of [
        `?access_token=${agent.key}`,
        `?key=${agent.key}`,
        `?x=${agent.key}`,
        `?x=p%63s_${agent.key.slice(4)}`,
      ]) {
        const response = await post(modern('tools/list'), modernHeaders('tools/list'), agent.url + suffix)
        expect(response.status).toBe(401)
      }
      const inPath = await post(modern('tools/list'), {}, `${world.origin}/mcp/${agent.key}`)
      expect(inPath.status).toBe(401)
      expect(inPath.headers.get('www-authenticate')).not.toContain('pcs_')
      expect(world.logged.join('\n')).not.toContain(agent.key.slice(4, 16))
    })

    it('ends when the session is revoked and when the agent is disabled', async () => {
      const [first, second] = [await world.newAgent(owner, TOOLS), await world.newAgent(owner, TOOLS)]
      const ask = (one: typeof first) =>
        post(modern('tools/list'), { ...modernHeaders('tools/list'), authorization: `Bearer ${one.key}` }, one.url)
      expect((await ask(first)).status).toBe(200)
      await world.sessions.revoke(owner, first.sessionId)
      expect((await ask(first)).status).toBe(401)
      await world.agents.disable(owner, second.id)
      expect((await ask(second)).status).toBe(401)
    })

    it('ends a call whose session ended elsewhere a moment ago, whatever is remembered here', async () => {
      const one = await world.newAgent(owner, TOOLS)
      const call = () =>
        post(
          modern('tools/call', { name: 'github_create_issue', arguments: issue }),
          { ...modernHeaders('tools/call', 'github_create_issue'), authorization: `Bearer ${one.key}` },
          one.url,
        )
      expect((await call()).status).toBe(200)
      await world.db.adminQuery('app', 'UPDATE agent_session SET ended_at = now() WHERE id = $1', [one.sessionId])
      world.provider.seen.length = 0
      const response = await call()
      expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, challenge(one.id, invalid)])
      expect(world.provider.seen).toEqual([])
    })

    it('publishes metadata that names this origin as the authorization server, for agents that do not exist too', async () => {
      const unknown = newId('agent')
      for (const id of [agent.id, unknown]) {
        const response = await fetch(`${world.origin}/.well-known/oauth-protected-resource/mcp/${id}`)
        expect(response.headers.get('access-control-allow-origin')).toBe('*')
        expect(await response.json()).toEqual({
          resource: `${world.origin}/mcp/${id}`,
          authorization_servers: [world.origin],
          resource_name: 'Portcullis agent',
          bearer_methods_supported: ['header'],
          scopes_supported: ['mcp:read', 'mcp:write'],
        })
      }
      expect((await fetch(`${world.origin}/.well-known/oauth-protected-resource/mcp/x`)).status).toBe(404)
    })
  })

  it('lets no page of another site in, with a key or without', async () => {
    for (const origin of ['https://evil.example', 'null', `${world.origin}.evil.example`]) {
      expect((await post(modern('tools/list'), { ...modernHeaders('tools/list'), origin })).status).toBe(403)
    }
    expect((await post(modern('tools/list'), { ...modernHeaders('tools/list'), origin: world.origin })).status).toBe(
      200,
    )
  })

  it('answers an unlisted tool and an unknown one with the same bytes, and records both', async () => {
    const ask = async (name: string) => {
      const response = await post(modern('tools/call', { name, arguments: {} }), modernHeaders('tools/call', name))
      return [response.status, await response.text()]
    }
    expect(await ask('slack_send_message')).toEqual(await ask('no_such_tool'))
    const denied = (await world.records(agent.id))
      .filter(({ decision }) => decision === 'deny')
      .map(({ tool, reason }) => [tool, reason])
    expect(denied).toContainEqual(['slack_send_message', 'not_in_profile'])
    expect(denied).toContainEqual(['unknown', 'unknown_tool'])
  })

  it('lists what may be called, in a stable order, privately and for a short while', async () => {
    const list = async () => {
      const response = await post(modern('tools/list'), modernHeaders('tools/list'))
      return (await response.json()) as { result: { tools: { name: string }[]; ttlMs: number; cacheScope: string } }
    }
    const { result } = await list()
    expect(result.tools.map(({ name }) => name)).toEqual(TOOLS)
    expect(result).toMatchObject({ cacheScope: 'private', ttlMs: 5_000 })
    expect(await list()).toEqual({ ...(await list()) })
  })

  it('promises an older client notices, and gives it the session that carries them', async () => {
    const response = await post(
      rpc('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } }),
    )
    expect(await response.json()).toMatchObject({
      result: { protocolVersion: '2025-11-25', capabilities: { tools: { listChanged: true } } },
    })
    expect(response.headers.get('mcp-session-id')).toMatch(/^[\x21-\x7e]{40,}$/)
    const newer = await post(
      rpc('initialize', { protocolVersion: '2026-07-28', capabilities: {}, clientInfo: { name: 't', version: '1' } }),
    )
    expect(await newer.json()).toMatchObject({ result: { protocolVersion: '2025-11-25' } })
  })

  const headers = () => ({ requestInit: { headers: { authorization: `Bearer ${agent.key}` } } })

  it.each(['legacy', 'auto', { pin: '2026-07-28' }] as const)('serves the v2 client in mode %j', async (mode) => {
    const client = new ModernClient({ name: 'test', version: '1' }, { versionNegotiation: { mode } })
    await client.connect(new ModernTransport(new URL(agent.url), headers()))
    const { tools } = await client.listTools()
    expect(tools.map(({ name }) => name)).toEqual(TOOLS)
    const result = await client.callTool({ name: 'github_create_issue', arguments: issue })
    expect(result).toMatchObject({ structuredContent: { number: 1, url: 'https://github.com/o/r/issues/1' } })
    expect(world.provider.seen.at(-1)).toMatchObject({ method: 'POST', url: '/github/repos/o/r/issues' })
    const refused = await client.callTool({ name: 'github_create_issue', arguments: { owner: 'o' } })
    expect(refused.isError).toBe(true)
    await client.close()
  })

  it('serves the v1 client', async () => {
    const client = new LegacyClient({ name: 'test', version: '1' })
    await client.connect(new LegacyTransport(new URL(agent.url), headers()))
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(TOOLS)
    const result = await client.callTool({ name: 'github_create_issue', arguments: issue })
    expect(result.structuredContent).toMatchObject({ number: 1 })
    await client.close()
  })

  it('never sends the agent’s own headers on', async () => {
    await post(modern('tools/call', { name: 'github_create_issue', arguments: issue }), {
      ...modernHeaders('tools/call', 'github_create_issue'),
      cookie: 'session=1',
      'mcp-session-id': 'abc',
      'x-forwarded-for': '203.0.113.9',
      'x-anything': 'smuggled',
    })
    const sent = world.provider.seen.at(-1)!
    expect(sent.headers.authorization).toMatch(/^Bearer tok_/)
    expect(JSON.stringify(sent)).not.toMatch(/pcs_|session=1|smuggled|203\.0\.113\.9/)
  })
})
