/** Keys follow one another while everything goes on, whoever is killed when, and none ends that something needs. */
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'

import pg from 'pg'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { newId } from '@/lib/ids'
import { Secret } from '@/lib/secret'
import { createRotationWorld, finished, type RotationProcess, type RotationWorld } from '@/lib/testing/rotation'

import { kekIdOf } from '../kek/kek'
import { openKeys } from '../readiness'
import { createSpool } from '../spool'
import { rotateKek } from './kek'
import { replaceVaultKey, retireKek, retireTenantKey } from './retire'
import { keyStatus } from './status'
import { rotateDeks, rotateTenantKey } from './tenant'

let world: RotationWorld
beforeEach(async () => {
  world = await createRotationWorld()
})
afterEach(() => world.close())

const kekIds = async () => {
  const ids = new Set<string>()
  for await (const place of world.keys.store.list())
    ids.add(kekIdOf((await world.keys.store.read(place)) ?? Buffer.alloc(0)) ?? 'none')
  return [...ids]
}
const versionsOf = async (tenantId: string) =>
  (
    await world.db.adminQuery('vault', 'SELECT DISTINCT key_version FROM credential WHERE tenant_id = $1 ORDER BY 1', [
      tenantId,
    ])
  ).map((row) => row['key_version'])
const events = async (action: string) =>
  await world.db.adminQuery(
    'vault',
    "SELECT record->>'tenantId' AS tenant, record->>'reason' AS reason FROM audit_outbox WHERE record->>'action' = $1",
    [action],
  )

/** Runs the driver until its n-th step and kills it there; false when it ended before. */
async function killedAt(step: number, options: Parameters<RotationWorld['run']>[0]): Promise<boolean> {
  const child = await world.run({ ...options, stepped: true })
  await child.receive((report): report is { ready: true } => 'ready' in report)
  for (;;) {
    const next = await child.receive(
      (report): report is { step: number; what: string } | { result: Record<string, unknown> } =>
        'step' in report || 'result' in report,
    )
    if ('result' in next) return false
    if (next.step === step) {
      await child.kill()
      return true
    }
    child.send({ go: true })
  }
}
const resultOf = async (child: RotationProcess) =>
  child.receive(
    (report): report is { result: Record<string, unknown> } | { failed: string; message: string } =>
      'result' in report || 'failed' in report,
  )

