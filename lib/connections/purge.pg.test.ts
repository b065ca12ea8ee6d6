import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { ConnectionId } from '@/lib/ids'
import { Secret } from '@/lib/secret'
import { createAuditWorld, type AuditWorld } from '@/lib/testing/audit'
import { createTestFlows, type TestFlows } from '@/lib/testing/connection-flows'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import { KEPT, PURGED } from './purge'

describe('the end of a workspace whose grace is over', () => {
  let db: TestDatabases
  let dir: string
  let flows: TestFlows
  beforeAll(async () => {
    db = await createTestDatabases({ max: 6 })
    dir = await mkdtemp(path.join(tmpdir(), 'portcullis-purge-'))
    flows = await createTestFlows({
      appUrl: db.urls.app,
      vaultUrl: db.urls.vault,
      dataDir: dir,
      publicUrl: 'http://localhost:3000',
      apps: { github: { clientId: 'id', clientSecret: 'secret', overrides: {} } },
    })
  })
  afterAll(async () => {
    await flows.close()
    await db.close()
    await rm(dir, { recursive: true, force: true })
  })

  /** A workspace with a person, an agent, a session and a connected account. */
  async function arrange() {
    const world = await createAuditWorld(db.app)
    await flows.credentials.create({
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
    await flows.credentials.settled()
    return world
  }
  const end = (world: AuditWorld, purgeAt = 'now()') =>
    db.adminQuery('app', `UPDATE tenant SET disabled_at = now(), purge_at = ${purgeAt} WHERE id = $1`, [world.tenantId])
  const rows = async (database: 'app' | 'vault', table: string, tenantId: string) =>
    Number(
      (await db.adminQuery(database, `SELECT count(*) AS n FROM ${table} WHERE tenant_id = $1`, [tenantId]))[0]?.['n'],
    )
  const told = (world: AuditWorld) =>
    db.adminQuery('vault', 'DELETE FROM revocation WHERE tenant_id = $1', [world.tenantId])
  const opens = (world: AuditWorld, connectionId: ConnectionId = world.connectionId) =>
    flows.credentials.open(world.tenantId, connectionId, { minGeneration: 1 }).then(
      ({ accessToken }) => accessToken?.reveal() === 'access',
      () => false,
    )

  it('knows every table that belongs to a workspace: each is emptied, or kept for a reason', async () => {
    const tables = await db.adminQuery(
      'app',
      `SELECT c.relname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT a.attisdropped AND NOT c.relispartition`,
    )
    const known = new Set<string>([...PURGED, ...KEPT])
    expect(tables.map(({ name }) => String(name)).filter((name) => !known.has(name))).toEqual([])
  })

  it('tells the provider first, and destroys everything when it was told', async () => {
    const world = await arrange()
    const neighbour = await arrange()
    expect(await opens(world)).toBe(true)
    await end(world)
    expect(await flows.connections.purge()).toEqual({ purged: 0, waiting: 1 })
    // Blocked at once, and the token waits to be revoked.
    expect(await opens(world)).toBe(false)
    expect(await rows('vault', 'revocation', world.tenantId)).toBe(1)
    expect(await rows('app', 'membership', world.tenantId)).toBe(1)

    await told(world)
    expect(await flows.connections.purge()).toEqual({ purged: 1, waiting: 0 })
    for (const table of PURGED) expect([table, await rows('app', table, world.tenantId)]).toEqual([table, 0])
    expect(await rows('vault', 'credential', world.tenantId)).toBe(0)
    const [row] = await db.adminQuery('app', 'SELECT name, purged_at FROM tenant WHERE id = $1', [world.tenantId])
    expect(row).toMatchObject({ name: 'Deleted workspace', purged_at: expect.any(Date) as Date })
    await expect(flows.keys.at(world.tenantId, 'vault', 1)).rejects.toMatchObject({ code: 'vault.key_unavailable' })
    // What happened stays on record.
    await flows.audit.settled()
    expect(
      await db.adminQuery(
        'app',
        `SELECT action FROM (SELECT action FROM audit_record WHERE tenant_id = $1 UNION ALL SELECT record->>'action' FROM audit_outbox WHERE tenant_id = $1) x
          WHERE action IN ('workspace.deleted', 'connection.disconnected') ORDER BY action`,
        [world.tenantId],
      ),
    ).toEqual([{ action: 'connection.disconnected' }, { action: 'workspace.deleted' }])

    expect(await flows.connections.purge()).toEqual({ purged: 0, waiting: 0 })
    // Nobody else lost anything.
    expect(await opens(neighbour)).toBe(true)
    expect(await rows('app', 'agent_session', neighbour.tenantId)).toBe(1)
  })

  it('waits for a provider that does not answer, but not for ever', async () => {
    const world = await arrange()
    await end(world)
    expect(await flows.connections.purge()).toEqual({ purged: 0, waiting: 1 })
    await db.adminQuery('app', "UPDATE tenant SET purge_began_at = now() - interval '4 days' WHERE id = $1", [
      world.tenantId,
    ])
    expect(await flows.connections.purge()).toEqual({ purged: 1, waiting: 0 })
    expect(await rows('vault', 'revocation', world.tenantId)).toBe(0)
  })

  it('touches nothing before its time', async () => {
    const world = await arrange()
    await end(world, "now() + interval '1 minute'")
    expect(await flows.connections.purge()).toEqual({ purged: 0, waiting: 0 })
    expect(await opens(world)).toBe(true)
  })
})
