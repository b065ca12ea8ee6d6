/** Many clients of two workspaces at the same moment, all with the same request ids: each gets its own answer. */
import { afterAll, beforeAll, expect, it } from 'vitest'

import { createMcpWorld, type McpWorld } from '@/lib/testing/mcp-world'

const isFull = process.env['PORTCULLIS_FULL'] === '1' // the long form, for npm run test:full
const CLIENTS = 50
const CALLS = isFull ? 200 : 12

let world: McpWorld
beforeAll(async () => {
  world = await createMcpWorld()
})
afterAll(() => world.close())

/** A client with a session of its own, one account to act for, and every answer checked. */
async function clientOf(owner: Awaited<ReturnType<McpWorld['newOwner']>>, account: string, name: string) {
  const agent = await world.newAgent(owner, ['github_create_issue'])
  const headers: Record<string, string> = {
    authorization: `Bearer ${agent.key}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  }
  const ask = (body: unknown) => fetch(agent.url, { method: 'POST', headers, body: JSON.stringify(body) })
  const began = await ask({
    jsonrpc: '2.0',
    id: 0,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name, version: '1' } },
  })
  await began.text()
  headers['mcp-session-id'] = began.headers.get('mcp-session-id') ?? ''
  headers['mcp-protocol-version'] = '2025-11-25'
  return async () => {
    const strange: string[] = []
    for (let id = 1; id <= CALLS; id += 1) {
      const title = `${name}-${id}`
      const params = { name: 'github_create_issue', arguments: { owner: 'o', repo: 'r', title } }
      const answer = await ask({ jsonrpc: '2.0', id, method: 'tools/call', params })
      const text = await answer.text()
      const expected = `${title} at ${account}`
      if (answer.status !== 200 || !text.includes(`"id":${id}`) || !text.includes(`"${expected}"`))
        strange.push(`${expected}: ${answer.status} ${text.slice(0, 300)}`)
    }
    return strange
  }
}

it(
  `two workspaces, ${CLIENTS} clients each, ${2 * CLIENTS * CALLS} calls with identical ids: no answer is another one’s`,
  { timeout: 900_000 },
  async () => {
    world.tokens.grantedScopes = ['repo']
    // The provider says whose token it saw. Answers come back in another order than the requests came.
    world.provider.answer = async ({ headers, body }) => {
      const account = /tok_([0-9A-Za-z]{8})_/.exec(headers.authorization ?? '')?.[1] ?? 'nobody'
      const { title } = JSON.parse(body) as { title: string } // what the tool sends
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 8))
      return {
        body: {
          number: 1,
          title: `${title} at ${account}`,
          state: 'open',
          html_url: 'https://github.com/o/r/issues/1',
        },
      }
    }
    const clients: (() => Promise<string[]>)[] = []
    for (const workspace of ['a', 'b']) {
      const owner = await world.newOwner()
      const connectionId = await world.newConnection(owner, 'github', workspace)
      for (let n = 0; n < CLIENTS; n += 1)
        // The names are the same in both workspaces, too.
        clients.push(await clientOf(owner, connectionId.slice(-8), `client-${n}`))
    }
    world.provider.seen.length = 0
    const strange = (await Promise.all(clients.map((run) => run()))).flat()
    expect(strange.slice(0, 5)).toEqual([])
    expect(world.provider.seen).toHaveLength(2 * CLIENTS * CALLS)
    await world.audit.settled()
    const trail = await world.db.adminQuery(
      'app',
      `SELECT tenant_id, kind, count(*)::int AS count, count(DISTINCT call_id)::int AS calls FROM audit_record
        WHERE action = 'tool.call' GROUP BY tenant_id, kind`,
    )
    expect(trail).toHaveLength(4)
    for (const row of trail) expect(row).toMatchObject({ count: CLIENTS * CALLS, calls: CLIENTS * CALLS })
  },
)
