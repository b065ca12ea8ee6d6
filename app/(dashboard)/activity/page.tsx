import type { Metadata } from 'next'

import { ActivityPage } from '@/app/(dashboard)/activity/_components/activity-page'
import { providerName } from '@/app/_client/providers'
import { listActivity, readFilter } from '@/app/_data/activity'
import { listAgentNames } from '@/app/_data/agents'
import { listAccounts } from '@/app/_data/connections'
import { requireViewer } from '@/app/_data/session'
import { listMembers } from '@/app/_data/workspace'
import { AppError } from '@/lib/errors'
import { isPermitted } from '@/lib/tenancy/permission'

export const metadata: Metadata = { title: 'Activity' }

export default async function Activity({
  searchParams,
}: {
  searchParams: Promise<Readonly<Record<string, string | string[] | undefined>>>
}) {
  const viewer = await requireViewer()
  const query = await searchParams
  const filter = readFilter(query)
  const cursor = typeof query['cursor'] === 'string' ? query['cursor'] : undefined
  const [page, agents, accounts, members] = await Promise.all([
    listActivity(viewer, filter, cursor).catch((error: unknown) => {
      // A cursor of another workspace, or one cut short while copying: the newest page is what the person meant.
      if (cursor !== undefined && error instanceof AppError && error.code === 'request.invalid')
        return listActivity(viewer, filter, undefined)
      throw error
    }),
    listAgentNames(viewer),
    listAccounts(viewer),
    listMembers(viewer),
  ])
  return (
    <ActivityPage
      // Another filter or another page is another list: nothing of the one before is kept.
      key={JSON.stringify([filter, cursor])}
      first={page}
      filter={filter}
      isNewest={cursor === undefined}
      agents={agents}
      people={members.map(({ id, name }) => ({ id, name }))}
      canExport={isPermitted(viewer.role, 'audit.export')}
      canVerify={isPermitted(viewer.role, 'audit.verify')}
      accounts={accounts.map(({ id, provider, account }) => ({ id, name: `${account} (${providerName(provider)})` }))}
    />
  )
}
