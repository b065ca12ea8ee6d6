import { once } from 'node:events'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { toEventRecord, type AuditEvent } from '@/lib/audit/record'
import { systemClock } from '@/lib/clock'
import { createEgress, type Egress } from '@/lib/egress/egress'
import { brand, newId, type Id, type PersonId, type TenantId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import type { RecordsEvents } from '@/lib/tenancy/events'
import type { MemberPrincipal, Role } from '@/lib/tenancy/principal'

import { createNotifyWorld, PUBLIC_URL, type NotifyWorld } from './test-kit'
import { createWebhookBatches } from './webhook-batch'
import { createWebhookSender, MAX_DELIVERY_ATTEMPTS, type WebhookSenderDeps } from './webhook-sender'
import type { WebhookKeys } from './webhook-secret'
import { createWebhooks, MAX_WEBHOOKS, parseAddress, type Webhooks } from './webhooks'

interface Received {
  readonly path: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

let world: NotifyWorld
let owner: PersonId
let receiver: http.Server
let origin: string
let egress: Egress
let webhooks: Webhooks
let received: Received[]
let answer: (request: Received, response: ServerResponse) => void
let recorded: AuditEvent[]
let announced: string[]

const keyOf = new Map<string, Buffer>()
/** A key of each tenant, as the key store would give. */
const keys: WebhookKeys = {
  current: (tenantId) => {
    if (!keyOf.has(tenantId)) keyOf.set(tenantId, Buffer.alloc(32, keyOf.size + 1))
    return Promise.resolve({ version: 1, key: Buffer.from(keyOf.get(tenantId)!) })
  },
  at: async (tenantId) => (await keys.current(tenantId)).key,
}
const events: RecordsEvents = {
  event: (_tx, event) => {
    toEventRecord(event, null, systemClock)
    recorded.push(event)
    return Promise.resolve()
  },
  never: (_tx, event) => {
    recorded.push(event)
    return Promise.resolve()
  },
}

beforeAll(async () => {
  world = await createNotifyWorld()
  receiver = http.createServer((request: IncomingMessage, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const one = {
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks).toString('utf8'),
      }
      received.push(one)
      answer(one, response)
    })
  })
  receiver.listen(0, '127.0.0.1')
  await once(receiver, 'listening')
  origin = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}` // it listens on a port
})
afterAll(async () => {
  receiver.closeAllConnections()
  receiver.close()
  await once(receiver, 'close')
  await world.close()
})
beforeEach(async () => {
  await world.reset()
  owner = await world.newPerson({ role: 'owner' })
  received = []
  recorded = []
  announced = []
  answer = (_, response) => response.writeHead(204).end()
  egress = createEgress({ allow: [origin], allowUnsafe: true, production: false })
  webhooks = createWebhooks({
    appDb: world.db.app,
    events,
    keys,
    httpOrigins: [origin],
    announce: (_, deliveryId) => Promise.resolve(announced.push(deliveryId)),
  })
})
afterEach(async () => {
  await egress.close()
})

const as = (role: Role = 'owner', tenantId: TenantId = world.tenantId): MemberPrincipal => ({
  kind: 'person',
  tenantId,
  personId: owner,
  role,
  webSessionId: newId('webSession'),
  authenticatedAt: new Date(),
  network: '192.0.2.1',
})
const senderOf = (options: Partial<WebhookSenderDeps> = {}) =>
  createWebhookSender({
    appDb: world.db.app,
    egress,
    keys,
    events,
    clock: systemClock,
    log: createLog('test', 'silent'),
    random: () => 1,
    ...options,
  })
const batches = () => createWebhookBatches({ appDb: world.db.app, publicUrl: PUBLIC_URL, digestSeconds: 0 })
const add = async (url = `${origin}/hook`) => {
  const made = await webhooks.create(as(), url)
  return { id: made.webhook.id, secret: made.secret.reveal() }
}
const tryOut = async (id: string) => (await webhooks.test(as(), id)).id
const rowOf = async (deliveryId: string) =>
  (
    await world.db.adminQuery(
      'app',
      'SELECT status, attempts, last_status, last_error, extract(epoch FROM next_at - now())::float AS wait FROM webhook_delivery WHERE id = $1',
      [deliveryId],
    )
  )[0]
const makeDue = () => world.db.adminQuery('app', "UPDATE webhook_delivery SET next_at = now() WHERE status = 'queued'")

/** Standard Webhooks as its text describes it, by another implementation of HMAC than the sender's. */
async function isGenuine(secret: string, { headers, body }: Received): Promise<boolean> {
  const bytes = Uint8Array.from(atob(secret.slice('whsec_'.length)), (character) => character.charCodeAt(0))
  const key = await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify'])
  const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`
  const isRecent = Math.abs(Date.now() / 1_000 - Number(headers['webhook-timestamp'])) < 300
  const checks = String(headers['webhook-signature'])
    .split(' ')
    .filter((one) => one.startsWith('v1,'))
    .map((one) =>
      crypto.subtle.verify(
        'HMAC',
        key,
        Uint8Array.from(atob(one.slice(3)), (character) => character.charCodeAt(0)),
        new TextEncoder().encode(signed),
      ),
    )
  return isRecent && (await Promise.all(checks)).some(Boolean)
}