describe('another key-encryption key', () => {
  it('wraps every tenant key, opens everything after the old one is gone, and is in the trail of each workspace', async () => {
    const one = await world.connect(2)
    const other = await world.connect(1)
    await world.keys.current(one.tenantId, 'audit')
    const old = await world.kek.activeId()

    const done = await finished(rotateKek(world.deps))
    expect(done).toMatchObject({ rewrapped: 3, unreadable: 0, resumed: false })
    expect(done.kekId).not.toBe(old)
    expect(await kekIds()).toEqual([done.kekId])
    expect((await events('keys.rewrapped')).map((row) => row['tenant']).sort()).toEqual(
      [one.tenantId, other.tenantId].sort(),
    )

    expect(await finished(retireKek(world.deps, old))).toEqual({ kekId: old, result: 'destroyed' })
    expect(await readFile(world.kekFile, 'utf8')).not.toContain(old + '","key"')
    expect(await readdir(path.dirname(world.kekFile))).toEqual(['kek.json', 'store']) // and no drafts with keys in them
    await world.openAll(one.tenantId, one.connections)
    await world.openAll(other.tenantId, other.connections)
    const again = await openKeys({ vaultDb: world.db.vault, kekFile: world.kekFile, keyStoreDir: world.keyStoreDir })
    expect(again.ok).toBe(true)
  })

  it('is noticed by a process that runs: it opens and makes keys under the new one without a restart', async () => {
    const { tenantId, connections } = await world.connect(1)
    const running = await openKeys({ vaultDb: world.db.vault, kekFile: world.kekFile, keyStoreDir: world.keyStoreDir })
    if (!running.ok) throw new Error(running.reason)
    const old = await world.kek.activeId()
    const { kekId } = await finished(rotateKek(world.deps))
    await finished(retireKek(world.deps, old))
    expect((await running.keys.at(tenantId, 'vault', 1)).length).toBe(32)
    const fresh = newId('tenant')
    await running.keys.current(fresh, 'vault')
    expect(
      kekIdOf((await running.keys.store.read({ tenantId: fresh, purpose: 'vault', version: 1 })) ?? Buffer.alloc(0)),
    ).toBe(kekId)
    await world.openAll(tenantId, connections)
  })

  it('goes on where it was killed, after each single key, with no third key made', { timeout: 120_000 }, async () => {
    const tenants = [await world.connect(1), await world.connect(1), await world.connect(1), await world.connect(1)]
    const ringBefore = await world.kek.ids()
    for (let step = 1; step <= 4; step += 1) {
      // Each process does one key more and dies there.
      expect(await killedAt(1, { what: 'kek' }), `step ${step}`).toBe(true)
      for (const { tenantId, connections } of tenants) await world.openAll(tenantId, connections)
    }
    const last = await resultOf(await world.run({ what: 'kek' }))
    expect(last).toMatchObject({ result: { rewrapped: 0, resumed: true } })
    expect((await world.kek.ids()).length).toBe(ringBefore.length + 1)
    expect(await kekIds()).toEqual([await world.kek.activeId()])
    expect(await keyStatus(world.deps)).toMatchObject({ unfinished: [] })
  })

  it('started twice at once is done once: the second is told so and changes nothing', { timeout: 60_000 }, async () => {
    await world.connect(1)
    const first = await world.run({ what: 'kek', stepped: true })
    await first.receive((report): report is { step: number; what: string } => 'step' in report)
    const second = await world.run({ what: 'kek' })
    expect(await resultOf(second)).toMatchObject({ failed: 'resource.conflict' })
    expect((await world.kek.ids()).length).toBe(2)
    first.send({ go: true })
    expect(await resultOf(first)).toMatchObject({ result: { rewrapped: 1 } })
  })

  it('leaves a key that does not open where it is, does the others, and says how many', async () => {
    const good = await world.connect(1)
    const bad = await world.connect(1)
    const file = path.join(world.keyStoreDir, bad.tenantId, 'vault', '1.key')
    const bytes = await readFile(file)
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
    await writeFile(file, bytes)
    const old = await world.kek.activeId()
    expect(await finished(rotateKek(world.deps))).toMatchObject({ rewrapped: 1, unreadable: 1 })
    expect((await readFile(file)).equals(bytes)).toBe(true)
    await world.openAll(good.tenantId, good.connections)
    await expect(finished(retireKek(world.deps, old))).rejects.toMatchObject({ code: 'resource.conflict' })
  })

  it('restored from before the rotation, is not taken for the right ring', async () => {
    await world.connect(1)
    const before = await readFile(world.kekFile)
    const { kekId } = await finished(rotateKek(world.deps))
    await writeFile(world.kekFile, before)
    await chmod(world.kekFile, 0o600)
    const opened = await openKeys({ vaultDb: world.db.vault, kekFile: world.kekFile, keyStoreDir: world.keyStoreDir })
    expect(opened).toMatchObject({ ok: false, reason: expect.stringContaining(kekId) as string })
  })

  it('of a backup from before its predecessor was retired starts all the same', async () => {
    await world.connect(1)
    const old = await world.kek.activeId()
    const canaries = await world.db.adminQuery('vault', 'SELECT kek_id, sealed FROM key_canary')
    await finished(rotateKek(world.deps))
    await finished(retireKek(world.deps, old))
    await world.db.adminQuery('vault', 'INSERT INTO key_canary (kek_id, sealed) VALUES ($1, $2)', [
      canaries[0]?.['kek_id'],
      canaries[0]?.['sealed'],
    ])
    const opened = await openKeys({ vaultDb: world.db.vault, kekFile: world.kekFile, keyStoreDir: world.keyStoreDir })
    expect(opened.ok).toBe(true)
  })

  it(
    'is not retired while it is active or wraps a key, and not while a rotation is unfinished',
    { timeout: 60_000 },
    async () => {
      await world.connect(1)
      await world.connect(1)
      const old = await world.kek.activeId()
      await expect(finished(retireKek(world.deps, old))).rejects.toMatchObject({ code: 'resource.conflict' })
      expect(await killedAt(1, { what: 'kek' })).toBe(true)
      await expect(finished(retireKek(world.deps, old))).rejects.toMatchObject({ code: 'resource.conflict' })
      await world.db.adminQuery('vault', 'UPDATE key_rotation SET finished_at = now()')
      await expect(finished(retireKek(world.deps, old))).rejects.toMatchObject({
        message: expect.stringContaining('1 tenant key') as string,
      })
      await expect(finished(retireKek(world.deps, 'kek_0000000000000000'))).rejects.toMatchObject({
        code: 'resource.not_found',
      })
    },
  )
})

