/**
 * Lists and counts of the trail: what happened in a workspace, newest first, a call and its end as one row.
 *
 * Each condition alone is answered from one index in the order of the list, so that the first page costs the same however
 * long the trail is. A list by outcome is ordered by when things ended. Rows carry ids, enumerations and times.
 *
 * @module
 */
import { createHash } from 'node:crypto'

import { z } from 'zod'

import { join, sql, type AppTx, type Sql } from '../db/app-db'
import { AppError } from '../errors'
import { isId, type TenantId } from '../ids'
import { titleOf } from './actions'
import type { ActorKind, Decision, Outcome } from './record'

/** What a list may be narrowed to. Every condition given must hold. */
export interface ActivityFilter {
  readonly kind?: 'call' | 'event' | undefined
  readonly action?: string | undefined
  readonly agentId?: string | undefined
  /** What the person did, and what agents did for them. */
  readonly personId?: string | undefined
  readonly connectionId?: string | undefined
  readonly tool?: string | undefined
  readonly decision?: Decision | undefined
  /** `pending`: a call that has not ended. */
  readonly outcome?: Outcome | 'pending' | undefined
  /** Inclusive. */
  readonly from?: Date | undefined
  /** Exclusive. */
  readonly to?: Date | undefined
}

export interface ActivityRow {
  readonly id: string
  readonly kind: 'call' | 'event'
  readonly action: string
  readonly title: string
  /** When it happened, and when it was recorded; they differ for what waited in an outbox. ISO 8601. */
  readonly at: string
  readonly recordedAt: string
  readonly actor: {
    readonly kind: ActorKind
    readonly pseudonym: string | null
    /** Null when it was nobody, or once the person was erased. */
    readonly personId: string | null
    readonly apiKeyId: string | null
  }
  readonly agentId: string | null
  readonly agentSessionId: string | null
  readonly connectionId: string | null
  readonly targetId: string | null
  readonly callId: string | null
  readonly tool: string | null
  readonly profileVersion: number | null
  readonly decision: Decision | null
  /** Null for a call under way or waiting, and for an event without one. */
  readonly outcome: Outcome | null
  readonly reason: string | null
  readonly durationMs: number | null
  readonly endedAt: string | null
  readonly hasDetails: boolean
}

export interface ActivityPage {
  readonly rows: readonly ActivityRow[]
  /** For the next older page; null at the end. */
  readonly nextCursor: string | null
}

export const MAX_PAGE = 200
/** A permitted call without an end is ended as `unknown` by the reconciler long before. */
const PENDING_HOURS = 2

interface RawRow {
  readonly id: string
  readonly kind: 'intent' | 'event'
  readonly action: string
  readonly occurred_at: Date
  readonly recorded_at: Date
  readonly place_key: string
  readonly place_id: string
  readonly actor_kind: ActorKind
  readonly actor_pseudonym: string | null
  readonly subject_kind: string | null
  readonly subject_id: string | null
  readonly agent_id: string | null
  readonly agent_session_id: string | null
  readonly connection_id: string | null
  readonly target_id: string | null
  readonly call_id: string | null
  readonly tool: string | null
  readonly profile_version: number | null
  readonly decision: Decision | null
  readonly outcome: Outcome | null
  readonly reason: string | null
  readonly duration_ms: number | null
  readonly ended_at: Date | null
  readonly has_details: boolean
}

/**
 * One page of a workspace's activity, newest first. For pages and API alike; needs no key.
 *
 * @param tx  a transaction of this tenant
 * @param cursor  `nextCursor` of an earlier page of the same tenant
 * @throws AppError `request.invalid` for a cursor that is malformed or another tenant's
 */
export async function listRecords(
  tx: AppTx,
  filter: ActivityFilter & { readonly tenantId: TenantId },
  page: { readonly cursor?: string | null | undefined; readonly limit?: number | undefined } = {},
): Promise<ActivityPage> {
  const { tenantId } = filter
  const limit = Math.min(Math.max(Math.trunc(page.limit ?? 50), 1), MAX_PAGE)
  const after = page.cursor == null ? null : parseCursor(tenantId, page.cursor)
  const pseudonym = await pseudonymOf(tx, filter)
  if (pseudonym === null) return { rows: [], nextCursor: null }
  const rows = await tx.$queryRaw<RawRow[]>(listStatement(filter, pseudonym, after, limit + 1))
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return {
    rows: shown.map(toActivityRow),
    nextCursor:
      rows.length > limit && last !== undefined ? formatCursor(tenantId, last.place_key, last.place_id) : null,
  }
}