describe('a webhook', () => {
  it('is called with one signed message about everything that happened, and a receiver can check it', async () => {
    const { secret } = await add()
    const ids = await world.newConnections(2, owner, { label: 'ada' })
    await world.set(ids, 'reauthorization_required', { reason: 'invalid_grant' })
    await world.watch().scan()
    const [made, ...others] = await batches().makeDue()
    expect(others).toEqual([])
    expect(await senderOf().send(made!.tenantId, made!.deliveryId)).toBe('delivered')
    expect(await senderOf().send(made!.tenantId, made!.deliveryId)).toBe('not_mine')

    expect(received).toHaveLength(1)
    const [one] = received
    expect(one?.headers).toMatchObject({ 'content-type': 'application/json', 'webhook-id': made!.deliveryId })
    expect(await isGenuine(secret, one!)).toBe(true)
    expect(await isGenuine(secret, { ...one!, body: one!.body.replace('"total":2', '"total":3') })).toBe(false)
    expect(await isGenuine(`whsec_${btoa('x'.repeat(32))}`, one!)).toBe(false)
    expect(JSON.parse(one!.body)).toMatchObject({
      type: 'connections.need_attention',
      data: {
        workspaceId: world.tenantId,
        total: 2,
        isTruncated: false,
        connections: ids.toSorted().map((id) => ({
          id,
          provider: 'github',
          account: 'ada',
          state: 'reauthorization_required',
          reason: 'invalid_grant',
          url: `${PUBLIC_URL}/connections/${id}`,
        })),
      },
    })
  })

  it('gets a thousand failures as one call with their number and the first hundred', async () => {
    await add()
    await world.set(await world.newConnections(1_000, owner), 'revoked')
    await world.watch().scan()
    const racing = await Promise.all([batches().makeDue(), batches().makeDue(), batches().makeDue()])
    expect(racing.flat()).toHaveLength(1)
    const [made] = racing.flat()
    await senderOf().send(made!.tenantId, made!.deliveryId)
    expect(received).toHaveLength(1)
    expect(received[0]!.body.length).toBeLessThan(100_000)
    const { data } = JSON.parse(received[0]!.body) as { data: { total: number; isTruncated: boolean; connections: [] } } // what the batch writes
    expect([data.total, data.isTruncated, data.connections.length]).toEqual([1_000, true, 100])
    expect(await batches().makeDue()).toEqual([])
  })

  it('waits for more before it is called', async () => {
    await add()
    await world.set(await world.newConnections(1, owner), 'revoked')
    await world.watch().scan()
    const slow = createWebhookBatches({ appDb: world.db.app, publicUrl: PUBLIC_URL, digestSeconds: 300 })
    expect(await slow.makeDue()).toEqual([])
    await world.db.adminQuery('app', "UPDATE webhook_event SET created_at = now() - interval '301 seconds'")
    expect(await slow.makeDue()).toHaveLength(1)
  })

  it('is called by one of several workers, and again by another when that one died', async () => {
    const { id } = await add()
    const deliveryId = await tryOut(id)
    const results = await Promise.all(Array.from({ length: 8 }, () => senderOf().send(world.tenantId, deliveryId)))
    expect(results.filter((result) => result === 'delivered')).toHaveLength(1)
    expect(received).toHaveLength(1)

    const lost = await tryOut(id)
    // What the claim of a process that then dies leaves behind.
    await world.db.adminQuery(
      'app',
      "UPDATE webhook_delivery SET attempts = 1, next_at = now() + interval '60 seconds' WHERE id = $1",
      [lost],
    )
    expect(await senderOf().send(world.tenantId, lost)).toBe('not_mine')
    await makeDue()
    expect(await senderOf().due(10)).toEqual([{ tenantId: world.tenantId, deliveryId: lost }])
    expect(await senderOf().send(world.tenantId, lost)).toBe('delivered')
    expect(received[1]?.headers['webhook-id']).toBe(lost)
  })

  it('is tried with the same bytes and the same id until it answers, with growing pauses', async () => {
    const { id, secret } = await add()
    answer = (_, response) => response.writeHead(500).end()
    const deliveryId = await tryOut(id)
    const waits: number[] = []
    for (let attempt = 1; attempt < MAX_DELIVERY_ATTEMPTS; attempt += 1) {
      expect(await senderOf().send(world.tenantId, deliveryId)).toBe('deferred')
      waits.push(Number((await rowOf(deliveryId))?.['wait']))
      await makeDue()
    }
    expect(waits[0]).toBeCloseTo(20, -1)
    expect(waits.at(-1)).toBeCloseTo(21_600, -2)
    expect(waits.slice(0, 8).every((wait, index) => index === 0 || wait > waits[index - 1]!)).toBe(true)
    expect(await senderOf().send(world.tenantId, deliveryId)).toBe('failed')
    expect(await rowOf(deliveryId)).toMatchObject({ status: 'failed', last_status: 500 })
    expect(new Set(received.map(({ body }) => body)).size).toBe(1)
    expect(new Set(received.map(({ headers }) => headers['webhook-id']))).toEqual(new Set([deliveryId]))
    for (const one of received) expect(await isGenuine(secret, one)).toBe(true)
  })

  it('may ask for a pause, and not for a year', async () => {
    const { id } = await add()
    answer = (_, response) => response.writeHead(429, { 'retry-after': '31536000' }).end()
    const deliveryId = await tryOut(id)
    await senderOf().send(world.tenantId, deliveryId)
    expect(Number((await rowOf(deliveryId))?.['wait'])).toBeCloseTo(3_600, -2)
  })

  it('that says it is gone is stopped at once, with what waited for it, and those in charge hear of it once', async () => {
    const { id } = await add()
    const member = await world.newPerson()
    answer = (_, response) => response.writeHead(410).end()
    const [first, second] = [await tryOut(id), await tryOut(id)]
    expect(await senderOf().send(world.tenantId, first)).toBe('failed')
    expect(await rowOf(second)).toMatchObject({ status: 'failed' })
    expect(await senderOf().send(world.tenantId, second)).toBe('not_mine')
    expect(await webhooks.list(as())).toMatchObject([{ id, disabledReason: 'gone' }])
    expect(await world.notifications()).toMatchObject([{ person_id: owner, kind: 'webhook_disabled', reason: 'gone' }])
    expect(await world.notifications(member)).toEqual([])
    expect(recorded.filter(({ action }) => action === 'webhook.disabled')).toMatchObject([
      { targetId: id, reason: 'gone' },
    ])
    await expect(webhooks.test(as(), id)).rejects.toMatchObject({ code: 'resource.conflict' })
    // And nothing is gathered for it any more.
    await world.set(await world.newConnections(3, owner), 'revoked')
    await world.watch().scan()
    expect(await batches().makeDue()).toEqual([])
    expect(received).toHaveLength(1)
  })

  it('that fails for days is stopped, and one success starts the count anew', async () => {
    const { id } = await add()
    const fail = async () => {
      answer = (_, response) => response.writeHead(503).end()
      const deliveryId = await tryOut(id)
      await world.db.adminQuery('app', "UPDATE webhook_delivery SET created_at = now() - interval '1 day'")
      return senderOf().send(world.tenantId, deliveryId)
    }
    const age = (days: number) =>
      world.db.adminQuery('app', 'UPDATE webhook SET failing_since = failing_since - make_interval(days => $1)', [days])
    await fail()
    await age(6)
    answer = (_, response) => response.writeHead(200).end('ok')
    expect(await senderOf().send(world.tenantId, await tryOut(id))).toBe('delivered')
    await fail()
    await age(4)
    await fail()
    expect(await webhooks.list(as())).toMatchObject([{ disabledAt: null }])
    await age(2)
    await fail()
    expect(await webhooks.list(as())).toMatchObject([{ disabledReason: 'failing' }])
  })
})

