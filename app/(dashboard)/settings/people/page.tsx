import type { Metadata } from 'next'

import { PeoplePage } from '@/app/(dashboard)/settings/people/_components/people-page'
import { listInvitations, reachableRoles } from '@/app/_data/people'
import { requireViewer } from '@/app/_data/session'
import { listMembers } from '@/app/_data/workspace'
import { isPermitted } from '@/lib/tenancy/permission'

export const metadata: Metadata = { title: 'People' }

export default async function People() {
  const viewer = await requireViewer()
  return (
    <PeoplePage
      workspace={viewer.workspace.name}
      members={await listMembers(viewer)}
      invitations={await listInvitations(viewer)}
      canManage={isPermitted(viewer.role, 'member.manage')}
      reachable={reachableRoles(viewer)}
    />
  )
}
