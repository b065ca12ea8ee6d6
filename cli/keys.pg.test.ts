/** What the operator's commands on keys do to everything that is sealed, credentials or not. */
import { Secret as OtpSecret, TOTP } from 'otpauth'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { createAuditSeals, type AuditSeals } from '@/lib/audit/seal'
import { systemClock } from '@/lib/clock'
import { createTotps, type Totps } from '@/lib/identity/totp'
import { brand, newId, type Id, type PersonId, type TenantId } from '@/lib/ids'
import { openSigningSecret, sealSigningSecret } from '@/lib/notifications/webhook-secret'
import { Secret } from '@/lib/secret'
import { openClientSecret, sealClientSecret } from '@/lib/sso/secret'
import { createRotationWorld, finished, type RotationWorld } from '@/lib/testing/rotation'
import { INSTALLATION, PURPOSES, type KeyPurpose } from '@/lib/vault/key-store'
import { retireTenantKey } from '@/lib/vault/rotation/retire'
import type { Core } from '@/wiring/core'
import { createTotpSeal } from '@/wiring/totp-seal'

import { keyOperations } from './keys'

let world: RotationWorld
beforeEach(async () => {
  world = await createRotationWorld()
})
afterEach(() => world.close())

/** The commands as `portcullis keys` runs them, on this installation. */
function commands(tenantId: TenantId) {
  const core = {
    config: { vaultDatabaseUrl: world.db.urls.vault, dataDir: world.dataDir },
    notReady: undefined,
    vaultDb: world.db.vault,
    appDb: world.db.app,
    clock: systemClock,
    log: world.deps.log,
    keyAccess: { opened: () => ({ kek: world.kek, keys: world.keys, keyStoreDir: world.keyStoreDir }) },
  } as unknown as Core // the part of it that keys need
  const operations = keyOperations(
    () => Promise.resolve(core),
    () => Promise.resolve(tenantId),
    true,
  )
  return {
    status: () => operations['keys.status'](undefined),
    change: async (body: object): Promise<Record<string, unknown>> => {
      let last: unknown
      for await (const line of (await operations['keys.change'](body)) as AsyncIterable<string>) last = JSON.parse(line) // lines of JSON
      return (last as { result: Record<string, unknown> }).result // the last one
    },
  }
}

const keysOf = (purpose: KeyPurpose) => ({
  current: (tenantId: TenantId) => world.keys.current(tenantId, purpose),
  at: (tenantId: TenantId, version: number) => world.keys.at(tenantId, purpose, version),
})
const auditSeals = (): AuditSeals =>
  createAuditSeals({
    audit: (tenantId) => world.keys.current(tenantId, 'audit'),
    auditAt: (tenantId, version) => world.keys.at(tenantId, 'audit', version),
  })
const totps = (): Totps =>
  createTotps({ appDb: world.db.app, seal: createTotpSeal(world.keys), clock: systemClock, issuer: 'Portcullis' })

interface Sealed {
  readonly tenantId: TenantId
  readonly connections: Awaited<ReturnType<RotationWorld['connect']>>['connections']
  readonly personId: PersonId
  readonly configId: Id<'signInConfig'>
  readonly webhookId: Id<'webhook'>
  readonly streamId: Id<'auditStream'>
  readonly totpSecret: string
}

