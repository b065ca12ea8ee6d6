import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { createShare } from '@/lib/connections/share'
import { createView } from '@/lib/connections/view'
import { AppError } from '@/lib/errors'
import type { ConnectionId } from '@/lib/ids'
import type { AgentPrincipal, MemberPrincipal, Role } from '@/lib/tenancy/principal'
import { createMcpWorld, type McpWorld, type Member } from '@/lib/testing/mcp-world'

const ISSUE = { number: 1, title: 'T', state: 'open', html_url: 'https://github.com/o/r/issues/1' }
const args = { owner: 'o', repo: 'r', title: 'T' }

describe('an account that is its owner’s, or the workspace’s', () => {
  let world: McpWorld
  let ada: Member
  let bob: Member
  let connectionId: ConnectionId
  beforeAll(async () => {
    world = await createMcpWorld()
  })
  afterAll(() => world.close())
  beforeEach(async () => {
    world.provider.seen.length = 0
    world.provider.answer = () => ({ body: ISSUE })
    world.tokens.grantedScopes = ['repo']
    ada = await world.newOwner()
    bob = await world.newOwner(ada.tenantId)
    connectionId = await world.newConnection(ada, 'github', 'octocat')
  })

  const sharer = () => createShare({ appDb: world.db.app, audit: world.audit })
  const share = (by: MemberPrincipal, sharing: 'personal' | 'workspace') =>
    sharer()
      .share(by, connectionId, sharing)
      .then(
        () => 'done',
        (error: unknown) => (error instanceof AppError ? error.code : String(error)),
      )
  const as = (member: Member, role: Role): MemberPrincipal => ({ ...member, role })
  const sharingNow = async () =>
    (await world.db.adminQuery('app', 'SELECT sharing FROM connection WHERE id = $1', [connectionId]))[0]?.['sharing']

  async function agentOf(member: Member) {
    const agent = await world.newAgent(member, ['github_create_issue'])
    const principal: AgentPrincipal = {
      kind: 'agent',
      network: '192.0.2.7',
      ...(await world.sessions.lookup(agent.key))!,
    }
    return {
      principal,
      call: () => world.broker.call(principal, 'github_create_issue', args, {}),
      last: async () => (await world.records(agent.id)).slice(-2).map(({ kind, reason }) => [kind, reason]),
    }
  }

  it('is for its owner’s agents alone until the owner shares it', async () => {
    const { call } = await agentOf(bob)
    expect(await call()).toMatchObject({ kind: 'error', text: expect.stringMatching(/No GitHub account/) as string })
    expect(await share(ada, 'workspace')).toBe('done')
    const theirs = await agentOf(bob)
    expect((await theirs.call()).kind).toBe('success')
    expect(world.provider.seen.at(-1)!.headers.authorization).toBe(`Bearer ${world.tokens.token(connectionId, 1)}`)
  })

  it('is taken back exactly: no intent after it reaches the provider, whatever a cache remembers', async () => {
    await share(ada, 'workspace')
    const { call, last } = await agentOf(bob)
    expect((await call()).kind).toBe('success')
    world.provider.seen.length = 0
    expect(await share(ada, 'personal')).toBe('done')
    // The account is remembered as usable still: the intent is what refuses.
    expect(await call()).toMatchObject({ kind: 'error', text: expect.stringMatching(/not shared/) as string })
    expect(world.provider.seen).toEqual([])
    expect(await last()).toEqual([
      ['intent', 'connection_not_shared'],
      ['outcome', 'connection_not_shared'],
    ])
    const own = await agentOf(ada)
    expect((await own.call()).kind).toBe('success')
  })

  it('keeps a session of the operator, which acts for the workspace, as it was', async () => {
    const operator = { kind: 'operator', tenantId: ada.tenantId, role: 'owner', network: 'local' } as const
    const agent = await world.newAgent(ada, ['github_create_issue'])
    const wide = await world.sessions.lookup((await world.sessions.issue(operator, agent.id)).sessionKey.reveal())
    const principal: AgentPrincipal = { kind: 'agent', network: 'x', ...wide! }
    expect((await world.broker.call(principal, 'github_create_issue', args, {})).kind).toBe('success')
  })

  it('is shared by its owner alone, who proved themself a moment ago; taken back by them or an administrator', async () => {
    for (const role of ['owner', 'admin', 'auditor'] as const)
      expect(await share(as(bob, role), 'workspace')).toBe('auth.forbidden')
    expect(await share(as(bob, 'member'), 'workspace')).toBe('resource.not_found')
    const long = { ...ada, authenticatedAt: new Date(Date.now() - 600_000) }
    expect(await share(long, 'workspace')).toBe('auth.step_up_required')
    expect(await share(as(ada, 'auditor'), 'workspace')).toBe('auth.forbidden')
    expect(await sharingNow()).toBe('personal')

    expect(await share(ada, 'workspace')).toBe('done')
    expect(await share(as(bob, 'member'), 'personal')).toBe('auth.forbidden')
    expect(await share(as(bob, 'auditor'), 'personal')).toBe('auth.forbidden')
    expect(await sharingNow()).toBe('workspace')
    expect(await share(as(bob, 'admin'), 'personal')).toBe('done')
    // Narrowing asks for nothing but the right to it.
    await share(ada, 'workspace')
    expect(await share(long, 'personal')).toBe('done')
    expect(await sharingNow()).toBe('personal')
    const foreign = await world.newOwner()
    expect(await share(foreign, 'workspace')).toBe('resource.not_found')
  })

  it('is seen by members only while it is shared', async () => {
    const view = createView({
      appDb: world.db.app,
      providers: { get: () => undefined, list: () => [] },
      clock: { now: () => new Date() },
    }) // nothing of a provider is asked here
    const seen = async () => (await view.list(as(bob, 'member'))).map(({ id, isOwn, sharing }) => [id, isOwn, sharing])
    expect(await seen()).toEqual([])
    await share(ada, 'workspace')
    expect(await seen()).toEqual([[connectionId, false, 'workspace']])
    await share(ada, 'personal')
    expect(await seen()).toEqual([])
  })
})
