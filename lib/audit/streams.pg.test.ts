import { createHash, createHmac } from 'node:crypto'
import { once } from 'node:events'
import http, { type IncomingHttpHeaders } from 'node:http'
import net, { type AddressInfo } from 'node:net'

import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { systemClock } from '@/lib/clock'
import { createEgress, type Egress } from '@/lib/egress/egress'
import { createTcpEgress } from '@/lib/egress/tcp'
import { createLog } from '@/lib/log'
import { newSigningSecret, signWebhook } from '@/lib/notifications/webhook-signature'
import { Secret } from '@/lib/secret'
import type { Role } from '@/lib/tenancy/principal'
import { createAuditWorld, createTestAudit, type AuditWorld } from '@/lib/testing/audit'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { personPrincipal } from '@/lib/testing/principal'

import { createTargetSender, type StreamTarget } from './stream-target'
import { createStreams, createStreamSender, MAX_STREAMS, type Streams, type StreamSender } from './streams'

interface Received {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

let db: TestDatabases
let audit: ReturnType<typeof createTestAudit>
let receiver: http.Server
let collector: net.Server
let origin: string
let syslogPort: number
let egress: Egress
let streams: Streams
let world: AuditWorld
let received: Received[]
let collected: string
let status: number
const log = createLog('test', 'silent')

beforeAll(async () => {
  db = await createTestDatabases()
  audit = createTestAudit(db)
  receiver = http.createServer((request, response) => {
    void (async () => {
      let body = ''
      for await (const chunk of request) body += String(chunk)
      const { method = '', url = '', headers } = request
      if (status < 300) received.push({ method, path: url, headers, body })
      response.writeHead(status).end()
    })()
  })
  collector = net.createServer((socket) => {
    socket.on('data', (bytes: Buffer) => (collected += bytes.toString('latin1')))
    socket.on('error', () => undefined)
  })
  receiver.listen(0, '127.0.0.1')
  collector.listen(0, '127.0.0.1')
  await Promise.all([once(receiver, 'listening'), once(collector, 'listening')])
  const port = (server: net.Server | http.Server) => (server.address() as AddressInfo).port // it listens on a port
  origin = `http://127.0.0.1:${port(receiver)}`
  syslogPort = port(collector)
  const allow = [origin, `http://127.0.0.1:${syslogPort}`]
  egress = createEgress({ allow, allowUnsafe: true, production: false })
  streams = createStreams({ appDb: db.app, audit, clock: systemClock, newSigningSecret, openOrigins: allow })
})
beforeEach(async () => {
  received = []
  collected = ''
  status = 200
  world = await createAuditWorld(db.app)
})
afterAll(async () => {
  receiver.closeAllConnections()
  receiver.close()
  collector.close()
  await egress.close()
  await audit.close()
  await db.close()
})

const as = (role: Role = 'owner', authenticatedAt = new Date(), of = world) =>
  personPrincipal(of, role, { authenticatedAt, network: '203.0.113.1' })
const webhook = (path = '/in'): StreamTarget => ({ kind: 'webhook', url: `${origin}${path}` })
const syslog = (): StreamTarget => ({ kind: 'syslog', host: '127.0.0.1', port: syslogPort, isTls: false })
const s3 = (): StreamTarget => ({
  kind: 's3',
  endpoint: origin,
  region: 'eu-central-1',
  bucket: 'trail',
  prefix: 'portcullis',
  accessKeyId: 'AKIAEXAMPLE',
})

function senderOf(batch = 100): StreamSender {
  const options = { allow: [origin, `http://127.0.0.1:${syslogPort}`], allowUnsafe: true, production: false }
  return createStreamSender({
    appDb: db.app,
    audit,
    clock: systemClock,
    log,
    batch,
    marginSeconds: 0,
    send: createTargetSender({
      egress,
      tcp: createTcpEgress(options),
      sign: signWebhook,
      hostname: 'gate.example',
      timeoutMs: 5_000,
    }),
  })
}

/** As time would: the stream is due. */
const later = (id: string) => db.adminQuery('app', 'UPDATE audit_stream SET next_at = now() WHERE id = $1', [id])
async function sendOnce(id: string, sender = senderOf()): Promise<number | undefined> {
  await later(id)
  return sender.send(world.tenantId, id)
}
/**
 * Until everything that is recorded by now may be sent: one pass sets the fence, a later one finds that all before it has
 * ended, which transactions of other databases of this server may hold up for a moment.
 */
async function pass(id: string, sender = senderOf()): Promise<number> {
  const [began] = await db.adminQuery('app', 'SELECT clock_timestamp() AS now')
  let taken = 0
  const isThrough = async () => {
    const some = await sendOnce(id, sender)
    if (some === undefined) return true // stopped
    taken += some
    const [row] = await db.adminQuery('app', 'SELECT safe_until > $2 AS is_through FROM audit_stream WHERE id = $1', [
      id,
      began?.['now'],
    ])
    return row?.['is_through'] === true
  }
  await expect.poll(isThrough, { timeout: 10_000, interval: 20 }).toBe(true)
  return taken
}
const fill = (count: number, from = 1) =>
  db.adminQuery(
    'app',
    `INSERT INTO audit_record (tenant_id, id, kind, action, actor_kind, recorded_at)
     SELECT $1, 'aud_' || $3 + n, 'event', 'connection.repaired', 'system', clock_timestamp() + n * interval '1 microsecond' FROM generate_series(0, $2::int - 1) n`,
    [world.tenantId, count, from],
  )
const add = async (target: StreamTarget, secret?: string) => {
  const made = await streams.create(as(), target, {
    fromStart: true,
    ...(secret === undefined ? {} : { secret: new Secret(secret) }),
  })
  return { id: made.stream.id, secret: made.signingSecret?.reveal() ?? '' }
}
const idsOf = (bodies: readonly Received[]) =>
  bodies.flatMap(({ body }) =>
    (JSON.parse(body) as { data: { records: { id: string }[] } }).data.records.map(({ id }) => id),
  ) // the body of ours
const repaired = (all: readonly string[]) => all.filter((id) => /^aud_\d{1,5}$/.test(id))
const stateOf = async (id: string) => (await streams.list(as())).find((one) => one.id === id)

describe('a stream to a webhook', () => {
  it('sends every record once, in order, signed, and goes on where it stopped', async () => {
    await fill(250)
    const { id, secret } = await add(webhook())
    await pass(id)
    await fill(5, 251)
    await pass(id)
    expect(repaired(idsOf(received))).toEqual(Array.from({ length: 255 }, (_, n) => `aud_${n + 1}`))
    for (const { headers, body } of received) {
      const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
      const text = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`
      expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', key).update(text).digest('base64')}`)
    }
    const view = await stateOf(id)
    expect(view).toMatchObject({ kind: 'webhook', destination: `${origin}/in`, lastError: null, failingSince: null })
    expect(view?.delivered).toBeGreaterThanOrEqual(255)
    expect(await pass(id)).toBe(0)
  })

  it('misses nothing that a transaction committed late, though others committed after it began', async () => {
    const { id } = await add(webhook())
    await pass(id)
    const slow = new pg.Client({ connectionString: db.admin.app })
    await slow.connect()
    await slow.query('BEGIN')
    await slow.query(
      `INSERT INTO audit_record (tenant_id, id, kind, action, actor_kind) VALUES ($1, 'aud_1', 'event', 'connection.repaired', 'system')`,
      [world.tenantId],
    )
    await fill(3, 2)
    for (let n = 0; n < 4; n += 1) await sendOnce(id)
    const before = repaired(idsOf(received))
    await slow.query('COMMIT')
    await slow.end()
    await pass(id)
    expect(before).toEqual([])
    expect(repaired(idsOf(received))).toEqual(['aud_1', 'aud_2', 'aud_3', 'aud_4'])
  })

  it('tries again what was not taken, ever later, and loses nothing', async () => {
    await fill(3)
    const { id } = await add(webhook())
    status = 503
    expect(await pass(id)).toBe(0)
    const failing = await stateOf(id)
    expect(failing).toMatchObject({ lastError: 'status_503' })
    expect(failing?.failingSince).not.toBeNull()
    expect((await senderOf().due(100)).map((one) => one.streamId)).not.toContain(id)
    const waits: number[] = []
    for (let n = 0; n < 3; n += 1) {
      await later(id)
      await senderOf().send(world.tenantId, id)
      const [row] = await db.adminQuery(
        'app',
        'SELECT extract(epoch FROM next_at - now())::float8 AS wait FROM audit_stream WHERE id = $1',
        [id],
      )
      waits.push(Number(row?.['wait']))
    }
    expect(waits.every((wait, n) => wait > 4 * 2 ** n)).toBe(true)
    status = 200
    await pass(id)
    expect(repaired(idsOf(received))).toEqual(['aud_1', 'aud_2', 'aud_3'])
    expect(await stateOf(id)).toMatchObject({ failingSince: null, lastError: null })
  })

  it('sends a batch again under the same id when its answer was lost', async () => {
    await fill(3)
    const { id } = await add(webhook())
    await pass(id)
    const first = received.at(-1)
    await db.adminQuery('app', `UPDATE audit_stream SET cursor_at = 'epoch', cursor_id = '' WHERE id = $1`, [id])
    const [row] = await db.adminQuery('app', 'SELECT safe_until FROM audit_stream WHERE id = $1', [id])
    await db.adminQuery(
      'app',
      `UPDATE audit_stream SET next_at = now(), fence_xid = '9223372036854775807', safe_until = $2 WHERE id = $1`,
      [id, row?.['safe_until']],
    )
    await senderOf().send(world.tenantId, id)
    expect(received.at(-1)?.headers['webhook-id']).toBe(first?.headers['webhook-id'])
  })

  it('stops after days of failure or when it is told that all is over, on record, and starts again where it stopped', async () => {
    await fill(2)
    const { id } = await add(webhook())
    status = 500
    await pass(id)
    await db.adminQuery('app', `UPDATE audit_stream SET failing_since = now() - interval '6 days' WHERE id = $1`, [id])
    await pass(id)
    expect(await stateOf(id)).toMatchObject({ disabledReason: 'failing' })
    expect(await pass(id)).toBe(0)
    status = 200
    await streams.resume(as(), id)
    await pass(id)
    expect(repaired(idsOf(received))).toEqual(['aud_1', 'aud_2'])
    status = 410
    await fill(1, 3)
    await pass(id)
    expect(await stateOf(id)).toMatchObject({ disabledReason: 'gone' })
    await streams.remove(as(), id)
    await audit.drain()
    const rows = await db.adminQuery(
      'app',
      `SELECT action, actor_kind, reason FROM audit_record WHERE tenant_id = $1 AND target_id = $2 ORDER BY occurred_at`,
      [world.tenantId, id],
    )
    expect(rows).toEqual([
      { action: 'audit.stream_created', actor_kind: 'person', reason: null },
      { action: 'audit.stream_stopped', actor_kind: 'system', reason: 'failing' },
      { action: 'audit.stream_resumed', actor_kind: 'person', reason: null },
      { action: 'audit.stream_stopped', actor_kind: 'system', reason: 'gone' },
      { action: 'audit.stream_deleted', actor_kind: 'person', reason: null },
    ])
  })

  it('is sent by one worker at a time', async () => {
    await fill(300)
    const { id } = await add(webhook())
    await pass(id, senderOf(1))
    await later(id)
    const results = await Promise.all(Array.from({ length: 5 }, () => senderOf(10).send(world.tenantId, id)))
    expect(results.filter((one) => one !== undefined)).toHaveLength(1)
    const sent = repaired(idsOf(received))
    expect(new Set(sent).size).toBe(sent.length)
  })
})

