/**
 * What happened in a workspace, as its pages show it: the same entries that the API lists, with the same words.
 *
 * @module
 */
import 'server-only'

import { toActivityRow, type ActivityItem } from '@/app/_client/activity-row'
import { isDay, isSpan, timesOf } from '@/app/_client/activity-times'
import type { ActivityFilter, ActivityRow } from '@/components/pages/activity-table'
import type { CallsBucket } from '@/components/ui/chart'
import { listRecords, type ActivityRow as Entry } from '@/lib/audit/list'
import { systemClock } from '@/lib/clock'
import type { AppTx } from '@/lib/db/app-db'
import { isId, type TenantId } from '@/lib/ids'
import { readLabels } from '@/lib/tenancy/labels'

import type { Viewer } from './session'
import { web } from './web'

export const ACTIVITY_PAGE = 50

export interface ActivityPage {
  readonly rows: readonly ActivityRow[]
  readonly nextCursor: string | null
}

/** One page, newest first. @throws AppError `request.invalid` for a cursor that is malformed or of another workspace */
export async function listActivity(
  { tenantId }: Viewer,
  filter: ActivityFilter,
  cursor: string | undefined,
): Promise<ActivityPage> {
  return web().db.tenant(tenantId, async (tx) => {
    const page = await listRecords(
      tx,
      {
        tenantId,
        agentId: filter.agent,
        personId: filter.person,
        connectionId: filter.account,
        tool: filter.tool,
        decision: isOneOf(decisions, filter.decision) ? filter.decision : undefined,
        outcome: isOneOf(outcomes, filter.outcome) ? filter.outcome : undefined,
        ...timesOf(filter, systemClock.now()),
      },
      { cursor, limit: ACTIVITY_PAGE },
    )
    return { rows: await withLabels(tx, page.rows), nextCursor: page.nextCursor }
  })
}

const decisions = ['permit', 'deny', 'approval_required'] as const
const outcomes = ['success', 'error', 'denied', 'cancelled', 'expired', 'unknown', 'pending'] as const

function isOneOf<const T extends string>(values: readonly T[], value: string | undefined): value is T {
  return values.some((one) => one === value)
}

/** Reads a filter from an address. What is not a filter is left out rather than refused: a mistyped link still shows something. */
export function readFilter(query: Readonly<Record<string, string | string[] | undefined>>): ActivityFilter {
  const { agent, person, tool, account, decision, outcome, span, from, to } = query
  return {
    agent: isId('agent', agent) ? agent : undefined,
    person: isId('person', person) ? person : undefined,
    tool: typeof tool === 'string' && /^[a-z0-9_]{1,64}$/.test(tool) ? tool : undefined,
    account: isId('connection', account) ? account : undefined,
    decision: typeof decision === 'string' && isOneOf(decisions, decision) ? decision : undefined,
    outcome: typeof outcome === 'string' && isOneOf(outcomes, outcome) ? outcome : undefined,
    span: typeof span === 'string' && isSpan(span) ? span : undefined,
    from: isDay(from) ? from : undefined,
    to: isDay(to) ? to : undefined,
  }
}

const RECENT = 8
const CHART_DAYS = 7
const DAY_MS = 86_400_000

export interface Overview {
  readonly recent: readonly ActivityRow[]
  /** Calls of the last days in UTC, oldest first. */
  readonly calls: readonly CallsBucket[]
}

export async function readOverview({ tenantId }: Viewer): Promise<Overview> {
  const days = lastDays(systemClock.now())
  return web().db.tenant(tenantId, async (tx) => {
    const { rows } = await listRecords(tx, { tenantId }, { limit: RECENT })
    const counts = await tx.$queryRaw<{ day: string; decision: string; count: number }[]>`
      SELECT to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, decision, count(*)::integer AS count
        FROM audit_record
       WHERE tenant_id = ${tenantId} AND kind = 'intent' AND recorded_at >= ${days[0] ?? systemClock.now()}
       GROUP BY 1, 2`
    return { recent: await withLabels(tx, rows), calls: days.map((day) => bucketOf(day, counts)) }
  })
}

function lastDays(now: Date): Date[] {
  const today = Math.floor(now.getTime() / DAY_MS) * DAY_MS
  return Array.from({ length: CHART_DAYS }, (_, index) => new Date(today - (CHART_DAYS - 1 - index) * DAY_MS))
}

function bucketOf(
  day: Date,
  counts: readonly { readonly day: string; readonly decision: string; readonly count: number }[],
): CallsBucket {
  const key = day.toISOString().slice(0, 10)
  const of = (decision: string) => counts.find((one) => one.day === key && one.decision === decision)?.count ?? 0
  return {
    label: day.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' }),
    permit: of('permit'),
    deny: of('deny'),
    approval: of('approval_required'),
  }
}

async function withLabels(tx: AppTx, rows: readonly Entry[]): Promise<ActivityRow[]> {
  const labels = await readLabels(tx, {
    people: rows.map(({ actor }) => actor.personId),
    agents: rows.map(({ agentId }) => agentId),
    connections: rows.map(({ connectionId }) => connectionId),
  })
  return rows.map((row) => {
    const { actor } = row
    const item: ActivityItem = {
      ...row,
      actor: (actor.kind === 'agent' ? labels.agent(row.agentId) : labels.person(actor.personId)) ?? WORDS[actor.kind],
      actorKind: actor.kind,
      connectionLabel: labels.connection(row.connectionId),
    }
    return toActivityRow(item)
  })
}

const WORDS: Readonly<Record<Entry['actor']['kind'], string>> = {
  person: 'somebody erased',
  agent: 'an agent',
  api_key: 'an API key',
  provider: 'the provider',
  system: 'Portcullis',
  anonymous: 'somebody unknown',
}

export interface FirstCall {
  readonly tool: string
  readonly at: string
  readonly isSuccess: boolean
}

/** The first call that was ever permitted here. One that still runs has not come yet. */
export async function findFirstCall(tx: AppTx, tenantId: TenantId): Promise<FirstCall | undefined> {
  const rows = await tx.$queryRaw<{ tool: string | null; at: Date; outcome: string }[]>`
    SELECT i.tool, i.recorded_at AS at, o.outcome
      FROM audit_record i JOIN audit_record o ON o.tenant_id = i.tenant_id AND o.call_id = i.call_id AND o.kind = 'outcome'
     WHERE i.tenant_id = ${tenantId} AND i.kind = 'intent' AND i.decision = 'permit'
     ORDER BY (o.outcome = 'success') DESC, i.recorded_at LIMIT 1`
  const row = rows[0]
  return row === undefined
    ? undefined
    : { tool: row.tool ?? 'a tool', at: row.at.toISOString(), isSuccess: row.outcome === 'success' }
}