describe('a hostile address', () => {
  const outcomeOf = async (url: string, options: Partial<WebhookSenderDeps> = {}) => {
    const { id } = await add(url)
    const deliveryId = await tryOut(id)
    await senderOf(options).send(world.tenantId, deliveryId)
    return rowOf(deliveryId)
  }

  it('that redirects to the metadata service of a cloud is not followed', async () => {
    answer = (one, response) => {
      response
        .writeHead(307, { location: one.path === '/hook' ? 'http://169.254.169.254/latest/meta-data/' : '/' })
        .end()
    }
    expect(await outcomeOf(`${origin}/hook`)).toMatchObject({
      status: 'queued',
      last_status: 307,
      last_error: 'redirect',
    })
    answer = (_, response) => response.writeHead(302, { location: `${origin}/elsewhere` }).end()
    expect(await outcomeOf(`${origin}/other`)).toMatchObject({ last_error: 'redirect' })
    expect(received.map(({ path }) => path)).toEqual(['/hook', '/other'])
  })

  it('that answers with ten megabytes is cut off', async () => {
    answer = (_, response) => {
      response.writeHead(200)
      response.on('error', () => undefined)
      response.end(Buffer.alloc(10_000_000))
    }
    expect(await outcomeOf(`${origin}/hook`)).toMatchObject({ status: 'queued', last_error: 'too_large' })
  })

  it('that answers a byte at a time is given up', async () => {
    let isClosed: Promise<unknown> = Promise.resolve()
    answer = (_, response) => {
      isClosed = once(response, 'close')
      response.writeHead(200)
      const timer = setInterval(() => response.write('.'), 20)
      response.on('close', () => clearInterval(timer))
    }
    expect(await outcomeOf(`${origin}/hook`, { timeoutMs: 300 })).toMatchObject({
      status: 'queued',
      last_error: 'timeout',
    })
    await isClosed
  })

  it.each([
    'https://169.254.169.254/latest/meta-data/',
    'https://127.0.0.1:1/',
    'https://10.0.0.1/',
    'https://[::1]/',
    'https://[::ffff:169.254.169.254]/',
    'https://localhost/',
    'https://0x7f000001/',
  ])('inside is not called: %s', async (url) => {
    expect(await outcomeOf(url)).toMatchObject({ status: 'queued', last_status: null, last_error: 'refused' })
  })

  it.each([
    'http://example.com/hook',
    'ftp://example.com/',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'https://user:secret@example.com/',
    'not an address',
    `https://example.com/${'a'.repeat(2_048)}`,
  ])('is not taken at all: %.60s', async (url) => {
    await expect(webhooks.create(as(), url)).rejects.toMatchObject({ code: 'request.invalid', field: 'url' })
  })

  it('is kept as the URL parser reads it, without a fragment', () => {
    expect(parseAddress('HTTPS://EXAMPLE.com:443/a#b', [])).toBe('https://example.com/a')
  })
})

