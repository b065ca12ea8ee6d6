import type { Metadata } from 'next'

import { AgentsPage } from '@/app/(dashboard)/agents/_components/agents-page'
import { listAgents } from '@/app/_data/agents'
import { requireViewer } from '@/app/_data/session'
import { isPermitted } from '@/lib/tenancy/permission'

export const metadata: Metadata = { title: 'Agents' }

export default async function Agents() {
  const viewer = await requireViewer()
  return <AgentsPage agents={await listAgents(viewer)} canManage={isPermitted(viewer.role, 'agent.create')} />
}