describe('another key of a tenant', () => {
  it('protects every row and every revocation under way, and the old one can then be destroyed', async () => {
    const { tenantId, connections } = await world.connect(3)
    const [first] = connections
    if (first === undefined) throw new Error('none')
    const revocationId = await world.credentials.queueRevocation(tenantId, first, 'grant')
    if (revocationId === undefined) throw new Error('none')

    const done = await finished(rotateTenantKey(world.deps, tenantId, 'vault'))
    expect(done).toMatchObject({ version: 2, rewrapped: 4, unreadable: 0 })
    expect(await versionsOf(tenantId)).toEqual([2])
    expect(await finished(retireTenantKey(world.deps, tenantId, 'vault', 1))).toMatchObject({ version: 1 })

    await world.openAll(tenantId, connections)
    const revocation = await world.cold().revocations.open(tenantId, revocationId)
    expect(revocation?.tokens.accessToken?.reveal()).toBe(`token of ${first}`)
    expect(await readdir(path.join(world.keyStoreDir, tenantId, 'vault'))).toEqual(['1.destroyed', '2.key'])
    expect(await events('keys.tenant_rotated')).toEqual([{ tenant: tenantId, reason: 'vault:2' }])
    expect(await events('keys.retired')).toEqual([{ tenant: tenantId, reason: 'vault:1' }])
    expect(world.alarms).toEqual([])
  })

  it('goes on where it was killed, after each single row, with the same version', { timeout: 180_000 }, async () => {
    const { tenantId, connections } = await world.connect(5)
    for (let step = 1; step <= 5; step += 1) {
      expect(await killedAt(1, { what: 'tenant', tenantId }), `row ${step}`).toBe(true)
      await world.openAll(tenantId, connections)
    }
    expect(await resultOf(await world.run({ what: 'tenant', tenantId }))).toMatchObject({
      result: { version: 2, rewrapped: 0, resumed: true },
    })
    expect(await versionsOf(tenantId)).toEqual([2])
    await world.openAll(tenantId, connections)
  })

  it('never keeps a refresh waiting and never undoes one: a row that moved is looked at again', async () => {
    const { tenantId, connections } = await world.connect(2)
    const [moving] = connections
    if (moving === undefined) throw new Error('none')
    // A refresh that is saved in the middle of the rotation, under the newest key, with an attempt under way before it.
    const row = await world.credentials.read(tenantId, moving)
    const attempt = row === undefined ? undefined : await world.credentials.attempts.claim(row, 'somebody', 60_000)
    if (attempt === undefined) throw new Error('not claimed')
    const rotation = rotateTenantKey(world.deps, tenantId, 'vault')
    await rotation.next()
    const answer = { tenantId, connectionId: moving, attemptId: attempt.id, generation: attempt.generation }
    const tokens = {
      accessToken: new Secret(`token of ${moving}`),
      refreshToken: new Secret(`refresh token of ${moving}`),
      accessExpiresAt: new Date(Date.now() + 3_600_000),
      refreshExpiresAt: null,
      grantedScopes: null,
    }
    expect(await world.credentials.attempts.save(answer, tokens, 'refresh')).toMatchObject({
      kind: 'saved',
      generation: 2,
    })
    await finished(rotation)
    expect(await versionsOf(tenantId)).toEqual([2])
    expect((await world.credentials.read(tenantId, moving))?.generation).toBe(2)
    await world.openAll(tenantId, connections)
  })

  it('holds against a writer that slept: what was sealed under the old key before is refused after', async () => {
    const { tenantId, connections } = await world.connect(1)
    const before = await world.db.adminQuery('vault', 'SELECT * FROM credential WHERE tenant_id = $1', [tenantId])
    await finished(rotateTenantKey(world.deps, tenantId, 'vault'))
    const insert = (connectionId: string) =>
      world.db.adminQuery(
        'vault',
        `INSERT INTO credential (tenant_id, connection_id, provider, provider_app, subject, state, generation, key_version, dek_wrapped)
         VALUES ($1, $2, 'github', 'app', 's', 'active', 1, $3, $4)`,
        [tenantId, connectionId, before[0]?.['key_version'], before[0]?.['dek_wrapped']],
      )
    await expect(insert(newId('connection'))).rejects.toMatchObject({ code: 'PCK01' })
    await expect(
      world.db.adminQuery('vault', 'UPDATE credential SET key_version = 1, dek_wrapped = $2 WHERE tenant_id = $1', [
        tenantId,
        before[0]?.['dek_wrapped'],
      ]),
    ).rejects.toMatchObject({ code: 'PCK01' })
    await world.openAll(tenantId, connections)
  })

  it('waits for a writer that is about to commit under the old key, and then takes its row along', async () => {
    const { tenantId, connections } = await world.connect(1)
    const [template] = await world.db.adminQuery('vault', 'SELECT * FROM credential WHERE tenant_id = $1', [tenantId])
    const slow = new pg.Client({ connectionString: world.db.admin.vault })
    await slow.connect()
    try {
      await slow.query('BEGIN')
      const late = newId('connection')
      await slow.query(
        `INSERT INTO credential (tenant_id, connection_id, provider, provider_app, subject, state, generation, key_version)
         VALUES ($1, $2, 'github', 'app', 's', 'active', 1, 1)`,
        [tenantId, late],
      )
      await slow.query(
        'UPDATE credential SET key_version = 1, dek_wrapped = $3 WHERE tenant_id = $1 AND connection_id = $2',
        [tenantId, late, template?.['dek_wrapped']],
      )
      let isDone = false
      const rotation = finished(rotateTenantKey(world.deps, tenantId, 'vault')).finally(() => (isDone = true))
      // It stands at the fence: the database says who waits for whom.
      for (let waiting = 0; waiting === 0;) {
        const [row] = await world.db.adminQuery(
          'vault',
          "SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
        )
        waiting = Number(row?.['n'])
      }
      expect(isDone).toBe(false)
      await slow.query('COMMIT')
      // The row that came late was seen (its borrowed data key does not open there, which is said).
      expect(await rotation).toMatchObject({ rewrapped: 1, unreadable: 1 })
    } finally {
      await slow.end()
    }
    await world.openAll(tenantId, connections)
  })

  it('is not retired while a row, a revocation or a refresh under way needs it, nor when it is the newest', async () => {
    const { tenantId, connections } = await world.connect(1)
    const [only] = connections
    if (only === undefined) throw new Error('none')
    const retire = () => finished(retireTenantKey(world.deps, tenantId, 'vault', 1))
    await expect(retire()).rejects.toMatchObject({ code: 'resource.conflict' })
    await finished(rotateTenantKey(world.deps, tenantId, 'vault'))
    await world.db.adminQuery('vault', 'DELETE FROM key_fence')
    await world.db.adminQuery('vault', 'UPDATE credential SET key_version = 1')
    await expect(retire()).rejects.toMatchObject({ message: expect.stringContaining('1 credentials') as string })
    await world.db.adminQuery('vault', 'UPDATE credential SET key_version = 2')
    expect(await retire()).toMatchObject({ version: 1 })
    expect(await retire()).toMatchObject({ version: 1 }) // safe to repeat
    await expect(finished(retireTenantKey(world.deps, tenantId, 'vault', 9))).rejects.toMatchObject({
      code: 'resource.not_found',
    })
  })

  it('of the spool is not retired while an answer waits, nor within an hour of its successor', async () => {
    const { tenantId, connections } = await world.connect(1)
    const [connectionId] = connections
    if (connectionId === undefined) throw new Error('none')
    const folder = path.join(world.dataDir, 'spool')
    const spool = createSpool({ folder, keys: world.keys, log: world.deps.log, onIntegrityAlarm: () => undefined })
    const answer = { tenantId, connectionId, attemptId: newId('attempt'), generation: 1 }
    await spool.prepare(answer)
    await spool.write(answer, {
      accessToken: new Secret('a'),
      refreshToken: null,
      accessExpiresAt: null,
      refreshExpiresAt: null,
      grantedScopes: null,
    })
    await finished(rotateTenantKey(world.deps, tenantId, 'spool'))
    const later = { ...world.deps, clock: { now: () => new Date(Date.now() + 2 * 3_600_000) } }
    await expect(finished(retireTenantKey(later, tenantId, 'spool', 1))).rejects.toMatchObject({
      message: expect.stringContaining('1 spooled answers') as string,
    })
    expect((await spool.find(answer.attemptId))?.tokens.accessToken.reveal()).toBe('a')
    await spool.remove(answer.attemptId)
    await expect(finished(retireTenantKey(world.deps, tenantId, 'spool', 1))).rejects.toMatchObject({
      code: 'resource.conflict',
    })
    expect(await finished(retireTenantKey(later, tenantId, 'spool', 1))).toMatchObject({ version: 1 })
  })

  it('and the end of the old one make what any copy of the rows holds unreadable, what is there now excepted', async () => {
    const { tenantId, connections } = await world.connect(2)
    const [erased, kept] = connections
    if (erased === undefined || kept === undefined) throw new Error('none')
    const [copy] = await world.db.adminQuery('vault', 'SELECT * FROM credential WHERE connection_id = $1', [erased])
    await world.credentials.destroy(tenantId, erased, { reason: 'erased' })
    expect(await finished(replaceVaultKey(world.deps, tenantId))).toEqual({ version: 2, destroyed: 1 })
    await world.openAll(tenantId, [kept])
    await expect(world.cold().revocations.open(tenantId, newId('revocation'))).resolves.toBeUndefined()
    await expect(world.keys.at(tenantId, 'vault', Number(copy?.['key_version']))).rejects.toMatchObject({
      code: 'vault.key_unavailable',
    })
  })
})

