import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { createAppDb } from '@/lib/db/app-db'
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
})
