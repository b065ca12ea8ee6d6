import type { Metadata } from 'next'

import { ExportsPage } from '@/app/(dashboard)/activity/exports/_components/exports-page'
import { listAgentNames } from '@/app/_data/agents'
import { requireViewer } from '@/app/_data/session'
import { listMembers } from '@/app/_data/workspace'
import { isPermitted } from '@/lib/tenancy/permission'

export const metadata: Metadata = { title: 'Exports' }

export default async function Exports() {
  const viewer = await requireViewer()
  const [agents, members] = await Promise.all([listAgentNames(viewer), listMembers(viewer)])
  return (
    <ExportsPage
      isAllowed={isPermitted(viewer.role, 'audit.export')}
      agents={agents}
      people={members.map(({ id, name }) => ({ id, name }))}
    />
  )
}
