import type { Metadata } from 'next'
import { redirect } from 'next/navigation'

import { RestoreWorkspaces } from '@/app/(auth)/_components/restore-workspaces'
import { SignOutButton } from '@/app/(auth)/_components/sign-out-button'
import { listDeletedWorkspaces } from '@/app/_data/account'
import { findSession, findViewer } from '@/app/_data/session'
import { AuthShell } from '@/components/shell/auth-shell'

export const metadata: Metadata = { title: 'No workspace' }

export default async function NoWorkspacePage() {
  const viewer = await findViewer()
  if (viewer !== null) redirect(viewer === undefined ? '/login' : '/')
  const session = await findSession()
  const deleted = session === undefined ? [] : await listDeletedWorkspaces(session.personId)
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
