import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { systemClock } from '@/lib/clock'
import { createLog } from '@/lib/log'
import { createOauthLimits, OAUTH_RATES } from '@/lib/oauth-server/limits'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity, type TestIdentity } from '@/lib/testing/identity'

import { createOauthRoutes } from './oauth'
import { createGatewayServer, type GatewayServer } from './server'

describe('requests for an agent', () => {
  let db: TestDatabases
  let identity: TestIdentity
  let gateway: GatewayServer
  let origin: string
  let handled = 0

  beforeAll(async () => {
    db = await createTestDatabases()
    identity = createTestIdentity(db, { publicUrl: 'http://127.0.0.1:1' })
    const never = () => Promise.reject(new Error('nobody asks for this here'))
    const options = {
      publicUrlIsLoopback: true,
      trustedProxies: ['127.0.0.1/32'],
      allowUpgrade: false,
      web: undefined,
      readiness: () => Promise.resolve({ ready: true as const }),
      log: createLog('test', 'silent'),
    }
    const { createServer } = await import('node:net')
    const port = await new Promise<number>((resolve) => {
      const probe = createServer().listen(0, '127.0.0.1', () => {
        const address = probe.address()
        probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
      })
    })
    origin = `http://127.0.0.1:${port}`
    gateway = createGatewayServer({
      ...options,
      publicUrl: origin,
      families: [
        createOauthRoutes({
          publicUrl: origin,
          server: {
            handle: (_request: unknown, response: { end(): void }) => {
              handled += 1
              response.end()
              return Promise.resolve()
            },
          } as unknown as Parameters<typeof createOauthRoutes>[0]['server'], // what is behind the limit is counted, not run
          clients: { register: never },
          consents: { describe: never, answer: never },
          authenticator: { session: never },
          isReady: () => true,
          limits: createOauthLimits(identity.store),
        }),
      ],
    })
    await gateway.listen(port, '127.0.0.1')
  })
  afterAll(async () => {
    await gateway.drain(0)
    await identity.close()
    await db.close()
  })

  const ask = (path: string, network: string) => fetch(origin + path, { headers: { 'x-forwarded-for': network } })

  it('are kept no faster than the limit of a network, told on a page; another network and those under way go on', async () => {
    const { points } = OAUTH_RATES.authorize.network
    const began = systemClock.now().getTime()
    const statuses: number[] = []
    for (let sent = 0; sent < points + 5; sent += 25)
      statuses.push(
        ...(await Promise.all(
          Array.from({ length: Math.min(25, points + 5 - sent) }, async () => {
            const response = await ask('/oauth/authorize?client_id=x', '192.0.2.7')
            await response.text()
            return response.status
          }),
        )),
      )
    expect(systemClock.now().getTime() - began).toBeLessThan(OAUTH_RATES.authorize.network.seconds * 1_000)
    expect(statuses.filter((status) => status === 200)).toHaveLength(points)
    expect(statuses.filter((status) => status === 429)).toHaveLength(5)
    expect(handled).toBe(points)

    const refused = await ask('/oauth/authorize?client_id=x', '192.0.2.7')
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(refused.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(refused.headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
    expect(await refused.text()).toContain('Wait a while')

    expect((await ask('/oauth/authorize?client_id=x', '192.0.2.8')).status).toBe(200)
    expect((await ask(`/oauth/authorize/${'a'.repeat(43)}`, '192.0.2.7')).status).toBe(200)
  })
})
