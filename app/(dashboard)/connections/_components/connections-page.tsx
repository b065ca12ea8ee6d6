'use client'

import { useConnectionFacts } from '@/app/(dashboard)/connections/_components/use-connection-facts'
import { LiveRefresh } from '@/app/_client/live'
import { ConnectionsList } from '@/components/pages/connections-list'
import type { ConnectionSummary } from '@/components/pages/connection-types'

export function ConnectionsPage({
  rows,
}: {
  rows: readonly Omit<ConnectionSummary, 'missingScopeCount' | 'isSandbox'>[]
}) {
  const facts = useConnectionFacts(rows)
  return (
    <>
      <LiveRefresh watch="/api/v1/connections" />
      <ConnectionsList
        connections={rows.map((row) => ({
          ...row,
          missingScopeCount: facts?.get(row.id)?.missingScopes.length ?? 0,
          isSandbox: facts?.get(row.id)?.isSandbox ?? false,
        }))}
      />
    </>
  )
}