/** A workspace and a person with one of everything that is kept sealed. */
async function sealEverything(): Promise<Sealed> {
  const { tenantId, connections } = await world.connect(2)
  const { app } = world.db
  const personId = newId('person')
  const [configId, webhookId, streamId] = [newId('signInConfig'), newId('webhook'), newId('auditStream')]
  await app.tenant(tenantId, (tx) => tx.tenant.create({ data: { id: tenantId, name: 'A', slug: tenantId.slice(-12) } }))
  await world.db.adminQuery(
    'app',
    "INSERT INTO person (id, email, email_canonical) VALUES ($1, 'a@b.example', 'a@b.example')",
    [personId],
  )
  const client = await sealClientSecret(keysOf('sign_in'), tenantId, configId, new Secret('client secret'))
  const webhook = await sealSigningSecret(keysOf('webhook'), tenantId, webhookId, new Secret('signing secret'))
  const seal = await auditSeals().current(tenantId)
  await app.tenant(tenantId, async (tx) => {
    await tx.signInConfig.create({
      data: {
        tenantId,
        id: configId,
        issuer: 'https://idp.example',
        clientId: 'c',
        sealedSecret: client.sealed,
        keyVersion: client.keyVersion,
      },
    })
    await tx.webhook.create({
      data: {
        tenantId,
        id: webhookId,
        url: 'https://a.example',
        sealedSecret: webhook.sealed,
        keyVersion: webhook.keyVersion,
      },
    })
    await tx.auditStream.create({
      data: {
        tenantId,
        id: streamId,
        kind: 's3',
        target: {},
        cursorAt: new Date(),
        keyVersion: seal.keyVersion,
        sealedSecret: new Uint8Array(seal.seal('stream', streamId, Buffer.from('store secret'))),
      },
    })
    await tx.auditArguments.create({
      data: {
        tenantId,
        callId: 'call_1',
        keyVersion: seal.keyVersion,
        sealed: new Uint8Array(seal.seal('arguments', 'call_1', Buffer.from('{"a":1}'))),
        expiresAt: new Date(Date.now() + 3_600_000),
      },
    })
  })
  await world.keys.current(tenantId, 'spool')
  await world.keys.current(tenantId, 'mcp')
  const { secret } = await totps().begin(personId, 'a@b.example')
  return { tenantId, connections, personId, configId, webhookId, streamId, totpSecret: secret.reveal() }
}

/** Opens each thing with nothing in memory, as it was sealed. */
async function openEverything(one: Sealed): Promise<void> {
  const { tenantId, configId, webhookId, streamId, personId } = one
  await world.openAll(tenantId, one.connections) // forgets what is in memory, too
  const rows = await world.db.app.tenant(tenantId, async (tx) => ({
    config: await tx.signInConfig.findUniqueOrThrow({ where: { tenantId } }),
    webhook: await tx.webhook.findUniqueOrThrow({ where: { tenantId_id: { tenantId, id: webhookId } } }),
    stream: await tx.auditStream.findUniqueOrThrow({ where: { tenantId_id: { tenantId, id: streamId } } }),
    kept: await tx.auditArguments.findUniqueOrThrow({ where: { tenantId_callId: { tenantId, callId: 'call_1' } } }),
  }))
  const sealedOf = (row: { sealedSecret: Uint8Array<ArrayBuffer>; keyVersion: number }) => ({
    sealed: row.sealedSecret,
    keyVersion: row.keyVersion,
  })
  expect((await openClientSecret(keysOf('sign_in'), tenantId, configId, sealedOf(rows.config))).reveal()).toBe(
    'client secret',
  )
  expect((await openSigningSecret(keysOf('webhook'), tenantId, webhookId, sealedOf(rows.webhook))).reveal()).toBe(
    'signing secret',
  )
  const seals = auditSeals()
  const stream = await seals.at(tenantId, rows.stream.keyVersion ?? 0)
  expect(stream.open('stream', streamId, rows.stream.sealedSecret ?? new Uint8Array()).toString()).toBe('store secret')
  const kept = await seals.at(tenantId, rows.kept.keyVersion)
  expect(kept.open('arguments', 'call_1', rows.kept.sealed).toString()).toBe('{"a":1}')
  const token = new TOTP({
    secret: OtpSecret.fromBase32(one.totpSecret),
    algorithm: 'SHA1',
    digits: 6,
    period: 30,
  }).generate()
  expect(await totps().match(personId, token, 'waiting')).toBeDefined()
}

