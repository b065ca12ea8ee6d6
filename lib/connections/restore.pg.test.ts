import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { systemClock } from '@/lib/clock'
import { newId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import { Secret } from '@/lib/secret'
import type { MemberPrincipal, Role } from '@/lib/tenancy/principal'
import { createAuditWorld, createTestAudit, type AuditWorld } from '@/lib/testing/audit'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createCredentials, type Credentials } from '@/lib/vault/credential'
import { createMirror } from '@/lib/vault/mirror'
import { openKeys } from '@/lib/vault/readiness'

import { createRestore } from './restore'

describe('restoring a revoked connection', () => {
  let db: TestDatabases
  let dir: string
  let world: AuditWorld
  let credentials: Credentials
  let audit: ReturnType<typeof createTestAudit>
  beforeAll(async () => {
    db = await createTestDatabases({ max: 4 })
    dir = await mkdtemp(path.join(tmpdir(), 'portcullis-restore-'))
    const opened = await openKeys({
      vaultDb: db.vault,
      kekFile: path.join(dir, 'kek.json'),
      keyStoreDir: path.join(dir, 'store'),
    })
    if (!opened.ok) throw new Error(opened.reason)
    credentials = createCredentials({
      vaultDb: db.vault,
      keys: opened.keys,
      mirror: createMirror(db.app),
      clock: systemClock,
      log: createLog('test', 'silent'),
      onIntegrityAlarm: () => undefined,
    })
  })
  afterAll(async () => {
    await db.close()
    await rm(dir, { recursive: true, force: true })
  })
  beforeEach(async () => {
    world = await createAuditWorld(db.app)
    await db.adminQuery('app', `UPDATE connection SET state_at = 'epoch' WHERE id = $1`, [world.connectionId])
    await credentials.create({
      tenantId: world.tenantId,
      connectionId: world.connectionId,
      provider: 'github',
      providerApp: 'app',
      subject: world.connectionId,
      tokens: {
        accessToken: new Secret('access'),
        refreshToken: new Secret('refresh'),
        accessExpiresAt: new Date(Date.now() + 3_600_000),
        refreshExpiresAt: null,
        grantedScopes: [],
      },
    })
    await revoke()
    audit = createTestAudit(db)
  })
  afterEach(() => audit.close())

  const revoke = async () => {
    await credentials.setState(world.tenantId, world.connectionId, 'revoked', { reason: 'odd', revoke: 'grant' })
    await credentials.settled()
  }
  const as = (role: Role, tenantId = world.tenantId): MemberPrincipal => ({
    kind: 'person',
    tenantId,
    personId: world.personId,
    role,
    webSessionId: newId('webSession'),
    authenticatedAt: new Date(),
    network: '127.0.0.1',
  })
  const { restore } = {
    restore: (by: MemberPrincipal) =>
      createRestore({ appDb: db.app, audit, credentials }).restore(by, world.connectionId),
  }
  const shown = async () =>
    (
      await db.adminQuery('app', 'SELECT access, access_reason, state FROM connection WHERE id = $1', [
        world.connectionId,
      ])
    )[0]
  const records = async () =>
    db.adminQuery('app', `SELECT action FROM audit_record WHERE tenant_id = $1 AND action = 'connection.restored'`, [
      world.tenantId,
    ])

  it('lets calls through again, on the record', async () => {
    expect(await shown()).toEqual({ access: 'blocked', access_reason: 'revoked', state: 'revoked' })
    expect(await restore(as('admin'))).toEqual({ state: 'active' })
    expect(await shown()).toEqual({ access: 'allowed', access_reason: null, state: 'active' })
    expect(await records()).toHaveLength(1)
    const opened = await credentials.open(world.tenantId, world.connectionId, { minGeneration: 1 })
    expect(opened.accessToken?.reveal()).toBe('access')
  })

  it('is nothing for members, auditors and other workspaces', async () => {
    for (const role of ['member', 'auditor'] as const)
      await expect(restore(as(role))).rejects.toMatchObject({
        code: role === 'member' ? 'resource.not_found' : 'auth.forbidden',
      })
    await expect(restore(as('owner', newId('tenant')))).rejects.toMatchObject({ code: 'resource.not_found' })
    expect(await shown()).toMatchObject({ access: 'blocked', state: 'revoked' })
    expect(await records()).toEqual([])
  })

  it('without its record allows nothing, and is finished by asking again', async () => {
    await db.adminQuery(
      'app',
      `ALTER TABLE audit_record ADD CONSTRAINT outage CHECK (action <> 'connection.restored') NOT VALID`,
    )
    await expect(restore(as('owner'))).rejects.toThrow()
    expect(await shown()).toMatchObject({ access: 'blocked', access_reason: 'revoked' })
    await db.adminQuery('app', 'ALTER TABLE audit_record DROP CONSTRAINT outage')
    await restore(as('owner'))
    expect(await shown()).toMatchObject({ access: 'allowed', state: 'active' })
  })

  it('is refused when the week is over, and when nothing was revoked', async () => {
    await db.adminQuery(
      'vault',
      `UPDATE credential SET shred_at = now() - interval '1 second' WHERE connection_id = $1`,
      [world.connectionId],
    )
    await credentials.shredDue(10)
    await expect(restore(as('owner'))).rejects.toMatchObject({ code: 'resource.conflict' })
    expect(await shown()).toMatchObject({ access: 'blocked' })
  })
})