interface Place {
  readonly recordedAt: string
  readonly id: string
}

/** The statement of one page: which rows and in which order first, and only then what belongs to each of them. */
export function listStatement(
  filter: ActivityFilter & { readonly tenantId: TenantId },
  pseudonym: string | undefined,
  after: Place | null,
  limit: number,
): Sql {
  const { tenantId } = filter
  return sql`
    WITH page AS MATERIALIZED (${placesOf(filter, pseudonym, after, limit)})
    SELECT r.id, r.kind, r.action, r.occurred_at, r.recorded_at, page.place_id,
           to_char(page.place_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS place_key,
           r.actor_kind, r.actor_pseudonym, p.kind AS subject_kind, p.subject_id,
           r.agent_id, r.agent_session_id, r.connection_id, r.target_id, r.call_id, r.tool, r.profile_version, r.decision,
           CASE r.kind WHEN 'intent' THEN o.outcome ELSE r.outcome END AS outcome,
           COALESCE(o.reason, r.reason) AS reason, COALESCE(o.duration_ms, r.duration_ms) AS duration_ms, o.occurred_at AS ended_at,
           (r.sealed IS NOT NULL OR o.sealed IS NOT NULL) AS has_details
      FROM page
      JOIN audit_record r ON r.tenant_id = ${tenantId} AND r.id = page.row_id
      LEFT JOIN audit_record o ON o.tenant_id = ${tenantId} AND o.call_id = r.call_id AND o.kind = 'outcome' AND r.kind = 'intent'
      LEFT JOIN audit_identity p ON p.tenant_id = ${tenantId} AND p.pseudonym = r.actor_pseudonym
     ORDER BY page.place_at DESC, page.place_id DESC`
}

/** Where each row stands in the list (time, id), and the id of the intent or event it shows. */
function placesOf(
  filter: ActivityFilter & { readonly tenantId: TenantId },
  pseudonym: string | undefined,
  after: Place | null,
  limit: number,
): Sql {
  const isNarrow = [filter.agentId, filter.tool, filter.connectionId, filter.action, pseudonym].some(
    (one) => one !== undefined,
  )
  const tail = sql`ORDER BY s.recorded_at DESC, s.id DESC LIMIT ${limit}`
  const { outcome } = filter
  if (outcome === undefined)
    return sql`SELECT s.recorded_at AS place_at, s.id AS place_id, s.id AS row_id, s.decision FROM audit_record s
                WHERE ${conditions(filter, pseudonym, after)} AND s.kind <> 'outcome' ${tail}`
  if (outcome === 'pending') {
    const open = (decided: Sql) =>
      sql`(SELECT s.recorded_at AS place_at, s.id AS place_id, s.id AS row_id, s.decision FROM audit_record s
            WHERE ${conditions(filter, pseudonym, after)} AND s.kind = 'intent' AND ${decided}
              AND NOT EXISTS (SELECT 1 FROM audit_record e WHERE e.tenant_id = s.tenant_id AND e.call_id = s.call_id AND e.kind = 'outcome')
            ${tail})`
    return sql`SELECT * FROM (
        ${open(sql`s.decision = 'approval_required' AND s.decision <> 'permit'`)}
        UNION ALL
        ${open(sql`s.decision = 'permit' AND s.recorded_at > now() - make_interval(hours => ${PENDING_HOURS}::int)`)}
      ) both_kinds ORDER BY place_at DESC, place_id DESC LIMIT ${limit}`
  }
  if (isNarrow)
    // The narrower condition leads; how each call ended is looked up.
    return sql`SELECT s.recorded_at AS place_at, s.id AS place_id, s.id AS row_id, s.decision FROM audit_record s
                WHERE ${conditions(filter, pseudonym, after)} AND s.kind <> 'outcome'
                  AND CASE s.kind WHEN 'event' THEN s.outcome ELSE (
                    SELECT e.outcome FROM audit_record e WHERE e.tenant_id = s.tenant_id AND e.call_id = s.call_id AND e.kind = 'outcome') END = ${outcome}
                ${tail}`
  return sql`SELECT s.recorded_at AS place_at, s.id AS place_id, COALESCE(i.id, s.id) AS row_id, i.decision FROM audit_record s
               LEFT JOIN audit_record i ON i.tenant_id = s.tenant_id AND i.call_id = s.call_id AND i.kind = 'intent' AND s.kind = 'outcome'
              WHERE ${conditions({ ...filter, decision: undefined }, pseudonym, after)} AND s.kind <> 'intent' AND s.outcome = ${outcome}
                ${filter.decision === undefined ? sql`` : sql`AND i.decision = ${filter.decision}`}
              ${tail}`
}

