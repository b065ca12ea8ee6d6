/**
 * Streams of the trail to other systems: added by owners and admins, sent on by a worker, at least once and in order.
 *
 * A stream remembers the last record its receiver took. A record is sent only when everything before it is there: a
 * transaction that began early may commit late, so a worker notes which transactions are under way and lets records
 * through once all of those have ended. What fails is tried again ever less often, for days; then the stream stops, its
 * people are told by the record of it, and it goes on from the same place when they start it again.
 *
 * @module
 */
import { randomUUID } from 'node:crypto'

import type { Clock } from '../clock'
import { sql, type AppDb, type AppTx } from '../db/app-db'
import { AppError, notFound } from '../errors'
import { brand, newId, type Id, type TenantId } from '../ids'
import { requireRecent } from '../identity/step-up'
import type { Log } from '../log'
import { Secret } from '../secret'
import { checkPermission } from '../tenancy/permission'
import type { MemberPrincipal } from '../tenancy/principal'
import type { Audit } from './audit'
import { readExportPage, type Place } from './export-page'
import { actorOf, subjectOf } from './record'
import { targetSchema, type createTargetSender, type StreamTarget } from './stream-target'

export const MAX_STREAMS = 5
export const STREAM_FAILING_DAYS = 5
const BATCH = 500
/** A run of a worker ends after so many batches; the next takes over. */
const MAX_BATCHES = 20
const CLAIM_SECONDS = 60
const FIRST_DELAY_SECONDS = 10
const MAX_DELAY_SECONDS = 3_600
/** A stream without news is looked at this often. */
const IDLE_SECONDS = 5

export interface StreamView {
  readonly id: Id<'auditStream'>
  readonly kind: StreamTarget['kind']
  /** Where it goes, in words. */
  readonly destination: string
  readonly delivered: number
  /** Everything recorded before this was taken. */
  readonly deliveredUntil: Date
  readonly lastDeliveredAt: Date | null
  readonly failingSince: Date | null
  readonly lastError: string | null
  readonly disabledReason: string | null
  readonly createdAt: Date
}

export interface Streams {
  list(principal: MemberPrincipal): Promise<readonly StreamView[]>
  /**
   * @param secret  of an S3 store; that of a webhook is made here and told once
   * @throws AppError `auth.step_up_required`, `request.invalid`, `resource.limit_exceeded`
   */
  create(
    principal: MemberPrincipal,
    target: StreamTarget,
    options: { readonly secret?: Secret | undefined; readonly fromStart?: boolean | undefined },
  ): Promise<{ readonly stream: StreamView; readonly signingSecret: Secret | null }>
  /** Starts a stopped one again where it stopped. */
  resume(principal: MemberPrincipal, id: string): Promise<StreamView>
  remove(principal: MemberPrincipal, id: string): Promise<void>
}

export interface StreamsDeps {
  readonly appDb: AppDb
  readonly audit: Pick<Audit, 'event' | 'never' | 'seals'>
  readonly clock: Clock
  readonly newSigningSecret: () => Secret
  /** Origins the operator opened; the only ones that may be plain. */
  readonly openOrigins: readonly string[]
}

