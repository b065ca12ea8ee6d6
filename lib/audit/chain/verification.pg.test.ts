/** A workspace's verification of its own trail: who asks, that a worker does it once, and what it says. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { createLog } from '@/lib/log'
import type { TenantId } from '@/lib/ids'
import type { MemberPrincipal, Role } from '@/lib/tenancy/principal'
import { asOwner, type ChainWorld, createChainWorld, createTrail } from '@/lib/testing/audit-chain'

import { createTrailSettings } from './settings'
import { createVerificationDesk, createVerifier } from './verification'

type Options = Partial<Parameters<typeof createVerifier>[0]>

describe('a verification that a workspace asks for', () => {
  let db: ChainWorld['db']
  let audit: ChainWorld['audit']
  let chain: ChainWorld['chain']
  let close: ChainWorld['close']
  beforeAll(async () => {
    ;({ db, audit, chain, close } = await createChainWorld())
  })
  afterAll(() => close())

  const as = (tenantId: TenantId, role: Role): MemberPrincipal =>
    ({ kind: 'operator', tenantId, role, network: 'local' }) as MemberPrincipal // of any role
  const announced: TenantId[] = []
  const ask = (tenantId: TenantId, role: Role = 'owner') =>
    createVerificationDesk({
      appDb: db.app,
      audit,
      announce: (id) => Promise.resolve(void announced.push(id)),
    })(as(tenantId, role))
  const verifier = (options: Options = {}) => {
    const { store, keys, folder } = chain
    return createVerifier({
      appDb: db.app,
      audit,
      store,
      keys,
      folder,
      log: createLog('test', 'silent'),
      page: 2,
      ...options,
    })
  }
  const shown = async (tenantId: TenantId) =>
    (await createTrailSettings({ appDb: db.app, audit }).show(as(tenantId, 'auditor'))).verification
  const sealed = async (calls: number) => {
    const world = await createTrail(db, audit, calls)
    await chain.sequencer.run()
    await chain.checkpoints.run()
    return world
  }
  const actions = (tenantId: TenantId) =>
    db.adminQuery(
      'app',
      "SELECT action, reason, target_id FROM audit_record WHERE tenant_id = $1 AND kind = 'event' ORDER BY recorded_at",
      [tenantId],
    )

  it('is for owners, admins and auditors, and on record', async () => {
    const { tenantId } = await sealed(1)
    await expect(ask(tenantId, 'member')).rejects.toMatchObject({ code: 'auth.forbidden' })
    expect(await shown(tenantId)).toBeNull()
    announced.length = 0
    for (const role of ['auditor', 'admin', 'owner'] as const)
      expect(await ask(tenantId, role)).toMatchObject({ status: 'queued', report: null })
    expect(announced).toEqual([tenantId, tenantId, tenantId])
    // Asked for while it waits, it is the same one.
    expect(await actions(tenantId)).toEqual([
      { action: 'audit.verification_started', reason: null, target_id: tenantId },
    ])
    expect(await verifier().due(10)).toContain(tenantId)
    expect(await verifier().verify(tenantId)).toBe('done')
  })

  it('says of a trail nobody touched that it is intact, with what vouches for it, and shows how far it is', async () => {
    const { tenantId } = await sealed(5)
    await ask(tenantId)
    const progress: unknown[] = []
    let time = 0
    const watched = verifier({
      now: () => (time += 1_000), // so that each page is said
      limits: { budgetMs: 1e9 },
      store: {
        ...chain.store,
        tenant: async (id, work) => {
          const view = await shown(tenantId)
          progress.push([view?.status, view?.done, view?.total])
          return chain.store.tenant(id, work)
        },
      },
    })
    expect(await watched.verify(tenantId)).toBe('done')
    expect(progress).toContainEqual(['running', 4, 20])
    expect(progress).toContainEqual(['running', 14, 20])
    expect(await shown(tenantId)).toMatchObject({
      status: 'done',
      error: null,
      report: { ok: true, checked: 10, from: 1, to: 10, vouchedTo: 10, problems: [] },
    })
    expect(await watched.verify(tenantId)).toBe('not_mine')
    expect(await watched.due(10)).not.toContain(tenantId)
  })

  it('names the record that somebody edited, and that is on record too', async () => {
    const { tenantId } = await sealed(5)
    const [row] = await db.adminQuery('app', 'SELECT record_id FROM audit_link WHERE tenant_id = $1 AND position = 7', [
      tenantId,
    ])
    const recordId = String(row?.['record_id'])
    await asOwner(db, `UPDATE audit_record SET tool = 'another' WHERE id = '${recordId}'`)
    await ask(tenantId)
    await verifier().verify(tenantId)
    expect(await shown(tenantId)).toMatchObject({
      status: 'done',
      report: { ok: false, checked: 6, problems: [{ kind: 'edited', position: 7, recordId }] },
    })
    await audit.drain()
    expect((await actions(tenantId)).at(-1)).toEqual({
      action: 'audit.tampering_found',
      reason: 'edited',
      target_id: recordId,
    })
    // Asked for again, the old answer is gone until there is a new one.
    expect(await ask(tenantId)).toMatchObject({ status: 'queued', report: null, done: 0 })
  })

  it('is done by one worker, begun anew by another when the first one dies, and let go when it stops', async () => {
    const { tenantId } = await sealed(4)
    await ask(tenantId)
    const [one, other] = [verifier(), verifier()]
    const answers = await Promise.all([one.verify(tenantId), other.verify(tenantId)])
    expect(answers.sort()).toEqual(['done', 'not_mine'])

    await ask(tenantId)
    const stopped = verifier({ limits: { everyMs: 0 } })
    const stops = verifier({
      store: {
        ...chain.store,
        tenant: (id, work) => {
          stops.stop()
          return chain.store.tenant(id, work)
        },
      },
    })
    expect(await stops.verify(tenantId)).toBe('again')
    expect(await shown(tenantId)).toMatchObject({ status: 'queued', report: null })
    // Dead: its lease runs out by itself.
    await db.adminQuery(
      'app',
      "UPDATE audit_verification SET status = 'running', lease = 'of the dead', leased_until = now() + interval '1 minute' WHERE tenant_id = $1",
      [tenantId],
    )
    expect(await stopped.due(10)).not.toContain(tenantId)
    expect(await stopped.verify(tenantId)).toBe('not_mine')
    await db.adminQuery('app', 'UPDATE audit_verification SET leased_until = now() WHERE tenant_id = $1', [tenantId])
    expect(await stopped.due(10)).toContain(tenantId)
    expect(await stopped.verify(tenantId)).toBe('done')
  })

  it('whose lease somebody else took writes nothing', async () => {
    const { tenantId } = await sealed(3)
    await ask(tenantId)
    let pages = 0
    const slow = verifier({
      limits: { everyMs: 0 },
      store: {
        ...chain.store,
        tenant: async (id, work) => {
          if ((pages += 1) === 2)
            await db.adminQuery('app', "UPDATE audit_verification SET lease = 'another' WHERE tenant_id = $1", [
              tenantId,
            ])
          return chain.store.tenant(id, work)
        },
      },
    })
    expect(await slow.verify(tenantId)).toBe('again')
    const [row] = await db.adminQuery('app', 'SELECT status, lease FROM audit_verification WHERE tenant_id = $1', [
      tenantId,
    ])
    expect(row).toEqual({ status: 'running', lease: 'another' })
  })

  it('ends: one that takes too long says so at once, one that cannot be read after three attempts', async () => {
    const { tenantId } = await sealed(3)
    await ask(tenantId)
    let time = 0
    expect(await verifier({ now: () => (time += 1_000), limits: { budgetMs: 1_500 } }).verify(tenantId)).toBe('failed')
    expect(await shown(tenantId)).toMatchObject({ status: 'failed', error: 'too_long', report: null })

    await ask(tenantId)
    const blind = verifier({ store: { ...chain.store, tenant: () => Promise.reject(new Error('away')) } })
    for (const answer of ['again', 'again', 'failed']) {
      expect(await blind.verify(tenantId)).toBe(answer)
      expect(await blind.verify(tenantId)).toBe('not_mine') // it waits a while
      await db.adminQuery('app', 'UPDATE audit_verification SET leased_until = now() WHERE tenant_id = $1', [tenantId])
    }
    expect(await shown(tenantId)).toMatchObject({ status: 'failed', error: 'unreadable', report: null })
  })

  it('is shown beside what the trail has: what waits for its link, the hash at the end, and each cut', async () => {
    const { tenantId } = await sealed(2)
    const settings = createTrailSettings({ appDb: db.app, audit })
    const before = await settings.show(as(tenantId, 'auditor'))
    expect(before).toMatchObject({ position: 4, waiting: 0, waitingSeconds: 0, cuts: [] })
    const [last] = await db.adminQuery(
      'app',
      "SELECT encode(hash, 'hex') AS hash, linked_at FROM audit_link WHERE tenant_id = $1 ORDER BY position DESC LIMIT 1",
      [tenantId],
    )
    expect([before.hash, before.linkedAt]).toEqual([last?.['hash'], last?.['linked_at']])
    await ask(tenantId)
    expect(await settings.show(as(tenantId, 'auditor'))).toMatchObject({ position: 4, waiting: 1 })

    await asOwner(
      db,
      `UPDATE audit_record SET recorded_at = recorded_at - interval '100 days' WHERE tenant_id = '${tenantId}'`,
      `DELETE FROM audit_link WHERE tenant_id = '${tenantId}'`,
      `DELETE FROM audit_head WHERE tenant_id = '${tenantId}'`,
    )
    // Of a chain that was not begun everything waits, however old it is.
    const unsealed = await settings.show(as(tenantId, 'auditor'))
    expect(unsealed).toMatchObject({ position: 0, hash: null, linkedAt: null, waiting: 5 })
    expect(unsealed.waitingSeconds).toBeGreaterThan(99 * 86_400)
    await chain.sequencer.run()
    await settings.keep(as(tenantId, 'owner'), 30)
    await chain.removeOld()
    expect((await settings.show(as(tenantId, 'auditor'))).cuts).toMatchObject([
      { position: 5, keyId: chain.keys.keyId },
    ])
  })
})
