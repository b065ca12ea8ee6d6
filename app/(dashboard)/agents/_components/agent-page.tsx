'use client'

import { useRouter } from 'next/navigation'
import type { ReactNode } from 'react'

import { LiveRefresh } from '@/app/_client/live'
import { send } from '@/app/_client/request'
import { AgentDetail, type AgentTab } from '@/components/pages/agent-detail'

export function AgentPage({
  agent,
  tab,
  canManage,
  children,
}: {
  agent: {
    readonly id: string
    readonly name: string
    readonly description?: string | undefined
    readonly isEnabled: boolean
    readonly toolCount: number
    readonly activeSessionCount: number
  }
  tab: AgentTab
  canManage: boolean
  children: ReactNode
}) {
  const router = useRouter()
  return (
    <>
      <LiveRefresh watch={`/api/v1/agents/${agent.id}`} />
      <AgentDetail
        agent={agent}
        tab={tab}
        canManage={canManage}
        onSetEnabled={async ({ isEnabled }) => {
          const verb = isEnabled ? 'enable' : 'disable'
          const result = await send('POST', `/api/v1/agents/${agent.id}/${verb}`, {}, () => undefined)
          if (result.ok) router.refresh()
          return result
        }}
      >
        {children}
      </AgentDetail>
    </>
  )
}
