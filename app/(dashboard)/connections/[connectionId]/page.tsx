import type { Metadata } from 'next'
import { notFound } from 'next/navigation'

import { ConnectionPage } from '@/app/(dashboard)/connections/_components/connection-page'
import { findConnection } from '@/app/_data/connections'
import { requireViewer } from '@/app/_data/session'

export const metadata: Metadata = { title: 'Connection' }

export default async function Connection({ params }: { params: Promise<{ connectionId: string }> }) {
  const viewer = await requireViewer()
  const connection = await findConnection(viewer, (await params).connectionId)
  if (connection === undefined) notFound()
  const { canReconnect, canDisconnect, canTest, isShared, canChangeSharing, ...facts } = connection
  return (
    <ConnectionPage
      connection={facts}
      canReconnect={canReconnect}
      canDisconnect={canDisconnect}
      canTest={canTest}
      isShared={isShared}
      canChangeSharing={canChangeSharing}
    />
  )
}
