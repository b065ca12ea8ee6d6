import { cookies } from 'next/headers'
import type { ReactNode } from 'react'

import { DashboardFrame } from '@/app/(dashboard)/_components/dashboard-frame'
import { readUnread } from '@/app/_data/notifications'
import { requireViewer } from '@/app/_data/session'
import { web } from '@/app/_data/web'
import { isTheme, themeCookie } from '@/components/theme'

/**
 * The frame of every signed-in page. A layout is not run again on client navigation, so each page asks for its viewer
 * itself; this one only needs the names to show.
 */
export default async function DashboardLayout({ children }: { children: ReactNode }) {
  const viewer = await requireViewer()
  const theme = (await cookies()).get(themeCookie)?.value
  return (
    <DashboardFrame
      person={{ name: viewer.name, email: viewer.email }}
      workspace={{ id: viewer.workspace.id, name: viewer.workspace.name }}
      workspaces={viewer.workspaces.map(({ id, name }) => ({ id, name }))}
      theme={isTheme(theme) ? theme : 'system'}
      isSandbox={web().config.sandbox}
      unread={await readUnread(viewer)}
    >
      {children}
    </DashboardFrame>
  )
}
