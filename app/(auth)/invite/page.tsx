import type { Metadata } from 'next'

import { Invitation } from '@/app/(auth)/_components/invitation'
import { web } from '@/app/_data/web'
import { AuthShell } from '@/components/shell/auth-shell'

export const metadata: Metadata = { title: 'Invitation' }

export default function InvitePage() {
  return (
    <AuthShell title="You are invited" isSandbox={web().config.sandbox}>
      <Invitation />
    </AuthShell>
  )
}
