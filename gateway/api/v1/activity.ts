import { z } from 'zod'

import type { ActivityRow, AuditReader } from '@/lib/audit/read'
import type { AppDb } from '@/lib/db/app-db'
import { AppError } from '@/lib/errors'
import type { TenantId } from '@/lib/ids'
import { readLabels } from '@/lib/tenancy/labels'

import { pageQuery, time } from '../fields'
import { defineRoute, idParam, type AnyRoute } from '../route'

const text = z.string().nullable()
const row = z.object({
  id: z.string(),
  kind: z.enum(['call', 'event']),
  action: z.string(),
  title: z.string(),
  at: time,
  /** Who acted, in words: an agent's name, a person's name, or what kind of actor it was. */
  actor: z.string(),
  actorKind: z.string(),
  personId: text,
  agentId: text,
  agentSessionId: text,
  connectionId: text,
  connectionLabel: text,
  targetId: text,
  callId: text,
  tool: text,
  profileVersion: z.number().nullable(),
  decision: text,
  outcome: text,
  reason: text,
  durationMs: z.number().nullable(),
})

const decisions = z.enum(['permit', 'deny', 'approval_required'])
const outcomes = z.enum(['success', 'error', 'denied', 'cancelled', 'expired', 'unknown', 'pending'])
const instant = z.iso.datetime({ offset: true }).transform((value) => new Date(value))

const listQuery = pageQuery.extend({
  kind: z.enum(['call', 'event']).optional(),
  agentId: idParam('agent').optional(),
  connectionId: idParam('connection').optional(),
  tool: z.string().max(64).optional(),
  decision: decisions.optional(),
  outcome: outcomes.optional(),
  from: instant.optional(),
  to: instant.optional(),
})

export function activityRoutes({
  appDb,
  auditReader,
}: {
  readonly appDb: AppDb
  readonly auditReader: AuditReader
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
      handle: async ({ principal, query: { cursor, limit, ...filter } }) => {
        const page = await auditReader.list(principal.tenantId, filter, { limit, cursor })
        return { items: await withLabels(appDb, principal.tenantId, page.rows), nextCursor: page.nextCursor }
      },
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
      summary: 'Streams every record as JSON Lines, oldest first.',
      permission: 'audit.export',
      query: z.strictObject({ since: instant.optional(), until: instant.optional() }),
      stream: { contentType: 'application/jsonl; charset=utf-8', filename: 'audit.jsonl' },
      handle: ({ principal, query }) =>
        Promise.resolve(
          lines(
            auditReader.export(principal, {
              ...(query.since === undefined ? {} : { from: query.since }),
              ...(query.until === undefined ? {} : { to: query.until }),
            }),
          ),
        ),
    }),
  ]
}

async function* lines(records: AsyncIterable<unknown>): AsyncIterable<string> {
  for await (const record of records) yield JSON.stringify(record)
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