describe('a stream to syslog', () => {
  it('is a sequence of counted RFC 5424 messages', async () => {
    await fill(40)
    const { id } = await add(syslog())
    await pass(id)
    await expect.poll(() => repaired(framesOf(collected).map(({ record }) => record.id))).toHaveLength(40)
    for (const { header } of framesOf(collected))
      expect(header).toMatch(/^<1\d\d>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z gate\.example portcullis - [a-z._]+ -$/)
  })
})

interface Frame {
  readonly header: string
  readonly record: { readonly id: string }
}
function framesOf(text: string): Frame[] {
  const frames: Frame[] = []
  for (let at = 0; at < text.length;) {
    const space = text.indexOf(' ', at)
    const length = Number(text.slice(at, space))
    const [, header = '', json = ''] = /^(.*? -) (\{.*)$/s.exec(text.slice(space + 1, space + 1 + length)) ?? []
    frames.push({ header, record: JSON.parse(json) as Frame['record'] }) // the message of ours
    at = space + 1 + length
  }
  return frames
}

describe('a stream to S3-compatible storage', () => {
  it('is one object of JSON Lines a batch, named by its records, signed with the secret that was sealed', async () => {
    await fill(7)
    const { id } = await add(s3(), 'the secret access key')
    await pass(id)
    const [put] = received
    expect(put?.method).toBe('PUT')
    expect(put?.path).toMatch(
      new RegExp(`^/trail/portcullis/${world.tenantId}/\\d{4}/\\d\\d/\\d\\d/\\d{20}-aud_\\w+-aud_\\w+\\.jsonl$`),
    )
    const ids = (put?.body ?? '')
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { id: string }).id) // a line of ours
    expect(repaired(ids)).toHaveLength(7)
    expect(put === undefined ? '' : signatureOf(put, 'the secret access key')).toBe(
      /Signature=([0-9a-f]{64})/.exec(String(put?.headers.authorization))?.[1],
    )
    const [row] = await db.adminQuery('app', 'SELECT s::text AS text FROM audit_stream s WHERE id = $1', [id])
    expect(String(row?.['text'])).not.toContain('the secret access key')
    expect(String(row?.['text'])).not.toContain(Buffer.from('the secret access key').toString('hex'))
  })
})

