import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { newId } from '@/lib/ids'
import { createAuditWorld, type AuditWorld } from '@/lib/testing/audit'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import { createPseudonyms } from './pseudonym'

describe('pseudonyms', () => {
  let db: TestDatabases
  let world: AuditWorld
  beforeAll(async () => {
    db = await createTestDatabases()
    world = await createAuditWorld(db.app)
  })
  afterAll(() => db.close())
  const person = () => ({ kind: 'person', id: newId('person') }) as const

  it('gives one to a person whom many ask for at once', async () => {
    const subject = person()
    const names = await Promise.all(
      Array.from({ length: 20 }, () => createPseudonyms(db.app).of(world.tenantId, subject)),
    )
    expect(new Set(names).size).toBe(1)
  })

  it('gives another in another workspace, and to another kind of subject', async () => {
    const other = await createAuditWorld(db.app)
    const pseudonyms = createPseudonyms(db.app)
    const subject = person()
    const names = [
      await pseudonyms.of(world.tenantId, subject),
      await pseudonyms.of(other.tenantId, subject),
      await pseudonyms.of(world.tenantId, { kind: 'api_key', id: subject.id }),
    ]
    expect(new Set(names).size).toBe(3)
  })

  it('does not remember one whose transaction was rolled back', async () => {
    const pseudonyms = createPseudonyms(db.app)
    const subject = person()
    await expect(
      db.app.tenant(world.tenantId, async (tx) => {
        const first = await pseudonyms.within(tx, world.tenantId, subject)
        expect(await pseudonyms.within(tx, world.tenantId, subject)).toBe(first)
        throw new Error('rolled back')
      }),
    ).rejects.toThrow('rolled back')
    const name = await pseudonyms.of(world.tenantId, subject)
    expect(await db.adminQuery('app', 'SELECT subject_id FROM audit_identity WHERE pseudonym = $1', [name])).toEqual([
      { subject_id: subject.id },
    ])
  })

  it('remembers one that was committed', async () => {
    const subject = person()
    const name = await createPseudonyms(db.app).of(world.tenantId, subject)
    const pseudonyms = createPseudonyms(db.app)
    await db.app.tenant(world.tenantId, (tx) => pseudonyms.within(tx, world.tenantId, subject))
    await db.adminQuery('app', 'DELETE FROM audit_identity WHERE pseudonym = $1', [name])
    expect(await pseudonyms.of(world.tenantId, subject)).toBe(name)
  })
})
