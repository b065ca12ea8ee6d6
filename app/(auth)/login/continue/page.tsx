import type { Metadata } from 'next'

import { FinishElsewhere } from '@/app/(auth)/_components/finish-elsewhere'
import { web } from '@/app/_data/web'
import { AuthShell } from '@/components/shell/auth-shell'
import { safeReturnPath } from '@/lib/identity/return-path'

export const metadata: Metadata = { title: 'Signing you in' }

export default async function ContinuePage({
  searchParams,
}: {
  searchParams: Promise<Readonly<Record<string, string | string[] | undefined>>>
}) {
  const { next } = await searchParams
  const { config } = web()
  return (
    <AuthShell title="Signing you in" isSandbox={config.sandbox}>
      <FinishElsewhere next={safeReturnPath(typeof next === 'string' ? next : undefined, config.publicUrl)} />
    </AuthShell>
  )
}
