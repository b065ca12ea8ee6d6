'use client'

import { restoreWorkspace } from '@/app/_client/restore-workspace'
import { DeletedWorkspaces } from '@/components/pages/deleted-workspaces'
import type { DeletedWorkspace } from '@/components/pages/deleted-workspaces'

export function RestoreWorkspaces({ workspaces }: { workspaces: readonly DeletedWorkspace[] }) {
  return <DeletedWorkspaces workspaces={workspaces} onRestore={({ id }) => restoreWorkspace(id)} />
}