describe('the signing secret', () => {
  it('is shown once, and nowhere in the database, the records or the messages', async () => {
    const { id, secret } = await add()
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
    await senderOf().send(world.tenantId, await tryOut(id))
    const [row] = await world.db.adminQuery(
      'app',
      `SELECT (SELECT string_agg(w::text, ' ') FROM webhook w) || (SELECT string_agg(d::text, ' ') FROM webhook_delivery d) AS text,
              (SELECT encode(sealed_secret, 'escape') FROM webhook) AS sealed`,
    )
    const all = JSON.stringify([
      row,
      recorded,
      received,
      await webhooks.list(as()),
      await webhooks.deliveries(as(), id),
    ])
    expect(all).not.toContain(secret.slice(6, 30))
    expect(all).not.toContain(Buffer.from(secret.slice(6), 'base64').toString('hex').slice(0, 24))
  })

  it('of another webhook or workspace does not open, and the webhook is stopped rather than signed wrongly', async () => {
    const [a, b] = [await add(`${origin}/a`), await add(`${origin}/b`)]
    await world.db.adminQuery(
      'app',
      'UPDATE webhook SET sealed_secret = (SELECT sealed_secret FROM webhook WHERE id = $1) WHERE id = $2',
      [a.id, b.id],
    )
    const deliveryId = await tryOut(b.id)
    expect(await senderOf().send(world.tenantId, deliveryId)).toBe('failed')
    expect(received).toEqual([])
    expect(await rowOf(deliveryId)).toMatchObject({ last_error: 'secret_unreadable' })
  })
})

