import { randomBytes } from 'node:crypto'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { AppTx } from '@/lib/db/app-db'
import { newId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import { createAuditWorld, type AuditWorld } from '@/lib/testing/audit'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import { createRetention } from './retention'

const DAY = 86_400_000

describe('retention', () => {
  let db: TestDatabases
  let world: AuditWorld
  beforeAll(async () => {
    db = await createTestDatabases()
    world = await createAuditWorld(db.app)
  })
  afterAll(() => db.close())
  const ago = (days: number) => new Date(Date.now() - days * DAY)
  const retain = (batch = 1_000) => createRetention({ appDb: db.app, log: createLog('test', 'silent'), batch })()
  const bytes = () => new Uint8Array(randomBytes(32))

  /** One of each that is old, and what must stay: what is young, what is still under way. */
  const tellOf = async (tx: AppTx, at: (days: number) => Date) => {
    const { tenantId, personId, connectionId } = world
    const webhookId = newId('webhook')
    const notification = (createdAt: Date) => ({
      tenantId,
      id: newId('notification'),
      personId,
      kind: 'webhook_disabled',
      label: 'a',
      createdAt,
    })
    await tx.notification.createMany({ data: [notification(at(91)), notification(at(89))] })
    await tx.webhook.create({
      data: { tenantId, id: webhookId, url: 'https://a', sealedSecret: bytes(), keyVersion: 1 },
    })
    const delivery = (endedAt: Date | null) => ({
      tenantId,
      id: newId('delivery'),
      webhookId,
      type: 'webhook.test',
      body: '{}',
      itemCount: 0,
      endedAt,
      createdAt: at(40),
    })
    await tx.webhookDelivery.createMany({ data: [delivery(at(31)), delivery(at(29)), delivery(null)] })
    const event = (createdAt: Date, deliveryId: string | null) => ({
      tenantId,
      webhookId,
      episodeId: newId('episode'),
      step: 1,
      item: {},
      createdAt,
      deliveryId,
    })
    await tx.webhookEvent.createMany({ data: [event(at(31), 'd'), event(at(31), null), event(at(29), 'd')] })
    const episode = (endedAt: Date | null) => ({
      tenantId,
      id: newId('episode'),
      connectionId,
      beganAt: at(300),
      stateAt: at(300),
      generation: 1,
      endedAt,
    })
    await tx.connectionEpisode.createMany({ data: [episode(at(181)), episode(at(179)), episode(null)] })
  }

  it('deletes what has served its time and nothing else', async () => {
    const { global } = db.app
    const kept = {
      token: newId('emailToken'),
      session: newId('webSession'),
      mails: [newId('mail'), newId('mail'), newId('mail')],
    }
    await global.emailToken.createMany({
      data: [
        { id: newId('emailToken'), purpose: 'magic_link', email: 'a@example.test', expiresAt: ago(2) },
        { id: kept.token, purpose: 'magic_link', email: 'a@example.test', expiresAt: ago(0.5) },
      ],
    })
    const session = (id: string, fields: object) => ({
      id,
      secretHash: bytes(),
      personId: world.personId,
      status: 'active',
      browserHash: bytes(),
      method: 'password',
      idleExpiresAt: ago(-1),
      expiresAt: ago(-30),
      ...fields,
    })
    await global.webSession.createMany({
      data: [
        session(newId('webSession'), { expiresAt: ago(8) }),
        session(newId('webSession'), { idleExpiresAt: ago(8) }),
        session(newId('webSession'), { status: 'ended', endedAt: ago(8) }),
        session(newId('webSession'), { status: 'pending', createdAt: ago(2) }),
        session(kept.session, { status: 'ended', endedAt: ago(6) }),
      ],
    })
    const mail = (id: string, fields: object) => ({ id, kind: 'notice', email: 'a@example.test', ...fields })
    await global.mail.createMany({
      data: [
        mail(newId('mail'), { status: 'sent', sentAt: ago(8) }),
        mail(newId('mail'), { status: 'failed', createdAt: ago(31) }),
        mail(kept.mails[0]!, { status: 'sent', sentAt: ago(6) }),
        mail(kept.mails[1]!, { status: 'queued', createdAt: ago(60) }),
        mail(kept.mails[2]!, { status: 'failed', createdAt: ago(20) }),
      ],
    })
    await global.rateLimit.createMany({
      data: [
        { key: 'old', points: 1, expire: BigInt(Date.now() - 1_000) },
        { key: 'live', points: 1, expire: BigInt(Date.now() + 60_000) },
        { key: 'eternal', points: 1 },
      ],
    })
    const attempt = (expiresAt: Date) => ({
      tenantId: world.tenantId,
      id: newId('connectAttempt'),
      personId: world.personId,
      webSessionId: newId('webSession'),
      browserHash: bytes(),
      provider: 'github',
      providerApp: 'app',
      stateHash: bytes(),
      codeVerifier: 'v',
      nonce: 'n',
      requestedScopes: [],
      expiresAt,
    })
    const call = (expiresAt: Date) => ({
      tenantId: world.tenantId,
      callId: newId('call'),
      keyVersion: 1,
      sealed: bytes(),
      expiresAt,
    })
    const refresh = (at: Date) => ({
      tenantId: world.tenantId,
      id: newId('refreshEvent'),
      connectionId: world.connectionId,
      at,
      cause: 'due',
      outcome: 'issued',
      generation: 2,
    })
    const step = (at: Date) => ({
      tenantId: world.tenantId,
      id: newId('doctorStep'),
      agentId: world.agentId,
      at,
      step: 'mcp',
      status: 401,
      network: '203.0.113.1',
    })
    await db.app.tenant(world.tenantId, async (tx) => {
      await tx.connectAttempt.createMany({ data: [attempt(ago(2)), attempt(ago(0.5))] })
      await tx.auditArguments.createMany({ data: [call(ago(1)), call(ago(-1))] })
      await tx.refreshEvent.createMany({ data: [refresh(ago(91)), refresh(ago(89))] })
      await tx.doctorStep.createMany({ data: [step(ago(15)), step(ago(13))] })
      await tellOf(tx, ago)
    })

    const artifact = (model: string, expiresAt: Date, consumedAt: Date | null = null) =>
      db.adminQuery(
        'app',
        "INSERT INTO oauth_artifact (model, id_hash, payload, expires_at, consumed_at) VALUES ($1, $2, '{}', $3, $4)",
        [model, randomBytes(32), expiresAt, consumedAt],
      )
    await artifact('AccessToken', ago(0.01))
    await artifact('AccessToken', ago(-1))
    // A token that was spent is remembered for a week, so that presenting it again is noticed.
    await artifact('RefreshToken', ago(-20), ago(8))
    await artifact('RefreshToken', ago(-20), ago(6))
    await db.adminQuery(
      'app',
      "INSERT INTO oauth_client (id, kind, metadata, expires_at) VALUES ('cli_old', 'registered', '{}', $1), ('cli_new', 'registered', '{}', $2)",
      [ago(2), ago(-1)],
    )

    expect(await retain()).toEqual({
      emailTokens: 1,
      webSessions: 4,
      mails: 2,
      rateLimits: 1,
      oauthArtifacts: 2,
      oauthClients: 1,
      connectAttempts: 1,
      callArguments: 1,
      refreshEvents: 1,
      doctorSteps: 1,
      notifications: 4,
    })
    expect((await global.emailToken.findMany()).map((row) => row.id)).toEqual([kept.token])
    expect((await global.webSession.findMany()).map((row) => row.id)).toEqual([kept.session])
    expect((await global.mail.findMany()).map((row) => row.id).sort()).toEqual([...kept.mails].sort())
    expect((await global.rateLimit.findMany()).map((row) => row.key).sort()).toEqual(['eternal', 'live'])
    expect(await db.app.tenant(world.tenantId, (tx) => tx.connectAttempt.count())).toBe(1)
    expect(await db.app.tenant(world.tenantId, (tx) => tx.auditArguments.count())).toBe(1)
    expect(await db.app.tenant(world.tenantId, (tx) => tx.refreshEvent.count())).toBe(1)
    expect(
      await db.app.tenant(world.tenantId, (tx) =>
        Promise.all([
          tx.notification.count(),
          tx.webhookDelivery.count(),
          tx.webhookEvent.count(),
          tx.connectionEpisode.count(),
        ]),
      ),
    ).toEqual([1, 2, 2, 2])
  })

  it('takes many rows in small bites, and leaves the rest of a mountain to the next run', async () => {
    await db.adminQuery(
      'app',
      "INSERT INTO rate_limit (key, points, expire) SELECT 'k' || n, 1, 1 FROM generate_series(1, 1000) n",
    )
    expect(await retain(10)).toMatchObject({ rateLimits: 500 })
    expect(await retain(10)).toMatchObject({ rateLimits: 500 })
    expect(await retain(10)).toMatchObject({ rateLimits: 0 })
  })
})
