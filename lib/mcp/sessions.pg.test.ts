import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { createMcpWorld, inMemoryKeys, type McpWorld, type Member } from '@/lib/testing/mcp-world'

const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': { elicitation: { url: {} } },
}
const ISSUE = { number: 1, title: 'T', state: 'open', html_url: 'https://github.com/o/r/issues/1' }
const CALL = { name: 'github_create_issue', arguments: { owner: 'o', repo: 'r', title: 'T' } }
type Agent = Awaited<ReturnType<McpWorld['newAgent']>>

describe('sessions and streams of the MCP endpoint', () => {
  let world: McpWorld
  let owner: Member
  let agent: Agent
  beforeAll(async () => {
    world = await createMcpWorld()
  })
  afterAll(() => world.close())
  beforeEach(async () => {
    world.tokens.grantedScopes = ['repo']
    world.provider.answer = () => ({ body: ISSUE })
    owner = await world.newOwner()
    agent = await world.newAgent(owner, ['github_create_issue'])
  })

  const send = (method: string, headers: Record<string, string>, body?: unknown, to: Agent = agent) =>
    fetch(to.url, {
      method,
      headers: {
        authorization: `Bearer ${to.key}`,
        accept: 'application/json, text/event-stream',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  const rpc = (method: string, params: unknown, id: number | string = 1) => ({ jsonrpc: '2.0', id, method, params })
  const begin = async (capabilities: unknown = {}, to: Agent = agent) => {
    const clientInfo = { name: 'test', version: '1' }
    const params = { protocolVersion: '2025-11-25', capabilities, clientInfo }
    const response = await send('POST', {}, rpc('initialize', params), to)
    return response.headers.get('mcp-session-id') ?? ''
  }
  const inSession = (id: string) => ({ 'mcp-session-id': id, 'mcp-protocol-version': '2025-11-25' })
  const modern = (method: string, params: Record<string, unknown>, name?: string) =>
    send(
      'POST',
      {
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': method,
        ...(name === undefined ? {} : { 'mcp-name': name }),
      },
      rpc(method, { ...params, _meta: META }, 'm1'),
    )

  /** Reads events until one fits; the stream's end is `undefined`. */
  function reader(response: Response) {
    const stream = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    return {
      async until(part: string): Promise<string | undefined> {
        while (!text.includes(part)) {
          const { done, value } = await stream.read()
          if (done) return undefined
          text += value
        }
        return text
      },
      cancel: () => stream.cancel(),
    }
  }
  const changeProfile = () =>
    world.agents.applyProfile(owner, agent.id, {
      version: 1,
      tools: { allow: ['github_create_issue', 'github_get_file'] },
    })
  const revoke = () =>
    world.db.adminQuery('app', 'UPDATE agent_session SET ended_at = now() WHERE id = $1', [agent.sessionId])

  it('serves what a session asks, and answers 404 once it was deleted', async () => {
    const id = await begin()
    expect((await send('POST', inSession(id), rpc('tools/list', {}))).status).toBe(200)
    expect((await send('DELETE', inSession(id))).status).toBe(204)
    const after = await send('POST', inSession(id), rpc('tools/list', {}))
    expect([after.status, await after.json()]).toMatchObject([404, { error: { code: -32001 } }])
  })

  it('knows no session of another agent, of another session of the same agent, altered or made up', async () => {
    const id = await begin()
    const other = await world.newAgent(owner, ['github_create_issue'])
    const second = await world.sessions.issue(owner, agent.id)
    const sibling = { ...agent, key: second.sessionKey.reveal() }
    const foreign = await world.newAgent(await world.newOwner(), ['github_create_issue'])
    for (const [who, given] of [
      [other, id],
      [sibling, id],
      [foreign, id],
      [agent, `${id.slice(0, -1)}${id.endsWith('A') ? 'B' : 'A'}`],
      [agent, '1.AAAA'],
      [agent, 'x'],
    ] as const)
      for (const method of ['POST', 'GET', 'DELETE'])
        expect(
          (await send(method, inSession(given), method === 'POST' ? rpc('tools/list', {}) : undefined, who)).status,
        ).toBe(404)
    expect((await send('POST', inSession(id), rpc('tools/list', {}))).status).toBe(200)
  })

  it('ignores a session header on the revision that has none', async () => {
    const response = await send(
      'POST',
      { 'mcp-session-id': 'nonsense', 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' },
      rpc('tools/list', { _meta: META }),
    )
    expect(response.status).toBe(200)
  })

  it('takes the newest version in the header for the agreed one, when the session is good', async () => {
    const id = await begin()
    const headers = { 'mcp-session-id': id, 'mcp-protocol-version': '2026-07-28' }
    expect((await send('POST', headers, rpc('tools/list', {}))).status).toBe(200)
    const without = await send('POST', { 'mcp-protocol-version': '2026-07-28' }, rpc('tools/list', {}))
    expect(without.status).toBe(400)
  })

  it('tells the stream of a session that its tools changed, and again from the event a client had last', async () => {
    const id = await begin()
    const first = reader(await send('GET', inSession(id)))
    await first.until('id: 0-0')
    await changeProfile()
    expect(await first.until('notifications/tools/list_changed')).toContain('id: 0-1')
    await first.cancel()
    const again = reader(await send('GET', { ...inSession(id), 'last-event-id': '0-0' }))
    expect(await again.until('list_changed')).toContain('id: 0-1')
    await again.cancel()
  })

  it('acknowledges a subscription first, tells it what it asked for, and nothing of another agent', async () => {
    const response = await modern('subscriptions/listen', {
      notifications: { toolsListChanged: true, promptsListChanged: true },
    })
    const mine = reader(response)
    const head = await mine.until('acknowledged')
    expect(head).toContain('"notifications":{"toolsListChanged":true}')
    expect(head).toContain('"io.modelcontextprotocol/subscriptionId":"m1"')
    const other = await world.newAgent(owner, ['github_create_issue'])
    await world.agents.applyProfile(owner, other.id, { version: 1, tools: { allow: [] } })
    await changeProfile()
    const text = (await mine.until('list_changed')) ?? ''
    expect(text.match(/list_changed"/g)).toHaveLength(1)
    await mine.cancel()
  })

  it.each(['GET', 'listen'])('closes a stream (%s) within five seconds of the end of its access', async (kind) => {
    const stream = reader(
      kind === 'GET'
        ? await send('GET', inSession(await begin()))
        : await modern('subscriptions/listen', { notifications: {} }),
    )
    await stream.until(kind === 'GET' ? 'id: 0-0' : 'acknowledged')
    await revoke()
    const at = performance.now()
    expect(await stream.until('never sent')).toBeUndefined()
    expect(performance.now() - at).toBeLessThan(5_000)
  })

  it('refuses streams beyond its number, and takes one when another has gone', async () => {
    const narrow = await createMcpWorld({ db: world.db, streamLimits: { perAgentSession: 1, perProcess: 5 } })
    const member = await narrow.newOwner()
    const bound = await narrow.newAgent(member, ['github_create_issue'])
    const headers = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'subscriptions/listen' }
    const open = () => send('POST', headers, rpc('subscriptions/listen', { notifications: {}, _meta: META }), bound)
    const first = reader(await open())
    await first.until('acknowledged')
    expect((await open()).status).toBe(429)
    await first.cancel()
    await expect.poll(async () => (await open()).status).toBe(200)
    await narrow.close()
  })

  it('passes a named cancellation on to the provider, and a broken connection cancels nothing here', async () => {
    await world.newConnection(owner, 'github', 'octocat')
    const id = await begin()
    world.provider.aborted = 0
    let arrived: () => void = () => undefined
    const isThere = new Promise<void>((resolve) => (arrived = resolve))
    world.provider.answer = () => {
      arrived()
      return new Promise(() => undefined)
    }
    const running = send('POST', inSession(id), rpc('tools/call', CALL, 'c9'))
    await isThere
    const notice = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'c9' } }
    expect((await send('POST', inSession(id), notice)).status).toBe(202)
    expect((await running).status).toBe(202)
    await expect.poll(() => world.provider.aborted).toBe(1)
  })

  it('streams progress to a client that asked for it, each number higher, then the answer', async () => {
    await world.newConnection(owner, 'github', 'octocat')
    const params = { ...CALL, _meta: { ...META, progressToken: 'p1' } }
    const headers = {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': CALL.name,
    }
    const response = await send('POST', headers, rpc('tools/call', params))
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    const messages = (await response.text())
      .split('\n')
      .filter((line) => line.startsWith('data: '))
      .map((line) => JSON.parse(line.slice(6)) as Record<string, unknown>)
    expect(messages.slice(0, -1)).toMatchObject([
      { method: 'notifications/progress', params: { progressToken: 'p1', progress: 1 } },
    ])
    expect(messages.at(-1)).toMatchObject({ id: 1, result: { structuredContent: { number: 1 } } })
  })

  describe('an account that is missing', () => {
    const call = (extra: Record<string, unknown> = {}) => modern('tools/call', { ...CALL, ...extra }, CALL.name)
    interface Asked {
      readonly result: {
        readonly resultType: string
        readonly requestState: string
        readonly inputRequests: { readonly connect: { readonly params: { readonly url: string } } }
      }
    }
    const asked = async () => (await (await call()).json()) as Asked

    it('is asked for by a URL of ours, and the call goes on once it is there', async () => {
      const { result } = await asked()
      expect(result.resultType).toBe('input_required')
      expect(result.inputRequests.connect.params.url).toBe(`${world.origin}/connections/new?provider=github`)
      await world.newConnection(owner, 'github', 'octocat')
      const retry = await call({
        requestState: result.requestState,
        inputResponses: { connect: { action: 'accept' } },
      })
      expect(await retry.json()).toMatchObject({ result: { structuredContent: { number: 1 } } })
    })

    it('is not asked for again after a no', async () => {
      const { result } = await asked()
      const retry = await call({
        requestState: result.requestState,
        inputResponses: { connect: { action: 'decline' } },
      })
      expect(await retry.json()).toMatchObject({ result: { isError: true, resultType: 'complete' } })
    })

    it('takes no state that was altered, made for other arguments, or made for another session', async () => {
      const { result } = await asked()
      const refused = { error: { code: -32602 } }
      const inputResponses = { connect: { action: 'accept' } }
      const altered = await call({ requestState: `${result.requestState}A`, inputResponses })
      expect(await altered.json()).toMatchObject(refused)
      const elsewhere = await modern(
        'tools/call',
        {
          ...CALL,
          arguments: { ...CALL.arguments, title: 'Other' },
          requestState: result.requestState,
          inputResponses,
        },
        CALL.name,
      )
      expect(await elsewhere.json()).toMatchObject(refused)
      const second = await world.sessions.issue(owner, agent.id)
      agent = { ...agent, key: second.sessionKey.reveal() }
      expect(await (await call({ requestState: result.requestState, inputResponses })).json()).toMatchObject(refused)
    })

    it('is asked for by an error on the revision of 2025 that has it, else in words', async () => {
      const able = await begin({ elicitation: { url: {} } })
      const error: unknown = await (await send('POST', inSession(able), rpc('tools/call', CALL))).json()
      expect(error).toMatchObject({ error: { code: -32042, data: { elicitations: [{ mode: 'url' }] } } })
      const unable = await begin({ elicitation: {} })
      const words: unknown = await (await send('POST', inSession(unable), rpc('tools/call', CALL))).json()
      expect(words).toMatchObject({ result: { isError: true } })
    })
  })

  it('passes a request of a session on to the gateway that holds it, once', async () => {
    const keys = inMemoryKeys()
    const holder = await createMcpWorld({ db: world.db, keys, instanceId: 'holder' })
    const passed: string[] = []
    const asker = await createMcpWorld({
      db: world.db,
      keys,
      instanceId: 'asker',
      relay: (_request, response, instanceId) => {
        passed.push(instanceId)
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
        return Promise.resolve(true)
      },
    })
    const member = await holder.newOwner()
    const shared = await holder.newAgent(member, ['github_create_issue'])
    const id = await begin({}, shared)
    const there = { ...shared, url: `${asker.origin}/mcp/${shared.id}` }
    expect((await send('POST', inSession(id), rpc('tools/list', {}), there)).status).toBe(200)
    expect(passed).toEqual(['holder'])
    await asker.close()
    await holder.close()
  })
})
