/**
 * Reading the trail record by record, oldest first, for exports and streams: each page is one short statement that looks
 * at a bounded number of records, whatever part of them is wanted, so that a slow reader holds nothing.
 *
 * @module
 */
import { sql, type AppDb, type AppTx, type Sql } from '../db/app-db'
import type { TenantId } from '../ids'
import type { ActivityFilter } from './list'
import { freeFieldsSchema, type ActorKind, type Decision, type OpenedFields, type Outcome } from './record'
import type { AuditSeals } from './seal'

/** One stored record, as it leaves: intent, outcome and event each by itself. */
export interface ExportedRecord {
  readonly format: number
  readonly id: string
  readonly kind: 'intent' | 'outcome' | 'event'
  readonly action: string
  readonly recordedAt: string
  readonly occurredAt: string
  readonly callId: string | null
  readonly actorKind: ActorKind
  readonly actorPseudonym: string | null
  /** Null when it was no person, or once they were erased. */
  readonly personId: string | null
  readonly agentId: string | null
  readonly agentSessionId: string | null
  /** The OAuth client that holds the agent session. */
  readonly clientId: string | null
  readonly connectionId: string | null
  readonly targetId: string | null
  readonly tool: string | null
  readonly profileVersion: number | null
  readonly decision: Decision | null
  readonly outcome: Outcome | null
  readonly reason: string | null
  readonly durationMs: number | null
  /** HMAC-SHA-256 of the canonical arguments, base64. */
  readonly argumentDigest: string | null
  readonly keyVersion: number | null
  /** The free fields, opened; `unreadable` when their key is gone. */
  readonly details: OpenedFields | 'unreadable' | null
}

/** Where a record stands in the trail. */
export interface Place {
  /** ISO 8601 with microseconds. */
  readonly at: string
  readonly id: string
}

export interface ExportPage {
  readonly records: readonly ExportedRecord[]
  /** How many were looked at. */
  readonly seen: number
  /** The last that was looked at; null when there was none. */
  readonly last: Place | null
}

/** Records looked at by one statement. */
export const EXPORT_PAGE = 500

export type ExportFilter = Omit<ActivityFilter, 'from' | 'to'>

interface RawRecord {
  readonly id: string
  readonly format: number
  readonly kind: 'intent' | 'outcome' | 'event'
  readonly action: string
  readonly occurred_at: Date
  readonly recorded_key: string
  readonly actor_kind: ActorKind
  readonly actor_pseudonym: string | null
  readonly subject_id: string | null
  readonly agent_id: string | null
  readonly agent_session_id: string | null
  readonly client_id: string | null
  readonly connection_id: string | null
  readonly target_id: string | null
  readonly call_id: string | null
  readonly tool: string | null
  readonly profile_version: number | null
  readonly decision: Decision | null
  readonly outcome: Outcome | null
  readonly reason: string | null
  readonly duration_ms: number | null
  readonly argument_digest: Uint8Array | null
  readonly key_version: number | null
  readonly sealed: Uint8Array | null
  readonly is_wanted: boolean
  readonly seen: number
}

export interface ExportSpan {
  readonly from?: Date | undefined
  /** Exclusive. */
  readonly until: Date
  readonly after: Place | null
}

/** @param limit  most records to look at */
export async function readExportPage(
  deps: { readonly appDb: AppDb; readonly seals: AuditSeals },
  tenantId: TenantId,
  filter: ExportFilter,
  span: ExportSpan,
  limit = EXPORT_PAGE,
): Promise<ExportPage> {
  const rows = await deps.appDb.tenant(tenantId, async (tx) => {
    const wanted = await wantedOf(tx, tenantId, filter)
    return tx.$queryRaw<RawRecord[]>(sql`
      WITH seen AS MATERIALIZED (
        SELECT r.* FROM audit_record r WHERE ${withinSpan(tenantId, span)} ORDER BY r.recorded_at, r.id LIMIT ${limit}
      ), judged AS MATERIALIZED (
        SELECT s.*, (${wanted}) AS is_wanted, row_number() OVER (ORDER BY s.recorded_at, s.id) AS n, count(*) OVER () AS seen FROM seen s
      )
      SELECT s.id, s.format, s.kind, s.action, s.occurred_at,
             to_char(s.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS recorded_key,
             s.actor_kind, s.actor_pseudonym, p.subject_id, s.agent_id, s.agent_session_id, a.client_id, s.connection_id, s.target_id,
             s.call_id, s.tool, s.profile_version, s.decision, s.outcome, s.reason, s.duration_ms, s.argument_digest, s.key_version, s.sealed,
             s.is_wanted, s.seen::int AS seen
        FROM judged s
        LEFT JOIN audit_identity p ON p.tenant_id = ${tenantId} AND p.pseudonym = s.actor_pseudonym AND p.kind = 'person'
        LEFT JOIN agent_session a ON a.tenant_id = ${tenantId} AND a.id = s.agent_session_id
       WHERE s.is_wanted OR s.n = s.seen
       ORDER BY s.n`)
  })
  const last = rows.at(-1)
  const records: ExportedRecord[] = []
  for (const row of rows) if (row.is_wanted) records.push(await toExported(deps.seals, tenantId, row))
  return {
    records,
    seen: last?.seen ?? 0,
    last: last === undefined ? null : { at: last.recorded_key, id: last.id },
  }
}

