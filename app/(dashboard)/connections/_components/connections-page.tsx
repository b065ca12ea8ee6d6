'use client'

import { useState } from 'react'

import { useConnectionFacts } from '@/app/(dashboard)/connections/_components/use-connection-facts'
import { LiveRefresh } from '@/app/_client/live'
import { ConnectionsList, type ConnectionFilter } from '@/components/pages/connections-list'
import type { ConnectionSummary } from '@/components/pages/connection-types'

export function ConnectionsPage({
  rows,
  filter,
}: {
  filter: ConnectionFilter
  rows: readonly Omit<ConnectionSummary, 'missingScopeCount' | 'isSandbox'>[]
}) {
  const facts = useConnectionFacts(rows)
  const [wanted, setWanted] = useState(filter)
  const onFilter = (next: ConnectionFilter) => {
    setWanted(next)
    const query = new URLSearchParams()
    if (next.provider !== undefined) query.set('provider', next.provider)
    if (next.state !== undefined) query.set('state', next.state)
    // The address is for reloading and sharing; the rows are here already.
    window.history.replaceState(null, '', query.size === 0 ? '/connections' : `/connections?${query.toString()}`)
  }
  return (
    <>
      <LiveRefresh watch="/api/v1/connections" />
      <ConnectionsList
        filter={wanted}
        onFilter={onFilter}
        connections={rows.map((row) => ({
          ...row,
          missingScopeCount: facts?.get(row.id)?.missingScopes.length ?? 0,
          isSandbox: facts?.get(row.id)?.isSandbox ?? false,
        }))}
      />
    </>
  )
}
