import type { Metadata } from 'next'

import { NotificationsView } from '@/app/(dashboard)/notifications/_components/notifications-view'
import { readInbox } from '@/app/_data/notifications'
import { requireViewer } from '@/app/_data/session'
import { isId } from '@/lib/ids'

export const metadata: Metadata = { title: 'Notifications' }

export default async function Notifications({
  searchParams,
}: {
  searchParams: Promise<Readonly<Record<string, string | string[] | undefined>>>
}) {
  const viewer = await requireViewer()
  const { before } = await searchParams
  const from = isId('notification', before) ? before : undefined
  const page = await readInbox(viewer, from)
  return <NotificationsView {...page} isNewest={from === undefined} />
}