/** Said only when asked for: a condition that may be NULL is one that no index can serve. */
function conditions(
  filter: ActivityFilter & { readonly tenantId: TenantId },
  pseudonym: string | undefined,
  after: Place | null,
): Sql {
  const { kind, action, agentId, connectionId, tool, decision, from, to } = filter
  const all: Sql[] = [sql`s.tenant_id = ${filter.tenantId}`]
  if (kind === 'event') all.push(sql`s.kind = 'event'`)
  if (kind === 'call') all.push(sql`s.kind <> 'event'`)
  if (action === 'tool.call') all.push(sql`s.kind <> 'event'`)
  else if (action !== undefined) all.push(sql`s.kind = 'event' AND s.action = ${action}`)
  if (agentId !== undefined) all.push(sql`s.agent_id = ${agentId}`)
  if (pseudonym !== undefined) all.push(sql`s.actor_pseudonym = ${pseudonym}`)
  if (connectionId !== undefined) all.push(sql`s.connection_id = ${connectionId}`)
  if (tool !== undefined) all.push(sql`s.kind = 'intent' AND s.tool = ${tool}`)
  if (decision === 'permit') all.push(sql`s.kind = 'intent' AND s.decision = 'permit'`)
  else if (decision !== undefined)
    all.push(sql`s.kind = 'intent' AND s.decision = ${decision} AND s.decision <> 'permit'`)
  if (from !== undefined) all.push(sql`s.recorded_at >= ${from}::timestamptz`)
  if (to !== undefined) all.push(sql`s.recorded_at < ${to}::timestamptz`)
  if (after !== null) all.push(sql`(s.recorded_at, s.id) < (${after.recordedAt}::text::timestamptz, ${after.id})`)
  return join(all, ' AND ')
}

/** @returns undefined when nobody is asked for; null when the person never did anything here */
async function pseudonymOf(
  tx: AppTx,
  { tenantId, personId }: ActivityFilter & { readonly tenantId: TenantId },
): Promise<string | undefined | null> {
  if (personId === undefined) return undefined
  const found = await tx.auditIdentity.findFirst({
    where: { tenantId, kind: 'person', subjectId: personId },
    select: { pseudonym: true },
  })
  return found?.pseudonym ?? null
}

function toActivityRow(row: RawRow): ActivityRow {
  return {
    id: row.id,
    kind: row.kind === 'intent' ? 'call' : 'event',
    action: row.action,
    title: titleOf(row.action),
    at: row.occurred_at.toISOString(),
    recordedAt: row.recorded_at.toISOString(),
    actor: {
      kind: row.actor_kind,
      pseudonym: row.actor_pseudonym,
      personId: row.subject_kind === 'person' ? row.subject_id : null,
      apiKeyId: row.subject_kind === 'api_key' ? row.subject_id : null,
    },
    agentId: row.agent_id,
    agentSessionId: row.agent_session_id,
    connectionId: row.connection_id,
    targetId: row.target_id,
    callId: row.call_id,
    tool: row.tool,
    profileVersion: row.profile_version,
    decision: row.decision,
    outcome: row.outcome,
    reason: row.reason,
    durationMs: row.duration_ms,
    endedAt: row.ended_at?.toISOString() ?? null,
    hasDetails: row.has_details,
  }
}

/** Counts of one stretch of time. */
export interface ActivityBucket {
  /** Its beginning, ISO 8601. */
  readonly at: string
  readonly permit: number
  readonly deny: number
  readonly approval: number
  readonly event: number
}

