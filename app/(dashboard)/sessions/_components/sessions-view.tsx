'use client'

import { useRouter } from 'next/navigation'

import { LiveRefresh } from '@/app/_client/live'
import { send } from '@/app/_client/request'
import {
  RevokeAllOfAgent,
  SessionsList,
  SessionsTable,
  type RevokeAllInput,
  type SessionRow,
} from '@/components/pages/sessions-list'

/** The sessions of the workspace as a page, or those of one agent as part of its page. */
export function SessionsView({
  sessions,
  canManage,
  agentId,
}: {
  sessions: readonly SessionRow[]
  canManage: boolean
  agentId?: string
}) {
  const router = useRouter()
  const table = {
    sessions,
    canManage,
    onRevoke: async ({ id }: { id: string }) => {
      const result = await send('DELETE', `/api/v1/sessions/${id}`, {}, () => undefined)
      if (result.ok) router.refresh()
      return result
    },
    onRevokeAll: async (of: RevokeAllInput) => {
      const path = 'agentId' in of ? (`agents/${of.agentId}` as const) : (`members/${of.personId}` as const)
      const result = await send('POST', `/api/v1/${path}/sessions/revoke`, {}, () => undefined)
      if (result.ok) router.refresh()
      return result
    },
  }
  return agentId === undefined ? (
    <>
      <LiveRefresh watch="/api/v1/sessions" />
      <SessionsList {...table} />
    </>
  ) : (
    <>
      <LiveRefresh watch={`/api/v1/sessions?agentId=${agentId}`} />
      <RevokeAllOfAgent {...table} agentId={agentId} />
      <SessionsTable {...table} isAgentShown={false} />
    </>
  )
}
