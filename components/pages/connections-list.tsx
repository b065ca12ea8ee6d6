import { ArrowRight, FilterX, Plug, Plus } from 'lucide-react'
import Link from 'next/link'

import { needsAttention } from '@/components/pages/connection-types'
import type { ConnectionSummary } from '@/components/pages/connection-types'
import { Badge } from '@/components/ui/badge'
import { Button } from '@/components/ui/button'
import { Card } from '@/components/ui/card'
import { EmptyState } from '@/components/ui/empty-state'
import { PageHeader } from '@/components/ui/page-header'
import { ProviderMark } from '@/components/ui/provider-mark'
import { Select } from '@/components/ui/select'
import { ConnectionBadge, connectionLabel } from '@/components/ui/status-badge'
import { Ahead, Time } from '@/components/ui/time'

export const newConnectionHref = '/connections/new'

export interface ConnectionFilter {
  readonly provider?: string | undefined
  /** A state’s label; states that look the same are filtered as one. */
  readonly state?: string | undefined
}

export function ConnectionsList({
  connections,
  filter = {},
  onFilter = () => undefined,
}: {
  connections: readonly ConnectionSummary[]
  filter?: ConnectionFilter
  onFilter?: (filter: ConnectionFilter) => void
}) {
  const shown = connections.filter(
    (one) =>
      (filter.provider === undefined || one.provider === filter.provider) &&
      (filter.state === undefined || connectionLabel(one.state) === filter.state),
  )
  // What waits for the person comes first; within both groups the reader's order stays.
  const ordered = [...shown.filter(needsAttention), ...shown.filter((one) => !needsAttention(one))]
  return (
    <>
      <PageHeader
        title="Connections"
        description="Accounts you have connected. Agents use them through Portcullis and never see a token."
        actions={
          connections.length === 0 ? undefined : (
            <Button asChild variant="primary">
              <Link href={newConnectionHref}>
                <Plus aria-hidden /> Connect account
              </Link>
            </Button>
          )
        }
      />
      {connections.length < 2 ? null : <Filters connections={connections} filter={filter} onFilter={onFilter} />}
      {connections.length === 0 ? (
        <Card>
          <EmptyState
            icon={Plug}
            title="No account is connected yet"
            action={
              <Button asChild variant="primary">
                <Link href={newConnectionHref}>
                  <Plus aria-hidden /> Connect account
                </Link>
              </Button>
            }
          >
            Connect an account of a provider once. You choose what agents may do with it, and one press ends it.
          </EmptyState>
        </Card>
      ) : ordered.length === 0 ? (
        <Card>
          <EmptyState
            icon={FilterX}
            title="No account matches"
            action={<Button onClick={() => onFilter({})}>Show all accounts</Button>}
          >
            None of the {connections.length} connected accounts is of this provider and in this state.
          </EmptyState>
        </Card>
      ) : (
        <ul className="grid gap-3 md:grid-cols-2 xl:grid-cols-3 md:gap-4">
          {ordered.map((connection) => (
            <li key={connection.id} className="min-w-0">
              <ConnectionCard connection={connection} />
            </li>
          ))}
        </ul>
      )}
    </>
  )
}

function Filters({
  connections,
  filter,
  onFilter,
}: {
  connections: readonly ConnectionSummary[]
  filter: ConnectionFilter
  onFilter: (filter: ConnectionFilter) => void
}) {
  const providers = [...new Map(connections.map((one) => [one.provider, one.providerName]))]
  const states = [...new Set(connections.map((one) => connectionLabel(one.state)))].sort()
  const isFiltered = filter.provider !== undefined || filter.state !== undefined
  return (
    <form
      role="search"
      aria-label="Filter connections"
      className="mb-4 flex flex-wrap items-end gap-3"
      onSubmit={(event) => event.preventDefault()}
    >
      <label className="min-w-36 flex-1 text-sm sm:max-w-52">
        <span className="mb-1 block text-muted">Provider</span>
        <Select
          value={filter.provider ?? ''}
          onChange={(event) => onFilter({ ...filter, provider: event.target.value || undefined })}
          options={[{ value: '', label: 'Any provider' }, ...providers.map(([value, label]) => ({ value, label }))]}
        />
      </label>
      <label className="min-w-36 flex-1 text-sm sm:max-w-52">
        <span className="mb-1 block text-muted">State</span>
        <Select
          value={filter.state ?? ''}
          onChange={(event) => onFilter({ ...filter, state: event.target.value || undefined })}
          options={[{ value: '', label: 'Any state' }, ...states.map((label) => ({ value: label, label }))]}
        />
      </label>
      {isFiltered ? (
        <Button variant="ghost" onClick={() => onFilter({})}>
          <FilterX aria-hidden /> Clear
        </Button>
      ) : null}
    </form>
  )
}

export function ConnectionCard({ connection }: { connection: ConnectionSummary }) {
  const agents = connection.agentCount === 1 ? '1 agent' : `${connection.agentCount} agents`
  return (
    <article className="relative flex h-full flex-col gap-4 rounded-lg border border-line bg-surface p-4 shadow-card transition-colors hover:border-line-strong">
      <div className="flex items-start gap-3">
        <ProviderMark provider={connection.provider} className="size-10" />
        <div className="min-w-0 flex-1">
          <h2 className="truncate font-medium">
            <Link
              href={`/connections/${connection.id}`}
              className="after:absolute after:inset-0 after:rounded-lg focus-visible:outline-none focus-visible:after:outline-2 focus-visible:after:outline-offset-2 focus-visible:after:outline-focus"
            >
              {connection.account}
            </Link>
          </h2>
          <p className="truncate text-sm text-muted">
            {connection.providerName}
            {connection.accountContext === undefined ? null : ` · ${connection.accountContext}`}
          </p>
        </div>
      </div>
      <div className="flex flex-wrap gap-1.5">
        <ConnectionBadge state={connection.state} />
        {connection.missingScopeCount === 0 ? null : (
          <Badge tone="warning">
            {connection.missingScopeCount === 1
              ? '1 permission missing'
              : `${connection.missingScopeCount} permissions missing`}
          </Badge>
        )}
        {connection.isSandbox ? <Badge tone="info">Sandbox</Badge> : null}
      </div>
      <div className="mt-auto flex items-center justify-between gap-3 border-t border-line pt-3 text-sm text-muted">
        <span>
          {agents}
          {connection.lastUsedAt === undefined ? null : (
            <>
              {' · '}used <Time at={connection.lastUsedAt} />
            </>
          )}
          {connection.nextRefreshAt === undefined ? null : (
            <span className="block">
              <Ahead at={connection.nextRefreshAt} lead="renews " due="renewal is due now" />
            </span>
          )}
        </span>
        <ArrowRight aria-hidden className="size-4 shrink-0" />
      </div>
    </article>
  )
}
