import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'

import { newId, type ConnectionId, type TenantId } from '@/lib/ids'
import type { RefreshMode } from '@/lib/providers/definition'
import { Secret } from '@/lib/secret'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { TEST_PROVIDER } from '@/lib/testing/refresh-client'
import { createEngine, type Engine } from '@/lib/testing/refresh-engine'
import { createTokenEndpoint, type TokenEndpoint } from '@/lib/testing/token-endpoint'
import type { Spool } from '@/lib/vault/spool'

let db: TestDatabases
let dataDir: string
const cleanups: (() => Promise<unknown>)[] = []
beforeAll(async () => {
  db = await createTestDatabases({ max: 2 })
  dataDir = await mkdtemp(path.join(tmpdir(), 'portcullis-engine-'))
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
afterAll(async () => {
  await db.close()
  await rm(dataDir, { recursive: true, force: true })
})

let tenantId: TenantId
let connectionId: ConnectionId
let endpoint: TokenEndpoint
let engine: Engine
/** Held answers wait here, on disk and not yet in the database. */
let gate: Promise<void> | undefined
let spooled: () => void = () => undefined

async function world(mode: RefreshMode, options: { refreshable?: boolean } = {}): Promise<void> {
  await db.adminQuery('vault', 'DELETE FROM credential')
  tenantId = newId('tenant')
  connectionId = newId('connection')
  endpoint = await createTokenEndpoint(mode)
  cleanups.push(() => endpoint.close())
  const settings = {
    appUrl: db.urls.app,
    vaultUrl: db.urls.vault,
    dataDir,
    tokenUrl: endpoint.url,
    mode,
    max: 2,
    timing: { pollMs: 2, pollMaxMs: 20 },
  }
  engine = await createEngine(settings, (journal: Spool) => ({
    ...journal,
    async write(answer, tokens) {
      await journal.write(answer, tokens)
      spooled()
      await gate
    },
  }))
  cleanups.push(() => engine.close())
  await engine.credentials.create({
    tenantId,
    connectionId,
    provider: TEST_PROVIDER.name,
    providerApp: TEST_PROVIDER.app,
    subject: 's',
    tokens: {
      accessToken: new Secret(endpoint.first.access),
      refreshToken: options.refreshable === false ? null : new Secret(endpoint.first.refresh),
      accessExpiresAt: options.refreshable === false ? null : new Date(Date.now() + 3_600_000),
      refreshExpiresAt: null,
      grantedScopes: ['a', 'b'],
    },
  })
  await db.adminQuery('app', 'INSERT INTO tenant (id, name, slug) VALUES ($1, $2, $3)', [
    tenantId,
    'w',
    tenantId.replaceAll('_', '-'),
  ])
  await db.adminQuery(
    'app',
    `INSERT INTO connection (tenant_id, id, provider, provider_app, subject, account_label, access, state, state_at, credential_generation)
     VALUES ($1, $2, $3, $4, 's', 's', 'allowed', 'active', 'epoch', 1)`,
    [tenantId, connectionId, TEST_PROVIDER.name, TEST_PROVIDER.app],
  )
}

const change = async (assignments: string, values: readonly unknown[] = []) => {
  await db.adminQuery('vault', `UPDATE credential SET ${assignments} WHERE connection_id = $1`, [
    connectionId,
    ...values,
  ])
  engine.credentials.evict(tenantId, connectionId)
}
const expire = () =>
  change(
    `issued_at = now() - interval '2 hours', access_expires_at = now() - interval '1 hour', refresh_at = now() - interval '1 hour'`,
  )
const row = async () =>
  (await db.adminQuery('vault', 'SELECT * FROM credential WHERE connection_id = $1', [connectionId]))[0] ?? {}
const call = async () =>
  (await engine.refresher.accessToken(tenantId, connectionId, { minGeneration: 1 })).token.reveal()
const events = async () =>
  (
    await db.adminQuery(
      'vault',
      `SELECT record->>'action' AS action, record->>'reason' AS reason FROM audit_outbox WHERE tenant_id = $1 ORDER BY id`,
      [tenantId],
    )
  ).map(({ action, reason }) => `${String(action)} ${String(reason)}`)

beforeEach(() => {
  gate = undefined
  spooled = () => undefined
})

describe('what a token endpoint answers', () => {
  const odd = (body: object) => JSON.stringify(body)
  it.each([
    { name: '503', status: 503, body: 'down', code: 'provider.unavailable', row: { failures: 1, state: 'active' } },
    {
      name: '200 with HTML',
      status: 200,
      body: '<html>',
      code: 'provider.unavailable',
      row: { failures: 1, state: 'active' },
    },
    {
      name: '200 with an odd error',
      status: 200,
      body: odd({ error: 'hm' }),
      code: 'provider.rejected',
      row: { rejections: 1, state: 'active' },
    },
    {
      name: '400 invalid_grant',
      status: 400,
      body: odd({ error: 'invalid_grant' }),
      code: 'connection.reauthorization_required',
      row: { state: 'reauthorization_required', state_reason: 'invalid_grant' },
    },
    {
      name: '401 invalid_client',
      status: 401,
      body: odd({ error: 'invalid_client' }),
      code: 'provider.misconfigured',
      row: { failures: 0, rejections: 0, state: 'active' },
    },
  ])('changes exactly what its class may change: $name', async ({ status, body, code, row: expected }) => {
    await world('strict')
    await expire()
    endpoint.reply(status, body)
    await expect(call()).rejects.toMatchObject({ code })
    expect(await row()).toMatchObject({ ...expected, generation: 1, lease_owner: null, attempt_id: null })
    // Until the next try is due the provider is left alone.
    await expect(call()).rejects.toThrow()
    expect(endpoint.calls()).toBe(1)
  })

  it.each([
    { name: 'no refresh token', more: {} },
    { name: 'a null refresh token', more: { refresh_token: null } },
    { name: 'an empty refresh token', more: { refresh_token: '' } },
  ])('keeps the old refresh token after $name', async ({ more }) => {
    await world('static')
    await expire()
    endpoint.reply(200, odd({ access_token: 'fresh', expires_in: 3_600, ...more }))
    expect(await call()).toBe('fresh')
    const stored = await engine.credentials.read(tenantId, connectionId)
    expect((await engine.credentials.openRefreshToken(stored!)).reveal()).toBe(endpoint.first.refresh)
  })

  it('applies a narrowed scope, and keeps the scopes when none is named', async () => {
    await world('static')
    await expire()
    endpoint.reply(200, odd({ access_token: 'x', expires_in: 3_600 }))
    await call()
    expect(await row()).toMatchObject({ granted_scopes: ['a', 'b'] })
    await expire()
    endpoint.reply(200, odd({ access_token: 'y', expires_in: 3_600, scope: 'a' }))
    await call()
    await engine.refresher.drain()
    expect(await row()).toMatchObject({ granted_scopes: ['a'] })
    expect(
      await db.adminQuery('app', 'SELECT granted_scopes, credential_generation FROM connection WHERE id = $1', [
        connectionId,
      ]),
    ).toEqual([{ granted_scopes: ['a'], credential_generation: 3 }])
  })

  it('is served from the old token while that still works', async () => {
    await world('strict')
    await change(
      `access_expires_at = now() + interval '10 seconds', refresh_at = now() - interval '1 second', issued_at = now() - interval '1 hour'`,
    )
    endpoint.reply(503, '')
    expect(await call()).toBe(endpoint.first.access)
    expect(endpoint.calls()).toBe(1)
  })

  it('degrades after three failures and heals with the first success, each recorded once', async () => {
    await world('static')
    for (let i = 0; i < 4; i += 1) {
      await expire()
      endpoint.reply(503, '')
      await expect(call()).rejects.toMatchObject({ code: 'provider.unavailable' })
    }
    expect(await row()).toMatchObject({ state: 'degraded', failures: 4 })
    await expire()
    await call()
    expect(await row()).toMatchObject({ state: 'active', failures: 0 })
    expect(await events()).toEqual([
      'connection.state_changed active:degraded:http_503:expiry',
      'connection.refreshed refresh',
      'connection.state_changed degraded:active:refresh:refresh',
    ])
    await engine.refresher.drain()
    expect(await db.adminQuery('app', 'SELECT state FROM connection WHERE id = $1', [connectionId])).toEqual([
      { state: 'active' },
    ])
  })

  it('revokes at the third rejection half an hour after the first, with the provider’s revocation in the same commit', async () => {
    await world('static')
    for (const age of [0, 10, 31]) {
      await expire()
      await change(`first_rejection_at = now() - $2 * interval '1 minute'`, [age])
      if (age === 0) await change('first_rejection_at = NULL')
      endpoint.reply(400, odd({ error: 'odd' }))
      await expect(call()).rejects.toThrow()
    }
    expect(await row()).toMatchObject({ state: 'revoked', rejections: 3 })
    expect(
      await db.adminQuery('vault', 'SELECT scope FROM revocation WHERE connection_id = $1', [connectionId]),
    ).toEqual([{ scope: 'grant' }])
    await expect(call()).rejects.toMatchObject({ code: 'connection.already_revoked' })
  })
})

it('fifty callers in one process are one flight: they cost the database what one does', async () => {
  await world('strict')
  await expire()
  const reads = vi.spyOn(engine.credentials, 'read')
  const claims = vi.spyOn(engine.credentials.attempts, 'claim')
  const held = endpoint.hold()
  const results = Promise.all(Array.from({ length: 50 }, call))
  ;(await held).release()
  expect(new Set(await results)).toEqual(new Set([endpoint.newest().access]))
  expect([claims.mock.calls.length, reads.mock.calls.length]).toEqual([1, 2]) // before the attempt, and after it
})

describe('an answer that cannot be saved at once', () => {
  it('is on disk, unreadable and private, before the database hears of it', async () => {
    await world('strict')
    await expire()
    let open: () => void = () => undefined
    gate = new Promise((resolve) => (open = resolve))
    const isSpooled = new Promise<void>((resolve) => (spooled = resolve))
    const result = call()
    await isSpooled
    expect(await row()).toMatchObject({ generation: 1 })
    const folder = path.join(dataDir, 'spool')
    const [name] = await readdir(folder)
    const file = path.join(folder, name!)
    expect(((await stat(file)).mode & 0o777).toString(8)).toBe('600')
    const content = await readFile(file, 'utf8')
    const { access, refresh } = endpoint.newest()
    for (const secret of [access, refresh]) {
      expect(content).not.toContain(secret)
      expect(content).not.toContain(Buffer.from(secret).toString('base64').slice(0, 12))
    }
    open()
    expect(await result).toBe(access)
    expect(await readdir(folder)).toEqual([])
  })

  it('is saved from memory when the database comes back, and no second token call is made', async () => {
    await world('strict')
    await expire()
    await db.adminQuery('vault', 'ALTER TABLE credential ADD CONSTRAINT outage CHECK (generation < 2)')
    const isSpooled = new Promise<void>((resolve) => (spooled = resolve))
    const result = call()
    await isSpooled
    const refused = async () =>
      Number(
        (
          await db.adminQuery(
            'vault',
            `SELECT xact_rollback AS n FROM pg_stat_database WHERE datname = current_database()`,
          )
        )[0]?.['n'],
      )
    const before = await refused()
    // Until at least one save was refused.
    for (let seen = before; seen === before; seen = await refused())
      await db.adminQuery('vault', 'SELECT pg_stat_force_next_flush()')
    await db.adminQuery('vault', 'ALTER TABLE credential DROP CONSTRAINT outage')
    expect(await result).toBe(endpoint.newest().access)
    expect([endpoint.calls(), endpoint.reuses()]).toEqual([1, 0])
  })

  it('drain waits for it, and a caller who left does not matter', async () => {
    await world('strict')
    await expire()
    const held = endpoint.hold()
    const abandoned = call()
    const request = await held
    let isDrained = false
    const drained = engine.refresher.drain().then(() => (isDrained = true))
    await row() // a round trip, in which a drain that does not wait would be over
    expect(isDrained).toBe(false)
    request.release()
    await drained
    expect(await row()).toMatchObject({ generation: 2 })
    await abandoned
  })

  it('after a disconnect does not bring the connection back: the late grant is queued for revocation', async () => {
    await world('strict')
    await expire()
    const held = endpoint.hold()
    const result = call()
    const request = await held
    await engine.credentials.destroy(tenantId, connectionId, { reason: 'person' })
    request.release()
    await expect(result).rejects.toMatchObject({ code: 'connection.already_revoked' })
    expect(await row()).toMatchObject({ state: 'disconnected', access_sealed: null, generation: 1 })
    const [revocation] = await db.adminQuery('vault', 'SELECT id FROM revocation WHERE connection_id = $1', [
      connectionId,
    ])
    const opened = await engine.credentials.revocations.open(tenantId, String(revocation?.['id']))
    expect(opened?.tokens.refreshToken?.reveal()).toBe(endpoint.newest().refresh)
  })

  it('a reconnect during the refresh wins: its tokens stay', async () => {
    await world('strict')
    await expire()
    const held = endpoint.hold()
    const result = call()
    const request = await held
    const tokens = {
      accessToken: new Secret('reconnected'),
      refreshToken: new Secret('r'),
      accessExpiresAt: new Date(Date.now() + 3_600_000),
      refreshExpiresAt: null,
      grantedScopes: ['a'],
    }
    await engine.credentials.replace(
      { tenantId, connectionId, provider: TEST_PROVIDER.name, providerApp: TEST_PROVIDER.app, subject: 's', tokens },
      { minGeneration: 1 },
    )
    request.release()
    expect(await result).toBe('reconnected')
    expect(await row()).toMatchObject({ generation: 2, state: 'active' })
  })
})

describe('a token that a provider refuses with 401', () => {
  const refused = (generation: number, refusal?: { documented: 'expired' | 'revoked' }) =>
    engine.refresher.afterUnauthorized(tenantId, connectionId, generation, refusal)

  it('is refreshed once, however many calls were refused together', async () => {
    await world('strict')
    await change(`issued_at = now() - interval '2 minutes'`)
    const fresh = await Promise.all(Array.from({ length: 20 }, () => refused(1)))
    expect(new Set(fresh.map(({ token }) => token.reveal()))).toEqual(new Set([endpoint.newest().access]))
    expect(endpoint.calls()).toBe(1)
  })

  it('is not refreshed when a newer one is there', async () => {
    await world('strict')
    await expire()
    await call()
    expect((await refused(1)).generation).toBe(2)
    expect(endpoint.calls()).toBe(1)
  })

  it('and is younger than a minute is not refreshed, unless the provider says that it expired', async () => {
    await world('strict')
    await expect(refused(1)).rejects.toMatchObject({ code: 'provider.rejected' })
    expect(endpoint.calls()).toBe(0)
    expect((await refused(1, { documented: 'expired' })).generation).toBe(2)
  })

  it('and cannot be refreshed keeps its connection for one bare 401, and loses it for a documented one', async () => {
    await world('static', { refreshable: false })
    await expect(refused(1)).rejects.toMatchObject({ code: 'connection.reauthorization_required' })
    expect(await call()).toBe(endpoint.first.access)
    await expect(refused(1, { documented: 'revoked' })).rejects.toMatchObject({
      code: 'connection.reauthorization_required',
    })
    expect(await row()).toMatchObject({ state: 'reauthorization_required', state_reason: 'token_revoked' })
  })
})

describe('a rolled-back row', () => {
  it('sends nothing to the provider: neither a caller’s refresh nor the worker’s', async () => {
    await world('strict')
    await expire()
    await db.adminQuery('app', 'UPDATE connection SET credential_generation = 2 WHERE id = $1', [connectionId])
    await expect(call()).rejects.toMatchObject({ code: 'vault.unreadable' })
    await engine.refresher.refreshDue(10)
    expect(endpoint.calls()).toBe(0)
    expect(engine.alarms).toMatchObject([{ reason: 'rolled_back' }])
  })

  it('an altered refresh token is not sent, and frees its lease', async () => {
    await world('strict')
    await expire()
    await change(
      `refresh_sealed = set_byte(refresh_sealed, length(refresh_sealed) - 1, 255 - get_byte(refresh_sealed, length(refresh_sealed) - 1))`,
    )
    await expect(call()).rejects.toMatchObject({ code: 'vault.unreadable' })
    expect(endpoint.calls()).toBe(0)
    expect(await row()).toMatchObject({ lease_owner: null, state: 'active' })
    expect(engine.alarms).toMatchObject([{ field: 'refresh_token', reason: 'altered' }])
  })
})

describe('the scheduled refresh', () => {
  it('refreshes what is due once and leaves blocked connections alone', async () => {
    await world('strict')
    await change(`refresh_at = now() - interval '1 second'`)
    await engine.refresher.refreshDue(10)
    expect(await row()).toMatchObject({ generation: 2 })
    await engine.refresher.refreshDue(10)
    expect(endpoint.calls()).toBe(1)
    await change(`refresh_at = now() - interval '1 second'`)
    await db.adminQuery('app', `UPDATE connection SET access = 'blocked' WHERE id = $1`, [connectionId])
    await engine.refresher.refreshDue(10)
    expect(endpoint.calls()).toBe(1)
    expect(await db.adminQuery('vault', 'SELECT * FROM due_refreshes(10)')).toEqual([])
  })
})

describe('a spooled answer', () => {
  it('that was altered on disk is not saved, raises an alarm and is set aside', async () => {
    await world('strict')
    await expire()
    gate = new Promise(() => undefined)
    const isSpooled = new Promise<void>((resolve) => (spooled = resolve))
    const lost = await createEngineTwin()
    void lost.refresher.accessToken(tenantId, connectionId, { minGeneration: 1 }).catch(() => undefined)
    await isSpooled
    const [name] = await readdir(path.join(dataDir, 'spool'))
    const file = path.join(dataDir, 'spool', name!)
    const content = JSON.parse(await readFile(file, 'utf8')) as { sealed: string }
    const bytes = Buffer.from(content.sealed, 'base64')
    bytes[bytes.length - 1]! ^= 1
    await writeFile(file, JSON.stringify({ ...content, sealed: bytes.toString('base64') }))
    expect(await engine.refresher.recoverAbandoned()).toMatchObject({ replayed: 0 })
    expect(engine.alarms).toMatchObject([{ field: 'spool', reason: 'altered' }])
    expect((await readdir(path.join(dataDir, 'spool'))).map((it) => path.extname(it))).toEqual(['.bad'])
  })

  /** An engine that will hang with its answer for ever; it is never closed. */
  function createEngineTwin(): Promise<Engine> {
    const settings = {
      appUrl: db.urls.app,
      vaultUrl: db.urls.vault,
      dataDir,
      tokenUrl: endpoint.url,
      mode: 'strict' as const,
      max: 2,
      timing: {},
    }
    return createEngine(settings, (journal) => ({
      ...journal,
      async write(answer, tokens) {
        await journal.write(answer, tokens)
        spooled()
        await gate
      },
    }))
  }
})
