/**
 * Reading the trail: what happened in a workspace, newest first, a call and its end as one row.
 *
 * Rows carry ids, enumerations and times. What is sealed is opened by the gateway alone, by role, and reading the
 * arguments of a call is itself recorded, in the same transaction, before they are opened.
 *
 * @module
 */
import { createHash } from 'node:crypto'

import { z } from 'zod'

import type { AppDb, AppTx } from '../db/app-db'
import { AppError, notFound } from '../errors'
import { isId, type TenantId } from '../ids'
import { checkPermission } from '../tenancy/permission'
import type { MemberPrincipal } from '../tenancy/principal'
import { titleOf } from './actions'
import type { Audit } from './audit'
import { actorOf, freeFieldsSchema, type ActorKind, type Decision, type OpenedFields, type Outcome } from './record'
import type { AuditSeals } from './seal'

/** What a list may be narrowed to. Every condition given must hold. */
export interface ActivityFilter {
  readonly kind?: 'call' | 'event' | undefined
  readonly action?: string | undefined
  readonly agentId?: string | undefined
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

interface RawRow {
  readonly id: string
  readonly kind: 'intent' | 'event'
  readonly action: string
  readonly occurred_at: Date
  readonly recorded_at: Date
  readonly recorded_key: string
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
  const limit = Math.min(Math.max(Math.trunc(page.limit ?? 50), 1), MAX_PAGE)
  const after = page.cursor == null ? null : parseCursor(filter.tenantId, page.cursor)
  const kind = filter.kind === undefined ? null : filter.kind === 'call' ? 'intent' : 'event'
  const rows = await tx.$queryRaw<RawRow[]>`
    SELECT r.id, r.kind, r.action, r.occurred_at, r.recorded_at,
           to_char(r.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS recorded_key,
           r.actor_kind, r.actor_pseudonym, p.kind AS subject_kind, p.subject_id,
           r.agent_id, r.agent_session_id, r.connection_id, r.target_id, r.call_id, r.tool, r.profile_version, r.decision,
           CASE r.kind WHEN 'intent' THEN o.outcome ELSE r.outcome END AS outcome,
           COALESCE(o.reason, r.reason) AS reason, COALESCE(o.duration_ms, r.duration_ms) AS duration_ms, o.occurred_at AS ended_at,
           (r.sealed IS NOT NULL OR o.sealed IS NOT NULL) AS has_details
      FROM audit_record r
      LEFT JOIN audit_record o ON o.tenant_id = r.tenant_id AND o.call_id = r.call_id AND o.kind = 'outcome' AND r.kind = 'intent'
      LEFT JOIN audit_identity p ON p.tenant_id = r.tenant_id AND p.pseudonym = r.actor_pseudonym
     WHERE r.tenant_id = ${filter.tenantId} AND r.kind IN ('intent', 'event')
       AND (${kind}::text IS NULL OR r.kind = ${kind}::text)
       AND (${filter.action ?? null}::text IS NULL OR r.action = ${filter.action ?? null}::text)
       AND (${filter.agentId ?? null}::text IS NULL OR r.agent_id = ${filter.agentId ?? null}::text)
       AND (${filter.connectionId ?? null}::text IS NULL OR r.connection_id = ${filter.connectionId ?? null}::text)
       AND (${filter.tool ?? null}::text IS NULL OR r.tool = ${filter.tool ?? null}::text)
       AND (${filter.decision ?? null}::text IS NULL OR r.decision = ${filter.decision ?? null}::text)
       AND (${filter.outcome ?? null}::text IS NULL
            OR (r.kind = 'intent' AND COALESCE(o.outcome, 'pending') = ${filter.outcome ?? null}::text)
            OR (r.kind = 'event' AND r.outcome = ${filter.outcome ?? null}::text))
       AND (${filter.from ?? null}::timestamptz IS NULL OR r.recorded_at >= ${filter.from ?? null}::timestamptz)
       AND (${filter.to ?? null}::timestamptz IS NULL OR r.recorded_at < ${filter.to ?? null}::timestamptz)
       AND (${after?.recordedAt ?? null}::text IS NULL
            OR (r.recorded_at, r.id) < (${after?.recordedAt ?? null}::text::timestamptz, ${after?.id ?? ''}::text))
     ORDER BY r.recorded_at DESC, r.id DESC
     LIMIT ${limit + 1}`
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return {
    rows: shown.map(toActivityRow),
    nextCursor:
      rows.length > limit && last !== undefined ? formatCursor(filter.tenantId, last.recorded_key, last.id) : null,
  }
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

/** One stored record, as it is exported: intent, outcome and event each on their own line, oldest first. */
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
  readonly agentId: string | null
  readonly agentSessionId: string | null
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

export interface AuditReader {
  list(
    tenantId: TenantId,
    filter: ActivityFilter,
    page?: { readonly cursor?: string | null | undefined; readonly limit?: number | undefined },
  ): Promise<ActivityPage>
  /**
   * Every record of a span of time, for JSON Lines. Itself recorded before the first record is given out.
   *
   * @throws AppError `auth.forbidden`
   */
  export(principal: MemberPrincipal, range: { readonly from?: Date; readonly to?: Date }): AsyncIterable<ExportedRecord>
  /**
   * The arguments a call was made with. Itself recorded.
   *
   * @returns undefined when they were too large to keep or are older than they are kept
   * @throws AppError `auth.forbidden`, `resource.not_found` when there is no such call, `vault.unreadable`
   */
  openArguments(principal: MemberPrincipal, callId: string): Promise<{ readonly arguments: unknown } | undefined>
  /**
   * The free fields of a record.
   *
   * @throws AppError `auth.forbidden`, `resource.not_found`, `vault.unreadable`
   */
  openDetails(principal: MemberPrincipal, recordId: string): Promise<OpenedFields>
}

const EXPORT_PAGE = 500

export function createAuditReader(deps: {
  readonly appDb: AppDb
  readonly audit: Pick<Audit, 'event' | 'seals'>
}): AuditReader {
  const { appDb, audit } = deps

  async function* exportRecords(
    principal: MemberPrincipal,
    range: { readonly from?: Date; readonly to?: Date },
  ): AsyncIterable<ExportedRecord> {
    checkPermission(principal, 'audit.export')
    const { tenantId } = principal
    const until = await appDb.tenant(tenantId, async (tx) => {
      await audit.event(tx, {
        tenantId,
        action: 'audit.exported',
        actor: actorOf(principal),
        network: principal.network,
        detail: { from: range.from?.toISOString() ?? null, to: range.to?.toISOString() ?? null },
      })
      // A Date has milliseconds and a record microseconds: rounded down, the record of this very export would be left out.
      const [row] = await tx.$queryRaw<{ now: Date }[]>`SELECT clock_timestamp() + interval '1 millisecond' AS now`
      return row?.now ?? null
    })
    let after: { at: string; id: string } | null = null
    for (;;) {
      // One short transaction a page: a slow reader holds no connection and no snapshot.
      const page: RawExport[] = await readExportPage(appDb, tenantId, {
        from: range.from,
        to: range.to ?? until,
        after,
      })
      for (const row of page) yield await toExported(audit.seals, tenantId, row)
      const last = page.at(-1)
      if (last === undefined || page.length < EXPORT_PAGE) return
      after = { at: last.recorded_key, id: last.id }
    }
  }

  return {
    list: (tenantId, filter, page) => appDb.tenant(tenantId, (tx) => listRecords(tx, { ...filter, tenantId }, page)),
    export: exportRecords,
    openArguments: async (principal, callId) => {
      checkPermission(principal, 'audit.read_arguments')
      const { tenantId } = principal
      const kept = await appDb.tenant(tenantId, async (tx) => {
        const intent = await tx.auditRecord.findFirst({
          where: { tenantId, callId, kind: 'intent' },
          select: { agentId: true, connectionId: true },
        })
        if (intent === null) throw notFound()
        await audit.event(tx, {
          tenantId,
          action: 'audit.arguments_read',
          actor: actorOf(principal),
          network: principal.network,
          targetId: callId,
        })
        return tx.auditArguments.findUnique({ where: { tenantId_callId: { tenantId, callId } } })
      })
      if (kept === null) return undefined
      const seal = await audit.seals.at(tenantId, kept.keyVersion)
      const value: unknown = JSON.parse(seal.open('arguments', callId, kept.sealed).toString('utf8'))
      return { arguments: value }
    },
    openDetails: async (principal, recordId) => {
      checkPermission(principal, 'audit.read_arguments')
      const { tenantId } = principal
      const record = await appDb.tenant(tenantId, (tx) =>
        tx.auditRecord.findUnique({
          where: { tenantId_id: { tenantId, id: recordId } },
          select: { sealed: true, keyVersion: true },
        }),
      )
      if (record === null) throw notFound()
      return (await openFields(audit.seals, tenantId, recordId, record.keyVersion, record.sealed)) ?? {}
    },
  }
}

interface RawExport extends Omit<RawRow, 'kind' | 'subject_kind' | 'subject_id' | 'ended_at' | 'has_details'> {
  readonly kind: 'intent' | 'outcome' | 'event'
  readonly format: number
  readonly argument_digest: Uint8Array | null
  readonly key_version: number | null
  readonly sealed: Uint8Array | null
}

function readExportPage(
  appDb: AppDb,
  tenantId: TenantId,
  span: {
    readonly from: Date | undefined
    readonly to: Date | null
    readonly after: { readonly at: string; readonly id: string } | null
  },
): Promise<RawExport[]> {
  return appDb.tenant(
    tenantId,
    (tx) => tx.$queryRaw<RawExport[]>`
      SELECT r.id, r.format, r.kind, r.action, r.occurred_at, r.recorded_at,
             to_char(r.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS recorded_key,
             r.actor_kind, r.actor_pseudonym, r.agent_id, r.agent_session_id, r.connection_id, r.target_id, r.call_id, r.tool,
             r.profile_version, r.decision, r.outcome, r.reason, r.duration_ms, r.argument_digest, r.key_version, r.sealed
        FROM audit_record r
       WHERE r.tenant_id = ${tenantId}
         AND (${span.from ?? null}::timestamptz IS NULL OR r.recorded_at >= ${span.from ?? null}::timestamptz)
         AND (${span.to}::timestamptz IS NULL OR r.recorded_at < ${span.to}::timestamptz)
         AND (${span.after?.at ?? null}::text IS NULL
              OR (r.recorded_at, r.id) > (${span.after?.at ?? null}::text::timestamptz, ${span.after?.id ?? ''}::text))
       ORDER BY r.recorded_at, r.id LIMIT ${EXPORT_PAGE}`,
  )
}

async function toExported(seals: AuditSeals, tenantId: TenantId, row: RawExport): Promise<ExportedRecord> {
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
    agentId: row.agent_id,
    agentSessionId: row.agent_session_id,
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

async function openFields(
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

function parseCursor(tenantId: TenantId, cursor: string): { readonly recordedAt: string; readonly id: string } {
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
