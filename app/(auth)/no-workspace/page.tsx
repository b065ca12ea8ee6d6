import type { Metadata } from 'next'
import { redirect } from 'next/navigation'

import { EnterBySignOn } from '@/app/(auth)/_components/enter-by-sign-on'
import { RestoreWorkspaces } from '@/app/(auth)/_components/restore-workspaces'
import { SignOutButton } from '@/app/(auth)/_components/sign-out-button'
import { listDeletedWorkspaces } from '@/app/_data/account'
import { findSession, findViewer, listWorkspacesBehindSignOn } from '@/app/_data/session'
import { AuthShell } from '@/components/shell/auth-shell'

export const metadata: Metadata = { title: 'No workspace' }

export default async function NoWorkspacePage() {
  const viewer = await findViewer()
  if (viewer !== null) redirect(viewer === undefined ? '/login' : '/')
  const session = await findSession()
  const deleted = session === undefined ? [] : await listDeletedWorkspaces(session.personId)
  const behind = session === undefined ? [] : await listWorkspacesBehindSignOn(session.sessionId)
  if (behind.length > 0)
    return (
      <AuthShell
        title="Single sign-on is needed"
        description="You are signed in, but your workspace asks its people to come through the sign-in of their organization."
      >
        <div className="space-y-6">
          <EnterBySignOn workspaces={behind} />
          <SignOutButton />
        </div>
      </AuthShell>
    )
  return (
    <AuthShell
      title="You are in no workspace"
      description={
        deleted.length === 0
          ? 'You are signed in, but belong to no workspace. Ask somebody who does to add you to theirs.'
          : 'You are signed in, but belong to no workspace that is open.'
      }
    >
      <div className="space-y-6">
        {deleted.length === 0 ? null : <RestoreWorkspaces workspaces={deleted} />}
        <SignOutButton />
      </div>
    </AuthShell>
  )
}
