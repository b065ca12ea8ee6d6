'use client'

import { useRouter } from 'next/navigation'
import { useTransition } from 'react'

import { send, text } from '@/app/_client/request'
import { AgentConnect } from '@/components/pages/agent-connect'

export function ConnectTab({
  agentId,
  agentName,
  mcpUrl,
  isAgentEnabled,
  canIssue,
  client,
}: {
  agentId: string
  agentName: string
  mcpUrl: string
  isAgentEnabled: boolean
  canIssue: boolean
  client?: string | undefined
}) {
  const router = useRouter()
  const [, startTransition] = useTransition()
  return (
    <AgentConnect
      agentName={agentName}
      mcpUrl={mcpUrl}
      isAgentEnabled={isAgentEnabled}
      canIssue={canIssue}
      client={client}
      onIssue={async ({ label, lifetimeDays }) => {
        const result = await send(
          'POST',
          `/api/v1/agents/${agentId}/sessions`,
          { label, expiresInDays: lifetimeDays },
          (body) => ({ sessionKey: text(body, 'sessionKey'), expiresAt: text(body, 'expiresAt') }),
        )
        if (result.ok) startTransition(() => router.refresh())
        return result
      }}
    />
  )
}
