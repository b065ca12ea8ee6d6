import type { Metadata } from 'next'

import { WorkspacePage } from '@/app/(dashboard)/settings/_components/workspace-page'
import { requireViewer } from '@/app/_data/session'
import { readWorkspaceSettings } from '@/app/_data/workspace'
import { isPermitted } from '@/lib/tenancy/permission'

export const metadata: Metadata = { title: 'Settings' }

export default async function Settings() {
  const viewer = await requireViewer()
  return (
    <WorkspacePage
      name={viewer.workspace.name}
      canRename={isPermitted(viewer.role, 'workspace.update')}
      canManageWebhooks={isPermitted(viewer.role, 'webhook.manage')}
      canDelete={isPermitted(viewer.role, 'workspace.delete')}
      {...await readWorkspaceSettings(viewer)}
    />
  )
}
