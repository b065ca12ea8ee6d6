import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'

import { newId } from '@/lib/ids'
import { callTools, connect, createOauthWorld, refresh, type OauthPerson, type OauthWorld } from '@/lib/testing/oauth'

describe('revoking', () => {
  let world: OauthWorld
  let owner: OauthPerson
  let colleague: OauthPerson
  let first: { readonly id: string; readonly url: string }
  let second: { readonly id: string; readonly url: string }
  beforeAll(async () => {
    world = await createOauthWorld()
  })
  afterAll(() => world.close())
  beforeEach(async () => {
    owner = await world.newPerson()
    colleague = await world.newPerson(owner.principal.tenantId, 'member')
    await world.newConnection(owner, 'github', 'octocat')
    first = await world.newAgent(owner)
    second = await world.newAgent(owner)
  })

  const key = async (person: OauthPerson, agent: { readonly id: string }) => {
    const issued = await world.sessions.issue(person.principal, agent.id)
    return { id: issued.id, key: issued.sessionKey.reveal() }
  }
  const status = async (agent: { readonly url: string }, token: unknown) => (await callTools(agent.url, token)).status

  it('all of an agent ends its keys and its sign-ins, whoever they are of, and no other agent’s', async () => {
    const mine = await key(owner, first)
    const theirs = await key(colleague, first)
    const { client, tokens } = await connect(world, owner, first.url)
    const other = await key(owner, second)
    for (const token of [mine.key, theirs.key, tokens.body['access_token']])
      expect(await status(first, token)).toBe(200)

    const { sessions } = await world.sessions.revokeAll(owner.principal, { agentId: first.id })
    expect(sessions).toHaveLength(3)
    expect(sessions.every(({ endedAt, endedReason }) => endedAt !== null && endedReason === 'revoked')).toBe(true)
    for (const token of [mine.key, theirs.key, tokens.body['access_token']])
      expect(await status(first, token)).toBe(401)
    expect((await refresh(world, client, tokens.body['refresh_token'])).body).toMatchObject({ error: 'invalid_grant' })
    expect(await status(second, other.key)).toBe(200)
  })

  it('all of a person ends theirs at every agent, and nobody else’s', async () => {
    const mine = [await key(owner, first), await key(owner, second)]
    const { tokens } = await connect(world, owner, second.url)
    const theirs = await key(colleague, first)
    const { sessions } = await world.sessions.revokeAll(colleague.principal, { personId: owner.principal.personId })
    expect(sessions).toHaveLength(3)
    expect(await status(first, mine[0]?.key)).toBe(401)
    expect(await status(second, mine[1]?.key)).toBe(401)
    expect(await status(second, tokens.body['access_token'])).toBe(401)
    expect(await status(first, theirs.key)).toBe(200)
  })

  it('is recorded session by session, and doing it again ends nothing more', async () => {
    const { id } = await key(owner, first)
    await key(owner, first)
    await world.sessions.revokeAll(owner.principal, { agentId: first.id })
    await expect(world.sessions.revokeAll(owner.principal, { agentId: first.id })).resolves.toEqual({
      sessions: [],
      callsUnderWay: [],
    })
    const { tenantId } = owner.principal
    const outbox = await world.db.app.tenant(tenantId, (tx) => tx.auditOutbox.findMany({ where: { tenantId } }))
    const records = await world.db.app.tenant(tenantId, (tx) =>
      tx.auditRecord.findMany({ where: { tenantId, action: 'session.revoked' } }),
    )
    expect(JSON.stringify([outbox, records.map(({ targetId }) => targetId)])).toContain(id)
    expect(records.length + outbox.length).toBeGreaterThanOrEqual(2)
  })

  it.each(['agentId', 'personId'] as const)('answers a foreign %s like a missing and a malformed one', async (name) => {
    const stranger = await world.newPerson()
    const theirs = name === 'agentId' ? (await world.newAgent(stranger)).id : stranger.principal.personId
    const nothing = newId(name === 'agentId' ? 'agent' : 'person')
    for (const id of [theirs, nothing, 'x', ''])
      await expect(
        world.sessions.revokeAll(owner.principal, name === 'agentId' ? { agentId: id } : { personId: id }),
      ).rejects.toMatchObject({ code: 'resource.not_found' })
  })

  it('is for members, not for auditors', async () => {
    const auditor = await world.newPerson(owner.principal.tenantId, 'auditor')
    await expect(
      world.sessions.revokeAll({ ...auditor.principal, role: 'auditor' }, { agentId: first.id }),
    ).rejects.toMatchObject({ code: 'auth.forbidden' })
  })

  it('remembers from where and with what a session was used last', async () => {
    const { id, key: secret } = await key(owner, first)
    await fetch(first.url, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${secret}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'user-agent': 'Cursor/1.7.2 (darwin arm64)',
        'x-forwarded-for': '203.0.113.9',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
    })
    await vi.waitFor(async () => {
      const session = (await world.sessions.list(owner.principal, first.id)).find((one) => one.id === id)
      expect(session).toMatchObject({ lastClient: 'Cursor/1.7.2', lastNetwork: '203.0.113.9' })
    })
  })
})
