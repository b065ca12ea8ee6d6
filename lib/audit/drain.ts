/**
 * Moves what could not be written at once to where it belongs, exactly once: outbox rows of both databases and the files
 * of the spool. A record keeps its id on the way, its table refuses a second one, and its source is deleted only after
 * the record is committed.
 *
 * @module
 */
import type { AppDb, AppTx } from '../db/app-db'
import type { VaultDb } from '../db/vault-db'
import { brand, isId, type TenantId } from '../ids'
import type { Log } from '../log'
import type { Outcomes } from './outcomes'
import type { Pseudonyms } from './pseudonym'
import { eventRecordSchema, toEventRecord, type EventRecord } from './record'
import type { AuditSeals } from './seal'
import type { Spool } from './spool'
import type { Clock } from '../clock'

export interface DrainDeps {
  readonly appDb: AppDb
  readonly vaultDb: VaultDb | undefined
  readonly pseudonyms: Pseudonyms
  readonly seals: AuditSeals
  readonly outcomes: Pick<Outcomes, 'write'>
  readonly spool: Spool
  readonly clock: Clock
  readonly log: Log
}

export interface DrainReport {
  readonly outbox: number
  readonly vaultOutbox: number
  readonly spoolFiles: number
}

const BATCH = 100
const MAX_TENANTS = 1_000
const MAX_ROUNDS = 50

/** Inserts the record of an event unless it is there already. */
export async function insertEvent(
  tx: AppTx,
  pseudonyms: Pseudonyms,
  record: EventRecord,
  tenantId: TenantId,
): Promise<void> {
  const pseudonym = record.subject === null ? null : await pseudonyms.within(tx, tenantId, record.subject)
  await tx.auditRecord.createMany({
    skipDuplicates: true,
    data: [
      {
        tenantId,
        id: record.id,
        format: record.format,
        kind: 'event',
        action: record.action,
        occurredAt: new Date(record.occurredAt),
        actorKind: record.actorKind,
        actorPseudonym: pseudonym,
        agentId: record.agentId,
        agentSessionId: record.agentSessionId,
        connectionId: record.connectionId,
        targetId: record.targetId,
        outcome: record.outcome,
        reason: record.reason,
        keyVersion: record.keyVersion,
        sealed: record.sealed === null ? null : new Uint8Array(Buffer.from(record.sealed, 'base64')),
      },
    ],
  })
}

export function createDrain(deps: DrainDeps) {
  const { appDb, vaultDb, pseudonyms, spool, log } = deps

  /** What is in an outbox under this id, as a record: its own, or one that says that it cannot be read. */
  const toRecord = async (tenantId: TenantId, id: string, stored: unknown): Promise<EventRecord> => {
    const parsed = eventRecordSchema.safeParse(stored)
    if (parsed.success && parsed.data.tenantId === tenantId) return parsed.data
    log.error({ tenantId, recordId: id }, 'a record in an outbox cannot be read; what it holds is kept sealed')
    // Under its own id, so that it is stored once however often this is repeated.
    return toEventRecord(
      {
        tenantId,
        action: 'audit.unreadable_record',
        actor: { kind: 'system' },
        targetId: id,
        detail: { stored: JSON.stringify(stored) },
      },
      await deps.seals.current(tenantId),
      deps.clock,
      isId('auditRecord', id) ? id : undefined,
    )
  }

  const drainAppTenant = (tenantId: TenantId): Promise<number> =>
    appDb.tenant(tenantId, async (tx) => {
      const rows = await tx.$queryRaw<{ id: string; record: unknown }[]>`
        SELECT id, record FROM audit_outbox ORDER BY created_at, id LIMIT ${BATCH} FOR UPDATE SKIP LOCKED`
      for (const row of rows) await insertEvent(tx, pseudonyms, await toRecord(tenantId, row.id, row.record), tenantId)
      await tx.auditOutbox.deleteMany({ where: { id: { in: rows.map((row) => row.id) } } })
      return rows.length
    })

  const drainVaultTenant = async (vault: VaultDb, tenantId: TenantId): Promise<number> => {
    const rows = await vault.tenant(tenantId, (tx) =>
      tx.auditOutbox.findMany({ orderBy: [{ createdAt: 'asc' }, { id: 'asc' }], take: BATCH }),
    )
    if (rows.length === 0) return 0
    const records = await Promise.all(rows.map((row) => toRecord(tenantId, row.id, row.record)))
    await appDb.tenant(tenantId, async (tx) => {
      for (const record of records) await insertEvent(tx, pseudonyms, record, tenantId)
    })
    await vault.tenant(tenantId, (tx) =>
      tx.auditOutbox.deleteMany({ where: { id: { in: rows.map((row) => row.id) } } }),
    )
    return rows.length
  }

  /** Tenant by tenant, until nothing is left or the rounds are spent; one tenant's trouble is not another's. */
  const drainTenants = async (
    list: () => Promise<{ tenant_id: string }[]>,
    drainOne: (tenantId: TenantId) => Promise<number>,
  ): Promise<number> => {
    let moved = 0
    const troubled = new Set<string>()
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const tenants = (await list()).filter((row) => !troubled.has(row.tenant_id))
      let movedNow = 0
      for (const { tenant_id } of tenants) {
        try {
          movedNow += await drainOne(brand<'tenant'>(tenant_id))
        } catch (error) {
          troubled.add(tenant_id)
          log.error({ err: error, tenantId: tenant_id }, 'the audit outbox of a tenant could not be drained')
        }
      }
      moved += movedNow
      if (movedNow === 0) break
    }
    return moved
  }

  const drainSpoolFile = async (name: string): Promise<boolean> => {
    const file = await spool.read(name)
    if (file === null) return false // another process was faster
    const outcomes = file.lines.flatMap((line) => (line.kind === 'outcome' ? [line.record] : []))
    for (let i = 0; i < outcomes.length; i += BATCH) await deps.outcomes.write(outcomes.slice(i, i + BATCH))
    const byTenant = new Map<string, EventRecord[]>()
    for (const line of file.lines)
      if (line.kind === 'event')
        byTenant.set(line.record.tenantId, [...(byTenant.get(line.record.tenantId) ?? []), line.record])
    for (const [tenant, records] of byTenant) {
      const tenantId = brand<'tenant'>(tenant)
      await appDb.tenant(tenantId, async (tx) => {
        for (const record of records) await insertEvent(tx, pseudonyms, record, tenantId)
      })
    }
    if (file.unreadable === 0) await spool.remove(name)
    else {
      log.error(
        { file: name, lines: file.unreadable },
        'lines of the audit spool cannot be read; the file is set aside',
      )
      await spool.setAside(name)
    }
    return true
  }

  const drainSpool = async (): Promise<number> => {
    let files = 0
    for (const name of await spool.list(MAX_ROUNDS * BATCH)) if (await drainSpoolFile(name)) files += 1
    return files
  }

  return {
    drainSpool,
    drainAll: async (): Promise<DrainReport> => {
      const spoolFiles = await drainSpool()
      const outbox = await drainTenants(
        () => appDb.global.$queryRaw<{ tenant_id: string }[]>`SELECT tenant_id FROM outbox_tenants(${MAX_TENANTS})`,
        drainAppTenant,
      )
      const vaultOutbox =
        vaultDb === undefined
          ? 0
          : await drainTenants(
              () =>
                vaultDb.global.$queryRaw<{ tenant_id: string }[]>`SELECT tenant_id FROM outbox_tenants(${MAX_TENANTS})`,
              (tenantId) => drainVaultTenant(vaultDb, tenantId),
            )
      return { outbox, vaultOutbox, spoolFiles }
    },
  }
}
