import type { Metadata } from 'next'

import { StreamsPage } from '@/app/(dashboard)/activity/streams/_components/streams-page'
import { requireViewer } from '@/app/_data/session'
import { isPermitted } from '@/lib/tenancy/permission'

export const metadata: Metadata = { title: 'Streams' }

export default async function Streams() {
  const viewer = await requireViewer()
  return <StreamsPage isAllowed={isPermitted(viewer.role, 'audit.stream')} />
}