/** Signature Version 4, reckoned anew from what arrived. */
function signatureOf({ method, path, headers, body }: Received, secret: string): string {
  const [, day = '', region = '', service = '', names = ''] =
    /Credential=[^/]+\/(\d+)\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([^,]+)/.exec(
      String(headers.authorization),
    ) ?? []
  const hash = (text: string) => createHash('sha256').update(text).digest('hex')
  const mac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
  expect(headers['x-amz-content-sha256']).toBe(hash(body))
  const canonical = [
    method,
    path,
    '',
    ...names.split(';').map((name) => `${name}:${String(headers[name])}`),
    '',
    names,
    hash(body),
  ].join('\n')
  const scope = `${day}/${region}/${service}/aws4_request`
  const toSign = ['AWS4-HMAC-SHA256', String(headers['x-amz-date']), scope, hash(canonical)].join('\n')
  const key = mac(mac(mac(mac(`AWS4${secret}`, day), region), service), 'aws4_request')
  return mac(key, toSign).toString('hex')
}

describe('adding a stream', () => {
  it.each([
    ['a plain address', { kind: 'webhook', url: 'http://example.com/in' }, 'url'],
    ['no address', { kind: 'webhook', url: 'example.com' }, 'url'],
    ['one with a password', { kind: 'webhook', url: 'https://a:b@example.com/' }, 'url'],
    ['plain TCP that nobody opened', { kind: 'syslog', host: 'logs.example.com', port: 514, isTls: false }, 'isTls'],
    [
      'a plain store',
      {
        ...({ kind: 's3', region: 'r', bucket: 'abc', prefix: '', accessKeyId: 'A' } as const),
        endpoint: 'http://s3.example.com',
      },
      'endpoint',
    ],
  ] as const)('refuses %s', async (_, target, field) => {
    await expect(streams.create(as(), target, { secret: new Secret('x') })).rejects.toMatchObject({
      code: 'request.invalid',
      field,
    })
  })

  it('is for owners and admins who proved themselves a moment ago, five at most, and foreign ones are as good as none', async () => {
    for (const role of ['member', 'auditor'] as const) {
      await expect(streams.create(as(role), webhook(), {})).rejects.toMatchObject({ code: 'auth.forbidden' })
      await expect(streams.list(as(role))).rejects.toMatchObject({ code: 'auth.forbidden' })
    }
    await expect(streams.create(as('owner', new Date(Date.now() - 6 * 60_000)), webhook(), {})).rejects.toMatchObject({
      code: 'auth.step_up_required',
    })
    const asked = await Promise.allSettled(
      Array.from({ length: MAX_STREAMS + 2 }, () => streams.create(as('admin'), webhook(), {})),
    )
    expect(asked.filter((one) => one.status === 'fulfilled')).toHaveLength(MAX_STREAMS)
    const [first] = await streams.list(as())
    const other = await createAuditWorld(db.app)
    const stranger = as('owner', new Date(), other)
    await expect(streams.remove(stranger, first?.id ?? '')).rejects.toMatchObject({ code: 'resource.not_found' })
    await expect(streams.resume(stranger, first?.id ?? '')).rejects.toMatchObject({ code: 'resource.not_found' })
    expect(await streams.list(stranger)).toEqual([])
  })

  it('begins with now unless everything is asked for', async () => {
    await fill(5)
    const { stream } = await streams.create(as(), webhook(), {})
    await fill(2, 6)
    await pass(stream.id)
    expect(repaired(idsOf(received))).toEqual(['aud_6', 'aud_7'])
  })
})