describe('new data keys', () => {
  it('seal every token anew in its place, and go on where they were killed', { timeout: 180_000 }, async () => {
    const { tenantId, connections } = await world.connect(4)
    const sealed = async () =>
      (
        await world.db.adminQuery(
          'vault',
          'SELECT access_sealed, refresh_sealed, dek_wrapped FROM credential ORDER BY connection_id',
        )
      ).map((row) =>
        [row['access_sealed'], row['refresh_sealed'], row['dek_wrapped']].map((value) =>
          (value as Buffer).toString('hex'),
        ),
      )
    const before = await sealed()
    for (let step = 1; step <= 4; step += 1) {
      expect(await killedAt(1, { what: 'dek', tenantId }), `row ${step}`).toBe(true)
      await world.openAll(tenantId, connections)
    }
    const halfway = await sealed()
    expect(await resultOf(await world.run({ what: 'dek', tenantId }))).toMatchObject({
      result: { resealed: 4, resumed: true },
    })
    expect(await sealed()).toEqual(halfway) // each row once
    const old = new Set(before.flat())
    expect(halfway.flat().filter((value) => old.has(value))).toEqual([])
    await world.openAll(tenantId, connections)
    expect(await events('keys.dek_rotated')).toHaveLength(1)
  })

  it('of one connection leave the others as they are', async () => {
    const { tenantId, connections } = await world.connect(2)
    const [one, other] = connections
    if (one === undefined || other === undefined) throw new Error('none')
    const before = await world.credentials.read(tenantId, other)
    expect(await finished(rotateDeks(world.deps, tenantId, one))).toMatchObject({ resealed: 1 })
    expect((await world.credentials.read(tenantId, other))?.dekWrapped).toEqual(before?.dekWrapped)
    await world.openAll(tenantId, connections)
  })
})

