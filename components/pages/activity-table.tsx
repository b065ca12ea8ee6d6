'use client'

import { ArrowUp, FilterX, ListTree, Pause, Play, ScrollText, Wrench } from 'lucide-react'
import Link from 'next/link'
import { usePathname, useRouter } from 'next/navigation'
import { useId, useTransition } from 'react'
import type { ReactNode, SyntheticEvent } from 'react'

import { cn } from '@/components/cn'
import { Button } from '@/components/ui/button'
import { Card } from '@/components/ui/card'
import { EmptyState } from '@/components/ui/empty-state'
import { Input } from '@/components/ui/input'
import { PageHeader } from '@/components/ui/page-header'
import { CursorPagination } from '@/components/ui/pagination'
import { ProviderMark } from '@/components/ui/provider-mark'
import { Select } from '@/components/ui/select'
import { DecisionBadge, OutcomeBadge } from '@/components/ui/status-badge'
import type { Decision, Outcome } from '@/components/ui/status-badge'
import { DataTable } from '@/components/ui/table'
import type { Column } from '@/components/ui/table'
import { Time } from '@/components/ui/time'

export interface ActivityRow {
  readonly id: string
  readonly kind: 'call' | 'event'
  readonly at: string
  /** Tool name of a call, or in words what happened. */
  readonly action: string
  readonly provider?: string | undefined
  /** Account the call used. */
  readonly account?: string | undefined
  /** Agent or person. */
  readonly actor: string
  readonly actorHref?: string | undefined
  /** Absent for an event that nobody had to be asked about. */
  readonly decision?: Decision | undefined
  readonly outcome?: Outcome | undefined
  /** Public sentence, for example why it was denied. */
  readonly reason?: string | undefined
  readonly durationMs?: number | undefined
}

export interface ActivityFilter {
  readonly agent?: string | undefined
  readonly person?: string | undefined
  readonly tool?: string | undefined
  /** Id of a connection. */
  readonly account?: string | undefined
  readonly decision?: string | undefined
  readonly outcome?: string | undefined
  /** How far back: one of `spans`. */
  readonly span?: string | undefined
  /** Days in UTC, `2026-11-21`, both included; they count instead of a span. */
  readonly from?: string | undefined
  readonly to?: string | undefined
}

/** How fresh the list is. */
export type LiveState = 'live' | 'reconnecting' | 'paused'

export interface ActivityTableProps {
  readonly rows: readonly ActivityRow[]
  readonly filter: ActivityFilter
  readonly agents: readonly { readonly id: string; readonly name: string }[]
  readonly accounts: readonly { readonly id: string; readonly name: string }[]
  readonly people: readonly { readonly id: string; readonly name: string }[]
  readonly tools: readonly string[]
  /** How much happened when, above the list. */
  readonly chart?: ReactNode
  readonly nav?: ReactNode
  /** Undefined on an older page, which does not move. */
  readonly live: LiveState | undefined
  /** Entries that arrived while the list was paused or on an older page. */
  readonly heldCount?: number
  readonly onTogglePause?: () => void
  readonly onShowHeld?: () => void
  readonly newerHref?: string | undefined
  readonly olderHref?: string | undefined
}

const decisions = [
  { value: '', label: 'Any decision' },
  { value: 'permit', label: 'Permitted' },
  { value: 'deny', label: 'Denied' },
  { value: 'approval_required', label: 'Needs approval' },
] as const

const outcomes = [
  { value: '', label: 'Any outcome' },
  { value: 'success', label: 'Success' },
  { value: 'error', label: 'Error' },
  { value: 'denied', label: 'Denied' },
  { value: 'cancelled', label: 'Cancelled' },
  { value: 'expired', label: 'Expired' },
  { value: 'unknown', label: 'Unknown' },
  { value: 'pending', label: 'Running' },
] as const

const spans = [
  { value: '', label: 'Any time' },
  { value: '1h', label: 'Last hour' },
  { value: '24h', label: 'Last 24 hours' },
  { value: '7d', label: 'Last 7 days' },
  { value: '30d', label: 'Last 30 days' },
] as const

