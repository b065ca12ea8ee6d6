/**
 * How much of each thing a workspace may have. Whoever adds one holds the count of that kind until their transaction ends,
 * so that of a hundred who add the last one at once, one does.
 *
 * @module
 */
import type { AppTx } from '../db/app-db'
import { AppError } from '../errors'
import type { AgentId, TenantId } from '../ids'

export const QUOTAS = {
  members: { most: 500, what: 'members', make: 'Remove somebody' },
  invitations: { most: 100, what: 'open invitations', make: 'Withdraw one' },
  agents: { most: 500, what: 'agents', make: 'Use one of those there are' },
  connections: { most: 1_000, what: 'connected accounts', make: 'Disconnect one' },
  apiKeys: { most: 200, what: 'API keys', make: 'Revoke one' },
  clients: { most: 100, what: 'OAuth clients', make: 'Revoke one' },
} as const

export type Quota = keyof typeof QUOTAS

/** Own workspaces of one person. */
export const MAX_OWN_WORKSPACES = 20

/** Sessions of one agent that are open at the same time. */
export const MAX_LIVE_SESSIONS = 200

/**
 * As `holdQuota`, for one more session of this agent.
 *
 * @throws AppError `resource.limit_exceeded`, naming the limit
 */
export async function holdLiveSession(tx: AppTx, tenantId: TenantId, agentId: AgentId, now: Date): Promise<void> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`quota:sessions:${tenantId}:${agentId}`}, 0))`
  const live = await tx.agentSession.count({ where: { tenantId, agentId, endedAt: null, expiresAt: { gt: now } } })
  if (live >= MAX_LIVE_SESSIONS)
    throw new AppError('resource.limit_exceeded', `An agent has at most ${MAX_LIVE_SESSIONS} live sessions.`)
}

/**
 * Passes when there is room for one more, and keeps it until the transaction ends.
 *
 * @throws AppError `resource.limit_exceeded`, naming the limit
 */
export async function holdQuota(tx: AppTx, tenantId: TenantId, quota: Quota): Promise<void> {
  // Not the workspace's row: every call of an agent reads that one.
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`quota:${quota}:${tenantId}`}, 0))`
  const { most, what, make } = QUOTAS[quota]
  if ((await count(tx, tenantId, quota)) >= most)
    throw new AppError('resource.limit_exceeded', `A workspace has at most ${most} ${what}. ${make} first.`)
}

async function count(tx: AppTx, tenantId: TenantId, quota: Quota): Promise<number> {
  switch (quota) {
    case 'members':
      return tx.membership.count({ where: { tenantId } })
    case 'invitations':
      return tx.invitation.count({
        where: { tenantId, acceptedAt: null, revokedAt: null, expiresAt: { gt: new Date() } },
      })
    case 'agents':
      // An agent stays when it is disabled: its records name it.
      return tx.agent.count({ where: { tenantId } })
    case 'apiKeys':
      return tx.apiKey.count({ where: { tenantId, revokedAt: null, expiresAt: { gt: new Date() } } })
    case 'clients': {
      const [row] = await tx.$queryRaw<{ n: number }[]>`
        SELECT count(*)::int AS n FROM oauth_client WHERE tenant_id = ${tenantId} AND revoked_at IS NULL AND expires_at > now()`
      return row?.n ?? 0
    }
    case 'connections': {
      // A consent under way is an account to be: refused before the person agrees to anything, not after.
      const [row] = await tx.$queryRaw<{ n: number }[]>`
        SELECT ((SELECT count(*) FROM connection WHERE tenant_id = ${tenantId} AND access <> 'deleted')
              + (SELECT count(*) FROM connect_attempt WHERE tenant_id = ${tenantId} AND connection_id IS NULL
                    AND outcome IS NULL AND expires_at > now()))::int AS n`
      return row?.n ?? 0
    }
  }
}
