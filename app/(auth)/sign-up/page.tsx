import type { Metadata } from 'next'
import Link from 'next/link'

import { SignUp } from '@/app/(auth)/_components/sign-up'
import { web } from '@/app/_data/web'
import { AuthShell } from '@/components/shell/auth-shell'

export const metadata: Metadata = { title: 'Sign up' }

export default function SignUpPage() {
  const { config } = web()
  return (
    <AuthShell
      title="Make your workspace"
      isSandbox={config.sandbox}
      footer={
        <>
          Have an account?{' '}
          <Link href="/login" className="link">
            Sign in
          </Link>
        </>
      }
    >
      <SignUp isOpen={config.selfServiceSignUp} />
    </AuthShell>
  )
}
