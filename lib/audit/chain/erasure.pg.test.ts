/** A person leaves the trail: who they were and what was sealed is gone, and every record stays verifiable. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { createTestAudit, createTestAuditKeys } from '@/lib/testing/audit'
import { addCalls, asOwner, createTestChain, createTrail, type TestChain } from '@/lib/testing/audit-chain'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import { createAuditReader } from '../read'
import { eraseSubject } from './erasure'

describe('erasing a person from the trail', () => {
  let db: TestDatabases
  let audit: ReturnType<typeof createTestAudit>
  let chain: TestChain
  const keys = createTestAuditKeys()
  beforeAll(async () => {
    db = await createTestDatabases()
    audit = createTestAudit(db, { keys })
    chain = createTestChain(db)
  })
  afterAll(async () => {
    await chain.close()
    await audit.close()
    await db.close()
  })

  const erase = ({ tenantId, personId }: Awaited<ReturnType<typeof createTrail>>) =>
    eraseSubject({ appDb: db.app, audit }, tenantId, { kind: 'person', id: personId }, { kind: 'system' })
  const count = async (sql: string, ...values: unknown[]) =>
    (await db.adminQuery('app', `SELECT count(*)::int AS n FROM ${sql}`, values))[0]?.['n']

  it('takes who they were, their arguments and what was sealed, and the chain verifies before and after', async () => {
    const world = await createTrail(db, audit, 3)
    await chain.sequencer.run()
    await chain.checkpoints.run()
    await addCalls(world, audit, 1) // not linked yet when it is erased
    const before = await db.adminQuery(
      'app',
      'SELECT id FROM audit_record WHERE tenant_id = $1 AND sealed IS NOT NULL',
      [world.tenantId],
    )
    expect(before).toHaveLength(8)

    expect(await erase(world)).toEqual({ records: 8, calls: 4, wasKnown: true })

    expect(await count('audit_identity WHERE tenant_id = $1', world.tenantId)).toBe(0)
    expect(await count('audit_arguments WHERE tenant_id = $1', world.tenantId)).toBe(0)
    expect(await count('audit_record WHERE tenant_id = $1 AND sealed IS NOT NULL', world.tenantId)).toBe(0)
    await audit.drain()
    await chain.sequencer.run()
    expect(await chain.verify(world.tenantId)).toMatchObject({
      ok: true,
      checked: 9,
      erased: 8,
      waiting: 0,
      problems: [],
    })
    const owner = { kind: 'operator', tenantId: world.tenantId, role: 'owner', network: 'local' } as const
    const reader = createAuditReader({ appDb: db.app, audit })
    for (const { id } of before) expect(await reader.openDetails(owner, String(id))).toEqual({})
    expect(await erase(world)).toEqual({ records: 0, calls: 0, wasKnown: false })
  })

  it('is itself recorded, under a pseudonym that nobody can resolve', async () => {
    const world = await createTrail(db, audit, 1)
    const [identity] = await db.adminQuery('app', 'SELECT pseudonym FROM audit_identity WHERE tenant_id = $1', [
      world.tenantId,
    ])
    await erase(world)
    await audit.drain()
    const [record] = await db.adminQuery('app', "SELECT * FROM audit_record WHERE tenant_id = $1 AND kind = 'event'", [
      world.tenantId,
    ])
    expect(record).toMatchObject({ action: 'audit.person_erased', target_id: identity?.['pseudonym'] })
    expect(JSON.stringify(record)).not.toContain(world.personId)
  })

  it('touches nobody else', async () => {
    const [erased, kept] = [await createTrail(db, audit, 1), await createTrail(db, audit, 1)]
    await erase(erased)
    expect(await count('audit_record WHERE tenant_id = $1 AND sealed IS NOT NULL', kept.tenantId)).toBe(2)
    expect(await count('audit_identity WHERE tenant_id = $1', kept.tenantId)).toBe(1)
  })

  it('hides no change: what is not the erased record’s digest still shows', async () => {
    const world = await createTrail(db, audit, 1)
    await chain.sequencer.run()
    await erase(world)
    await asOwner(
      db,
      `UPDATE audit_erasure SET digest = sha256('other') WHERE tenant_id = '${world.tenantId}' AND record_id = (
         SELECT record_id FROM audit_link WHERE tenant_id = '${world.tenantId}' AND position = 2)`,
    )
    expect((await chain.verify(world.tenantId)).problems[0]).toMatchObject({ kind: 'edited', position: 2 })
  })

  it('free fields that are gone without an erasure show', async () => {
    const world = await createTrail(db, audit, 1)
    await chain.sequencer.run()
    await asOwner(db, `UPDATE audit_record SET sealed = NULL WHERE tenant_id = '${world.tenantId}'`)
    expect((await chain.verify(world.tenantId)).problems[0]).toMatchObject({ kind: 'edited', position: 1 })
  })

  it('a destroyed key closes what it sealed and leaves the chain as it is', async () => {
    const world = await createTrail(db, audit, 1)
    await chain.sequencer.run()
    const other = createTestAudit(db) // with other keys, as after the old ones were destroyed
    const [record] = await db.adminQuery(
      'app',
      'SELECT id FROM audit_record WHERE tenant_id = $1 ORDER BY recorded_at',
      [world.tenantId],
    )
    const owner = { kind: 'operator', tenantId: world.tenantId, role: 'owner', network: 'local' } as const
    await expect(
      createAuditReader({ appDb: db.app, audit: other }).openDetails(owner, String(record?.['id'])),
    ).rejects.toMatchObject({ code: 'vault.unreadable' })
    expect(await chain.verify(world.tenantId)).toMatchObject({ ok: true, checked: 2 })
    await other.close()
  })
})
