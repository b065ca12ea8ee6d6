import type { Metadata } from 'next'

import { AccountPage } from '@/app/(dashboard)/settings/account/_components/account-page'
import { listDeletedWorkspaces, readAccount } from '@/app/_data/account'
import { requireViewer } from '@/app/_data/session'
import { isPermitted } from '@/lib/tenancy/permission'

export const metadata: Metadata = { title: 'Your account' }

export default async function Page() {
  const viewer = await requireViewer()
  const account = await readAccount(viewer)
  return (
    <AccountPage
      email={viewer.email}
      isEmailVerified={viewer.isEmailVerified}
      workspaces={viewer.workspaces.map(({ id, name }) => ({ id, name, isCurrent: id === viewer.tenantId }))}
      deletedWorkspaces={await listDeletedWorkspaces(viewer.personId)}
      canCreateWorkspace={isPermitted(viewer.role, 'workspace.create')}
      {...account}
    />
  )
}