describe('who may have webhooks', () => {
  it('owners and admins, of their own workspace, three at most', async () => {
    for (const role of ['member', 'auditor'] as const)
      for (const attempt of [
        () => webhooks.list(as(role)),
        () => webhooks.create(as(role), `${origin}/x`),
        () => webhooks.remove(as(role), newId('webhook')),
        () => webhooks.test(as(role), newId('webhook')),
        () => webhooks.deliveries(as(role), newId('webhook')),
      ])
        await expect(attempt()).rejects.toMatchObject({ code: 'auth.forbidden' })

    const results = await Promise.allSettled(Array.from({ length: MAX_WEBHOOKS + 3 }, () => add()))
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(MAX_WEBHOOKS)
    await expect(add()).rejects.toMatchObject({ code: 'resource.limit_exceeded' })

    const [mine] = await webhooks.list(as('admin'))
    const elsewhere = as('owner', await world.newTenant('Other'))
    expect(await webhooks.list(elsewhere)).toEqual([])
    for (const id of [mine!.id, newId('webhook')])
      for (const attempt of [
        () => webhooks.remove(elsewhere, id),
        () => webhooks.test(elsewhere, id),
        () => webhooks.deliveries(elsewhere, id),
      ])
        await expect(attempt()).rejects.toMatchObject({ code: 'resource.not_found' })
  })

  it('hear of their own workspace alone', async () => {
    await add()
    const elsewhere = await world.newTenant('Other')
    await world.set(await world.newConnections(2, owner, { tenantId: elsewhere }), 'revoked')
    await world.watch().scan()
    expect(await batches().makeDue()).toEqual([])
    const foreign = brand<'delivery'>(await tryOut((await webhooks.list(as()))[0]!.id)) satisfies Id<'delivery'>
    expect(await senderOf().send(elsewhere, foreign)).toBe('not_mine')
  })

  it('leave a record of adding, trying and removing, and nothing waits for what was removed', async () => {
    const { id } = await add()
    const deliveryId = await tryOut(id)
    expect(announced).toEqual([deliveryId])
    await webhooks.remove(as(), id)
    expect(recorded.map(({ action, targetId }) => [action, targetId])).toEqual([
      ['webhook.created', id],
      ['webhook.tested', id],
      ['webhook.deleted', id],
    ])
    expect(await senderOf().send(world.tenantId, deliveryId)).toBe('not_mine')
    expect(received).toEqual([])
  })

  it('try one out ten times in ten minutes and not more', async () => {
    const { id } = await add()
    for (let n = 0; n < 10; n += 1) await tryOut(id)
    await expect(tryOut(id)).rejects.toMatchObject({ code: 'request.rate_limited' })
  })
})