describe('the status of keys', () => {
  it(
    'names each key-encryption key, each version, what needs it, and what is unfinished',
    { timeout: 60_000 },
    async () => {
      const { tenantId } = await world.connect(2)
      const old = await world.kek.activeId()
      await finished(rotateTenantKey(world.deps, tenantId, 'vault'))
      expect(await killedAt(1, { what: 'kek' })).toBe(true)
      const status = await keyStatus(world.deps)
      expect(status.keks).toEqual(
        expect.arrayContaining([
          { id: old, active: false, canary: true, tenantKeys: 1 },
          { id: await world.kek.activeId(), active: true, canary: true, tenantKeys: 1 },
        ]),
      )
      expect(status.tenantKeys.map(({ version, state, references }) => ({ version, state, references }))).toEqual([
        { version: 1, state: 'older', references: {} },
        { version: 2, state: 'newest', references: { credentials: 2 } },
      ])
      expect(status.unfinished).toMatchObject([{ scope: 'kek' }])
      expect(await keyStatus(world.deps, tenantId)).toMatchObject({
        tenantKeys: [{ version: 1 }, { references: { credentials: 2 } }],
      })
    },
  )
})

describe('under load', () => {
  let opener: RotationProcess | undefined
  afterEach(() => opener?.kill())

  const isFull = process.env['PORTCULLIS_FULL'] === '1' // the long form, for npm run test:full
  const shape = isFull ? { tenants: 1_000, each: 5, kills: 10 } : { tenants: 20, each: 5, kills: 4 }
  const title = `${shape.tenants * shape.each} connections stay usable at 20 opens a second, with ${shape.kills} kills of each rotation`
  it(title, { timeout: 900_000 }, async () => {
    const all: [string, string][] = []
    const made = []
    for (let index = 0; index < shape.tenants; index += 1) {
      const one = await world.connect(shape.each)
      made.push(one)
      all.push(...one.connections.map((id): [string, string] => [one.tenantId, id]))
    }
    opener = await world.run({ what: 'open', perSecond: 20 })
    await opener.receive((report): report is { ready: true } => 'ready' in report)
    opener.send({ connections: all })

    const old = await world.kek.activeId()
    const stride = Math.max(1, Math.floor((shape.tenants / shape.kills) * 0.8))
    let kills = 0
    for (; kills < shape.kills; kills += 1) expect(await killedAt(stride, { what: 'kek' })).toBe(true)
    const ended = await resultOf(await world.run({ what: 'kek' }))
    expect(ended).toMatchObject({ result: { unreadable: 0, resumed: true } })
    await finished(retireKek(world.deps, old))

    const [first] = made
    if (first === undefined) throw new Error('none')
    for (let row = 0; row < Math.min(shape.each - 1, shape.kills); row += 1) {
      expect(await killedAt(1, { what: 'tenant', tenantId: first.tenantId })).toBe(true)
      kills += 1
    }
    expect(await resultOf(await world.run({ what: 'tenant', tenantId: first.tenantId }))).toMatchObject({
      result: { version: 2 },
    })
    expect(await resultOf(await world.run({ what: 'retire', tenantId: first.tenantId, version: 1 }))).toMatchObject({
      result: { version: 1 },
    })

    opener.send({ stop: true })
    const { opens, failures, slowestMs } = await opener.receive(
      (report): report is { opens: number; failures: readonly string[]; slowestMs: number } => 'opens' in report,
    )
    process.stdout.write(
      `rotation under load: ${all.length} connections, ${kills} kills, ${opens} cold opens, ${failures.length} failed, slowest ${Math.round(slowestMs)} ms\n`,
    )
    expect(failures).toEqual([])
    expect(opens).toBeGreaterThan(20)
    expect(await kekIds()).toHaveLength(1)
    expect(world.alarms).toEqual([])
  })
})
