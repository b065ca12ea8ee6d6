/** What is said outside of the database about a chain: where it arrives, how it is signed, and what happens when it cannot. */
import { createHash, createHmac } from 'node:crypto'
import { appendFileSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import path from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { systemClock } from '@/lib/clock'
import { createOperatorEgress } from '@/lib/egress/operator'
import { newSigningSecret, signWebhook } from '@/lib/notifications/webhook-signature'
import { Secret } from '@/lib/secret'
import { createTestAudit } from '@/lib/testing/audit'
import { addCalls, createTestChain, createTrail, type TestChain } from '@/lib/testing/audit-chain'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import { createFileSink, createS3Sink, createWebhookSink, readStatements, type CheckpointSink } from './sinks'
import { newChainKeyFile, readChainKeys, readPublicKeys, type Statement } from './statement'
import { verifyChain } from './verify'

interface Received {
  readonly request: IncomingMessage
  readonly body: string
}

describe('checkpoints', () => {
  let db: TestDatabases
  let audit: ReturnType<typeof createTestAudit>
  let chain: TestChain
  const received: Received[] = []
  let status = 200
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      received.push({ request, body: Buffer.concat(chunks).toString('utf8') })
      response.writeHead(status).end()
    })
  })
  let origin: string
  let egress: ReturnType<typeof createOperatorEgress>
  beforeAll(async () => {
    db = await createTestDatabases()
    audit = createTestAudit(db)
    chain = createTestChain(db)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    origin = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
    egress = createOperatorEgress({ setting: 'TEST', url: origin })
  })
  afterAll(async () => {
    await egress.close()
    await new Promise((resolve) => server.close(resolve))
    await chain.close()
    await audit.close()
    await db.close()
  })

  const statement = (position = 7): Statement =>
    chain.keys.sign({
      kind: 'checkpoint',
      tenant: 'ten_01k00000000000000000000000' as Statement['tenant'], // the form of an id
      position,
      hash: 'cd'.repeat(32),
      at: '2026-11-21T12:00:00.000Z',
    })

  it('each chain that grew is told once, signed, and not again before it grows', async () => {
    const [one, two] = [await createTrail(db, audit, 1), await createTrail(db, audit, 2)]
    await chain.sequencer.run()
    expect(await chain.checkpoints.run()).toBe(2)
    expect(await chain.checkpoints.run()).toBe(0)
    await addCalls(two, audit, 1)
    await chain.sequencer.run()
    expect(await chain.checkpoints.run()).toBe(1)
    expect((await chain.statementsOf(one.tenantId)).map(({ position }) => position)).toEqual([2])
    const said = await chain.statementsOf(two.tenantId)
    expect(said.map(({ position }) => position)).toEqual([4, 6])
    for (const each of said) expect(chain.keys.isSigned(each)).toBe(true)
    const pem = readPublicKeys(chain.keys.publicKey)
    expect(said.every((each) => pem.isSigned(each))).toBe(true)
  })

  it('a signature fits its statement alone', () => {
    const said = statement()
    expect(chain.keys.isSigned(said)).toBe(true)
    for (const other of [
      { ...said, position: 8 },
      { ...said, kind: 'cut' as const },
      { ...said, hash: 'ce'.repeat(32) },
      { ...said, at: '2026-11-21T12:00:00.001Z' },
      { ...said, tenant: 'ten_01k00000000000000000000001' as Statement['tenant'] }, // the form of an id
      { ...said, signature: statement(8).signature },
    ])
      expect(chain.keys.isSigned(other)).toBe(false)
    expect(readChainKeys(newChainKeyFile(new Date())).isSigned(said)).toBe(false)
    expect(() => readChainKeys(Buffer.from('{}'))).toThrow(expect.objectContaining({ code: 'config.invalid' }) as Error) // an asymmetric matcher
    expect(() => readPublicKeys('')).toThrow(expect.objectContaining({ code: 'config.invalid' }) as Error) // an asymmetric matcher
  })

  it('the file is its owner’s alone, survives a torn line, and takes whole lines from several at once', async () => {
    const folder = path.join(chain.folder, '..', 'own')
    const sink = createFileSink(folder)
    await sink.tell([statement(1)])
    const [name = ''] = readdirSync(folder)
    expect(name).toBe('checkpoints-2026-11.jsonl')
    const file = path.join(folder, name)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    appendFileSync(file, '{"v":1,"kind":"checkp')
    await sink.tell([statement(2)])
    await Promise.all(
      Array.from({ length: 20 }, (_, i) => createFileSink(folder).tell([statement(10 + i), statement(40 + i)])),
    )
    const read = await readStatements(folder)
    expect(read.unreadable).toBe(1)
    expect(read.statements).toHaveLength(42)
    expect(read.statements.every((each) => chain.keys.isSigned(each))).toBe(true)
  })

  it('an S3-compatible store gets an object each under a signature that it can check', async () => {
    status = 200
    received.length = 0
    const at = new Date('2026-11-21T19:20:21.500Z')
    const secret = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
    const sink = createS3Sink({
      url: `${origin}/bucket/a prefix/`.replace(' ', '%20'),
      region: 'eu-central-1',
      accessKeyId: 'AKIDEXAMPLE',
      secretAccessKey: new Secret(secret),
      egress,
      clock: { now: () => at },
    })
    const said = statement(42)
    await sink.tell([said])
    const [{ request, body } = { request: undefined, body: '' }] = received
    expect(JSON.parse(body)).toEqual(said)
    expect(request?.method).toBe('PUT')
    expect(request?.url).toBe(`/bucket/a%20prefix/${said.tenant}/0000000000000042-cdcdcdcdcdcdcdcd.json`)

    // As the store computes it (AWS Signature Version 4).
    const headers = request?.headers ?? {}
    const match =
      /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/20261121\/eu-central-1\/s3\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/.exec(
        headers.authorization ?? '',
      )
    const names = (match?.[1] ?? '').split(';')
    expect(names).toEqual(expect.arrayContaining(['host', 'x-amz-content-sha256', 'x-amz-date']))
    expect(headers['x-amz-date']).toBe('20261121T192021Z')
    const digest = createHash('sha256').update(body).digest('hex')
    expect(headers['x-amz-content-sha256']).toBe(digest)
    const canonical = [
      'PUT',
      request?.url ?? '',
      '',
      ...names.map((name) => `${name}:${String(headers[name])}`),
      '',
      names.join(';'),
      digest,
    ].join('\n')
    const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
    const toSign = `AWS4-HMAC-SHA256\n20261121T192021Z\n20261121/eu-central-1/s3/aws4_request\n${createHash('sha256').update(canonical).digest('hex')}`
    const key = ['20261121', 'eu-central-1', 's3', 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${secret}`)
    expect(match?.[2]).toBe(hmac(key, toSign).toString('hex'))
  })

  it('a webhook gets a POST each, signed as other webhooks are, under an id that stays the same', async () => {
    status = 200
    received.length = 0
    const secret = newSigningSecret()
    const sink = createWebhookSink({
      url: `${origin}/hook`,
      sign: (id, at, body) => ({ ...signWebhook(secret, id, at, body) }),
      egress,
      clock: systemClock,
    })
    const said = statement(9)
    await sink.tell([said])
    await sink.tell([said])
    expect(received.map(({ body }) => JSON.parse(body) as unknown)).toEqual([
      { type: 'audit.checkpoint', statement: said },
      { type: 'audit.checkpoint', statement: said },
    ])
    const [first, second] = received.map(({ request }) => request.headers)
    expect(first?.['webhook-id']).toBe(second?.['webhook-id'])
    const key = Buffer.from(secret.reveal().slice('whsec_'.length), 'base64')
    const signed = `${String(first?.['webhook-id'])}.${String(first?.['webhook-timestamp'])}.${received[0]?.body ?? ''}`
    expect(first?.['webhook-signature']).toBe(`v1,${createHmac('sha256', key).update(signed).digest('base64')}`)
  })

  it('a place that is away is told where the chain is once it is back, and keeps no other from being told', async () => {
    const world = await createTrail(db, audit, 1)
    await chain.sequencer.run()
    const told: Statement[] = []
    const away: CheckpointSink = { name: 's3', tell: () => Promise.reject(new Error('away')) }
    const back: CheckpointSink = { name: 's3', tell: (some) => Promise.resolve(void told.push(...some)) }
    const file = createFileSink(chain.folder)
    await chain.checkpointsTo(away, file).run()
    expect((await chain.statementsOf(world.tenantId)).map(({ position }) => position)).toEqual([2])
    await addCalls(world, audit, 1)
    await chain.sequencer.run()
    await chain.checkpointsTo(back, file).run()
    expect(told.filter(({ tenant }) => tenant === world.tenantId).map(({ position }) => position)).toEqual([4])
    expect((await chain.statementsOf(world.tenantId)).map(({ position }) => position)).toEqual([2, 4])
  })

  it.each([500, 403, 302])('an answer of %i is no arrival', async (answer) => {
    status = answer
    const sinks = [
      createS3Sink({
        url: `${origin}/bucket`,
        region: 'us-east-1',
        accessKeyId: 'a',
        secretAccessKey: new Secret('b'),
        egress,
        clock: systemClock,
      }),
      createWebhookSink({ url: `${origin}/hook`, sign: () => ({}), egress, clock: systemClock }),
    ]
    for (const sink of sinks)
      await expect(sink.tell([statement()])).rejects.toMatchObject({ code: 'service.unavailable' })
    status = 200
  })

  describe('retention', () => {
    const age = async (tenantId: string, days: number, upTo: number) => {
      // Older than it is, and linked as such: what retention would meet years later.
      await db.adminQuery(
        'app',
        `UPDATE audit_record r SET recorded_at = recorded_at - make_interval(days => $2) FROM (
           SELECT id FROM audit_record WHERE tenant_id = $1 ORDER BY recorded_at, id LIMIT $3) AS old
          WHERE r.tenant_id = $1 AND r.id = old.id`,
        [tenantId, days, upTo],
      )
    }
    const keep = (tenantId: string, days: number | null) =>
      db.adminQuery('app', 'UPDATE tenant SET audit_retention_days = $2 WHERE id = $1', [tenantId, days])
    const positions = async (tenantId: string) =>
      (
        await db.adminQuery(
          'app',
          `SELECT l.position::int AS n FROM audit_link l JOIN audit_record r ON r.tenant_id = l.tenant_id AND r.id = l.record_id
            WHERE l.tenant_id = $1 ORDER BY 1`,
          [tenantId],
        )
      ).map((row) => row['n'])
    const trailOf = async (calls: number, old: number, days: number) => {
      const world = await createTrail(db, audit, calls)
      await age(world.tenantId, days, old)
      await chain.sequencer.run()
      await chain.checkpoints.run()
      return world
    }

    it('removes the beginning that is older than the workspace keeps it, and the rest verifies from the cut', async () => {
      const small = createTestChain(db, { batch: 3 })
      const world = await trailOf(10, 14, 400)
      await keep(world.tenantId, 365)
      expect(await small.removeOld()).toBe(14)
      await small.close()
      expect(await positions(world.tenantId)).toEqual([15, 16, 17, 18, 19, 20])
      const [cut] = await db.adminQuery('app', 'SELECT count(*)::int AS n FROM audit_record WHERE tenant_id = $1', [
        world.tenantId,
      ])
      expect(cut).toEqual({ n: 6 })
    })

    it('a cut verifies inside and outside, and the chain goes on behind it', async () => {
      const world = await trailOf(5, 6, 100)
      await keep(world.tenantId, 90)
      expect(await chain.removeOld()).toBe(6)
      expect(await chain.removeOld()).toBe(0)
      expect(await chain.verify(world.tenantId)).toMatchObject({
        ok: true,
        cutAt: 6,
        from: 7,
        to: 10,
        checked: 4,
        vouchedTo: 10,
      })
      await addCalls(world, audit, 1)
      await chain.sequencer.run()
      expect(await chain.verify(world.tenantId)).toMatchObject({ ok: true, to: 12 })
      // The cut was said outside before anything was removed: it is known although its row is lost.
      await db.adminQuery('app', 'DELETE FROM audit_cut WHERE tenant_id = $1', [world.tenantId])
      expect(await chain.verify(world.tenantId)).toMatchObject({ ok: true, cutAt: 6 })
      expect((await chain.verify(world.tenantId, { isBlind: true })).problems[0]).toMatchObject({
        kind: 'deleted',
        position: 1,
      })
    })

    it('removes nothing where a workspace keeps its records for ever, or long enough', async () => {
      const [forever, young] = [await trailOf(2, 4, 400), await trailOf(2, 4, 20)]
      await keep(young.tenantId, 30)
      await chain.removeOld()
      for (const world of [forever, young]) expect(await positions(world.tenantId)).toHaveLength(4)
      await expect(keep(young.tenantId, 29)).rejects.toMatchObject({ code: '23514' })
    })

    it('removes nothing of a beginning that does not verify: it is evidence', async () => {
      const world = await trailOf(3, 6, 100)
      await db.adminQuery('app', "UPDATE audit_record SET tool = 'other' WHERE tenant_id = $1 AND kind = 'intent'", [
        world.tenantId,
      ])
      await keep(world.tenantId, 90)
      await chain.removeOld()
      expect(await positions(world.tenantId)).toHaveLength(6)
    })

    it('a process that died between the cut and the removal is finished by the next', async () => {
      const world = await trailOf(4, 8, 100)
      await keep(world.tenantId, 90)
      await db.adminQuery('app', 'REVOKE EXECUTE ON FUNCTION audit_delete_cut(text, integer) FROM portcullis_app')
      await chain.removeOld()
      await db.adminQuery('app', 'GRANT EXECUTE ON FUNCTION audit_delete_cut(text, integer) TO portcullis_app')
      expect(await positions(world.tenantId)).toHaveLength(8)
      expect(await chain.verify(world.tenantId)).toMatchObject({ ok: true, cutAt: 8 })
      expect(await chain.removeOld()).toBe(8)
      expect(await chain.verify(world.tenantId)).toMatchObject({ ok: true, cutAt: 8, to: 8 })
    })

    it('the application itself can remove nothing younger than thirty days, whatever cut it makes', async () => {
      const world = await createTrail(db, audit, 2)
      await chain.sequencer.run()
      await keep(world.tenantId, 30)
      await chain.store.tenant(world.tenantId, async (client) => {
        await client.query(
          `INSERT INTO audit_cut (tenant_id, position, hash, cut_at, key_id, signature)
           SELECT tenant_id, position, hash, now(), 'x', 'x' FROM audit_link WHERE position = 4`,
        )
      })
      await expect(
        chain.store.tenant(world.tenantId, (client) =>
          client.query('SELECT audit_delete_cut($1, 100)', [world.tenantId]),
        ),
      ).rejects.toThrow()
      await expect(
        chain.store.tenant(world.tenantId, (client) => client.query('DELETE FROM audit_record')),
      ).rejects.toMatchObject({ code: '42501' })
      await expect(
        chain.store.tenant(world.tenantId, (client) => client.query('UPDATE audit_link SET hash = previous')),
      ).rejects.toMatchObject({ code: '42501' })
      expect(await positions(world.tenantId)).toHaveLength(4)
    })
  })

  it('the public half of the key is enough to verify elsewhere, and the private half is in no checkpoint', async () => {
    const world = await createTrail(db, audit, 1)
    await chain.sequencer.run()
    await chain.checkpoints.run()
    const keys = readPublicKeys(chain.keys.publicKey)
    const { statements } = await readStatements(chain.folder)
    expect(
      await verifyChain(
        { store: chain.store, keys },
        world.tenantId,
        statements.filter(({ tenant }) => tenant === world.tenantId),
      ),
    ).toMatchObject({ ok: true, vouchedTo: 2 })
    expect(readFileSync(path.join(chain.folder, readdirSync(chain.folder)[0] ?? ''), 'utf8')).not.toContain(
      'privateKey',
    )
  })
})
