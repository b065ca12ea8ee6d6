import { z } from 'zod'

import type { ExportedRecord } from '@/lib/audit/export-page'
import type { Exports } from '@/lib/audit/exports'
import { EXPORT_FORMATS, FORMAT_FACTS, headOf, lineOf, type ExportFormat } from '@/lib/audit/format'
import type { ActivityRow } from '@/lib/audit/list'
import type { AuditReader } from '@/lib/audit/read'
import type { AppDb } from '@/lib/db/app-db'
import { AppError } from '@/lib/errors'
import type { TenantId } from '@/lib/ids'
import { readLabels } from '@/lib/tenancy/labels'

import { pageQuery, time } from '../fields'
import { defineRoute, idParam, type AnyRoute, type Attachment } from '../route'

const words = z.string().nullable()
const row = z.object({
  id: z.string(),
  kind: z.enum(['call', 'event']),
  action: z.string(),
  title: z.string(),
  at: time,
  /** Who acted, in words: an agent's name, a person's name, or what kind of actor it was. */
  actor: z.string(),
  actorKind: z.string(),
  personId: words,
  agentId: words,
  agentSessionId: words,
  connectionId: words,
  connectionLabel: words,
  targetId: words,
  callId: words,
  tool: words,
  profileVersion: z.number().nullable(),
  decision: words,
  outcome: words,
  reason: words,
  durationMs: z.number().nullable(),
})

const decisions = z.enum(['permit', 'deny', 'approval_required'])
const outcomes = z.enum(['success', 'error', 'denied', 'cancelled', 'expired', 'unknown', 'pending'])
const instant = z.iso.datetime({ offset: true }).transform((value) => new Date(value))

const filter = {
  kind: z.enum(['call', 'event']).optional(),
  action: z.string().max(64).optional(),
  agentId: idParam('agent').optional(),
  personId: idParam('person').optional(),
  connectionId: idParam('connection').optional(),
  tool: z.string().max(64).optional(),
  decision: decisions.optional(),
  outcome: outcomes.optional(),
}
const listQuery = pageQuery.extend({ ...filter, from: instant.optional(), to: instant.optional() })
const chartQuery = z.strictObject({ ...filter, from: instant.optional(), to: instant.optional() })
const format = z.enum(EXPORT_FORMATS)
const exportQuery = z.strictObject({
  ...filter,
  since: instant.optional(),
  until: instant.optional(),
  format: format.default('jsonl'),
})
const exportBody = z.strictObject({
  ...filter,
  from: instant.optional(),
  to: instant.optional(),
  format: format.default('jsonl'),
})
const exported = z.object({
  id: z.string(),
  format,
  status: z.enum(['queued', 'running', 'ready', 'failed', 'expired']),
  done: z.number().int(),
  total: z.number().int().nullable(),
  bytes: z.number().int(),
  isCut: z.boolean(),
  error: z.string().nullable(),
  filter: z.record(z.string(), z.string()),
  createdAt: time,
  expiresAt: time,
})
const count = z.number().int()
const exportParams = z.strictObject({ exportId: idParam('auditExport') })

