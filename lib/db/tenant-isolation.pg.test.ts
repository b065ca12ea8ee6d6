import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { createAppDb, type AppTx } from '@/lib/db/app-db'
import { newId } from '@/lib/ids'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

describe('tenant isolation in the database', () => {
  let db: TestDatabases
  const a = newId('tenant')
  const b = newId('tenant')
  beforeAll(async () => {
    db = await createTestDatabases()
    for (const [id, slug] of [
      [a, 'a'],
      [b, 'b'],
    ] as const)
      await db.app.tenant(id, (tx) => tx.tenant.create({ data: { id, name: slug, slug } }))
  })
  afterAll(() => db.close())

  it('shows no tenant row outside of a tenant transaction', async () => {
    expect(await db.app.transaction((tx) => tx.tenant.count())).toBe(0)
  })

  it('shows one tenant only its own rows', async () => {
    expect(await db.app.tenant(a, (tx) => tx.tenant.findMany({ select: { id: true } }))).toEqual([{ id: a }])
  })

  it('refuses a row written for another tenant', async () => {
    await expect(
      db.app.tenant(a, (tx) => tx.agent.create({ data: { tenantId: b, id: newId('agent'), name: 'x' } })),
    ).rejects.toThrow()
  })

  it('keeps row security on even when the URL belongs to an administrator', async () => {
    const asAdmin = createAppDb(db.admin.app)
    try {
      expect(await asAdmin.transaction((tx) => tx.tenant.count())).toBe(0)
      expect(await asAdmin.tenant(a, (tx) => tx.tenant.count())).toBe(1)
    } finally {
      await asAdmin.close()
    }
  })

  it('leaves no tenant on a pooled connection', async () => {
    await Promise.all(
      Array.from({ length: 30 }, (_, i) => db.app.tenant(i % 2 === 0 ? a : b, (tx) => tx.tenant.findMany())),
    )
    expect(await db.app.transaction((tx) => tx.tenant.count())).toBe(0)
  })

  it('is not left for another tenant by a function that enters one', async () => {
    const floorOf = (tenantId: string) => (tx: Pick<AppTx, '$queryRaw'>) =>
      tx.$queryRaw`SELECT generation FROM connection_floor(${tenantId}, 'con_1')`
    await expect(db.app.tenant(a, floorOf(a))).resolves.toEqual([])
    await expect(db.app.tenant(a, floorOf(b))).rejects.toThrow(/another tenant/)
    await expect(
      db.vault.tenant(a, (tx) => tx.$queryRaw`SELECT generation FROM locked_credential(${b}, 'con_1')`),
    ).rejects.toThrow(/another tenant/)
    // By itself it is a transaction: nothing of it is left for whoever has the connection next.
    await Promise.all(Array.from({ length: 30 }, (_, i) => floorOf(i % 2 === 0 ? a : b)(db.app.global)))
    expect(await db.app.transaction((tx) => tx.tenant.count())).toBe(0)
  })
})
