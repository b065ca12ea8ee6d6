import type { Metadata } from 'next'
import Link from 'next/link'

import { Reset } from '@/app/(auth)/_components/reset'
import { web } from '@/app/_data/web'
import { AuthShell } from '@/components/shell/auth-shell'

export const metadata: Metadata = { title: 'Set a new password' }

export default function ResetPage() {
  return (
    <AuthShell
      title="Set a new password"
      isSandbox={web().config.sandbox}
      footer={
        <Link href="/login" className="link">
          Back to the sign-in page
        </Link>
      }
    >
      <Reset />
    </AuthShell>
  )
}
