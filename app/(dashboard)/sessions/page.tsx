import type { Metadata } from 'next'

import { SessionsView } from '@/app/(dashboard)/sessions/_components/sessions-view'
import { listAgentSessions } from '@/app/_data/agents'
import { requireViewer } from '@/app/_data/session'
import { isPermitted } from '@/lib/tenancy/permission'

export const metadata: Metadata = { title: 'Sessions' }

export default async function Sessions() {
  const viewer = await requireViewer()
  return (
    <SessionsView sessions={await listAgentSessions(viewer)} canManage={isPermitted(viewer.role, 'session.revoke')} />
  )
}
