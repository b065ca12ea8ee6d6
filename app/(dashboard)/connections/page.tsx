import type { Metadata } from 'next'

import { ConnectionsPage } from '@/app/(dashboard)/connections/_components/connections-page'
import { listConnections } from '@/app/_data/connections'
import { requireViewer } from '@/app/_data/session'

export const metadata: Metadata = { title: 'Connections' }

type Query = Promise<Readonly<Record<string, string | string[] | undefined>>>

export default async function Connections({ searchParams }: { searchParams: Query }) {
  const viewer = await requireViewer()
  const query = await searchParams
  const one = (name: string) => (typeof query[name] === 'string' && query[name] !== '' ? query[name] : undefined)
  return (
    <ConnectionsPage rows={await listConnections(viewer)} filter={{ provider: one('provider'), state: one('state') }} />
  )
}