describe('rotating keys from the command line', () => {
  it('leaves everything that is sealed readable, whoever’s it is, and records it for workspaces alone', async () => {
    const sealed = await sealEverything()
    const { change } = commands(sealed.tenantId)
    const old = await world.kek.activeId()
    expect(await change({ what: 'rotate_kek' })).toMatchObject({ rewrapped: PURPOSES.length, unreadable: 0 })
    await openEverything(sealed)
    expect(await change({ what: 'retire_kek', kek: old })).toMatchObject({ result: 'destroyed' })
    await openEverything(sealed)

    for (const purpose of PURPOSES) {
      const holder = purpose === 'person' ? INSTALLATION : sealed.tenantId
      expect(await change({ what: 'rotate_tenant', purpose })).toMatchObject({ tenantId: holder, purpose, version: 2 })
      world.keys.forget() // which is newest is remembered for seconds
      expect((await world.keys.current(holder, purpose)).version, purpose).toBe(2)
    }
    expect(await change({ what: 'rotate_dek' })).toMatchObject({ resealed: 2, unreadable: 0 })
    expect(await change({ what: 'rotate_kek' })).toMatchObject({ unreadable: 0 })
    await openEverything(sealed)

    // No trail begins for a workspace that is none.
    const told = await world.db.adminQuery('vault', 'SELECT DISTINCT tenant_id FROM audit_outbox')
    expect(told).toEqual([{ tenant_id: sealed.tenantId }])
    const made = (await world.keys.store.versions(sealed.tenantId, 'person')).usable
    expect(made).toEqual([])
  })

  it('ends no version that something needs, and says what does', async () => {
    const sealed = await sealEverything()
    const { change, status } = commands(sealed.tenantId)
    await world.db.adminQuery(
      'app',
      `INSERT INTO audit_export (tenant_id, id, format, filter, until, created_by, expires_at, status)
       VALUES ($1, 'aex_1', 'csv', '{}', now(), 'p', now() + interval '1 day', 'ready')`,
      [sealed.tenantId],
    )
    const needed: Partial<Record<KeyPurpose, readonly string[]>> = {
      audit: ['1 kept arguments', '1 secrets of streams', '1 exports that are kept'],
      webhook: ['1 webhooks'],
      sign_in: ['1 client secrets of single sign-on'],
      person: ['1 authenticator apps'],
    }
    for (const [purpose, words] of Object.entries(needed)) {
      await change({ what: 'rotate_tenant', purpose })
      for (const word of words)
        await expect(change({ what: 'retire_tenant', purpose, version: 1 })).rejects.toMatchObject({
          code: 'resource.conflict',
          message: expect.stringContaining(word) as string,
        })
    }
    await openEverything(sealed)
    expect(await status()).toMatchObject({
      tenantKeys: expect.arrayContaining([
        expect.objectContaining({
          purpose: 'sign_in',
          version: 1,
          references: { 'client secrets of single sign-on': 1 },
        }),
      ]) as unknown[],
    })

    // An hour later with nothing left that needs them, each ends.
    for (const table of ['sign_in_config', 'webhook', 'audit_stream', 'audit_arguments', 'audit_export', 'person_totp'])
      await world.db.adminQuery('app', `DELETE FROM ${table}`)
    await world.db.adminQuery('vault', 'DELETE FROM audit_outbox')
    const later = { ...world.deps, clock: { now: () => new Date(Date.now() + 2 * 3_600_000) } }
    for (const purpose of Object.keys(needed)) {
      const holder = purpose === 'person' ? INSTALLATION : brand<'tenant'>(sealed.tenantId)
      const of = PURPOSES.find((one) => one === purpose) ?? 'vault'
      await world.db.adminQuery('vault', 'DELETE FROM audit_outbox')
      expect(await finished(retireTenantKey(later, holder, of, 1)), purpose).toMatchObject({ version: 1 })
      await expect(world.keys.at(holder, of, 1)).rejects.toMatchObject({ code: 'vault.key_unavailable' })
    }
  })
})
