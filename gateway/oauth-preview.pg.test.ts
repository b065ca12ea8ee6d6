import { afterAll, beforeAll, expect, it } from 'vitest'

import { createMcpWorld, type McpWorld } from '@/lib/testing/mcp-world'

import { createAccessPreview } from './oauth-preview'

let world: McpWorld
beforeAll(async () => {
  world = await createMcpWorld()
})
afterAll(() => world.close())

it('says of an application’s access what a call would reach: own accounts and shared ones, and no colleague’s', async () => {
  const ada = await world.newOwner()
  const bob = await world.newOwner(ada.tenantId)
  await world.newConnection(bob, 'github', 'bob-own')
  const shared = await world.newConnection(ada, 'github', 'ada-shared')
  await world.newConnection(ada, 'github', 'ada-private')
  const agent = await world.newAgent(bob, ['github_create_issue'])
  const preview = createAccessPreview({ appDb: world.db.app, registry: world.registry })
  const seen = async () =>
    (await preview({ ...bob, agentId: agent.id }, ['mcp:read', 'mcp:write'])).accounts.map(({ label }) => label)
  expect(await seen()).toEqual(['bob-own'])
  await world.db.adminQuery('app', "UPDATE connection SET sharing = 'workspace' WHERE id = $1", [shared])
  expect(await seen()).toEqual(['bob-own', 'ada-shared'])
})
