/** Who decides how long records are kept, and that it is on record. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { MemberPrincipal, Role } from '@/lib/tenancy/principal'
import { type ChainWorld, createChainWorld, createTrail } from '@/lib/testing/audit-chain'

import { createTrailSettings } from './settings'

describe('how long records are kept', () => {
  let db: ChainWorld['db']
  let audit: ChainWorld['audit']
  let chain: ChainWorld['chain']
  let close: ChainWorld['close']
  beforeAll(async () => {
    ;({ db, audit, chain, close } = await createChainWorld())
  })
  afterAll(() => close())

  it('is the owners’ to set, on record, and shown with what protects the trail', async () => {
    const world = await createTrail(db, audit, 2)
    const settings = createTrailSettings({ appDb: db.app, audit })
    const as = (role: Role): MemberPrincipal =>
      ({ kind: 'operator', tenantId: world.tenantId, role, network: 'local' }) as MemberPrincipal // of any role
    for (const role of ['admin', 'member', 'auditor'] as const)
      await expect(settings.keep(as(role), 90)).rejects.toMatchObject({ code: 'auth.forbidden' })
    for (const days of [29, 3_651, 90.5, Number.NaN])
      await expect(settings.keep(as('owner'), days)).rejects.toMatchObject({ code: 'request.invalid' })
    expect(await settings.keep(as('owner'), 90)).toMatchObject({ retentionDays: 90, position: 0 })
    await chain.sequencer.run()
    await chain.checkpoints.run()
    expect(await settings.show(as('auditor'))).toMatchObject({
      retentionDays: 90,
      position: 5,
      cutAt: 0,
      checkpoints: [{ sink: 'file', position: 5 }],
    })
    expect(await settings.keep(as('owner'), null)).toMatchObject({ retentionDays: null })
    const events = await db.adminQuery(
      'app',
      "SELECT action, target_id FROM audit_record WHERE tenant_id = $1 AND kind = 'event'",
      [world.tenantId],
    )
    expect(events).toEqual([1, 2].map(() => ({ action: 'audit.retention_changed', target_id: world.tenantId })))
  })

  it('is not set from a browser whose person has not proved themself lately', async () => {
    const world = await createTrail(db, audit, 1)
    const person = {
      kind: 'person',
      tenantId: world.tenantId,
      personId: world.personId,
      role: 'owner',
      network: 'local',
      authenticatedAt: new Date(Date.now() - 3_600_000),
    } as unknown as MemberPrincipal // the rest of a person is not looked at
    await expect(createTrailSettings({ appDb: db.app, audit }).keep(person, 90)).rejects.toMatchObject({
      code: 'auth.step_up_required',
    })
  })
})
