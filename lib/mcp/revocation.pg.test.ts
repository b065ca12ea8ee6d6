import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'

import { createMcpWorld, type McpWorld, type Member, type ScriptedAnswer } from '@/lib/testing/mcp-world'

/** A provider that answers only when it is let. */
describe('a call that is under way when its access is revoked', () => {
  let world: McpWorld
  let owner: Member
  beforeAll(async () => {
    world = await createMcpWorld()
    owner = await world.newOwner()
    await world.newConnection(owner, 'github', 'octocat')
    world.tokens.grantedScopes = ['repo']
  })
  afterAll(() => world.close())

  it.each([
    ['one session', 'session'],
    ['all of the agent', 'agent'],
    ['all of the person', 'person'],
  ] as const)('is listed, stopped within five seconds and recorded as unknown: %s', async (_, what) => {
    const agent = await world.newAgent(owner, ['github_create_issue'])
    const reached = gate()
    const held = gate<ScriptedAnswer>()
    world.provider.answer = () => {
      reached.resolve(undefined)
      return held.promise
    }
    const before = world.provider.aborted
    const answer = fetch(agent.url, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${agent.key}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: 'github_create_issue', arguments: { owner: 'o', repo: 'r', title: 'T' } },
      }),
    })
    await reached.promise
    const revokedAt = performance.now()
    const { callsUnderWay } = await (what === 'session'
      ? world.sessions.revoke(owner, agent.sessionId)
      : world.sessions.revokeAll(owner, what === 'agent' ? { agentId: agent.id } : { personId: owner.personId }))
    expect(callsUnderWay).toHaveLength(1)
    expect(JSON.stringify(await (await answer).json())).toContain('not known whether it was carried out')
    expect(performance.now() - revokedAt).toBeLessThan(5_000)
    await vi.waitFor(async () => {
      expect(world.provider.aborted).toBe(before + 1)
      const records = await world.records(agent.id)
      expect(records).toContainEqual(
        expect.objectContaining({ kind: 'outcome', outcome: 'unknown', call_id: callsUnderWay[0] }),
      )
    })
    held.resolve({})
  })
})

function gate<T = undefined>() {
  let open: (value: T) => void = () => undefined
  const promise = new Promise<T>((resolve) => {
    open = resolve
  })
  return { promise, resolve: (value: T) => open(value) }
}
