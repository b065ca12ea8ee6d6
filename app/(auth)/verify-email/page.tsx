import type { Metadata } from 'next'

import { VerifyEmail } from '@/app/(auth)/_components/verify-email'
import { web } from '@/app/_data/web'
import { AuthShell } from '@/components/shell/auth-shell'

export const metadata: Metadata = { title: 'Confirm your address' }

export default function VerifyEmailPage() {
  return (
    <AuthShell title="Confirm your address" isSandbox={web().config.sandbox}>
      <VerifyEmail />
    </AuthShell>
  )
}
