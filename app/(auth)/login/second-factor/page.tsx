import type { Metadata } from 'next'
import { redirect } from 'next/navigation'

import { SecondFactor } from '@/app/(auth)/_components/second-factor'
import { findViewer } from '@/app/_data/session'
import { web } from '@/app/_data/web'
import { AuthShell } from '@/components/shell/auth-shell'
import { safeReturnPath } from '@/lib/identity/return-path'

export const metadata: Metadata = { title: 'Sign in' }

/** The second half of signing in. To this server nobody is signed in yet; the browser asks the gateway what is wanted. */
export default async function SecondFactorPage({
  searchParams,
}: {
  searchParams: Promise<Readonly<Record<string, string | string[] | undefined>>>
}) {
  const { next } = await searchParams
  const { config } = web()
  const wanted = typeof next === 'string' ? safeReturnPath(next, config.publicUrl) : '/'
  if ((await findViewer()) != null) redirect(wanted)
  return (
    <AuthShell title="One more step" description="Prove that it is you." isSandbox={config.sandbox}>
      <SecondFactor next={wanted} />
    </AuthShell>
  )
}
