/**
 * What the product says to what is wrong: to a wrong environment when it starts, and through its public port to requests
 * that are malformed, not allowed, or not anybody's.
 *
 * @see MCP 2026-07-28, Streamable HTTP; RFC 6750 §3
 */
import { spawn } from 'node:child_process'
import path from 'node:path'

import { expect, test } from '@playwright/test'

import { freePort } from '../launcher/processes.mjs'
import { named, request, VERSION, type Agent, type PostOptions } from './support/agent'
import { portcullis } from './support/cli'
import { READS, startConnected, type Connected } from './support/connected'
import { query } from './support/database'
import { cleanEnvironment } from './support/product'
import { createVisitor, type Answer } from './support/visitor'

const ROOT = path.resolve(import.meta.dirname, '..')
/** Ids of the right shape that nothing has. */
const NO_AGENT = 'agt_00000000000000000000000000'
const NO_CONNECTION = 'con_00000000000000000000000000'
const MEBIBYTE = 1024 * 1024

test.describe('a wrong environment', () => {
  const start = (env: Readonly<Record<string, string>>) =>
    new Promise<{ status: number | null; output: string }>((resolve) => {
      const child = spawn('npm', ['start'], {
        cwd: ROOT,
        env: { ...cleanEnvironment(), ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let output = ''
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
      child.once('close', (status) => resolve({ status, output }))
    })

  test('ends npm start with status 1 and the name of each wrong variable, never its value', async () => {
    const values = {
      PUBLIC_URL: 'ftp://canary-host.example/secret-path',
      DATABASE_URL: 'mysql://canary-user:canary-password@db.example/app',
      REDIS_URL: 'canary-redis.example:6379',
      GITHUB_CLIENT_SECRET: '',
      TRUSTED_PROXIES: '',
      LOG_LEVEL: 'canary-level',
      METRICS_PORT: 'canary-port',
    }
    const { status, output } = await start({ ...values, PORT: String(await freePort()) })
    expect(status).toBe(1)
    for (const name of ['PUBLIC_URL', 'DATABASE_URL', 'REDIS_URL', 'LOG_LEVEL', 'METRICS_PORT'])
      expect(output).toContain(name)
    expect(output).not.toContain('canary')
  })

  test('is found across variables, too: halves of pairs, and a public address without encryption', async () => {
    const { status, output } = await start({
      PORT: String(await freePort()),
      PUBLIC_URL: 'http://portcullis.canary.example',
      GITHUB_CLIENT_ID: 'canary-client',
      PROVIDER_OVERRIDES: '/nowhere/canary.json',
    })
    expect(status).toBe(1)
    for (const name of ['PUBLIC_URL', 'GITHUB_CLIENT_SECRET', 'PROVIDER_OVERRIDES']) expect(output).toContain(name)
    expect(output).not.toContain('canary')
  })

  test('with one database of two is refused', async () => {
    const { status, output } = await start({
      PORT: String(await freePort()),
      DATABASE_URL: 'postgresql://canary-user:canary-password@127.0.0.1:1/app',
    })
    expect(status).toBe(1)
    expect(output).toContain('VAULT_DATABASE_URL')
    expect(output).not.toContain('canary')
  })
})

test.describe('requests', () => {
  test.describe.configure({ mode: 'serial' })
  let world: Connected
  let agent: Agent

  test.beforeAll(async () => {
    test.setTimeout(300_000)
    world = await startConnected({ providers: ['github'] })
    agent = world.agent
  })
  test.afterAll(() => world.close())

  const { tool, args } = READS.github
  const listing = request(1, 'tools/list')
  const calling = (name: string, given: unknown) =>
    agent.post(request(7, 'tools/call', { name, arguments: given }), { headers: named('tools/call', name) })
  const errorOf = (answer: Answer) => answer.json() as { id: unknown; error: { code: number; data?: unknown } } // JSON-RPC's shape

  /** Every way of sending a request that is not one. */
  const malformed: readonly [what: string, status: number, code: number, body: unknown, options?: PostOptions][] = [
    ['a body that is not JSON', 400, -32_700, '{"jsonrpc":"2.0",', {}],
    ['a body that is not UTF-8', 400, -32_700, Buffer.from('{"jsonrpc":"\xff"}', 'latin1'), {}],
    ['a body nested too deep', 400, -32_700, `${'['.repeat(200)}${']'.repeat(200)}`, {}],
    [
      'a body of another type',
      415,
      -32_000,
      listing,
      { headers: { ...named('tools/list'), 'content-type': 'text/plain' } },
    ],
    [
      'no type that can be answered',
      406,
      -32_000,
      listing,
      { headers: { ...named('tools/list'), accept: 'image/png' } },
    ],
    ['a body of more than a mebibyte', 413, -32_000, `"${'x'.repeat(MEBIBYTE)}"`, {}],
    ['another method', 405, -32_000, listing, { method: 'PUT' }],
    [
      'a page of another site',
      403,
      -32_000,
      listing,
      { headers: { ...named('tools/list'), origin: 'https://evil.example' } },
    ],
    [
      'a request of this revision without its envelope',
      400,
      -32_602,
      { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} },
      { headers: named('tools/list') },
    ],
    ['a method that the header does not name', 400, -32_020, listing, { headers: named('tools/call') }],
    ['no header that names the method', 400, -32_020, listing, { headers: { 'mcp-protocol-version': VERSION } }],
    ['no header that names the revision', 400, -32_020, listing, { headers: { 'mcp-method': 'tools/list' } }],
    [
      'a tool that the header does not name',
      400,
      -32_020,
      request(1, 'tools/call', { name: tool, arguments: args }),
      { headers: named('tools/call', 'another_tool') },
    ],
    ['a method there is not', 404, -32_601, request(1, 'tools/destroy'), { headers: named('tools/destroy') }],
    [
      'a cursor that is none',
      200,
      -32_602,
      request(1, 'tools/list', { cursor: 'x' }),
      { headers: named('tools/list') },
    ],
  ]
  for (const [what, status, code, body, options] of malformed)
    test(`${what} is answered ${status} and ${code}`, async () => {
      const answer = await agent.post(body, options)
      expect({ status: answer.status, code: errorOf(answer).error.code }).toEqual({ status, code })
    })

  test('a revision there is not is answered 400 and -32022 with those there are', async () => {
    const asked = JSON.parse(JSON.stringify(listing).replaceAll(VERSION, '2099-01-01')) as unknown // any JSON
    const answer = await agent.post(asked, {
      headers: { ...named('tools/list'), 'mcp-protocol-version': '2099-01-01' },
    })
    expect(answer.status).toBe(400)
    expect(errorOf(answer)).toMatchObject({
      id: 1,
      error: { code: -32_022, data: { supported: [VERSION], requested: '2099-01-01' } },
    })
  })

  test('a host that is not this one is not served, whoever asks', async () => {
    for (const target of [`/mcp/${agent.agentId}`, '/api/v1/agents', '/signin/password', '/'])
      expect(
        (await agent.post(listing, { path: target, headers: { ...named('tools/list'), host: 'evil.example' } })).status,
      ).toBe(421)
  })

  test('a tool that is unknown and one that is not allowed are told apart by nobody', async () => {
    const narrow = await world.newAgent('Narrow', [tool])
    const ask = (name: string) =>
      narrow.post(request(3, 'tools/call', { name, arguments: {} }), { headers: named('tools/call', name) })
    const [unknown, forbidden] = [await ask('no_such_tool'), await ask('slack_send_message')]
    expect(unknown.status).toBe(200)
    expect(errorOf(unknown)).toMatchObject({ id: 3, error: { code: -32_602 } })
    expect(forbidden.body).toBe(unknown.body)
    expect(await narrow.tools()).toEqual([tool])
  })

  const wrongArguments: readonly [what: string, given: unknown, said: RegExp][] = [
    ['a number for a text', { query: 7 }, /query/],
    ['nothing for what is needed', {}, /query/],
    ['an argument there is not', { query: 'x', token: 'y' }, /token/],
    ['a limit out of range', { query: 'x', limit: 100_000 }, /limit/],
    ['another account than there are', { query: 'x', account: 'somebody' }, /account/],
    ['a cursor of nobody', { query: 'x', cursor: 'bm9ib2R5' }, /cursor/],
  ]
  for (const [what, given, said] of wrongArguments)
    test(`${what} is an error of the tool that says which argument, and reaches no provider`, async () => {
      await world.sandbox.resetCounters()
      const answer = await calling(tool, given)
      expect(answer.status).toBe(200)
      const { result } = answer.json() as { result: { isError: boolean; content: { text: string }[] } } // the protocol's shape
      expect(result.isError).toBe(true)
      expect(result.content[0]!.text).toMatch(/^Input validation error: /)
      expect(result.content[0]!.text).toMatch(said)
      expect((await world.sandbox.counters('github')).apiCalls).toBe(0)
    })

  test('arguments that are no object are refused by the protocol', async () => {
    const answer = await calling(tool, ['x'])
    expect(answer.status).toBe(200)
    expect(JSON.stringify(answer.json())).toMatch(/-32602|"isError":true/)
  })

  /** One answer for every key that does not open this agent's door. */
  async function refused(answer: Answer): Promise<string> {
    expect(answer.status).toBe(401)
    expect(answer.headers['www-authenticate']).toMatch(
      /^Bearer error="invalid_token", error_description="[^"]*", resource_metadata="http:\/\/localhost:\d+\/\.well-known\/oauth-protected-resource\/mcp\/agt_\w+", scope="[^"]*"$/,
    )
    return answer.body
  }

  test('no key, and a key of another kind, are answered 401 with where to find out more', async () => {
    const bare = await agent.post(listing, { headers: { ...named('tools/list'), authorization: undefined } })
    expect(bare.status).toBe(401)
    expect(bare.headers['www-authenticate']).toMatch(/^Bearer resource_metadata="http[^"]*"/)
    await refused(
      await agent.post(listing, { headers: { ...named('tools/list'), authorization: 'Bearer pcs_nobody' } }),
    )
    const metadata = await createVisitor(world.product.url).send(
      `/.well-known/oauth-protected-resource/mcp/${agent.agentId}`,
    )
    expect(metadata.json()).toMatchObject({ resource: `${world.product.url}/mcp/${agent.agentId}` })
  })

  test('another agent’s key, another agent’s address and no agent’s address are one and the same answer', async () => {
    const other = await world.newAgent('Other')
    const bodies = new Set([
      await refused(await agent.post(listing, { path: `/mcp/${other.agentId}`, headers: named('tools/list') })),
      await refused(await agent.post(listing, { path: `/mcp/${NO_AGENT}`, headers: named('tools/list') })),
    ])
    expect(bodies.size).toBe(1)
    expect((await agent.post(listing, { path: '/mcp/agt_1', headers: named('tools/list') })).status).toBe(404)
  })

  test('a key in the address is refused even beside a good one, and is not repeated', async () => {
    const { agentId, sessionKey } = agent
    for (const target of [
      `/mcp/${agentId}?access_token=${sessionKey}`,
      `/mcp/${agentId}?x=${sessionKey}`,
      `/mcp/${sessionKey}`,
      `/mcp/${agentId}?x=${encodeURIComponent(sessionKey).replace('pcs_', '%70cs_')}`,
    ]) {
      for (const authorization of [`Bearer ${sessionKey}`, undefined]) {
        const answer = await agent.post(listing, { path: target, headers: { ...named('tools/list'), authorization } })
        expect(answer.status).toBe(401)
        expect(answer.body + JSON.stringify(answer.headers)).not.toContain(sessionKey)
      }
    }
    expect(world.product.output()).not.toContain(sessionKey)
  })

  test('a session that was revoked, that expired, or whose agent was disabled opens nothing from then on', async () => {
    const { owner, product } = world
    const list = (who: Agent) => who.post(listing, { headers: named('tools/list') })
    const bodies = new Set<string>()

    const revoked = await world.newAgent('Revoked')
    expect((await list(revoked)).status).toBe(200)
    const sessions = (await owner.send(`/api/v1/sessions?agentId=${revoked.agentId}`)).json() as {
      items: { id: string }[]
    } // the API's own shape
    await owner.send(`/api/v1/sessions/${sessions.items[0]!.id}`, { method: 'DELETE' })
    // A list may be remembered for a moment; a call may not be made even then.
    const call = await revoked.post(request(1, 'tools/call', { name: tool, arguments: args }), {
      headers: named('tools/call', tool),
    })
    bodies.add(await refused(call))
    bodies.add(await refused(await list(revoked)))

    const disabled = await world.newAgent('Disabled')
    expect((await list(disabled)).status).toBe(200)
    await owner.send(`/api/v1/agents/${disabled.agentId}/disable`, { method: 'POST' })
    await expect.poll(async () => (await list(disabled)).status).toBe(401)
    bodies.add(await refused(await list(disabled)))

    const expired = await world.newAgent('Expired')
    expect((await list(expired)).status).toBe(200)
    await query(product.dataDir, 'portcullis', 'UPDATE agent_session SET expires_at = now() WHERE agent_id = $1', [
      expired.agentId,
    ])
    await expect.poll(async () => (await list(expired)).status).toBe(401)
    bodies.add(await refused(await list(expired)))
    expect(bodies.size).toBe(1)
  })

  test('the API tells a foreign id, a missing one and a malformed one apart from nothing', async () => {
    const made = await portcullis(['tenant', 'create', '--name', 'Stranger', '--json'], env())
    expect(made.status).toBe(0)
    const { id: stranger } = made.json() as { id: string } // the command's own shape
    const foreign = await portcullis(['agent', 'create', '--name', 'Foreign', '--tenant', stranger, '--json'], env())
    expect(foreign.status).toBe(0)
    const { id: foreignAgent } = foreign.json() as { id: string } // as above
    const { owner } = world
    const bodies = new Set<string>()
    for (const id of [foreignAgent, NO_AGENT, 'agt_1', '%00'])
      for (const [method, rest] of [
        ['GET', ''],
        ['POST', '/disable'],
        ['GET', '/profile'],
      ] as const) {
        const answer = await owner.send(`/api/v1/agents/${id}${rest}`, { method })
        expect(answer.status).toBe(404)
        bodies.add(answer.body)
      }
    bodies.add((await owner.send(`/api/v1/connections/${NO_CONNECTION}`)).body)
    expect(bodies.size).toBe(1)
    // With this workspace's key at the stranger's agent: nobody's.
    await refused(await agent.post(listing, { path: `/mcp/${foreignAgent}`, headers: named('tools/list') }))
  })

  test('the API refuses what is malformed, too large or from another site by name of the field', async () => {
    const { owner } = world
    const post = (body: unknown, more: object = {}) => owner.send('/api/v1/agents', { json: body, ...more })
    const answers: readonly [Answer, number, string, string?][] = [
      [await post({ name: 7 }), 400, 'request.invalid', 'name'],
      [await post({ name: 'x', owner: 'y' }), 400, 'request.invalid', 'owner'],
      [await post({ name: 'x', description: 'y'.repeat(200_000) }), 413, 'request.too_large'],
      [await post({ name: 'x' }, { headers: { 'content-type': 'text/plain' } }), 415, 'request.unsupported_media_type'],
      [await post({ name: 'x' }, { sameOrigin: false }), 403, 'request.origin_refused'],
      [await owner.send('/api/v1/agents', { method: 'DELETE' }), 405, 'request.method_not_allowed'],
      [await createVisitor(world.product.url).send('/api/v1/agents'), 401, 'auth.unauthenticated'],
    ]
    for (const [answer, status, code, field] of answers) {
      expect(answer.status).toBe(status)
      expect(answer.json()).toMatchObject({ error: { code, ...(field === undefined ? {} : { field }) } })
    }
  })

  test('every refusal of somebody known is in the audit trail', async () => {
    const wanted = [
      ['tool.call', 'deny', 'unknown_tool'],
      ['tool.call', 'deny', 'not_in_profile'],
      ['tool.call', 'deny', 'invalid_arguments'],
      ['api.refused', null, 'resource.not_found'],
      ['mcp.refused', null, 'http_400'],
    ] as const
    const missing = async () => {
      const tail = await portcullis(['audit', 'tail', '--lines', '100', '--tenant', await ownTenant(), '--json'], env())
      expect(tail.status).toBe(0)
      const rows = tail.json() as { action: string; decision: string | null; outcome: string; reason: string }[] // the command's own shape
      return wanted.filter(
        ([action, decision, reason]) =>
          !rows.some(
            (row) =>
              row.action === action && row.decision === decision && row.reason === reason && row.outcome === 'denied',
          ),
      )
    }
    await expect.poll(missing, { timeout: 30_000, intervals: [500, 2_000, 5_000] }).toEqual([])
  })

  const env = () => ({ PORTCULLIS_DATA_DIR: world.product.dataDir })
  async function ownTenant(): Promise<string> {
    const account = (await world.owner.send('/api/v1/account')).json() as { workspaceId: string } // the API's own shape
    return account.workspaceId
  }
})
