import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'

import { expect, it } from 'vitest'

import type { Observe } from '@/lib/doctor/step'
import { newId } from '@/lib/ids'

import { createMcpObserver } from './observe'

async function ask(observe: Observe): Promise<number> {
  const observer = createMcpObserver({ observe, clock: { now: () => new Date() } })
  const agentId = newId('agent')
  const server = http.createServer((request, response) => {
    observer.follow(request, response, { agentId, network: '203.0.113.1' })
    response.writeHead(401).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { status } = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp/${agentId}`) // it listens on a port
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
  return status
}

it('a doctor that fails ends no request and no process', async () => {
  const seen: string[] = []
  await ask(({ problem }) => void seen.push(problem ?? 'ok'))
  expect(seen).toEqual(['no_credentials'])
  expect(
    await ask(() => {
      throw new Error('the doctor is ill')
    }),
  ).toBe(401)
})
