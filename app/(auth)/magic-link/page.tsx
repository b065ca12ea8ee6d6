import type { Metadata } from 'next'

import { MagicLink } from '@/app/(auth)/_components/magic-link'
import { web } from '@/app/_data/web'
import { AuthShell } from '@/components/shell/auth-shell'

export const metadata: Metadata = { title: 'Sign in by link' }

export default function MagicLinkPage() {
  return (
    <AuthShell title="Sign in" isSandbox={web().config.sandbox}>
      <MagicLink />
    </AuthShell>
  )
}
