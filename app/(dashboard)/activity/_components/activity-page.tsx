'use client'

import { usePathname } from 'next/navigation'
import { useState } from 'react'

import { ActivityOverTime } from '@/app/(dashboard)/activity/_components/activity-over-time'
import { toActivityRow, type ActivityItem } from '@/app/_client/activity-row'
import { timesOf } from '@/app/_client/activity-times'
import { useCatalogue } from '@/app/_client/catalogue'
import { useWhileVisible } from '@/app/_client/live'
import { items, load, maybeNumber, maybeText } from '@/app/_client/load'
import { text } from '@/app/_client/request'
import { ActivityNav } from '@/components/pages/activity-nav'
import { ActivityTable, type ActivityFilter, type ActivityRow, type LiveState } from '@/components/pages/activity-table'

const everyMs = 2_000

interface Page {
  readonly rows: readonly ActivityRow[]
  readonly nextCursor: string | null
}

/**
 * The list, and on its newest page the entries that arrive while it is looked at. An older page does not move: what it
 * shows is fixed by its cursor.
 */
export function ActivityPage({
  first,
  filter,
  isNewest,
  agents,
  accounts,
  people,
  canExport,
  canVerify,
}: {
  /** As the page's server read it. */
  first: Page
  filter: ActivityFilter
  isNewest: boolean
  agents: readonly { readonly id: string; readonly name: string }[]
  accounts: readonly { readonly id: string; readonly name: string }[]
  people: readonly { readonly id: string; readonly name: string }[]
  canExport: boolean
  canVerify: boolean
}) {
  const pathname = usePathname()
  const [shown, setShown] = useState(first)
  const [newest, setNewest] = useState(first)
  const [isPaused, setPaused] = useState(false)
  const [isReachable, setReachable] = useState(true)
  const catalogue = useCatalogue()

  useWhileVisible(async (signal) => {
    if (!isNewest) return true
    try {
      const result = await load(`/api/v1/activity?${apiQuery(filter)}`, parsePage, signal)
      setReachable(result.ok)
      if (!result.ok) return false
      setNewest(result.value)
      if (!isPaused) setShown(result.value)
      return true
    } catch (error) {
      if (!signal.aborted) setReachable(false)
      throw error
    }
  }, everyMs)

  const known = new Set(shown.rows.map((row) => row.id))
  const resume = () => {
    setPaused(false)
    setShown(newest)
  }
  const live: LiveState = isPaused ? 'paused' : isReachable ? 'live' : 'reconnecting'
  return (
    <ActivityTable
      rows={shown.rows}
      filter={filter}
      agents={agents}
      accounts={accounts}
      people={people}
      tools={catalogue.kind === 'ready' ? catalogue.catalogue.tools.map(({ name }) => name) : []}
      nav={canVerify ? <ActivityNav current="activity" canExport={canExport} /> : undefined}
      chart={<ActivityOverTime query={apiFilter(filter)} isLive={isNewest && !isPaused} />}
      live={isNewest ? live : undefined}
      heldCount={isPaused ? newest.rows.filter((row) => !known.has(row.id)).length : 0}
      {...(isNewest
        ? { onTogglePause: () => (isPaused ? resume() : setPaused(true)), onShowHeld: () => setShown(newest) }
        : {})}
      newerHref={isNewest ? undefined : hrefOf(pathname, filter, undefined)}
      olderHref={shown.nextCursor === null ? undefined : hrefOf(pathname, filter, shown.nextCursor)}
    />
  )
}

function hrefOf(pathname: string, filter: ActivityFilter, cursor: string | undefined): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries({ ...filter, cursor })) if (value !== undefined) query.set(name, value)
  const search = query.toString()
  return search === '' ? pathname : `${pathname}?${search}`
}

function apiQuery(filter: ActivityFilter): string {
  const query = apiFilter(filter)()
  query.set('limit', '50')
  return query.toString()
}

/** The filter as the API has it; a span ends now, whenever now is. */
function apiFilter(filter: ActivityFilter): () => URLSearchParams {
  const { agent, person, tool, account, decision, outcome } = filter
  return () => {
    const query = new URLSearchParams()
    const { from, to } = timesOf(filter, new Date())
    const wanted = {
      agentId: agent,
      personId: person,
      tool,
      connectionId: account,
      decision,
      outcome,
      from: from?.toISOString(),
      to: to?.toISOString(),
    }
    for (const [name, value] of Object.entries(wanted)) if (value !== undefined) query.set(name, value)
    return query
  }
}

function parsePage(body: unknown): Page {
  return { rows: items(body, parseItem).map(toActivityRow), nextCursor: maybeText(body, 'nextCursor') }
}

function parseItem(item: Readonly<Record<string, unknown>>): ActivityItem {
  return {
    id: text(item, 'id'),
    kind: item['kind'] === 'call' ? 'call' : 'event',
    title: text(item, 'title'),
    at: text(item, 'at'),
    actor: text(item, 'actor'),
    actorKind: text(item, 'actorKind'),
    agentId: maybeText(item, 'agentId'),
    connectionLabel: maybeText(item, 'connectionLabel'),
    tool: maybeText(item, 'tool'),
    decision: maybeText(item, 'decision'),
    outcome: maybeText(item, 'outcome'),
    reason: maybeText(item, 'reason'),
    durationMs: maybeNumber(item, 'durationMs'),
  }
}