const columns: readonly Column<ActivityRow>[] = [
  {
    key: 'action',
    header: 'What',
    isRowHeader: true,
    cell: (row) => (
      <div className="flex items-start gap-3">
        <ActivityMark row={row} />
        <div className="min-w-0">
          <p className={cn('font-medium wrap-anywhere', row.kind === 'call' && 'font-mono text-[0.8125rem] leading-6')}>
            {row.action}
          </p>
          {(row.reason ?? row.account) === undefined ? null : (
            <p className="text-sm wrap-anywhere text-muted">{row.reason ?? row.account}</p>
          )}
        </div>
      </div>
    ),
  },
  {
    key: 'actor',
    header: 'Who',
    cell: (row) =>
      row.actorHref === undefined ? (
        row.actor
      ) : (
        <Link
          href={row.actorHref}
          className="-my-2 inline-flex min-h-10 items-center wrap-anywhere hover:underline md:my-0 md:min-h-6"
        >
          {row.actor}
        </Link>
      ),
  },
  {
    key: 'decision',
    header: 'Decision',
    cell: (row) => (row.decision === undefined ? null : <DecisionBadge decision={row.decision} />),
  },
  {
    key: 'outcome',
    header: 'Outcome',
    // A waiting approval has no outcome until it ends; that is not the same as a call that runs.
    cell: (row) =>
      row.outcome !== undefined ? (
        <OutcomeBadge outcome={row.outcome} />
      ) : row.kind === 'event' ? null : row.decision === 'approval_required' ? (
        <span className="text-muted">Waiting</span>
      ) : (
        <OutcomeBadge outcome={undefined} />
      ),
  },
  {
    key: 'duration',
    header: 'Took',
    align: 'end',
    cell: (row) =>
      row.durationMs === undefined ? null : (
        <span className="whitespace-nowrap text-muted tabular-nums">{formatDuration(row.durationMs)}</span>
      ),
  },
  { key: 'at', header: 'When', align: 'end', cell: (row) => <Time at={row.at} className="text-muted" /> },
]

function ActivityMark({ row }: { row: Pick<ActivityRow, 'kind' | 'provider'> }) {
  if (row.provider !== undefined) return <ProviderMark provider={row.provider} className="size-8" />
  const Icon = row.kind === 'call' ? Wrench : ScrollText
  return (
    <span
      aria-hidden
      className="grid size-8 shrink-0 place-items-center rounded-md border border-line bg-sunken text-muted"
    >
      <Icon className="size-4" />
    </span>
  )
}

