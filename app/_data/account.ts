/**
 * The viewer's own account: whether there is a password, and where they are signed in.
 *
 * @module
 */
import 'server-only'

import { systemClock } from '@/lib/clock'

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