export interface ActivityChart {
  readonly stepMs: number
  readonly buckets: readonly ActivityBucket[]
  /** Set when as much was there as is counted at once: nothing before this instant is in the counts. */
  readonly countedFrom: string | null
}

const MAX_COUNTED = 50_000
const DAY_MS = 86_400_000
/** Steps that people count in. */
const STEPS_MS = [60_000, 300_000, 900_000, 3_600_000, 3 * 3_600_000, 6 * 3_600_000, DAY_MS, 7 * DAY_MS, 30 * DAY_MS]
const MAX_BUCKETS = 60
const CHART_DAYS = 7

/**
 * How much happened when, for the same conditions as a list; the last seven days when no time is given. Counts at most the
 * newest fifty thousand entries, and says so.
 */
export async function chartRecords(
  tx: AppTx,
  filter: ActivityFilter & { readonly tenantId: TenantId },
  now: Date,
): Promise<ActivityChart> {
  const to = filter.to ?? now
  const from = filter.from ?? new Date(to.getTime() - CHART_DAYS * DAY_MS)
  const span = Math.max(to.getTime() - from.getTime(), 1)
  const stepMs = STEPS_MS.find((step) => span / step <= MAX_BUCKETS) ?? Math.ceil(span / MAX_BUCKETS)
  const first = Math.floor(from.getTime() / stepMs) * stepMs
  const count = Math.max(Math.ceil((to.getTime() - first) / stepMs), 1)
  const empty = Array.from({ length: count }, (_, index) => ({
    at: new Date(first + index * stepMs).toISOString(),
    permit: 0,
    deny: 0,
    approval: 0,
    event: 0,
  }))
  const pseudonym = await pseudonymOf(tx, filter)
  if (pseudonym === null) return { stepMs, buckets: empty, countedFrom: null }
  const places = placesOf({ ...filter, from, to }, pseudonym, null, MAX_COUNTED)
  const rows = await tx.$queryRaw<{ bucket: number; what: string; count: number; oldest: Date }[]>`
    WITH page AS MATERIALIZED (${places})
    SELECT floor((extract(epoch FROM page.place_at) * 1000 - ${first}::double precision) / ${stepMs}::double precision)::int AS bucket,
           COALESCE(page.decision, 'event') AS what, count(*)::int AS count, min(page.place_at) AS oldest
      FROM page GROUP BY 1, 2`
  let total = 0
  let oldest = to.getTime()
  for (const row of rows) {
    total += row.count
    oldest = Math.min(oldest, row.oldest.getTime())
    const bucket = empty[row.bucket]
    if (bucket === undefined) continue
    if (row.what === 'permit') bucket.permit += row.count
    else if (row.what === 'deny') bucket.deny += row.count
    else if (row.what === 'approval_required') bucket.approval += row.count
    else bucket.event += row.count
  }
  return { stepMs, buckets: empty, countedFrom: total >= MAX_COUNTED ? new Date(oldest).toISOString() : null }
}

/** Row security already keeps a foreign cursor from showing anything; that it is refused shows a mix-up early. */
const tenantMark = (tenantId: TenantId) => createHash('sha256').update(tenantId).digest('base64url').slice(0, 12)

const cursorSchema = z.tuple([
  z.string(),
  z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
  z.string().refine((value) => isId('auditRecord', value)),
])

function formatCursor(tenantId: TenantId, recordedAt: string, id: string): string {
  return Buffer.from(JSON.stringify([tenantMark(tenantId), recordedAt, id])).toString('base64url')
}

function parseCursor(tenantId: TenantId, cursor: string): Place {
  const parsed = cursorSchema.safeParse(decode(cursor))
  const isReal = parsed.success && !Number.isNaN(Date.parse(parsed.data[1]))
  if (!isReal || parsed.data[0] !== tenantMark(tenantId))
    throw new AppError('request.invalid', 'The cursor is not valid.', { field: 'cursor' })
  return { recordedAt: parsed.data[1], id: parsed.data[2] }
}

function decode(cursor: string): unknown {
  if (cursor.length > 200) return undefined
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
  } catch {
    return undefined
  }
}
