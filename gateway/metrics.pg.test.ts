import { request } from 'node:http'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { createChainLag } from '@/lib/audit/chain/lag'
import { createLog } from '@/lib/log'
import { createMetrics } from '@/lib/metrics'
import { addCalls, asOwner, type ChainWorld, createChainWorld, createTrail } from '@/lib/testing/audit-chain'

import { createMetricsServer } from './metrics'

const log = createLog('test', 'silent')

describe('what Prometheus is told of the audit chains', () => {
  let db: ChainWorld['db']
  let audit: ChainWorld['audit']
  let chain: ChainWorld['chain']
  let close: ChainWorld['close']
  beforeAll(async () => {
    ;({ db, audit, chain, close } = await createChainWorld())
  })
  afterAll(() => close())

  const samples = async (limit?: number) => {
    const text = await createMetrics({
      sources: [createChainLag({ appDb: db.app, ...(limit === undefined ? {} : { limit }) })],
      log,
    }).text()
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    return new Map(lines.map((line) => [line.split(' ')[0] ?? '', Number(line.split(' ')[1])]))
  }

  it('how many records of all workspaces have no link, how old the oldest is, and what each place outside was told', async () => {
    const [one, other] = [await createTrail(db, audit, 3), await createTrail(db, audit, 2)]
    expect([...(await samples()).keys()]).toEqual([
      'portcullis_audit_unlinked_records',
      'portcullis_audit_unlinked_seconds',
    ])
    await asOwner(
      db,
      `UPDATE audit_record SET recorded_at = recorded_at - interval '1 hour' WHERE tenant_id = '${one.tenantId}'`,
    )
    const behind = await samples()
    expect(behind.get('portcullis_audit_unlinked_records')).toBe(10)
    expect(behind.get('portcullis_audit_unlinked_seconds')).toBeGreaterThan(3_590)
    expect(behind.get('portcullis_audit_unlinked_seconds')).toBeLessThan(3_700)
    expect((await samples(4)).get('portcullis_audit_unlinked_records')).toBe(4) // however many there are

    await chain.sequencer.run()
    expect(await samples()).toEqual(
      new Map([
        ['portcullis_audit_unlinked_records', 0],
        ['portcullis_audit_unlinked_seconds', 0],
      ]),
    )

    await chain.checkpoints.run()
    await db.adminQuery('app', "UPDATE audit_checkpoint SET told_at = now() - interval '90 seconds'")
    await addCalls(other, audit, 1)
    await chain.sequencer.run()
    const told = await samples()
    expect([...told.keys()].slice(2)).toEqual([
      'portcullis_audit_checkpoint_age_seconds{sink="file"}',
      'portcullis_audit_checkpoint_behind_chains{sink="file"}',
    ])
    expect(told.get('portcullis_audit_checkpoint_age_seconds{sink="file"}')).toBeGreaterThanOrEqual(90)
    expect(told.get('portcullis_audit_checkpoint_behind_chains{sink="file"}')).toBe(1)
  })

  it('is on a port of its own, names no workspace, and is nothing else', async () => {
    const world = await createTrail(db, audit, 1)
    await chain.sequencer.run()
    await chain.checkpoints.run()
    const server = createMetricsServer(createMetrics({ sources: [createChainLag({ appDb: db.app })], log }))
    const port = await server.listen(0, '127.0.0.1')
    const ask = (method: string, path: string) =>
      new Promise<{ status: number; type: string; body: string }>((resolve, reject) => {
        request({ host: '127.0.0.1', port, method, path }, (response) => {
          let body = ''
          response.setEncoding('utf8')
          response.on('data', (part: string) => (body += part))
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', body }),
          )
        })
          .on('error', reject)
          .end()
      })
    const { status, type, body } = await ask('GET', '/metrics')
    expect([status, type.split(';')[0]]).toEqual([200, 'text/plain'])
    expect(body).toContain('# TYPE portcullis_audit_unlinked_records gauge')
    expect(body).not.toContain(world.tenantId)
    expect((await ask('POST', '/metrics')).status).toBe(405)
    expect((await ask('GET', '/api/v1/agents')).status).toBe(404)
    await server.close()
    await server.close()
  })

  it('of a source that cannot be read shows nothing rather than what was true once, and asks it no more often than it must', async () => {
    let reads = 0
    let isAway = false
    let time = 0
    const metrics = createMetrics({
      now: () => time,
      log,
      sources: [
        {
          gauges: [
            { name: 'test_a', help: 'a' },
            { name: 'test_b', help: 'b', label: { name: 'kind', values: ['known'] } },
          ],
          read: () => {
            reads += 1
            if (isAway) return Promise.reject(new Error('away'))
            return Promise.resolve([
              { gauge: 'test_a', value: 7 },
              { gauge: 'test_b', value: 1, label: 'known' },
              { gauge: 'test_b', value: 1, label: 'ten_of_somebody' },
            ])
          },
        },
      ],
    })
    const shown = async () => (await metrics.text()).split('\n').filter((line) => /^test/.test(line))
    for (let i = 0; i < 5; i += 1) expect(await shown()).toEqual(['test_a 7', 'test_b{kind="known"} 1'])
    expect(reads).toBe(1)
    isAway = true
    time += 2_000
    expect(await shown()).toEqual([])
    expect(reads).toBe(2)
  })
})
