/**
 * Exports made in the background: asked for by somebody, written part by part by a worker, fetched while they last.
 *
 * What lies on disk is sealed under the tenant's audit key, each part bound to its export and number, so that a copied data
 * folder gives nothing away and parts can be neither swapped nor left out. A worker that dies leaves a row that says how
 * far the file is good; the next one cuts off the rest and goes on from there.
 *
 * File: `u32 length | sealed part`, again and again.
 *
 * @module
 */
import { randomUUID } from 'node:crypto'
import { mkdir, open, rm, type FileHandle } from 'node:fs/promises'
import path from 'node:path'

import { z } from 'zod'

import { systemClock, type Clock } from '../clock'
import { sql, type AppDb, type AppTx } from '../db/app-db'
import { AppError, notFound } from '../errors'
import { brand, isId, newId, type Id, type TenantId } from '../ids'
import { requireRecent } from '../identity/step-up'
import type { Log } from '../log'
import { checkPermission } from '../tenancy/permission'
import type { MemberPrincipal } from '../tenancy/principal'
import type { Audit } from './audit'
import { countSpan, readExportPage, type Place } from './export-page'
import { EXPORT_FORMATS, headOf, lineOf, type ExportFormat } from './format'
import type { ActivityFilter } from './list'
import { filterDetail } from './read'
import { actorOf, subjectOf } from './record'

export const EXPORT_LIMITS = {
  /** Unfinished ones of one workspace. */
  open: 3,
  kept: 20,
  records: 5_000_000,
  bytes: 4 * 1024 ** 3,
  /** Records to a part. */
  page: 1_000,
  failures: 5,
  leaseSeconds: 60,
  /** A worker goes on for this long, then lets others have their turn. */
  sliceMs: 20_000,
} as const
const MAKING_HOURS = 48
const KEPT_HOURS = 24
const MAX_PART_BYTES = 64 * 1024 * 1024

export type ExportStatus = 'queued' | 'running' | 'ready' | 'failed' | 'expired'

export interface ExportView {
  readonly id: Id<'auditExport'>
  readonly format: ExportFormat
  readonly status: ExportStatus
  /** Records looked at, and how many there are; null before they were counted. */
  readonly done: number
  readonly total: number | null
  readonly bytes: number
  /** True when there was more than one export may hold. */
  readonly isCut: boolean
  readonly error: string | null
  readonly filter: Readonly<Record<string, string>>
  readonly createdAt: Date
  readonly expiresAt: Date
}

export interface Exports {
  /** @throws AppError `auth.forbidden`, `auth.step_up_required`, `resource.limit_exceeded` */
  create(principal: MemberPrincipal, format: ExportFormat, filter: ActivityFilter): Promise<ExportView>
  /** Newest first. */
  list(principal: MemberPrincipal): Promise<readonly ExportView[]>
  show(principal: MemberPrincipal, id: string): Promise<ExportView>
  /** Its text, part by part. Itself recorded. @throws AppError `auth.step_up_required`, `resource.conflict` until it is ready */
  download(
    principal: MemberPrincipal,
    id: string,
  ): Promise<{ readonly format: ExportFormat; readonly parts: AsyncIterable<string> }>
  /** Throws what `download` would, and gives nothing out. */
  checkDownload(principal: MemberPrincipal, id: string): Promise<void>
  remove(principal: MemberPrincipal, id: string): Promise<void>
}

export interface ExportRef {
  readonly tenantId: TenantId
  readonly exportId: Id<'auditExport'>
}

export interface ExportMaker {
  /** Goes on with an export for a while. `again`: there is more to do. `not_mine`: it ended, or another worker has it. */
  make(tenantId: TenantId, exportId: string): Promise<'ready' | 'again' | 'failed' | 'not_mine'>
  due(limit: number): Promise<readonly ExportRef[]>
  /** Deletes what nobody may fetch any more. @returns how many */
  expire(limit: number): Promise<number>
}

