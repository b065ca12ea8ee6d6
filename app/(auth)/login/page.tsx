import type { Metadata } from 'next'
import Link from 'next/link'
import { redirect } from 'next/navigation'

import { Elsewhere } from '@/app/(auth)/_components/elsewhere'
import { Login } from '@/app/(auth)/_components/login'
import { findViewer } from '@/app/_data/session'
import { web } from '@/app/_data/web'
import { problemWords } from '@/components/pages/sign-in-problems'
import { AuthShell } from '@/components/shell/auth-shell'
import { Alert } from '@/components/ui/alert'
import { safeReturnPath } from '@/lib/identity/return-path'

export const metadata: Metadata = { title: 'Sign in' }

const NOTICES: Readonly<Record<string, string>> = {
  'password-changed': 'Your password is set. Sign in with it.',
  joined: 'You are a member now. Sign in to see the workspace.',
  'email-confirmed': 'Your address is confirmed. Sign in to go on.',
}
const ASKED = 'An application asks for one of your agents. Sign in to see what it wants; nothing is given by that.'

export default async function LoginPage({
  searchParams,
}: {
  searchParams: Promise<Readonly<Record<string, string | string[] | undefined>>>
}) {
  const { next, notice, problem } = await searchParams
  const { config } = web()
  const wanted = typeof next === 'string' ? safeReturnPath(next, config.publicUrl) : undefined
  if ((await findViewer()) != null) redirect(wanted ?? '/')
  const words = problemWords(problem)
  return (
    <AuthShell title="Sign in" isSandbox={config.sandbox} footer={<Footer {...config} />}>
      {words === undefined ? null : <Alert tone="danger" title={words} className="mb-4" />}
      <Login
        next={wanted}
        notice={
          typeof notice === 'string' && Object.hasOwn(NOTICES, notice)
            ? NOTICES[notice]
            : wanted?.startsWith('/consent/') === true
              ? ASKED
              : undefined
        }
      />
      <Elsewhere next={wanted} />
    </AuthShell>
  )
}

function Footer({
  selfServiceSignUp,
  publicUrlIsLoopback,
}: {
  selfServiceSignUp: boolean
  publicUrlIsLoopback: boolean
}) {
  if (selfServiceSignUp)
    return (
      <>
        New here?{' '}
        <Link href="/sign-up" className="link">
          Make a workspace
        </Link>
      </>
    )
  return publicUrlIsLoopback ? 'First start? Open the one-time link that the server printed.' : null
}
