import type { Metadata } from 'next'
import { redirect } from 'next/navigation'

import { ConnectPage } from '@/app/(dashboard)/connections/_components/connect-page'
import { findConnection, listAccounts } from '@/app/_data/connections'
import { requireViewer } from '@/app/_data/session'
import { isPermitted } from '@/lib/tenancy/permission'

export const metadata: Metadata = { title: 'Connect an account' }

export default async function NewConnection({
  searchParams,
}: {
  searchParams: Promise<Readonly<Record<string, string | string[] | undefined>>>
}) {
  const viewer = await requireViewer()
  const { provider, connection } = await searchParams
  // Agents hand out this address when an account has to be connected again; that is done on the account's own page.
  if (typeof connection === 'string') {
    const existing = await findConnection(viewer, connection)
    if (existing !== undefined) redirect(`/connections/${existing.id}`)
  }
  return (
    <ConnectPage
      workspaceName={viewer.workspace.name}
      accounts={(await listAccounts(viewer)).filter(({ isOwn }) => isOwn)}
      initialProvider={typeof provider === 'string' ? provider : undefined}
      canConnect={isPermitted(viewer.role, 'connection.connect')}
    />
  )
}
