/**
 * Agents, what they may do and what they hold, as their pages show them. Everybody in a workspace sees all of its agents.
 *
 * @module
 */
import 'server-only'

import type { AgentSummary } from '@/components/pages/agent-types'
import type { SessionRow } from '@/components/pages/sessions-list'
import { systemClock } from '@/lib/clock'
import type { AppTx } from '@/lib/db/app-db'
import { isId, type TenantId } from '@/lib/ids'
import { compileProfile } from '@/lib/policy/compile'
import type { ProfileDocument } from '@/lib/policy/profile'
import { mcpUrlOf } from '@/lib/tenancy/agents'
import { readLabels } from '@/lib/tenancy/labels'

import type { Viewer } from './session'
import { web } from './web'

const MAX_AGENTS = 500
const MAX_SESSIONS = 500

interface AgentTools {
  readonly id: string
  readonly name: string
  readonly tools: readonly string[]
}

/** Newest first, each with the tools that its current profile allows. */
export async function allowedTools(tx: AppTx, tenantId: TenantId): Promise<AgentTools[]> {
  const rows = await tx.$queryRaw<{ id: string; name: string; version: number; document: unknown }[]>`
    SELECT a.id, a.name, p.version, p.document
      FROM agent a JOIN profile_version p ON p.tenant_id = a.tenant_id AND p.agent_id = a.id AND p.version = a.profile_version
     WHERE a.tenant_id = ${tenantId}
     ORDER BY a.created_at DESC, a.id DESC LIMIT ${MAX_AGENTS}`
  return rows.map(({ id, name, version, document }) => ({
    id,
    name,
    tools: [...compileProfile(version, document).allowed],
  }))
}

/** Newest first. */
export async function listAgents({ tenantId }: Viewer): Promise<AgentSummary[]> {
  return web().db.tenant(tenantId, async (tx) => {
    const rows = await tx.agent.findMany({
      where: { tenantId },
      select: { id: true, name: true, description: true, disabledAt: true, lastUsedAt: true },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      take: MAX_AGENTS,
    })
    const tools = new Map((await allowedTools(tx, tenantId)).map((agent) => [agent.id, agent.tools.length]))
    const sessions = await countLiveSessions(tx, tenantId)
    return rows.map((row) => ({
      id: row.id,
      name: row.name,
      description: row.description === '' ? undefined : row.description,
      isEnabled: row.disabledAt === null,
      toolCount: tools.get(row.id) ?? 0,
      activeSessionCount: sessions.get(row.id) ?? 0,
      lastCallAt: row.lastUsedAt?.toISOString(),
    }))
  })
}

export interface AgentFacts {
  readonly id: string
  readonly name: string
  readonly description?: string | undefined
  readonly isEnabled: boolean
  readonly mcpUrl: string
  readonly profileVersion: number
  /** Names the tools it allows, known to this version or not. */
  readonly profile: ProfileDocument
  readonly activeSessionCount: number
}

/** @returns undefined for a missing and a foreign agent alike */
export async function findAgent({ tenantId }: Viewer, agentId: string): Promise<AgentFacts | undefined> {
  if (!isId('agent', agentId)) return undefined
  const { config, db } = web()
  return db.tenant(tenantId, async (tx) => {
    const row = await tx.agent.findUnique({
      where: { tenantId_id: { tenantId, id: agentId } },
      select: { id: true, name: true, description: true, disabledAt: true, profileVersion: true },
    })
    if (row === null) return undefined
    const profile = await tx.profileVersion.findUnique({
      where: { tenantId_agentId_version: { tenantId, agentId, version: row.profileVersion } },
      select: { document: true },
    })
    const sessions = await countLiveSessions(tx, tenantId, agentId)
    return {
      id: row.id,
      name: row.name,
      description: row.description === '' ? undefined : row.description,
      isEnabled: row.disabledAt === null,
      mcpUrl: mcpUrlOf(config.publicUrl, row.id),
      profileVersion: row.profileVersion,
      profile: compileProfile(row.profileVersion, profile?.document).document,
      activeSessionCount: sessions.get(row.id) ?? 0,
    }
  })
}

/** Names for a filter, in alphabetical order. */
export async function listAgentNames({ tenantId }: Viewer): Promise<{ readonly id: string; readonly name: string }[]> {
  return web().db.tenant(tenantId, (tx) =>
    tx.agent.findMany({
      where: { tenantId },
      select: { id: true, name: true },
      orderBy: [{ name: 'asc' }, { id: 'asc' }],
      take: MAX_AGENTS,
    }),
  )
}

/** Live ones first, then the most recently ended. */
export async function listAgentSessions({ tenantId, personId }: Viewer, agentId?: string): Promise<SessionRow[]> {
  const now = systemClock.now()
  return web().db.tenant(tenantId, async (tx) => {
    const rows = await tx.agentSession.findMany({
      where: { tenantId, ...(agentId === undefined ? {} : { agentId }) },
      select: {
        id: true,
        agentId: true,
        kind: true,
        label: true,
        secretHint: true,
        createdAt: true,
        expiresAt: true,
        lastUsedAt: true,
        endedAt: true,
        endedReason: true,
        clientName: true,
        clientHost: true,
        personId: true,
        actsFor: true,
        lastClient: true,
        lastNetwork: true,
      },
      orderBy: [{ endedAt: { sort: 'desc', nulls: 'first' } }, { createdAt: 'desc' }, { id: 'desc' }],
      take: MAX_SESSIONS,
    })
    const labels = await readLabels(tx, {
      agents: rows.map((row) => row.agentId),
      people: rows.map((row) => row.personId),
    })
    return rows.map((row) => ({
      id: row.id,
      label: row.label === '' ? `Key ${row.secretHint}` : row.label,
      agentId: row.agentId,
      agentName: labels.agent(row.agentId) ?? row.agentId,
      kind: row.kind === 'oauth' ? 'oauth' : 'session_key',
      state: row.endedAt !== null ? 'revoked' : row.expiresAt <= now ? 'expired' : 'active',
      createdAt: row.createdAt.toISOString(),
      expiresAt: (row.endedAt ?? row.expiresAt).toISOString(),
      lastUsedAt: row.lastUsedAt?.toISOString(),
      clientName: row.clientName ?? undefined,
      clientHost: row.clientHost ?? undefined,
      person:
        row.actsFor === 'workspace' || row.personId === null
          ? undefined
          : {
              id: row.personId,
              name: labels.person(row.personId) ?? 'Somebody who left',
              isYou: row.personId === personId,
            },
      lastClient: row.lastClient ?? undefined,
      lastNetwork: row.lastNetwork ?? undefined,
    }))
  })
}

/** Sessions that still work, by agent. */
export async function countLiveSessions(
  tx: AppTx,
  tenantId: TenantId,
  agentId?: string,
): Promise<ReadonlyMap<string, number>> {
  const rows = await tx.agentSession.groupBy({
    by: ['agentId'],
    where: {
      tenantId,
      endedAt: null,
      expiresAt: { gt: systemClock.now() },
      ...(agentId === undefined ? {} : { agentId }),
    },
    _count: { _all: true },
  })
  return new Map(rows.map((row) => [row.agentId, row._count._all]))
}
