import type { Metadata } from 'next'

import { ConnectionsPage } from '@/app/(dashboard)/connections/_components/connections-page'
import { listConnections } from '@/app/_data/connections'
import { requireViewer } from '@/app/_data/session'

export const metadata: Metadata = { title: 'Connections' }

export default async function Connections() {
  const viewer = await requireViewer()
  return <ConnectionsPage rows={await listConnections(viewer)} />
}
