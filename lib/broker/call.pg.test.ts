import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { AppError } from '@/lib/errors'
import { newId } from '@/lib/ids'
import { createMcpWorld, type McpWorld, type Member, type SeenRequest } from '@/lib/testing/mcp-world'
import type { AgentPrincipal } from '@/lib/tenancy/principal'

import type { ToolResult } from './call'

const ISSUE = { number: 1, title: 'T', state: 'open', html_url: 'https://github.com/o/r/issues/1' }
const args = { owner: 'o', repo: 'r', title: 'T' }
const textOf = (result: ToolResult) =>
  result.kind === 'success' || result.kind === 'error' ? result.text : result.kind

describe('the broker', () => {
  let world: McpWorld
  let owner: Member
  beforeAll(async () => {
    world = await createMcpWorld()
  })
  afterAll(() => world.close())
  beforeEach(async () => {
    world.provider.seen.length = 0
    world.provider.aborted = 0
    world.provider.answer = () => ({ body: ISSUE })
    world.tokens.grantedScopes = ['repo']
    world.tokens.fail = undefined
    world.tokens.refreshes = 0
    world.logged.length = 0
    owner = await world.newOwner()
  })

  async function arrange(
    tools: string[] = ['github_create_issue'],
    provider: 'github' | 'google' | 'slack' = 'github',
  ) {
    const connectionId = await world.newConnection(owner, provider, 'octocat')
    const agent = await world.newAgent(owner, tools)
    const session = await world.sessions.lookup(agent.key)
    const principal: AgentPrincipal = { kind: 'agent', network: '192.0.2.7', ...session! }
    const call = (name = tools[0]!, given: unknown = args, signal?: AbortSignal) =>
      world.broker.call(principal, name, given, signal === undefined ? {} : { signal })
    const last = async () => {
      const records = await world.records(agent.id)
      return records.slice(-2).map(({ kind, decision, outcome, reason }) => [kind, decision ?? outcome, reason])
    }
    return { connectionId, agent, principal, call, last }
  }

  it('records the intent before the provider hears anything, and the outcome after', async () => {
    const { call, agent, last } = await arrange()
    let atProvider: unknown
    world.provider.answer = async () => {
      atProvider = await world.db.adminQuery(
        'app',
        'SELECT kind, decision FROM audit_record WHERE agent_id = $1 AND kind <> $2',
        [agent.id, 'event'],
      )
      return { body: ISSUE }
    }
    expect(await call()).toMatchObject({ kind: 'success', structured: { number: 1, url: ISSUE.html_url } })
    expect(atProvider).toEqual([{ kind: 'intent', decision: 'permit' }])
    expect(await last()).toEqual([
      ['intent', 'permit', null],
      ['outcome', 'success', null],
    ])
  })

  it('builds the request from the arguments and the account’s own token', async () => {
    const { call, connectionId } = await arrange()
    await call()
    const [request] = world.provider.seen
    expect(request).toMatchObject({ method: 'POST', url: '/github/repos/o/r/issues', body: '{"title":"T"}' })
    expect(request!.headers.authorization).toBe(`Bearer ${world.tokens.token(connectionId, 1)}`)
  })

  const refused: [string, unknown, RegExp][] = [
    ['a missing argument', { owner: 'o', repo: 'r' }, /^Input validation error: title: /],
    ['an unknown argument', { ...args, admin: true }, /admin: is not an argument/],
    ['a wrong type', { ...args, title: 7 }, /title/],
    ['no object', [1], /must be an object/],
    ['a path out of the repository', { ...args, owner: '../../user' }, /owner/],
    ['a dot for a name', { ...args, repo: '..' }, /repo/],
    [
      'a prototype',
      JSON.parse('{"owner":"o","repo":"r","title":"T","labels":[{"__proto__":{"x":1}}]}'),
      /reserved name/,
    ],
    ['endless nesting', { ...args, labels: nest(40) }, /nested too deeply/],
    ['too many values', { ...args, labels: Array(20_000).fill('x') }, /too many values/],
    ['half a character', { ...args, title: '\ud800' }, /not Unicode/],
    ['an account that is not there', { ...args, account: 'hubot' }, /account: must be one of "octocat"/],
  ]
  it.each(refused)('refuses %s, sends nothing and records it', async (_name, given, text) => {
    const { call, last } = await arrange()
    const result = await call('github_create_issue', given)
    expect(result.kind).toBe('error')
    expect(textOf(result)).toMatch(text)
    expect(world.provider.seen).toEqual([])
    expect(await last()).toEqual([
      ['intent', 'deny', 'invalid_arguments'],
      ['outcome', 'denied', 'invalid_arguments'],
    ])
  })

  it('sends nothing that a rule on arguments forbids, and says which rule to the agent and in the record', async () => {
    const { call, last, agent } = await arrange()
    const rules = [{ id: 'ours', resource: 'repository', glob: ['acme/*'] }]
    await world.agents.applyProfile(owner, agent.id, { version: 1, tools: { allow: ['github_create_issue'] }, rules })
    const result = await call()
    expect(result).toMatchObject({ kind: 'error' })
    expect(textOf(result)).toMatch(/rule "ours".*repository must be like acme\/\*/)
    expect(world.provider.seen).toEqual([])
    expect(await last()).toEqual([
      ['intent', 'deny', 'rule:ours'],
      ['outcome', 'denied', 'rule:ours'],
    ])
    expect(await call('github_create_issue', { ...args, owner: 'ACME' })).toMatchObject({ kind: 'success' })
    expect(world.provider.seen).toHaveLength(1)
  })

  it('refreshes once and repeats once when the provider refuses the token', async () => {
    const { call, connectionId } = await arrange()
    world.provider.answer = ({ headers }) =>
      headers.authorization?.includes('_2_') === true
        ? { body: ISSUE }
        : { status: 401, body: { message: 'Bad credentials' } }
    expect((await call()).kind).toBe('success')
    expect(world.tokens.refreshes).toBe(1)
    expect(world.provider.seen.map(({ headers }) => headers.authorization)).toEqual([
      `Bearer ${world.tokens.token(connectionId, 1)}`,
      `Bearer ${world.tokens.token(connectionId, 2)}`,
    ])
  })

  it('stops after one refresh and asks for a reconnect', async () => {
    const { call, connectionId, last } = await arrange()
    world.provider.answer = () => ({ status: 401, body: { message: 'Bad credentials' } })
    const result = await call()
    expect(textOf(result)).toContain(`${world.origin}/connections/new?provider=github&connection=${connectionId}`)
    expect([world.provider.seen.length, world.tokens.refreshes]).toEqual([2, 1])
    expect((await last())[1]).toEqual(['outcome', 'error', 'provider_unauthorized'])
  })

  it('shares one refresh among the parallel requests of one call', async () => {
    const { call } = await arrange(['gmail_search_messages'], 'google')
    world.tokens.grantedScopes = ['https://www.googleapis.com/auth/gmail.readonly']
    world.provider.answer = ({ url, headers }) => {
      if (!url.includes('/messages/m'))
        return { body: { messages: ['m1', 'm2', 'm3'].map((id) => ({ id, threadId: 't' })) } }
      if (headers.authorization?.includes('_1_') === true) return { status: 401 }
      return {
        body: { id: 'm', threadId: 't', snippet: 's', payload: { headers: [{ name: 'Subject', value: 'Hi' }] } },
      }
    }
    const result = await call('gmail_search_messages', {})
    expect(result).toMatchObject({ kind: 'success', structured: { messages: [{ subject: 'Hi' }, {}, {}] } })
    expect(world.tokens.refreshes).toBe(1)
  })

  it('never repeats a write that the provider may have carried out', async () => {
    const { call, last } = await arrange()
    world.provider.answer = () => ({ status: 502, body: 'bad gateway' })
    expect(textOf(await call())).toContain('not known whether this was carried out')
    expect(world.provider.seen).toHaveLength(1)
    expect((await last())[1]).toEqual(['outcome', 'unknown', 'provider_http_502'])
  })

  it('says how long to wait when the provider limits', async () => {
    const { call, last } = await arrange()
    world.provider.answer = () => ({ status: 429, headers: { 'retry-after': '17' } })
    expect(textOf(await call())).toContain('Try again in 17 seconds')
    expect((await last())[1]).toEqual(['outcome', 'error', 'provider_rate_limited'])
  })

  it.each([
    [
      'connection.reauthorization_required',
      /has to be connected again, since a moment ago\. Ask .* to open http.*connection=con_/,
    ],
    [
      'connection.already_revoked',
      /^Access to the .* has ended, since a moment ago\. .* to open http.*connection=con_/,
    ],
    ['connection.not_ready', /is being renewed/],
    ['provider.unavailable', /does not answer at the moment/],
    ['provider.misconfigured', /operator of this gateway/],
    ['vault.unreadable', /cannot use this account/],
  ] as const)('turns %s into words an agent can act on', async (code, words) => {
    const { call } = await arrange()
    world.tokens.fail = new AppError(code, 'internal wording')
    const text = textOf(await call())
    expect(text).toMatch(words)
    expect(text).not.toContain('internal wording')
    expect(world.provider.seen).toEqual([])
  })

  it('links to our own page when no account is connected', async () => {
    const agent = await world.newAgent(owner, ['slack_send_message'])
    const session = await world.sessions.lookup(agent.key)
    const result = await world.broker.call(
      { kind: 'agent', network: 'x', ...session! },
      'slack_send_message',
      { channel_id: 'C123', text: 'hi' },
      {},
    )
    expect(textOf(result)).toContain(`open ${world.origin}/connections/new?provider=slack and connect one`)
  })

  it('asks for the scope that is missing before it sends anything', async () => {
    const { call, last } = await arrange()
    world.tokens.grantedScopes = ['read:user']
    expect(textOf(await call())).toMatch(/lacks the permission repo/)
    expect(world.provider.seen).toEqual([])
    expect((await last())[1]).toEqual(['outcome', 'error', 'scope_missing'])
  })

  it('takes a wider scope for a narrower one', async () => {
    const { call } = await arrange(['calendar_list_events'], 'google')
    world.tokens.grantedScopes = ['https://www.googleapis.com/auth/calendar']
    world.provider.answer = () => ({ body: { items: [] } })
    expect((await call('calendar_list_events', {})).kind).toBe('success')
  })

  describe('with several accounts', () => {
    it('asks which, lists each once under a stable name, and uses the one that was named', async () => {
      const { call, principal, connectionId } = await arrange()
      const second = await world.newConnection(owner, 'github', 'OctoCat')
      const third = await world.newConnection(owner, 'github', 'hubot')
      await world.newConnection(owner, 'slack', 'octocat')
      const fresh = { ...principal }
      await world.agents.applyProfile(owner, principal.agentId, {
        version: 1,
        tools: { allow: ['github_create_issue'] },
      })
      const list = async () => (await world.broker.list(fresh))[0]!.inputSchema
      await call() // stale: what is remembered is dropped
      const labels = ['octocat', `OctoCat (${second.slice(-6)})`, 'hubot']
      expect((await list()).properties['account']).toMatchObject({ enum: labels })
      expect((await list()).required).toContain('account')
      expect(textOf(await call())).toMatch(/account: say which github account to use/)
      for (const [label, id] of [
        [labels[0], connectionId],
        [labels[1], second],
        [labels[2], third],
      ] as const) {
        expect((await call('github_create_issue', { ...args, account: label })).kind).toBe('success')
        expect(world.provider.seen.at(-1)!.headers.authorization).toBe(`Bearer ${world.tokens.token(id, 1)}`)
      }
    })

    it('gives nobody a colleague’s account, and the operator’s session every one', async () => {
      const { agent } = await arrange()
      const colleague = await world.newOwner(owner.tenantId)
      const key = (await world.sessions.issue(colleague, agent.id)).sessionKey.reveal()
      const session = await world.sessions.lookup(key)
      const result = await world.broker.call(
        { kind: 'agent', network: 'x', ...session! },
        'github_create_issue',
        args,
        {},
      )
      expect(textOf(result)).toMatch(/No GitHub account is connected/)
      const operator = { kind: 'operator', tenantId: owner.tenantId, role: 'owner', network: 'local' } as const
      const wide = await world.sessions.lookup((await world.sessions.issue(operator, agent.id)).sessionKey.reveal())
      expect(
        (await world.broker.call({ kind: 'agent', network: 'x', ...wide! }, 'github_create_issue', args, {})).kind,
      ).toBe('success')
    })
  })

  describe('when access ends meanwhile', () => {
    it('decides once more by a profile that changed, and not by the one it remembers', async () => {
      const { call, principal, agent } = await arrange(['github_create_issue'])
      expect((await call()).kind).toBe('success')
      await world.agents.applyProfile(owner, principal.agentId, { version: 1, tools: { allow: [] } })
      world.provider.seen.length = 0
      expect((await call()).kind).toBe('unknown_tool')
      expect(world.provider.seen).toEqual([])
      expect((await world.records(agent.id)).at(-1)).toMatchObject({ reason: 'not_in_profile', profile_version: 2 })
      await world.agents.applyProfile(owner, principal.agentId, {
        version: 1,
        tools: { allow: ['github_create_issue'] },
      })
      expect((await call()).kind).toBe('success')
    })

    it('sends nothing for a connection blocked a moment ago', async () => {
      const { call, connectionId, last } = await arrange()
      expect((await call()).kind).toBe('success')
      await world.db.adminQuery('app', "UPDATE connection SET access = 'blocked' WHERE id = $1", [connectionId])
      world.provider.seen.length = 0
      expect(textOf(await call())).toMatch(/has to be connected again/)
      expect(await last()).toEqual([
        ['intent', 'deny', 'connection_blocked'],
        ['outcome', 'denied', 'connection_blocked'],
      ])
      expect(textOf(await call())).toMatch(/has to be connected again/)
      expect(world.provider.seen).toEqual([])
    })

    it.each(['agent', 'agent_session', 'tenant'] as const)('ends with its %s', async (what) => {
      const { call, principal } = await arrange()
      expect((await call()).kind).toBe('success')
      const sql = {
        agent: ['UPDATE agent SET disabled_at = now() WHERE id = $1', principal.agentId],
        agent_session: ['UPDATE agent_session SET ended_at = now() WHERE id = $1', principal.agentSessionId],
        tenant: ['UPDATE tenant SET disabled_at = now() WHERE id = $1', principal.tenantId],
      }[what]
      await world.db.adminQuery('app', sql[0]!, [sql[1]])
      world.provider.seen.length = 0
      expect((await call()).kind).toBe('unauthenticated')
      expect(world.provider.seen).toEqual([])
    })

    it('makes no call whose intent cannot be written', async () => {
      const broken = await createMcpWorld({ db: world.db })
      const member = await broken.newOwner()
      await broken.newConnection(member, 'github', 'octocat')
      const agent = await broken.newAgent(member, ['github_create_issue'])
      const session = await broken.sessions.lookup(agent.key)
      await broken.audit.close()
      await expect(
        broken.broker.call({ kind: 'agent', network: 'x', ...session! }, 'github_create_issue', args, {}),
      ).rejects.toMatchObject({ code: 'audit.unavailable' })
      expect(broken.provider.seen).toEqual([])
      await broken.close()
    })
  })

  describe('when the client goes away', () => {
    const gate = () => {
      let open: () => void = () => undefined
      const opened = new Promise<void>((resolve) => (open = resolve))
      return { open, opened }
    }
    it.each([
      ['a read is cancelled', 'github_search_repositories', { query: 'x' }, 'cancelled'],
      ['a write is unknown', 'github_create_issue', args, 'unknown'],
    ])('%s, and the provider’s connection is dropped', async (_name, tool, given, outcome) => {
      const { call, last } = await arrange([tool])
      const [arrived, held] = [gate(), gate()]
      world.provider.answer = async () => {
        arrived.open()
        await held.opened
        return { body: ISSUE }
      }
      const controller = new AbortController()
      const result = call(tool, given, controller.signal)
      await arrived.opened
      controller.abort()
      expect((await result).kind).toBe('error')
      expect((await last())[1]).toEqual(['outcome', outcome, 'client_disconnected'])
      held.open()
    })
  })

  describe('when the access of a call under way ends, as another process would end it', () => {
    const sql = (text: string, values: readonly unknown[]) => world.db.adminQuery('app', text, [...values])
    type Arranged = Awaited<ReturnType<typeof arrange>>
    const endings: [string, string, (arranged: Arranged) => Promise<unknown>][] = [
      [
        'its session is revoked',
        'session_ended',
        ({ principal }) => sql('UPDATE agent_session SET ended_at = now() WHERE id = $1', [principal.agentSessionId]),
      ],
      [
        'its agent is disabled',
        'agent_disabled',
        ({ agent }) => sql('UPDATE agent SET disabled_at = now() WHERE id = $1', [agent.id]),
      ],
      [
        'its connection is blocked',
        'connection_blocked',
        ({ connectionId }) => sql(`UPDATE connection SET access = 'blocked' WHERE id = $1`, [connectionId]),
      ],
      [
        'its workspace is disabled',
        'tenant_disabled',
        ({ principal }) => sql('UPDATE tenant SET disabled_at = now() WHERE id = $1', [principal.tenantId]),
      ],
      [
        'its tool is taken from the profile',
        'profile_changed',
        ({ agent }) => world.agents.applyProfile(owner, agent.id, { version: 1, tools: { allow: [] } }),
      ],
    ]
    it.each(endings)('%s: the request is aborted within five seconds and its outcome unknown', async (_n, why, end) => {
      const arranged = await arrange()
      let arrived: () => void = () => undefined
      const isThere = new Promise<void>((resolve) => (arrived = resolve))
      world.provider.answer = () => {
        arrived()
        return new Promise(() => undefined)
      }
      const result = arranged.call()
      await isThere
      await end(arranged)
      const endedAt = performance.now()
      expect(textOf(await result)).toContain('not known whether it was carried out')
      expect(performance.now() - endedAt).toBeLessThan(5_000)
      await expect.poll(() => world.provider.aborted).toBe(1)
      expect((await arranged.last())[1]).toEqual(['outcome', 'unknown', why])
    })

    it('lets a call go on that a new profile still permits, and one whose session expired', async () => {
      const { call, agent, principal } = await arrange()
      let answer: (_: { body: unknown }) => void = () => undefined
      let arrived: () => void = () => undefined
      const isThere = new Promise<void>((resolve) => (arrived = resolve))
      world.provider.answer = () => {
        arrived()
        return new Promise((resolve) => (answer = resolve))
      }
      const result = call()
      await isThere
      const allow = ['github_create_issue', 'github_get_file']
      await world.agents.applyProfile(owner, agent.id, { version: 1, tools: { allow } })
      await sql('UPDATE agent_session SET expires_at = now() WHERE id = $1', [principal.agentSessionId])
      await new Promise((resolve) => setTimeout(resolve, 2_500)) // two looks of the timer itself
      answer({ body: ISSUE })
      expect((await result).kind).toBe('success')
    })
  })

  it('gives up after its time and says that a write may have happened', async () => {
    const hasty = await createMcpWorld({ db: world.db, timeoutMs: 50 })
    const member = await hasty.newOwner()
    await hasty.newConnection(member, 'github', 'octocat')
    const agent = await hasty.newAgent(member, ['github_create_issue'])
    const session = await hasty.sessions.lookup(agent.key)
    hasty.tokens.grantedScopes = ['repo']
    hasty.provider.answer = () => new Promise(() => undefined)
    const result = await hasty.broker.call(
      { kind: 'agent', network: 'x', ...session! },
      'github_create_issue',
      args,
      {},
    )
    expect(textOf(result)).toContain('not known whether this was carried out')
    await hasty.close()
  })

  it('refuses what is beyond the number of calls an agent may have under way, and recovers', async () => {
    const narrow = await createMcpWorld({ db: world.db, limits: { perAgent: 2, perTenant: 3 } })
    const member = await narrow.newOwner()
    await narrow.newConnection(member, 'github', 'octocat')
    narrow.tokens.grantedScopes = ['repo']
    const agent = await narrow.newAgent(member, ['github_create_issue'])
    const session = await narrow.sessions.lookup(agent.key)
    const call = () => narrow.broker.call({ kind: 'agent', network: 'x', ...session! }, 'github_create_issue', args, {})
    narrow.provider.answer = () => ({ body: ISSUE })
    const results = await Promise.all([call(), call(), call()])
    expect(results.map(({ kind }) => kind)).toEqual(['success', 'success', 'error'])
    const refused = (await narrow.records(agent.id)).filter(({ reason }) => reason === 'too_many_calls')
    expect(refused.map(({ kind, decision, outcome }) => [kind, decision, outcome])).toEqual([
      ['intent', 'deny', null],
      ['outcome', null, 'denied'],
    ])
    expect((await call()).kind).toBe('success')
    await narrow.close()
  })

  it('binds a cursor to its tool and arguments and puts no URL of the provider in it', async () => {
    const { call } = await arrange(['github_list_issues'])
    world.provider.answer = () => ({
      headers: { link: '<https://evil.example/next?page=2>; rel="next"' },
      body: [],
    })
    const first = await call('github_list_issues', { owner: 'o', repo: 'r' })
    const cursor = String(first.kind === 'success' ? first.structured['next_cursor'] : '')
    expect(Buffer.from(cursor, 'base64url').toString()).not.toContain('evil')
    expect((await call('github_list_issues', { owner: 'o', repo: 'r', cursor })).kind).toBe('success')
    expect(world.provider.seen.at(-1)!.url).toContain('page=2')
    world.provider.seen.length = 0
    for (const given of [
      { owner: 'o', repo: 'other', cursor },
      { owner: 'o', repo: 'r', cursor: 'eyJ2IjoxfQ' },
    ])
      expect(textOf(await call('github_list_issues', given))).toMatch(/cursor: does not belong/)
    expect(world.provider.seen).toEqual([])
  })

  describe('a provider that echoes the credential', () => {
    const TOKEN = 'CANARY-3f9a7c1e5b2d8046-access-token-zyxwvutsrqponm'
    const forms = (token: string) => [
      token,
      Buffer.from(token).toString('base64'),
      Buffer.from(`x${token}`).toString('base64'),
      Buffer.from(token).toString('hex'),
      encodeURIComponent(token),
    ]
    const windows = forms(TOKEN)
      .flatMap((form) => Array.from({ length: form.length - 11 }, (_, at) => form.slice(at, at + 12)))
      .filter((run) => !run.endsWith('=')) // padding says nothing of the token
    const leaks = (text: string) => windows.filter((run) => text.includes(run))
    const echo = (request: SeenRequest) =>
      [
        ...forms(TOKEN),
        request.headers.authorization,
        TOKEN.slice(5, 17),
        `${TOKEN.slice(0, 20)}\n${TOKEN.slice(20)}`,
      ].join(' ')

    const answers: [
      string,
      string,
      Record<string, unknown>,
      (request: SeenRequest) => { status?: number; headers?: Record<string, string>; body: unknown },
    ][] = [
      ['in a text', 'github_create_issue', args, (request) => ({ body: { ...ISSUE, title: echo(request) } })],
      [
        'in a file',
        'github_get_file',
        { owner: 'o', repo: 'r', path: 'a' },
        (request) => ({
          body: {
            type: 'file',
            path: 'a',
            sha: 's',
            size: 1,
            encoding: 'base64',
            content: Buffer.from(echo(request)).toString('base64'),
          },
        }),
      ],
      [
        'with JSON escapes',
        'github_create_issue',
        args,
        () => ({
          body: JSON.stringify(ISSUE).replace(
            '"T"',
            `"${Array.from(TOKEN, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`,
          ),
        }),
      ],
      [
        'in a header',
        'github_list_issues',
        { owner: 'o', repo: 'r' },
        (request) => ({
          headers: { link: `<https://x/${request.headers.authorization ?? ''}>; rel="next"`, 'retry-after': TOKEN },
          body: [],
        }),
      ],
      [
        'in an error',
        'github_create_issue',
        args,
        (request) => ({
          status: 422,
          body: {
            message: echo(request),
            errors: [{ field: TOKEN.replaceAll(/[^A-Za-z_]/g, '_'), code: TOKEN, message: TOKEN }],
          },
        }),
      ],
      [
        'in an error that is not JSON',
        'github_create_issue',
        args,
        (request) => ({ status: 500, body: `<html>${echo(request)}` }),
      ],
      [
        'as a rate limit',
        'github_create_issue',
        args,
        (request) => ({ status: 429, headers: { 'retry-after': TOKEN }, body: echo(request) }),
      ],
      [
        'where a number should be',
        'github_create_issue',
        args,
        (request) => ({ body: { ...ISSUE, number: echo(request) } }),
      ],
    ]
    it.each(answers)('%s leaks no run of it into answer, records or logs', async (_name, tool, given, answer) => {
      world.tokens.token = () => TOKEN
      const { call, agent } = await arrange([tool])
      world.provider.answer = answer
      const result = await call(tool, given)
      const records = await world.records(agent.id)
      expect(world.provider.seen[0]!.headers.authorization).toBe(`Bearer ${TOKEN}`)
      expect(leaks(JSON.stringify(result))).toEqual([])
      expect(leaks(JSON.stringify(records))).toEqual([])
      expect(leaks(world.logged.join('\n'))).toEqual([])
    })
    it('as an error code that looks like a word leaks no run of it either', async () => {
      const token = 'CanaryOfLettersAloneAsNoProviderMakes'
      world.tokens.token = () => token
      world.tokens.grantedScopes = ['chat:write']
      const { call, agent } = await arrange(['slack_send_message'], 'slack')
      world.provider.answer = () => ({ body: { ok: false, error: token } })
      const result = await call('slack_send_message', { channel_id: 'C123', text: 'hi' })
      expect(result.kind).toBe('error')
      const everything = JSON.stringify([result, await world.records(agent.id), world.logged]).toLowerCase()
      for (let at = 0; at + 12 <= token.length; at += 1)
        expect(everything).not.toContain(token.slice(at, at + 12).toLowerCase())
    })
    afterAll(() => {
      world.tokens.token = (connectionId, generation) => `tok_${connectionId.slice(-8)}_${generation}_secret0123456789`
    })
  })

  it('does not know a connection of another tenant by any argument', async () => {
    const stranger = await world.newOwner()
    const foreign = await world.newConnection(stranger, 'github', 'victim')
    const { call } = await arrange()
    for (const account of ['victim', foreign, newId('connection')])
      expect(textOf(await call('github_create_issue', { ...args, account }))).toMatch(
        /account: must be one of "octocat"/,
      )
    expect(world.provider.seen).toEqual([])
  })
})

function nest(depth: number): unknown {
  let value: unknown = 'x'
  for (let i = 0; i < depth; i += 1) value = [value]
  return value
}
