import type { Metadata } from 'next'
import { redirect } from 'next/navigation'

import { SignOutButton } from '@/app/(auth)/_components/sign-out-button'
import { findViewer } from '@/app/_data/session'
import { AuthShell } from '@/components/shell/auth-shell'

export const metadata: Metadata = { title: 'No workspace' }

export default async function NoWorkspacePage() {
  const viewer = await findViewer()
  if (viewer !== null) redirect(viewer === undefined ? '/login' : '/')
  return (
    <AuthShell
      title="You are in no workspace"
      description="You are signed in, but belong to no workspace. Ask somebody who does to add you to theirs."
    >
      <SignOutButton />
    </AuthShell>
  )
}
