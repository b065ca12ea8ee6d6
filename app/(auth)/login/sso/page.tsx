import type { Metadata } from 'next'

import { SingleSignOn } from '@/app/(auth)/_components/single-sign-on'
import { web } from '@/app/_data/web'
import { problemWords } from '@/components/pages/sign-in-problems'
import { AuthShell } from '@/components/shell/auth-shell'
import { safeReturnPath } from '@/lib/identity/return-path'

export const metadata: Metadata = { title: 'Single sign-on' }

const SLUG = /^[a-z0-9](-?[a-z0-9]){0,47}$/

export default async function SingleSignOnPage({
  searchParams,
}: {
  searchParams: Promise<Readonly<Record<string, string | string[] | undefined>>>
}) {
  const { next, workspace, problem } = await searchParams
  const { config } = web()
  return (
    <AuthShell title="Single sign-on" isSandbox={config.sandbox}>
      <SingleSignOn
        next={typeof next === 'string' ? safeReturnPath(next, config.publicUrl) : undefined}
        workspace={typeof workspace === 'string' && SLUG.test(workspace) ? workspace : undefined}
        problem={problemWords(problem)}
      />
    </AuthShell>
  )
}
