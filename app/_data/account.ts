/**
 * The viewer's own account: whether there is a password, and where they are signed in.
 *
 * @module
 */
import 'server-only'

import type { DeletedWorkspace } from '@/components/pages/deleted-workspaces'
import { systemClock } from '@/lib/clock'
import { brand, type PersonId } from '@/lib/ids'

import { deviceName } from './device'
import type { Viewer } from './session'
import { web } from './web'

export interface Account {
  readonly hasPassword: boolean
  readonly sessions: readonly {
    readonly id: string
    readonly device: string
    readonly address: string | undefined
    readonly startedAt: string
    readonly lastSeenAt: string
    readonly isCurrent: boolean
  }[]
}

export async function readAccount(viewer: Viewer): Promise<Account> {
  const now = systemClock.now()
  return web().db.scoped({ tenantId: viewer.tenantId, personId: viewer.personId }, async (tx) => {
    const password = await tx.personPassword.findUnique({
      where: { personId: viewer.personId },
      select: { updatedAt: true },
    })
    const rows = await tx.webSession.findMany({
      where: { personId: viewer.personId, status: 'active', idleExpiresAt: { gt: now }, expiresAt: { gt: now } },
      orderBy: [{ lastUsedAt: 'desc' }, { id: 'desc' }],
      take: 50,
      select: { id: true, userAgent: true, network: true, createdAt: true, lastUsedAt: true },
    })
    return {
      hasPassword: password !== null,
      sessions: rows.map((row) => ({
        id: row.id,
        device: deviceName(row.userAgent),
        address: row.network === '' ? undefined : row.network,
        startedAt: row.createdAt.toISOString(),
        lastSeenAt: row.lastUsedAt.toISOString(),
        isCurrent: row.id === viewer.sessionId,
      })),
    }
  })
}

/** Deleted workspaces that this person, an owner, may take back still. */
export async function listDeletedWorkspaces(personId: PersonId): Promise<DeletedWorkspace[]> {
  const { db } = web()
  const found: DeletedWorkspace[] = []
  const rows = await db.global.$queryRaw<
    { tenant_id: string }[]
  >`SELECT tenant_id FROM restorable_tenants_of(${personId})`
  for (const row of rows) {
    const id = brand<'tenant'>(row.tenant_id)
    const tenant = await db.tenant(id, (tx) =>
      tx.tenant.findUnique({ where: { id }, select: { name: true, purgeAt: true } }),
    )
    if (tenant?.purgeAt != null) found.push({ id, name: tenant.name, purgeAt: tenant.purgeAt.toISOString() })
  }
  return found
}
