/**
 * The start page: how far a new workspace has come, and what goes on in one that is in use.
 *
 * @module
 */
import 'server-only'

import type { FirstRunProgress } from '@/components/pages/first-run-guide'
import { mcpUrlOf } from '@/lib/tenancy/agents'

import { findFirstCall } from './activity'
import { allowedTools, countLiveSessions } from './agents'
import { visibleTo } from './connections'
import type { Viewer } from './session'
import { web } from './web'

export interface Start {
  readonly progress: FirstRunProgress
  /** A call has succeeded: the guide has done its work. */
  readonly isDone: boolean
  readonly activeSessionCount: number
  readonly agentCount: number
}

export async function readStart(viewer: Viewer): Promise<Start> {
  const { tenantId } = viewer
  const { config, db } = web()
  return db.tenant(tenantId, async (tx) => {
    const connection = await tx.connection.findFirst({
      where: visibleTo(viewer),
      select: { accountLabel: true },
      orderBy: { createdAt: 'asc' },
    })
    const agents = await allowedTools(tx, tenantId)
    const sessions = await countLiveSessions(tx, tenantId)
    const firstCall = await findFirstCall(tx, tenantId)
    // The one that has come furthest; the newest among equals.
    const agent =
      agents.find(({ id, tools }) => tools.length > 0 && sessions.has(id)) ??
      agents.find(({ tools }) => tools.length > 0) ??
      agents[0]
    return {
      progress: {
        connectedAccount: connection?.accountLabel,
        ...(agent === undefined
          ? {}
          : {
              agent: {
                id: agent.id,
                name: agent.name,
                mcpUrl: mcpUrlOf(config.publicUrl, agent.id),
                toolCount: agent.tools.length,
                hasSession: sessions.has(agent.id),
              },
            }),
        firstCall,
      },
      isDone: firstCall?.isSuccess === true,
      activeSessionCount: [...sessions.values()].reduce((sum, count) => sum + count, 0),
      agentCount: agents.length,
    }
  })
}