export function createStreams(deps: StreamsDeps): Streams {
  const { appDb, audit, clock } = deps
  return {
    async list(principal) {
      checkPermission(principal, 'audit.stream')
      const { tenantId } = principal
      return appDb.tenant(tenantId, async (tx) => {
        const rows = await tx.auditStream.findMany({
          where: { tenantId },
          orderBy: { id: 'asc' },
          omit: { sealedSecret: true, safeUntil: true },
        })
        return rows.map(toView)
      })
    },

    async create(principal, given, { secret, fromStart = false }) {
      checkPermission(principal, 'audit.stream')
      requireRecent(principal, clock.now())
      const target = checkedTarget(given, deps.openOrigins)
      const { tenantId } = principal
      const id = newId('auditStream', clock.now())
      if (target.kind === 's3' && secret === undefined)
        throw new AppError('request.invalid', 'Enter the secret access key.', { field: 'secretAccessKey' })
      const signingSecret = target.kind === 'webhook' ? deps.newSigningSecret() : null
      const kept = signingSecret ?? (target.kind === 's3' ? secret : undefined)
      const seal = kept === undefined ? undefined : await audit.seals.current(tenantId)
      const stream = await appDb.tenant(tenantId, async (tx) => {
        // Two additions at once are counted one after the other.
        await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('audit streams ' || ${tenantId}, 0))`
        if ((await tx.auditStream.count({ where: { tenantId } })) >= MAX_STREAMS)
          throw new AppError(
            'resource.limit_exceeded',
            `A workspace has at most ${MAX_STREAMS} streams. Remove one first.`,
          )
        await tx.auditStream.create({
          data: {
            tenantId,
            id,
            kind: target.kind,
            target,
            cursorAt: fromStart ? new Date(0) : clock.now(),
            createdBy: subjectOf(actorOf(principal))?.id ?? 'operator',
            ...(seal === undefined || kept === undefined
              ? {}
              : {
                  keyVersion: seal.keyVersion,
                  sealedSecret: new Uint8Array(seal.seal('stream', id, Buffer.from(kept.reveal(), 'utf8'))),
                }),
          },
        })
        await audit.event(tx, {
          tenantId,
          action: 'audit.stream_created',
          actor: actorOf(principal),
          targetId: id,
          detail: { kind: target.kind, destination: destinationOf(target), fromStart },
          network: principal.network,
        })
        return toView(await load(tx, tenantId, id))
      })
      return { stream, signingSecret }
    },

    async resume(principal, id) {
      checkPermission(principal, 'audit.stream')
      const { tenantId } = principal
      return appDb.tenant(tenantId, async (tx) => {
        await load(tx, tenantId, id)
        requireRecent(principal, clock.now())
        const { count } = await tx.auditStream.updateMany({
          where: { tenantId, id, disabledAt: { not: null } },
          data: { disabledAt: null, disabledReason: null, failingSince: null, attempts: 0, nextAt: new Date(0) },
        })
        if (count === 1)
          await audit.event(tx, {
            tenantId,
            action: 'audit.stream_resumed',
            actor: actorOf(principal),
            targetId: id,
            network: principal.network,
          })
        return toView(await load(tx, tenantId, id))
      })
    },

    async remove(principal, id) {
      checkPermission(principal, 'audit.stream')
      const { tenantId } = principal
      await appDb.tenant(tenantId, async (tx) => {
        const { count } = await tx.auditStream.deleteMany({ where: { tenantId, id } })
        if (count === 0) throw notFound()
        await audit.never(tx, {
          tenantId,
          action: 'audit.stream_deleted',
          actor: actorOf(principal),
          targetId: id,
          network: principal.network,
        })
      })
    },
  }
}

export interface StreamRef {
  readonly tenantId: TenantId
  readonly streamId: Id<'auditStream'>
}

export interface StreamSender {
  /** Sends on what is complete. @returns how many records were taken; undefined when another worker is at it, or it stopped */
  send(tenantId: TenantId, streamId: string): Promise<number | undefined>
  due(limit: number): Promise<readonly StreamRef[]>
}

interface Claim {
  readonly target: unknown
  readonly key_version: number | null
  readonly sealed_secret: Uint8Array | null
  readonly cursor_key: string
  readonly cursor_id: string
  readonly safe_until: Date | null
  readonly attempts: number
}

export function createStreamSender(deps: {
  readonly appDb: AppDb
  readonly audit: Pick<Audit, 'never' | 'seals'>
  readonly send: ReturnType<typeof createTargetSender>
  readonly clock: Clock
  readonly log: Log
  readonly random?: () => number
  readonly batch?: number
  /** Between reading the clock for a record and the transaction's taking its number. */
  readonly marginSeconds?: number
}): StreamSender {
  const { appDb, audit, clock, log, random = Math.random, batch = BATCH, marginSeconds = 1 } = deps

  /**
   * One conditional UPDATE takes the stream and moves its fence: when every transaction that was under way at the last
   * fence has ended, what was recorded before that fence is complete, and a new fence is set.
   */
  const claim = (tenantId: TenantId, id: string, lease: string) =>
    appDb.tenant(tenantId, async (tx): Promise<Claim | undefined> => {
      const rows = await tx.$queryRaw<Claim[]>`
        UPDATE audit_stream s SET lease = ${lease}, next_at = now() + make_interval(secs => ${CLAIM_SECONDS}::int),
               safe_until = CASE WHEN f.has_passed THEN s.fence_at - make_interval(secs => ${marginSeconds}::double precision) ELSE s.safe_until END,
               fence_at = CASE WHEN f.has_passed OR s.fence_xid IS NULL THEN f.now ELSE s.fence_at END,
               fence_xid = CASE WHEN f.has_passed OR s.fence_xid IS NULL THEN f.next ELSE s.fence_xid END
          FROM (SELECT x.id, clock_timestamp() AS now, pg_snapshot_xmax(pg_current_snapshot())::text AS next,
                       COALESCE(x.fence_xid::xid8 <= pg_snapshot_xmin(pg_current_snapshot()), false) AS has_passed
                  FROM audit_stream x WHERE x.tenant_id = ${tenantId} AND x.id = ${id} FOR UPDATE) f
         WHERE s.tenant_id = ${tenantId} AND s.id = ${id} AND s.disabled_at IS NULL AND s.next_at <= now()
        RETURNING s.target, s.key_version, s.sealed_secret, s.cursor_id, s.attempts,
                  to_char(s.cursor_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS cursor_key,
                  CASE WHEN s.safe_until = '-infinity' THEN NULL ELSE s.safe_until END AS safe_until`
      return rows[0]
    })

  const save = (tenantId: TenantId, id: string, lease: string, set: ReturnType<typeof sql>) =>
    appDb.tenant(tenantId, async (tx) => {
      const count = await tx.$executeRaw(
        sql`UPDATE audit_stream SET ${set} WHERE tenant_id = ${tenantId} AND id = ${id} AND lease = ${lease} AND disabled_at IS NULL`,
      )
      return count === 1
    })

  const secretOf = async (tenantId: TenantId, id: string, row: Claim): Promise<Secret | undefined> => {
    if (row.sealed_secret === null || row.key_version === null) return undefined
    const seal = await audit.seals.at(tenantId, row.key_version)
    return new Secret(seal.open('stream', id, row.sealed_secret).toString('utf8'))
  }

  const stop = async (tenantId: TenantId, id: string, lease: string, reason: string) => {
    await appDb.tenant(tenantId, async (tx) => {
      const stopped = await tx.$executeRaw`
        UPDATE audit_stream SET disabled_at = now(), disabled_reason = ${reason}, lease = NULL
         WHERE tenant_id = ${tenantId} AND id = ${id} AND lease = ${lease} AND disabled_at IS NULL`
      if (stopped === 0) return
      await audit.never(tx, {
        tenantId,
        action: 'audit.stream_stopped',
        actor: { kind: 'system' },
        targetId: id,
        reason,
      })
    })
  }

  const fail = async (tenantId: TenantId, id: string, lease: string, row: Claim, error: string, wish = 0) => {
    const wait = Math.max(delaySeconds(row.attempts + 1, random), wish)
    await save(
      tenantId,
      id,
      lease,
      sql`attempts = attempts + 1, last_error = ${error.slice(0, 64)}, failing_since = COALESCE(failing_since, now()), next_at = now() + make_interval(secs => ${wait}::double precision)`,
    )
    log.warn({ tenantId, streamId: id, error, attempts: row.attempts + 1 }, 'a stream of records was not taken')
    const isLong = await appDb.tenant(tenantId, async (tx) => {
      const [found] = await tx.$queryRaw<{ is_long: boolean }[]>`
        SELECT failing_since < now() - make_interval(days => ${STREAM_FAILING_DAYS}::int) AS is_long
          FROM audit_stream WHERE tenant_id = ${tenantId} AND id = ${id} AND lease = ${lease}`
      return found?.is_long === true
    })
    if (isLong) await stop(tenantId, id, lease, 'failing')
  }

  return {
    async send(tenantId, streamId) {
      const id = brand<'auditStream'>(streamId)
      const lease = randomUUID()
      const row = await claim(tenantId, id, lease)
      if (row === undefined) return undefined
      const idle = sql`next_at = now() + make_interval(secs => ${IDLE_SECONDS}::int)`
      if (row.safe_until === null) {
        await save(tenantId, id, lease, idle)
        return 0
      }
      let taken = 0
      let after: Place = { at: row.cursor_key, id: row.cursor_id }
      try {
        const target = targetSchema.parse(row.target)
        const secret = await secretOf(tenantId, id, row)
        for (let round = 0; round < MAX_BATCHES; round += 1) {
          const page = await readExportPage(
            { appDb, seals: audit.seals },
            tenantId,
            {},
            { until: row.safe_until, after },
            batch,
          )
          if (page.last === null) break
          const result = await deps.send(target, secret, {
            tenantId,
            streamId: id,
            records: page.records,
            at: clock.now(),
          })
          if (result.kind === 'gone') {
            await stop(tenantId, id, lease, 'gone')
            return taken
          }
          if (result.kind === 'refused') {
            await fail(tenantId, id, lease, row, result.error, result.waitSeconds)
            return taken
          }
          after = page.last
          const isMine = await save(
            tenantId,
            id,
            lease,
            sql`cursor_at = ${after.at}::text::timestamptz, cursor_id = ${after.id}, delivered = delivered + ${page.records.length}, attempts = 0, last_error = NULL, failing_since = NULL, last_delivered_at = now(), next_at = now() + make_interval(secs => ${CLAIM_SECONDS}::int)`,
          )
          if (!isMine) return taken
          taken += page.records.length
          if (page.seen < batch) break
        }
        await save(tenantId, id, lease, taken > 0 ? sql`next_at = now() + interval '1 second'` : idle)
        return taken
      } catch (error) {
        log.error({ err: error, tenantId, streamId: id }, 'a stream of records has trouble')
        await fail(tenantId, id, lease, row, error instanceof AppError ? error.code : 'internal')
        return taken
      }
    },

    async due(limit) {
      const rows = await appDb.global.$queryRaw<{ tenant_id: string; stream_id: string }[]>`
        SELECT tenant_id, stream_id FROM due_audit_streams(${limit}::int)`
      return rows.map((row) => ({ tenantId: brand<'tenant'>(row.tenant_id), streamId: brand(row.stream_id) }))
    },
  }
}

/** 10 s, 20 s … an hour, with half of it random, so that what failed together does not return together. */
function delaySeconds(attempts: number, random: () => number): number {
  return Math.min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** Math.min(attempts - 1, 20)) * (0.5 + 0.5 * random())
}

/** What it may not be is said at once; where it leads is found out when something is sent. */
function checkedTarget(target: StreamTarget, openOrigins: readonly string[]): StreamTarget {
  const refuse = (field: string, message: string) => new AppError('request.invalid', message, { field })
  const checkedUrl = (given: string, field: string): string => {
    if (!URL.canParse(given)) throw refuse(field, 'Enter a whole address, such as https://logs.example.com/portcullis.')
    const url = new URL(given)
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && openOrigins.includes(url.origin)))
      throw refuse(field, 'The address has to begin with https://.')
    if (url.username !== '' || url.password !== '')
      throw refuse(field, 'An address with a user name or password is not taken.')
    url.hash = ''
    return url.href
  }
  switch (target.kind) {
    case 'webhook':
      return { ...target, url: checkedUrl(target.url, 'url') }
    case 's3':
      return target.endpoint === undefined
        ? target
        : { ...target, endpoint: checkedUrl(target.endpoint, 'endpoint').replace(/\/+$/, '') }
    case 'syslog': {
      const plain = `http://${target.host.includes(':') ? `[${target.host}]` : target.host}:${target.port}`
      if (!target.isTls && !(URL.canParse(plain) && openOrigins.includes(new URL(plain).origin)))
        throw refuse('isTls', 'Records leave over TLS. Plain TCP is for what the operator has opened (EGRESS_ALLOW).')
      return target
    }
  }
}

function destinationOf(target: StreamTarget): string {
  switch (target.kind) {
    case 'webhook':
      return target.url
    case 'syslog':
      return `${target.isTls ? 'tls' : 'tcp'}://${target.host}:${target.port}`
    case 's3':
      return `${target.endpoint ?? `s3 (${target.region})`}/${target.bucket}/${target.prefix}`
  }
}

async function load(tx: AppTx, tenantId: TenantId, id: string) {
  const row = await tx.auditStream.findUnique({
    where: { tenantId_id: { tenantId, id } },
    omit: { sealedSecret: true, safeUntil: true },
  })
  if (row === null) throw notFound()
  return row
}

function toView(row: {
  readonly id: string
  readonly target: unknown
  readonly delivered: bigint
  readonly cursorAt: Date
  readonly lastDeliveredAt: Date | null
  readonly failingSince: Date | null
  readonly lastError: string | null
  readonly disabledReason: string | null
  readonly createdAt: Date
}): StreamView {
  const target = targetSchema.parse(row.target)
  return {
    id: brand(row.id),
    kind: target.kind,
    destination: destinationOf(target),
    delivered: Number(row.delivered),
    deliveredUntil: row.cursorAt,
    lastDeliveredAt: row.lastDeliveredAt,
    failingSince: row.failingSince,
    lastError: row.lastError,
    disabledReason: row.disabledReason,
    createdAt: row.createdAt,
  }
}
