'use client'

import { LiveRefresh } from '@/app/_client/live'
import { send, text } from '@/app/_client/request'
import type { AgentSummary } from '@/components/pages/agent-types'
import { AgentsList } from '@/components/pages/agents-list'

export function AgentsPage({ agents, canManage }: { agents: readonly AgentSummary[]; canManage: boolean }) {
  return (
    <>
      <LiveRefresh watch="/api/v1/agents" />
      <AgentsList
        agents={agents}
        canManage={canManage}
        onCreate={({ name, description }) =>
          send('POST', '/api/v1/agents', { name, ...(description === '' ? {} : { description }) }, (body) => ({
            id: text(body, 'id'),
          }))
        }
      />
    </>
  )
}