/** `84 ms`, `1.2 s`, `2 min`. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1000) return `${Math.round(durationMs)} ms`
  if (durationMs < 60_000) return `${(durationMs / 1000).toFixed(1)} s`
  return `${Math.round(durationMs / 60_000)} min`
}

export function ActivityTable(props: ActivityTableProps) {
  const { rows, filter, live, heldCount = 0 } = props
  const pathname = usePathname()
  const isFiltered = Object.values(filter).some((value) => value !== undefined && value !== '')
  return (
    <>
      <PageHeader
        title="Activity"
        description="Every call and every change, written down before it happened."
        actions={live === undefined ? undefined : <LiveIndicator state={live} onTogglePause={props.onTogglePause} />}
      />
      {props.nav}
      <Filters {...props} />
      {props.chart}
      <Card>
        {heldCount === 0 || props.onShowHeld === undefined ? null : (
          <button
            type="button"
            onClick={props.onShowHeld}
            className="flex min-h-10 w-full items-center justify-center gap-2 border-b border-accent-line bg-accent-soft px-4 text-sm font-medium text-accent-ink focus-visible:-outline-offset-2"
          >
            <ArrowUp aria-hidden className="size-4" />
            {heldCount === 1 ? 'Show 1 newer entry' : `Show ${heldCount} newer entries`}
          </button>
        )}
        {rows.length === 0 ? (
          isFiltered ? (
            <EmptyState
              icon={FilterX}
              title="Nothing matches these filters"
              action={
                <Button asChild>
                  <Link href={pathname}>Clear filters</Link>
                </Button>
              }
            />
          ) : (
            <EmptyState icon={ListTree} title="Nothing has happened yet">
              The first call of an agent shows up here within a moment, permitted or not.
            </EmptyState>
          )
        ) : (
          <>
            <DataTable caption="Activity, newest first" columns={columns} rows={rows} rowKey={(row) => row.id} />
            <div className="border-t border-line">
              <CursorPagination newerHref={props.newerHref} olderHref={props.olderHref} />
            </div>
          </>
        )}
      </Card>
    </>
  )
}

/** The filter is the address: it can be shared, bookmarked and gone back from. */
function Filters({ filter, agents, accounts, people, tools }: ActivityTableProps) {
  const router = useRouter()
  const pathname = usePathname()
  const [isPending, startTransition] = useTransition()
  const id = useId()
  const apply = (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const query = new URLSearchParams()
    for (const [name, value] of new FormData(event.currentTarget)) {
      if (typeof value === 'string' && value !== '') query.set(name, value)
    }
    const search = query.toString()
    startTransition(() => router.push(search === '' ? pathname : `${pathname}?${search}`))
  }
  const fields = [
    {
      name: 'agent',
      label: 'Agent',
      value: filter.agent,
      options: [{ value: '', label: 'Any agent' }, ...agents.map((one) => ({ value: one.id, label: one.name }))],
    },
    {
      name: 'account',
      label: 'Account',
      value: filter.account,
      options: [{ value: '', label: 'Any account' }, ...accounts.map((one) => ({ value: one.id, label: one.name }))],
    },
    {
      name: 'person',
      label: 'Person',
      value: filter.person,
      options: [{ value: '', label: 'Anybody' }, ...people.map((one) => ({ value: one.id, label: one.name }))],
    },
    {
      name: 'tool',
      label: 'Tool',
      value: filter.tool,
      options: [{ value: '', label: 'Any tool' }, ...withChosen(tools, filter.tool)],
    },
    { name: 'decision', label: 'Decision', value: filter.decision, options: decisions },
    { name: 'outcome', label: 'Outcome', value: filter.outcome, options: outcomes },
    { name: 'span', label: 'Time', value: filter.span, options: spans },
  ]
  const days = [
    { name: 'from', label: 'From', value: filter.from },
    { name: 'to', label: 'To', value: filter.to },
  ]
  return (
    <form
      key={JSON.stringify(filter)}
      role="search"
      aria-label="Filter activity"
      onSubmit={apply}
      onChange={(event) => {
        // A day is typed in parts: it is looked for once it is whole.
        if (event.target instanceof HTMLInputElement && event.target.value !== '' && !event.target.validity.valid)
          return
        event.currentTarget.requestSubmit()
      }}
      className={cn('mb-4 grid grid-cols-2 gap-2 md:flex md:flex-wrap', isPending && 'opacity-60')}
    >
      {fields.map((field) => (
        <div key={field.name} className="md:w-44">
          <label htmlFor={`${id}-${field.name}`} className="sr-only">
            {field.label}
          </label>
          <Select
            id={`${id}-${field.name}`}
            name={field.name}
            defaultValue={field.value ?? ''}
            options={field.options}
          />
        </div>
      ))}
      {days.map((day) => (
        <div key={day.name} className="flex items-center gap-2">
          <label htmlFor={`${id}-${day.name}`} className="w-9 shrink-0 text-sm text-muted">
            {day.label}
          </label>
          <Input
            id={`${id}-${day.name}`}
            name={day.name}
            type="date"
            title="Days are in UTC"
            defaultValue={day.value ?? ''}
            className="min-w-0 md:w-40"
          />
        </div>
      ))}
      <button type="submit" className="sr-only">
        Apply filters
      </button>
    </form>
  )
}

/** A tool that is not offered any more may still be looked for. */
function withChosen(tools: readonly string[], chosen: string | undefined) {
  const all = chosen === undefined || tools.includes(chosen) ? tools : [chosen, ...tools]
  return all.map((tool) => ({ value: tool, label: tool }))
}

const liveLooks = {
  live: { dot: 'bg-success motion-safe:animate-breathe', text: 'Live' },
  reconnecting: { dot: 'bg-warning', text: 'Reconnecting…' },
  paused: { dot: 'bg-line-strong', text: 'Paused' },
} as const

export function LiveIndicator({
  state,
  onTogglePause,
}: {
  state: LiveState
  onTogglePause?: (() => void) | undefined
}) {
  const { dot, text } = liveLooks[state]
  const isPaused = state === 'paused'
  return (
    <div className="flex items-center gap-2 rounded-md border border-line bg-surface pl-3 text-sm">
      <span aria-hidden className={cn('size-2 rounded-full', dot)} />
      <span role="status" className={cn('py-1.5', onTogglePause === undefined && 'pr-3')}>
        {text}
      </span>
      {onTogglePause === undefined ? null : (
        <Button
          size="sm"
          variant="ghost"
          onClick={onTogglePause}
          aria-label={isPaused ? 'Resume the list' : 'Pause the list'}
        >
          {isPaused ? <Play aria-hidden /> : <Pause aria-hidden />}
        </Button>
      )}
    </div>
  )
}
