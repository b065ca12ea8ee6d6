import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { callTools, connect, createOauthWorld, refresh, type OauthWorld } from '@/lib/testing/oauth'

describe('a client gets an agent', () => {
  let world: OauthWorld
  beforeAll(async () => {
    world = await createOauthWorld()
  })
  afterAll(() => world.close())

  it('lets the approved client call and keeps it going by refreshing', async () => {
    const person = await world.newPerson()
    const agent = await world.newAgent(person)
    await world.newConnection(person, 'github', 'octocat')
    const { client, tokens } = await connect(world, person, agent.url)
    expect(world.logged.join('\n')).toBe('')
    expect(tokens.body).toMatchObject({
      token_type: 'Bearer',
      expires_in: 900,
      scope: 'mcp:read mcp:write',
      access_token: expect.stringMatching(/^poa_[\w-]{43}$/) as string,
      refresh_token: expect.stringMatching(/^por_[\w-]{43}$/) as string,
    })
    expect(tokens.status).toBe(200)
    const list = await callTools(agent.url, tokens.body['access_token'])
    expect(world.logged.join('\n')).toBe('')
    expect(list.status).toBe(200)
    expect(await list.text()).toContain('github_list_issues')
    const next = await refresh(world, client, tokens.body['refresh_token'])
    expect(next.status).toBe(200)
    expect((await callTools(agent.url, next.body['access_token'])).status).toBe(200)
  })
})