/** How many records a span has. @param most  counted no further than this */
export async function countSpan(tx: AppTx, tenantId: TenantId, span: ExportSpan, most: number): Promise<number> {
  const [row] = await tx.$queryRaw<{ n: number }[]>(sql`
    SELECT count(*)::int AS n FROM (SELECT 1 FROM audit_record r WHERE ${withinSpan(tenantId, span)} LIMIT ${most}) counted`)
  return row?.n ?? 0
}

function withinSpan(tenantId: TenantId, { from, until, after }: ExportSpan): Sql {
  return sql`r.tenant_id = ${tenantId} AND r.recorded_at < ${until}::timestamptz
    ${from === undefined ? sql`` : sql`AND r.recorded_at >= ${from}::timestamptz`}
    ${after === null ? sql`` : sql`AND (r.recorded_at, r.id) > (${after.at}::text::timestamptz, ${after.id})`}`
}

/** The same words as for a list; a call's intent and its end are wanted together. */
async function wantedOf(tx: AppTx, tenantId: TenantId, filter: ExportFilter): Promise<Sql> {
  const { kind, action, agentId, personId, connectionId, tool, decision, outcome } = filter
  const other = (column: 'decision' | 'outcome', of: 'intent' | 'outcome') =>
    column === 'decision'
      ? sql`(SELECT o.decision FROM audit_record o WHERE o.tenant_id = s.tenant_id AND o.call_id = s.call_id AND o.kind = ${of})`
      : sql`(SELECT o.outcome FROM audit_record o WHERE o.tenant_id = s.tenant_id AND o.call_id = s.call_id AND o.kind = ${of})`
  let wanted = sql`true`
  const and = (condition: Sql) => {
    wanted = sql`${wanted} AND ${condition}`
  }
  if (kind !== undefined) and(kind === 'event' ? sql`s.kind = 'event'` : sql`s.kind <> 'event'`)
  if (action !== undefined) and(sql`s.action = ${action}`)
  if (agentId !== undefined) and(sql`COALESCE(s.agent_id = ${agentId}, false)`)
  if (connectionId !== undefined) and(sql`COALESCE(s.connection_id = ${connectionId}, false)`)
  if (tool !== undefined) and(sql`COALESCE(s.tool = ${tool}, false)`)
  if (decision !== undefined)
    and(
      sql`COALESCE(CASE s.kind WHEN 'outcome' THEN ${other('decision', 'intent')} ELSE s.decision END = ${decision}, false)`,
    )
  if (outcome !== undefined)
    and(
      sql`COALESCE(CASE s.kind WHEN 'intent' THEN COALESCE(${other('outcome', 'outcome')}, 'pending') ELSE s.outcome END = ${outcome}, false)`,
    )
  if (personId !== undefined) {
    const found = await tx.auditIdentity.findFirst({
      where: { tenantId, kind: 'person', subjectId: personId },
      select: { pseudonym: true },
    })
    and(found === null ? sql`false` : sql`COALESCE(s.actor_pseudonym = ${found.pseudonym}, false)`)
  }
  return wanted
}

async function toExported(seals: AuditSeals, tenantId: TenantId, row: RawRecord): Promise<ExportedRecord> {
  return {
    format: row.format,
    id: row.id,
    kind: row.kind,
    action: row.action,
    recordedAt: row.recorded_key,
    occurredAt: row.occurred_at.toISOString(),
    callId: row.call_id,
    actorKind: row.actor_kind,
    actorPseudonym: row.actor_pseudonym,
    personId: row.subject_id,
    agentId: row.agent_id,
    agentSessionId: row.agent_session_id,
    clientId: row.client_id,
    connectionId: row.connection_id,
    targetId: row.target_id,
    tool: row.tool,
    profileVersion: row.profile_version,
    decision: row.decision,
    outcome: row.outcome,
    reason: row.reason,
    durationMs: row.duration_ms,
    argumentDigest: row.argument_digest === null ? null : Buffer.from(row.argument_digest).toString('base64'),
    keyVersion: row.key_version,
    details: await openFields(seals, tenantId, row.id, row.key_version, row.sealed).catch(() => 'unreadable' as const),
  }
}

/** @throws AppError `vault.unreadable` */
export async function openFields(
  seals: AuditSeals,
  tenantId: TenantId,
  recordId: string,
  keyVersion: number | null,
  sealed: Uint8Array | null,
): Promise<OpenedFields | null> {
  if (sealed === null || keyVersion === null) return null
  const seal = await seals.at(tenantId, keyVersion)
  return freeFieldsSchema.parse(JSON.parse(seal.open('record', recordId, sealed).toString('utf8')))
}
