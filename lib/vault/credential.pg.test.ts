import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { systemClock } from '@/lib/clock'
import { newId, type ConnectionId, type TenantId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import { Secret } from '@/lib/secret'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import type { StoredTokens } from './attempt'
import { createCredentials, type Credentials } from './credential'
import type { IntegrityAlarm } from './integrity'
import { createMirror } from './mirror'
import { openKeys } from './readiness'
import type { TenantKeys } from './tenant-keys'

let db: TestDatabases
let dir: string
let keys: TenantKeys
let alarms: IntegrityAlarm[] = []
let now = 0

beforeAll(async () => {
  db = await createTestDatabases({ max: 4 })
  dir = await mkdtemp(path.join(tmpdir(), 'portcullis-credential-'))
  const opened = await openKeys({
    vaultDb: db.vault,
    kekFile: path.join(dir, 'kek.json'),
    keyStoreDir: path.join(dir, 'store'),
  })
  if (!opened.ok) throw new Error(opened.reason)
  ;({ keys } = opened)
})
afterAll(async () => {
  await db.close()
  await rm(dir, { recursive: true, force: true })
})
beforeEach(() => {
  alarms = []
})

/** As another process would have it: nothing remembered. */
function fresh(): Credentials {
  return createCredentials({
    vaultDb: db.vault,
    keys,
    mirror: createMirror(db.app),
    clock: systemClock,
    log: createLog('test', 'silent'),
    onIntegrityAlarm: (alarm) => void alarms.push(alarm),
    monotonicMs: () => now,
  })
}

function tokens(name: string, over: Partial<StoredTokens> = {}): StoredTokens {
  return {
    accessToken: new Secret(`access-${name}`),
    refreshToken: new Secret(`refresh-${name}`),
    accessExpiresAt: new Date(Date.now() + 3_600_000),
    refreshExpiresAt: null,
    grantedScopes: ['repo'],
    ...over,
  }
}

async function connect(
  name: string,
  tenantId: TenantId = newId('tenant'),
): Promise<{ tenantId: TenantId; connectionId: ConnectionId }> {
  const connectionId = newId('connection')
  const app = { provider: 'github', providerApp: 'app', subject: name }
  await fresh().create({ tenantId, connectionId, ...app, tokens: tokens(name) })
  return { tenantId, connectionId }
}

const row = async (connectionId: string) =>
  (await db.adminQuery('vault', 'SELECT * FROM credential WHERE connection_id = $1', [connectionId]))[0] ?? {}
const tamper = (connectionId: string, assignments: string, values: readonly unknown[] = []) =>
  db.adminQuery('vault', `UPDATE credential SET ${assignments} WHERE connection_id = $1`, [connectionId, ...values])
const openAt = ({ tenantId, connectionId }: { tenantId: TenantId; connectionId: ConnectionId }, minGeneration = 1) =>
  fresh().open(tenantId, connectionId, { minGeneration })
const UNREADABLE = { code: 'vault.unreadable' }

describe('a stored credential', () => {
  it('opens to what was stored, and the database holds none of it in the clear', async () => {
    const at = await connect('plain')
    const opened = await openAt(at)
    expect(opened.accessToken?.reveal()).toBe('access-plain')
    expect(opened).toMatchObject({ state: 'active', generation: 1, hasRefreshToken: true, grantedScopes: ['repo'] })
    const stored = await fresh().read(at.tenantId, at.connectionId)
    expect((await fresh().openRefreshToken(stored!)).reveal()).toBe('refresh-plain')
    const dump = JSON.stringify(await db.adminQuery('vault', 'SELECT c::text FROM credential c'))
    for (const secret of ['access-plain', 'refresh-plain'])
      for (const form of [secret, Buffer.from(secret).toString('hex'), Buffer.from(secret).toString('base64')])
        expect(dump).not.toContain(form)
  })

  it('is not there for another tenant', async () => {
    const { connectionId } = await connect('mine')
    await expect(openAt({ tenantId: newId('tenant'), connectionId })).rejects.toMatchObject({
      code: 'resource.not_found',
    })
  })
})

describe('whoever can write the vault database gets nothing opened, and an alarm is raised:', () => {
  it.each(['dek_wrapped', 'access_sealed', 'refresh_sealed'] as const)('any flipped bit of %s', async (column) => {
    const at = await connect(`bits-${column}`)
    const original = (await row(at.connectionId))[column] as Buffer
    for (const bit of [0, 24, 40, 90, 300, original.length * 4, original.length * 8 - 1]) {
      const altered = Buffer.from(original)
      altered[bit >> 3]! ^= 1 << (bit & 7)
      alarms = []
      await tamper(at.connectionId, `${column} = $2`, [altered])
      const credentials = fresh()
      const attempt =
        column === 'refresh_sealed'
          ? credentials.openRefreshToken((await credentials.read(at.tenantId, at.connectionId))!)
          : credentials.open(at.tenantId, at.connectionId, { minGeneration: 1 })
      await expect(attempt, `bit ${bit}`).rejects.toMatchObject(UNREADABLE)
      expect(alarms, `bit ${bit}`).toMatchObject([{ connectionId: at.connectionId, reason: 'altered' }])
    }
  })

  it('a tag cut to four bytes', async () => {
    const at = await connect('tag')
    const sealed = (await row(at.connectionId))['access_sealed'] as Buffer
    await tamper(at.connectionId, 'access_sealed = $2', [sealed.subarray(0, -12)])
    await expect(openAt(at)).rejects.toMatchObject(UNREADABLE)
    expect(alarms).toHaveLength(1)
  })

  it('access and refresh token swapped', async () => {
    const at = await connect('columns')
    await tamper(at.connectionId, 'access_sealed = refresh_sealed, refresh_sealed = access_sealed')
    await expect(openAt(at)).rejects.toMatchObject(UNREADABLE)
    expect(alarms).toHaveLength(1)
  })

  it.each(['another connection of the same tenant', 'another tenant'] as const)(
    'the whole value of %s',
    async (whose) => {
      const at = await connect('victim')
      const other = await connect('attacker', whose === 'another tenant' ? undefined : at.tenantId)
      await keys.current(at.tenantId, 'vault') // so that the key version exists on both sides
      const { dek_wrapped, access_sealed, key_version, subject } = await row(other.connectionId)
      await tamper(at.connectionId, 'dek_wrapped = $2, access_sealed = $3, key_version = $4, subject = $5', [
        dek_wrapped,
        access_sealed,
        key_version,
        subject,
      ])
      await expect(openAt(at)).rejects.toMatchObject(UNREADABLE)
      expect(alarms).toMatchObject([{ reason: 'altered' }])
    },
  )

  it.each(['provider', 'provider_app', 'subject'])(
    'a row pointed at another %s, which would be sent the token',
    async (column) => {
      const at = await connect(`pointed-${column}`)
      await tamper(at.connectionId, `${column} = 'slack'`)
      await expect(openAt(at)).rejects.toMatchObject(UNREADABLE)
      expect(alarms).toHaveLength(1)
    },
  )

  it('a generation written higher, to pass for a newer row', async () => {
    const at = await connect('generation')
    await tamper(at.connectionId, 'generation = 7')
    await expect(openAt(at, 7)).rejects.toMatchObject(UNREADABLE)
  })

  it('a key version that does not exist', async () => {
    const at = await connect('version')
    await tamper(at.connectionId, 'key_version = 99')
    await expect(openAt(at)).rejects.toMatchObject({ code: 'vault.key_unavailable' })
    expect(alarms).toMatchObject([{ reason: 'key_missing' }])
  })

  it('the whole row put back to an older, genuine state', async () => {
    const at = await connect('rollback')
    const old = await row(at.connectionId)
    const app = { provider: 'github', providerApp: 'app', subject: 'rollback' }
    const { generation } = await fresh().replace({ ...at, ...app, tokens: tokens('newer') }, { minGeneration: 1 })
    await tamper(at.connectionId, 'generation = $2, dek_wrapped = $3, access_sealed = $4, refresh_sealed = $5', [
      old['generation'],
      old['dek_wrapped'],
      old['access_sealed'],
      old['refresh_sealed'],
    ])
    await expect(openAt(at, generation)).rejects.toMatchObject(UNREADABLE)
    expect(alarms).toMatchObject([{ reason: 'rolled_back', generation: 1 }])
    // A new consent goes on above both.
    expect(await fresh().replace({ ...at, ...app, tokens: tokens('third') }, { minGeneration: generation })).toEqual({
      generation: generation + 1,
    })
  })

  it('but one alarm a minute for each value, however often it is asked for', async () => {
    const at = await connect('storm')
    await tamper(at.connectionId, 'access_sealed = refresh_sealed')
    const credentials = fresh()
    for (let i = 0; i < 5; i += 1)
      await expect(credentials.open(at.tenantId, at.connectionId, { minGeneration: 1 })).rejects.toMatchObject(
        UNREADABLE,
      )
    expect(alarms).toHaveLength(1)
  })
})

describe('what a process remembers', () => {
  it('is a row for 1.5 seconds, and no longer', async () => {
    const at = await connect('memory')
    const credentials = fresh()
    const open = () => credentials.open(at.tenantId, at.connectionId, { minGeneration: 1 })
    await open()
    await tamper(at.connectionId, `state = 'revoked'`)
    now += 1_499
    expect((await open()).state).toBe('active')
    now += 2
    const after = await open()
    expect(after.state).toBe('revoked')
    expect(after.accessToken).toBeUndefined()
  })

  it('is never older than the generation its caller knows of', async () => {
    const at = await connect('newer')
    const credentials = fresh()
    await credentials.open(at.tenantId, at.connectionId, { minGeneration: 1 })
    const app = { provider: 'github', providerApp: 'app', subject: 'newer' }
    await fresh().replace({ ...at, ...app, tokens: tokens('second') }, { minGeneration: 1 })
    const opened = await credentials.open(at.tenantId, at.connectionId, { minGeneration: 2 })
    expect(opened.accessToken?.reveal()).toBe('access-second')
    expect(alarms).toEqual([])
  })

  it('counts the token’s remaining life down while the row is remembered', async () => {
    const at = await connect('countdown')
    const credentials = fresh()
    const first = await credentials.open(at.tenantId, at.connectionId, { minGeneration: 1 })
    now += 1_000
    const second = await credentials.open(at.tenantId, at.connectionId, { minGeneration: 1 })
    expect(first.accessLeftMs! - second.accessLeftMs!).toBe(1_000)
  })

  it('is asked for once when many ask together', async () => {
    const at = await connect('together')
    const credentials = fresh()
    const opened = await Promise.all(
      Array.from({ length: 200 }, () => credentials.open(at.tenantId, at.connectionId, { minGeneration: 1 })),
    )
    expect(new Set(opened.map(({ accessToken }) => accessToken?.reveal()))).toEqual(new Set(['access-together']))
  })
})

describe('an attempt', () => {
  it('is claimed by one, however many try at once', async () => {
    const at = await connect('claim')
    const credentials = fresh()
    const before = (await credentials.read(at.tenantId, at.connectionId))!
    const claims = await Promise.all(
      Array.from({ length: 12 }, (_, i) => fresh().attempts.claim(before, `process ${i}`, 10_000)),
    )
    expect(claims.filter((claim) => claim !== undefined)).toHaveLength(1)
  })

  it('that lost its lease can neither save, nor conclude, nor renew, nor release the other one', async () => {
    const at = await connect('fence')
    const credentials = fresh()
    const { attempts } = credentials
    const before = (await credentials.read(at.tenantId, at.connectionId))!
    const slow = (await attempts.claim(before, 'slow', 0))!
    const quick = (await attempts.claim(before, 'quick', 10_000))!
    expect(quick.row.unknownOutcomes).toBe(1)
    const answer = { ...at, attemptId: slow.id, generation: slow.generation }
    expect(await attempts.save(answer, tokens('late'), 'refresh')).toEqual({ kind: 'busy' })
    expect(await attempts.conclude(slow, { state: { to: 'revoked', reason: 'x' } }, 'due')).toBeUndefined()
    expect(await attempts.renew(slow, 10_000)).toBe(false)
    expect(await attempts.countUnknown(slow, 5, 10_000)).toBe(false)
    expect(await row(at.connectionId)).toMatchObject({
      lease_owner: 'quick',
      attempt_id: quick.id,
      generation: 1,
      unknown_outcomes: 1,
    })
    const quickAnswer = { ...at, attemptId: quick.id, generation: 1 }
    expect(await attempts.save(quickAnswer, tokens('quick'), 'refresh')).toMatchObject({ kind: 'saved', generation: 2 })
    expect(await attempts.save(answer, tokens('late'), 'refresh')).toEqual({ kind: 'superseded', state: 'active' })
    expect((await openAt(at)).accessToken?.reveal()).toBe('access-quick')
  })

  it('saves its answer once, however often a lost commit makes it try', async () => {
    const at = await connect('idempotent')
    const credentials = fresh()
    const { attempts } = credentials
    const attempt = (await attempts.claim((await credentials.read(at.tenantId, at.connectionId))!, 'me', 10_000))!
    const answer = { ...at, attemptId: attempt.id, generation: 1 }
    for (let i = 0; i < 3; i += 1)
      expect(await attempts.save(answer, tokens('once'), 'refresh')).toMatchObject({ kind: 'saved', generation: 2 })
    const events = await db.adminQuery('vault', `SELECT record FROM audit_outbox WHERE tenant_id = $1`, [at.tenantId])
    expect(events).toMatchObject([{ record: { action: 'connection.refreshed', connectionId: at.connectionId } }])
  })

  it.each([
    { name: 'a thousand years', accessExpiresAt: new Date('3000-01-01'), least: 364, most: 366 },
    { name: 'a past instant', accessExpiresAt: new Date(0), least: -0.01, most: 0 },
    { name: 'no instant at all', accessExpiresAt: new Date(Number.NaN), least: -0.01, most: 0 },
  ])('clamps an access token’s life to a year: $name', async ({ accessExpiresAt, least, most }) => {
    const at = await connect('clamp')
    const credentials = fresh()
    const { attempts } = credentials
    const attempt = (await attempts.claim((await credentials.read(at.tenantId, at.connectionId))!, 'me', 10_000))!
    await attempts.save(
      { ...at, attemptId: attempt.id, generation: 1 },
      tokens('clamp', { accessExpiresAt }),
      'refresh',
    )
    const days = ((await credentials.read(at.tenantId, at.connectionId))!.accessLeftMs ?? Infinity) / 86_400_000
    expect(days).toBeGreaterThanOrEqual(least)
    expect(days).toBeLessThanOrEqual(most)
  })
})

describe('states', () => {
  it('change only as the table allows, each with its record in the same commit', async () => {
    const at = await connect('states')
    const credentials = fresh()
    const set = (to: Parameters<Credentials['setState']>[2]) =>
      credentials.setState(at.tenantId, at.connectionId, to, { reason: 'test' })
    expect(await set('connecting')).toEqual({ changed: false, state: 'active' })
    expect(await set('suspended')).toEqual({ changed: true, state: 'suspended' })
    expect(await set('suspended')).toEqual({ changed: false, state: 'suspended' })
    expect(await set('disconnected')).toEqual({ changed: true, state: 'disconnected' })
    expect(await set('active')).toEqual({ changed: false, state: 'disconnected' })
    const events = await db.adminQuery(
      'vault',
      `SELECT record->>'reason' AS reason FROM audit_outbox WHERE tenant_id = $1 ORDER BY id`,
      [at.tenantId],
    )
    expect(events.map(({ reason }) => reason)).toEqual([
      'active:suspended:test:request',
      'suspended:disconnected:test:request',
    ])
  })

  it('destroy deletes every sealed value, and the revocation has the tokens', async () => {
    const at = await connect('destroyed')
    const credentials = fresh()
    const { revocationId } = await credentials.destroy(at.tenantId, at.connectionId, {
      reason: 'person',
      revoke: 'grant',
    })
    expect(await row(at.connectionId)).toMatchObject({
      state: 'disconnected',
      dek_wrapped: null,
      access_sealed: null,
      refresh_sealed: null,
      refresh_at: null,
    })
    const open = () => credentials.revocations.open(at.tenantId, revocationId!)
    const revocation = await open()
    expect(revocation).toMatchObject({ provider: 'github', scope: 'grant', attempts: 0 })
    expect(revocation?.tokens.refreshToken?.reveal()).toBe('refresh-destroyed')
    await credentials.revocations.postpone(at.tenantId, revocationId!, 1_000)
    expect(await open()).toMatchObject({ attempts: 1 })
    await credentials.revocations.finish(at.tenantId, revocationId!)
    expect(await open()).toBeUndefined()
  })

  it('destroy is not refused for a credential that cannot be read', async () => {
    const at = await connect('broken')
    await tamper(at.connectionId, 'access_sealed = refresh_sealed')
    expect(await fresh().destroy(at.tenantId, at.connectionId, { reason: 'person', revoke: 'grant' })).toEqual({
      revocationId: undefined,
    })
    expect(await row(at.connectionId)).toMatchObject({ state: 'disconnected', access_sealed: null })
    expect(alarms).toHaveLength(1)
  })

  it('destroy during a refresh: the answer does not bring the connection back', async () => {
    const at = await connect('race')
    const credentials = fresh()
    const { attempts } = credentials
    const attempt = (await attempts.claim((await credentials.read(at.tenantId, at.connectionId))!, 'me', 10_000))!
    await credentials.destroy(at.tenantId, at.connectionId, { reason: 'person' })
    const answer = { ...at, attemptId: attempt.id, generation: 1 }
    expect(await attempts.save(answer, tokens('late'), 'refresh')).toEqual({
      kind: 'superseded',
      state: 'disconnected',
    })
    expect(await row(at.connectionId)).toMatchObject({ access_sealed: null, generation: 1 })
  })

  it('a revocation that was moved to another row does not open', async () => {
    const [a, b] = [await connect('one'), await connect('two')]
    const credentials = fresh()
    const one = await credentials.destroy(a.tenantId, a.connectionId, { reason: 'person', revoke: 'grant' })
    const two = await credentials.destroy(b.tenantId, b.connectionId, { reason: 'person', revoke: 'token' })
    await db.adminQuery(
      'vault',
      `UPDATE revocation t SET token_sealed = f.token_sealed, dek_wrapped = f.dek_wrapped FROM revocation f WHERE t.id = $1 AND f.id = $2`,
      [one.revocationId, two.revocationId],
    )
    await expect(credentials.revocations.open(a.tenantId, one.revocationId!)).rejects.toMatchObject(UNREADABLE)
    expect(alarms).toMatchObject([{ field: 'revocation' }])
  })
})