export interface ExportDeps {
  readonly appDb: AppDb
  readonly audit: Pick<Audit, 'event' | 'never' | 'seals'>
  /** Shared by gateways and workers. */
  readonly folder: string
  readonly clock?: Clock
}

const filterSchema = z.object({
  kind: z.enum(['call', 'event']).optional(),
  action: z.string().optional(),
  agentId: z.string().optional(),
  personId: z.string().optional(),
  connectionId: z.string().optional(),
  tool: z.string().optional(),
  decision: z.enum(['permit', 'deny', 'approval_required']).optional(),
  outcome: z.enum(['success', 'error', 'denied', 'cancelled', 'expired', 'unknown', 'pending']).optional(),
  from: z.string().optional(),
})

/** Where exports lie in the data folder. */
export const exportFolder = (dataDir: string) => path.join(dataDir, 'exports')

const fileOf = (folder: string, tenantId: TenantId, id: string) => {
  if (!isId('tenant', tenantId) || !isId('auditExport', id)) throw notFound() // never a path of somebody else's making
  return path.join(folder, tenantId, `${id}.sealed`)
}
const partId = (id: string, n: number) => `${id}:${n}`

export function createExports(
  deps: ExportDeps & { readonly announce: (tenantId: TenantId, id: Id<'auditExport'>) => Promise<unknown> },
): Exports {
  const { appDb, audit, folder, clock = systemClock } = deps

  const load = async (tx: AppTx, tenantId: TenantId, id: string) => {
    const row = await tx.auditExport.findUnique({ where: { tenantId_id: { tenantId, id } } })
    if (row === null) throw notFound()
    return row
  }

  const loadReady = async (tx: AppTx, principal: MemberPrincipal, id: string) => {
    const row = await load(tx, principal.tenantId, id)
    requireRecent(principal, clock.now())
    if (row.status !== 'ready' || row.expiresAt <= clock.now())
      throw new AppError('resource.conflict', 'This export is not there to be fetched: not ready yet, or expired.')
    return row
  }

  async function* parts(tenantId: TenantId, id: string, chunks: number): AsyncIterable<string> {
    const file = await open(fileOf(folder, tenantId, id), 'r')
    try {
      let at = 0
      const header = Buffer.alloc(8)
      for (let n = 0; n < chunks; n += 1) {
        const head = await file.read(header, 0, 8, at)
        const length = header.readUInt32BE(0)
        if (head.bytesRead !== 8 || length > MAX_PART_BYTES) throw damaged()
        const sealed = Buffer.alloc(length)
        if ((await file.read(sealed, 0, length, at + 8)).bytesRead !== length) throw damaged()
        at += 8 + length
        const seal = await audit.seals.at(tenantId, header.readUInt32BE(4))
        yield seal.open('export', partId(id, n), sealed).toString('utf8')
      }
    } finally {
      await file.close()
    }
  }

  return {
    async create(principal, format, filter) {
      checkPermission(principal, 'audit.export')
      requireRecent(principal, clock.now())
      const { tenantId } = principal
      const id = newId('auditExport', clock.now())
      const kept = Object.fromEntries(Object.entries(filterDetail(filter)).filter(([, value]) => value !== null))
      const view = await appDb.tenant(tenantId, async (tx) => {
        // Two at once are counted one after the other.
        await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('audit exports ' || ${tenantId}, 0))`
        await checkNamed(tx, tenantId, filter)
        const open = await tx.auditExport.count({ where: { tenantId, status: { in: ['queued', 'running'] } } })
        const all = await tx.auditExport.count({ where: { tenantId } })
        if (open >= EXPORT_LIMITS.open || all >= EXPORT_LIMITS.kept)
          throw new AppError(
            'resource.limit_exceeded',
            `A workspace has at most ${EXPORT_LIMITS.open} exports under way and ${EXPORT_LIMITS.kept} kept. Delete one first.`,
          )
        await audit.event(tx, {
          tenantId,
          action: 'audit.export_started',
          actor: actorOf(principal),
          targetId: id,
          detail: { format, ...kept },
          network: principal.network,
        })
        await tx.$executeRaw`
          INSERT INTO audit_export (tenant_id, id, format, filter, until, created_by, expires_at)
          VALUES (${tenantId}, ${id}, ${format}, ${JSON.stringify(kept)}::jsonb,
                  LEAST(COALESCE(${filter.to ?? null}::timestamptz, 'infinity'), clock_timestamp() + interval '1 millisecond'),
                  ${subjectOf(actorOf(principal))?.id ?? 'operator'}, now() + make_interval(hours => ${MAKING_HOURS}::int))`
        return toView(await load(tx, tenantId, id))
      })
      // The row is the work; the job only makes it quick.
      await deps.announce(tenantId, id).catch(() => undefined)
      return view
    },

    async list(principal) {
      checkPermission(principal, 'audit.export')
      const { tenantId } = principal
      return appDb.tenant(tenantId, async (tx) => {
        const rows = await tx.auditExport.findMany({ where: { tenantId }, orderBy: { id: 'desc' }, take: 50 })
        return rows.map(toView)
      })
    },

    async show(principal, id) {
      checkPermission(principal, 'audit.export')
      return appDb.tenant(principal.tenantId, async (tx) => toView(await load(tx, principal.tenantId, id)))
    },

    async download(principal, id) {
      checkPermission(principal, 'audit.export')
      const { tenantId } = principal
      return appDb.tenant(tenantId, async (tx) => {
        const row = await loadReady(tx, principal, id)
        await audit.event(tx, {
          tenantId,
          action: 'audit.export_downloaded',
          actor: actorOf(principal),
          targetId: id,
          network: principal.network,
        })
        return { format: formatOf(row.format), parts: parts(tenantId, id, row.chunks) }
      })
    },

    async checkDownload(principal, id) {
      checkPermission(principal, 'audit.export')
      await appDb.tenant(principal.tenantId, (tx) => loadReady(tx, principal, id))
    },

    async remove(principal, id) {
      checkPermission(principal, 'audit.export')
      const { tenantId } = principal
      await appDb.tenant(tenantId, async (tx) => {
        const { count } = await tx.auditExport.deleteMany({ where: { tenantId, id } })
        if (count === 0) throw notFound()
        await audit.never(tx, {
          tenantId,
          action: 'audit.export_deleted',
          actor: actorOf(principal),
          targetId: id,
          network: principal.network,
        })
      })
      await rm(fileOf(folder, tenantId, id), { force: true })
    },
  }
}

interface Claim {
  readonly format: string
  readonly filter: unknown
  readonly until: Date
  readonly total: number | null
  readonly done: number
  readonly bytes: bigint
  readonly chunks: number
  readonly cursor_at: string | null
  readonly cursor_id: string | null
  readonly failures: number
}

export function createExportMaker(
  deps: ExportDeps & {
    readonly log: Log
    readonly limits?: Partial<Record<keyof typeof EXPORT_LIMITS, number>>
    /** Before each part; for tests that stop a worker between two. */
    readonly onPart?: (n: number) => Promise<void>
  },
): ExportMaker {
  const { appDb, audit, folder, log, clock = systemClock } = deps
  const limits = { ...EXPORT_LIMITS, ...deps.limits }

  const claim = (tenantId: TenantId, id: string, lease: string) =>
    appDb.tenant(tenantId, async (tx): Promise<Claim | undefined> => {
      const rows = await tx.$queryRaw<Claim[]>`
        UPDATE audit_export SET status = 'running', lease = ${lease}, leased_until = now() + make_interval(secs => ${limits.leaseSeconds}::int)
         WHERE tenant_id = ${tenantId} AND id = ${id} AND status IN ('queued', 'running') AND expires_at > now()
           AND (leased_until IS NULL OR leased_until <= now())
        RETURNING format, filter, until, total, done, bytes, chunks, cursor_at, cursor_id, failures`
      return rows[0]
    })

  /** Writes on the row as long as the lease is ours. @returns false when it is not */
  const save = (tenantId: TenantId, id: string, lease: string, set: ReturnType<typeof sql>) =>
    appDb.tenant(tenantId, async (tx) => {
      const count = await tx.$executeRaw(
        sql`UPDATE audit_export SET ${set} WHERE tenant_id = ${tenantId} AND id = ${id} AND lease = ${lease} AND status = 'running'`,
      )
      return count === 1
    })

  const release = sql`lease = NULL, leased_until = NULL`

  async function write(
    tenantId: TenantId,
    id: string,
    lease: string,
    row: Claim,
  ): Promise<'ready' | 'again' | 'not_mine'> {
    const format = formatOf(row.format)
    const { from, ...filter } = filterSchema.parse(row.filter)
    const span = { from: from === undefined ? undefined : new Date(from), until: row.until }
    const name = fileOf(folder, tenantId, id)
    await mkdir(path.dirname(name), { recursive: true, mode: 0o700 })
    const startedAt = performance.now()
    const file = await openAt(name, Number(row.bytes))
    let { done, chunks } = row
    let bytes = Number(row.bytes)
    let after: Place | null =
      row.cursor_at === null || row.cursor_id === null ? null : { at: row.cursor_at, id: row.cursor_id }
    if (file.isNew && bytes > 0) {
      // The part that was made lies on another machine's disk: begun again rather than given out with a hole.
      ;[done, chunks, bytes, after] = [0, 0, 0, null]
    }
    try {
      const total =
        row.total ??
        (await appDb.tenant(tenantId, (tx) => countSpan(tx, tenantId, { ...span, after: null }, limits.records + 1)))
      for (;;) {
        await deps.onPart?.(chunks)
        const page = await readExportPage(
          { appDb, seals: audit.seals },
          tenantId,
          filter,
          { ...span, after },
          limits.page,
        )
        const text = (chunks === 0 ? headOf(format) : '') + page.records.map((one) => lineOf(format, one)).join('')
        if (text !== '') {
          const seal = await audit.seals.current(tenantId)
          const sealed = seal.seal('export', partId(id, chunks), Buffer.from(text, 'utf8'))
          const header = Buffer.alloc(8)
          header.writeUInt32BE(sealed.length, 0)
          header.writeUInt32BE(seal.keyVersion, 4)
          await file.handle.write(Buffer.concat([header, sealed]), 0, header.length + sealed.length, bytes)
          await file.handle.datasync()
          bytes += header.length + sealed.length
          chunks += 1
        }
        done += page.seen
        after = page.last ?? after
        const isCut = done >= limits.records || bytes >= limits.bytes
        const isDone = page.seen < limits.page || isCut
        const isLate = performance.now() - startedAt > limits.sliceMs
        const progress = sql`total = ${total}, done = ${done}, bytes = ${bytes}, chunks = ${chunks}, cursor_at = ${after?.at ?? null}, cursor_id = ${after?.id ?? null}, failures = 0, error = NULL`
        const next = isDone
          ? sql`${progress}, status = 'ready', is_cut = ${isCut && page.seen === limits.page}, ended_at = now(), expires_at = now() + make_interval(hours => ${KEPT_HOURS}::int), ${release}`
          : isLate
            ? sql`${progress}, ${release}`
            : sql`${progress}, leased_until = now() + make_interval(secs => ${limits.leaseSeconds}::int)`
        if (!(await save(tenantId, id, lease, next))) return 'not_mine'
        if (isDone) return 'ready'
        if (isLate) return 'again'
      }
    } finally {
      await file.handle.close()
    }
  }

  return {
    async make(tenantId, id) {
      const lease = randomUUID()
      const row = await claim(tenantId, id, lease)
      if (row === undefined) return 'not_mine'
      try {
        return await write(tenantId, id, lease, row)
      } catch (error) {
        const code = error instanceof AppError ? error.code : 'internal'
        log.error({ err: error, tenantId, exportId: id, failures: row.failures + 1 }, 'an export could not be made')
        const isGivenUp = row.failures + 1 >= limits.failures
        const wait = 2 ** row.failures * 5
        const next = isGivenUp
          ? sql`status = 'failed', error = ${code.slice(0, 64)}, failures = failures + 1, ended_at = now(), ${release}`
          : sql`error = ${code.slice(0, 64)}, failures = failures + 1, lease = NULL, leased_until = now() + make_interval(secs => ${wait}::int)`
        await save(tenantId, id, lease, next)
        if (isGivenUp) await rm(fileOf(folder, tenantId, id), { force: true })
        return isGivenUp ? 'failed' : 'again'
      }
    },

    async due(limit) {
      const rows = await appDb.global.$queryRaw<{ tenant_id: string; export_id: string }[]>`
        SELECT tenant_id, export_id FROM due_audit_exports(${limit}::int)`
      return rows.map((row) => ({ tenantId: brand<'tenant'>(row.tenant_id), exportId: brand(row.export_id) }))
    },

    async expire(limit) {
      const rows = await appDb.global.$queryRaw<{ tenant_id: string; export_id: string }[]>`
        SELECT tenant_id, export_id FROM expired_audit_exports(${limit}::int)`
      for (const row of rows) {
        const tenantId = brand<'tenant'>(row.tenant_id)
        await rm(fileOf(folder, tenantId, row.export_id), { force: true })
        await appDb.tenant(tenantId, (tx) =>
          tx.auditExport.deleteMany({ where: { tenantId, id: row.export_id, expiresAt: { lte: clock.now() } } }),
        )
      }
      return rows.length
    },
  }
}

/** What the filter names is there: a foreign id and a missing id are the same. */
async function checkNamed(tx: AppTx, tenantId: TenantId, filter: ActivityFilter): Promise<void> {
  const { agentId, connectionId, personId } = filter
  const found = await Promise.all([
    agentId === undefined || tx.agent.findFirst({ where: { tenantId, id: agentId }, select: { id: true } }),
    connectionId === undefined ||
      tx.connection.findFirst({ where: { tenantId, id: connectionId }, select: { id: true } }),
    personId === undefined || tx.membership.findFirst({ where: { tenantId, personId }, select: { personId: true } }),
    // Whoever left is in the trail still.
    personId === undefined ||
      tx.auditIdentity.findFirst({ where: { tenantId, subjectId: personId }, select: { subjectId: true } }),
  ])
  const [agent, connection, member, subject] = found
  if (agent === null || connection === null || (member === null && subject === null)) throw notFound()
}

/** The file cut to what is known to be good. */
async function openAt(name: string, bytes: number): Promise<{ readonly handle: FileHandle; readonly isNew: boolean }> {
  try {
    const handle = await open(name, 'r+')
    if ((await handle.stat()).size >= bytes) {
      await handle.truncate(bytes)
      return { handle, isNew: false }
    }
    await handle.close()
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
  return { handle: await open(name, 'w', 0o600), isNew: true }
}

const damaged = () => new AppError('vault.unreadable', 'The export could not be read. Make a new one.')

function formatOf(value: string): ExportFormat {
  const known = EXPORT_FORMATS.find((one) => one === value)
  if (known === undefined) throw damaged()
  return known
}

function toView(row: {
  readonly id: string
  readonly format: string
  readonly filter: unknown
  readonly status: string
  readonly total: number | null
  readonly done: number
  readonly bytes: bigint
  readonly isCut: boolean
  readonly error: string | null
  readonly createdAt: Date
  readonly expiresAt: Date
}): ExportView {
  return {
    id: brand(row.id),
    format: formatOf(row.format),
    status: STATUSES.find((one) => one === row.status) ?? 'failed',
    done: row.done,
    total: row.total,
    bytes: Number(row.bytes),
    isCut: row.isCut,
    error: row.error,
    filter: z.record(z.string(), z.string()).catch({}).parse(row.filter),
    createdAt: row.createdAt,
    expiresAt: row.expiresAt,
  }
}

const STATUSES: readonly ExportStatus[] = ['queued', 'running', 'ready', 'failed', 'expired']