export function activityRoutes({
  appDb,
  auditReader,
  exports,
}: {
  readonly appDb: AppDb
  readonly auditReader: AuditReader
  readonly exports: Exports
}): AnyRoute[] {
  return [
    defineRoute({
      id: 'activity.list',
      method: 'GET',
      path: '/api/v1/activity',
      summary: 'Lists what happened, newest first: each call with how it ended, and every other event.',
      permission: 'audit.read',
      query: listQuery,
      response: z.object({ items: z.array(row), nextCursor: z.string().nullable() }),
      handle: async ({ principal, query: { cursor, limit, ...wanted } }) => {
        const page = await auditReader.list(principal.tenantId, wanted, { limit, cursor })
        return { items: await withLabels(appDb, principal.tenantId, page.rows), nextCursor: page.nextCursor }
      },
    }),
    defineRoute({
      id: 'activity.chart',
      method: 'GET',
      path: '/api/v1/activity/chart',
      summary: 'Counts what happened over time, for the same filters as the list; the last seven days by default.',
      permission: 'audit.read',
      query: chartQuery,
      response: z.object({
        stepMs: count,
        buckets: z.array(z.object({ at: time, permit: count, deny: count, approval: count, event: count })).readonly(),
        countedFrom: time.nullable(),
      }),
      handle: ({ principal, query }) => auditReader.chart(principal.tenantId, query),
    }),
    defineRoute({
      id: 'activity.arguments',
      method: 'GET',
      path: '/api/v1/activity/{callId}/arguments',
      summary: 'Opens the arguments a call was made with. Reading them is itself recorded.',
      permission: 'audit.read_arguments',
      params: z.strictObject({ callId: idParam('call') }),
      response: z.object({ arguments: z.unknown() }),
      handle: async ({ principal, params }) => {
        const opened = await auditReader.openArguments(principal, params.callId)
        if (opened === undefined) throw new AppError('resource.not_found', 'There is no such resource.')
        return opened
      },
    }),
    defineRoute({
      id: 'activity.export',
      method: 'GET',
      path: '/api/v1/activity/export',
      summary: 'Streams every record, oldest first, as JSON Lines, CSV or CEF. It is itself recorded.',
      permission: 'audit.export',
      query: exportQuery,
      stream: { contentType: FORMAT_FACTS.jsonl.contentType, filename: 'audit.jsonl' },
      handle: ({ principal, query: { since, until, format: wanted, ...rest } }) =>
        settled(() => {
          const records = auditReader.export(principal, { ...rest, from: since, to: until }, wanted)
          return attach(wanted, text(wanted, records))
        }),
    }),
    defineRoute({
      id: 'activity_export.create',
      method: 'POST',
      path: '/api/v1/activity/exports',
      summary: 'Begins an export in the background. Ask how far it is until it is ready, then fetch its file.',
      permission: 'audit.export',
      body: exportBody,
      response: exported,
      status: 202,
      handle: ({ principal, body: { format: wanted, ...rest } }) => exports.create(principal, wanted, rest),
    }),
    defineRoute({
      id: 'activity_export.list',
      method: 'GET',
      path: '/api/v1/activity/exports',
      summary: 'Lists the exports of the workspace, newest first.',
      permission: 'audit.export',
      response: z.object({ items: z.array(exported).readonly() }),
      handle: async ({ principal }) => ({ items: await exports.list(principal) }),
    }),
    defineRoute({
      id: 'activity_export.show',
      method: 'GET',
      path: '/api/v1/activity/exports/{exportId}',
      summary: 'Shows how far an export is.',
      permission: 'audit.export',
      params: exportParams,
      response: exported,
      handle: ({ principal, params }) => exports.show(principal, params.exportId),
    }),
    defineRoute({
      id: 'activity_export.download',
      method: 'GET',
      path: '/api/v1/activity/exports/{exportId}/file',
      summary: 'Fetches an export that is ready. Each fetching is recorded.',
      permission: 'audit.export',
      params: exportParams,
      stream: { contentType: 'application/octet-stream', filename: 'audit' },
      handle: async ({ principal, params }) => {
        const { format: made, parts } = await exports.download(principal, params.exportId)
        return attach(made, parts)
      },
    }),
    defineRoute({
      id: 'activity_export.download_check',
      method: 'POST',
      path: '/api/v1/activity/exports/{exportId}/download',
      summary: 'Asks whether the file may be fetched now: a browser’s download cannot ask for a proof.',
      permission: 'audit.export',
      params: exportParams,
      body: z.strictObject({}),
      handle: async ({ principal, params }) => {
        await exports.checkDownload(principal, params.exportId)
        return undefined
      },
    }),
    defineRoute({
      id: 'activity_export.delete',
      method: 'DELETE',
      path: '/api/v1/activity/exports/{exportId}',
      summary: 'Deletes an export and its file.',
      permission: 'audit.export',
      params: exportParams,
      handle: async ({ principal, params }) => {
        await exports.remove(principal, params.exportId)
        return undefined
      },
    }),
  ]
}

/** What is refused at once is refused before the first byte of the answer. */
const settled = <T>(work: () => T): Promise<T> => new Promise((resolve) => resolve(work()))

function attach(format: ExportFormat, parts: AsyncIterable<string>): Attachment {
  const { contentType, extension } = FORMAT_FACTS[format]
  return { contentType, filename: `audit.${extension}`, lines: withoutLastBreak(parts) }
}

/** The sender ends each text with a line feed. */
async function* withoutLastBreak(parts: AsyncIterable<string>): AsyncIterable<string> {
  for await (const part of parts) yield part.endsWith('\n') ? part.slice(0, -1) : part
}

async function* text(format: ExportFormat, records: AsyncIterable<ExportedRecord>): AsyncIterable<string> {
  const head = headOf(format)
  if (head !== '') yield head
  for await (const record of records) yield lineOf(format, record)
}

async function withLabels(appDb: AppDb, tenantId: TenantId, rows: readonly ActivityRow[]) {
  const labels = await appDb.tenant(tenantId, (tx) =>
    readLabels(tx, {
      people: rows.map(({ actor }) => actor.personId),
      agents: rows.map(({ agentId }) => agentId),
      connections: rows.map(({ connectionId }) => connectionId),
    }),
  )
  return rows.map(({ actor, ...rest }) => ({
    ...rest,
    actor: (actor.kind === 'agent' ? labels.agent(rest.agentId) : labels.person(actor.personId)) ?? WORDS[actor.kind],
    actorKind: actor.kind,
    personId: actor.personId,
    connectionLabel: labels.connection(rest.connectionId),
  }))
}

const WORDS = {
  person: 'somebody erased',
  agent: 'an agent',
  api_key: 'an API key',
  provider: 'the provider',
  system: 'Portcullis',
  anonymous: 'somebody unknown',
} as const
