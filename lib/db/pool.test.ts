import { once } from 'node:events'
import { createServer, type AddressInfo, type Server } from 'node:net'

import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import type { PoolOrder, PoolReport } from '@/lib/testing/pool-driver'
import { bundle, start } from '@/lib/testing/process'

/** A message of PostgreSQL's protocol: its letter, its length, its content. */
function message(letter: string, content: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write(letter, 'latin1')
  head.writeInt32BE(content.length + 4, 1)
  return Buffer.concat([head, content])
}
const AUTHENTICATED = message('R', Buffer.alloc(4))
const READY = message('Z', Buffer.from('I'))
const SHUT_DOWN = message(
  'E',
  Buffer.from('SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0'),
)

/**
 * A server that is shut down in the moment in which a connection is complete: both messages arrive in one packet, so the
 * second is read before whoever waits for the connection has it.
 */
let server: Server
let url: string
let connections = 0
beforeEach(async () => {
  connections = 0
  server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => {
      connections += 1
      socket.end(Buffer.concat([AUTHENTICATED, READY, SHUT_DOWN]))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `postgresql://someone:secret@127.0.0.1:${(server.address() as AddressInfo).port}/somewhere` // a TCP server has one
})
afterEach(async () => {
  server.close()
  await once(server, 'close')
})

describe.each(['product', 'limiter'] as const)('a connection of the pool of the %s', (pool) => {
  const run = async (isDeaf: boolean) => {
    const file = await bundle('lib/testing/pool-driver.ts')
    const asking = start<never, PoolReport>(file, { url, pool, isDeaf } satisfies PoolOrder, { isQuiet: true })
    const report = await asking.receive((value): value is PoolReport => 'asked' in value).catch(() => undefined)
    if (asking.child.exitCode === null && asking.child.signalCode === null) await once(asking.child, 'exit')
    return { report, exit: asking.child.exitCode }
  }

  it('that is cut off while it is handed over fails its user and not the process', async () => {
    expect(await run(false)).toEqual({ report: { asked: 'failed' }, exit: 0 })
    expect(connections).toBe(2)
  })

  it('would end the process if nobody listened to it from the first moment', async () => {
    const { report, exit } = await run(true)
    expect(report).toBeUndefined()
    expect(exit).not.toBe(0)
  })
})
