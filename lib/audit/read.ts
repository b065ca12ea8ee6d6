/**
 * Reading the trail by role. Lists carry ids, enumerations and times. What is sealed is opened by gateway and worker
 * alone, and reading the arguments of a call is itself recorded, in the same transaction, before they are opened.
 *
 * @module
 */
import { systemClock, type Clock } from '../clock'
import type { AppDb } from '../db/app-db'
import { notFound } from '../errors'
import type { TenantId } from '../ids'
import { requireRecent } from '../identity/step-up'
import { checkPermission } from '../tenancy/permission'
import type { MemberPrincipal } from '../tenancy/principal'
import type { Audit } from './audit'
import {
  EXPORT_PAGE,
  openFields,
  readExportPage,
  type ExportedRecord,
  type ExportPage,
  type Place,
} from './export-page'
import type { ExportFormat } from './format'
import { chartRecords, listRecords, type ActivityChart, type ActivityFilter, type ActivityPage } from './list'
import { actorOf, type OpenedFields } from './record'

export interface AuditReader {
  list(
    tenantId: TenantId,
    filter: ActivityFilter,
    page?: { readonly cursor?: string | null | undefined; readonly limit?: number | undefined },
  ): Promise<ActivityPage>
  chart(tenantId: TenantId, filter: ActivityFilter): Promise<ActivityChart>
  /**
   * Every record of a span of time, oldest first. Itself recorded before the first record is given out.
   *
   * @param format  for the record of it
   * @throws AppError `auth.forbidden`, `auth.step_up_required`
   */
  export(principal: MemberPrincipal, filter: ActivityFilter, format?: ExportFormat): AsyncIterable<ExportedRecord>
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

/** The words of a filter for the record of an export. */
export function filterDetail({ from, to, ...filter }: ActivityFilter): Record<string, string | null> {
  return {
    from: from?.toISOString() ?? null,
    to: to?.toISOString() ?? null,
    ...Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined)),
  }
}

export function createAuditReader(deps: {
  readonly appDb: AppDb
  readonly audit: Pick<Audit, 'event' | 'seals'>
  readonly clock?: Clock
}): AuditReader {
  const { appDb, audit, clock = systemClock } = deps

  async function* exportRecords(
    principal: MemberPrincipal,
    { from, to, ...filter }: ActivityFilter,
    format: ExportFormat,
  ): AsyncIterable<ExportedRecord> {
    const { tenantId } = principal
    const now = await appDb.tenant(tenantId, async (tx) => {
      await audit.event(tx, {
        tenantId,
        action: 'audit.exported',
        actor: actorOf(principal),
        network: principal.network,
        detail: { ...filterDetail({ ...filter, from, to }), format },
      })
      // A Date has milliseconds and a record microseconds: rounded down, the record of this very export would be left out.
      const [row] = await tx.$queryRaw<{ now: Date }[]>`SELECT clock_timestamp() + interval '1 millisecond' AS now`
      return row?.now ?? clock.now()
    })
    let after: Place | null = null
    for (;;) {
      const page: ExportPage = await readExportPage({ appDb, seals: audit.seals }, tenantId, filter, {
        from,
        until: to ?? now,
        after,
      })
      yield* page.records
      if (page.seen < EXPORT_PAGE) return
      after = page.last
    }
  }

  return {
    list: (tenantId, filter, page) => appDb.tenant(tenantId, (tx) => listRecords(tx, { ...filter, tenantId }, page)),
    chart: (tenantId, filter) => appDb.tenant(tenantId, (tx) => chartRecords(tx, { ...filter, tenantId }, clock.now())),
    export: (principal, filter, format = 'jsonl') => {
      // Before the first byte of an answer, not at its first line.
      checkPermission(principal, 'audit.export')
      requireRecent(principal, clock.now())
      return exportRecords(principal, filter, format)
    },
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
