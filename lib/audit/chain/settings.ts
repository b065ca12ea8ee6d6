/**
 * How far a workspace's trail is protected, and how long its records are kept.
 *
 * @module
 */
import type { AppDb, AppTx } from '../../db/app-db'
import { AppError } from '../../errors'
import { requireRecent } from '../../identity/step-up'
import type { TenantId } from '../../ids'
import { checkPermission } from '../../tenancy/permission'
import type { MemberPrincipal } from '../../tenancy/principal'
import type { Audit } from '../audit'
import { actorOf } from '../record'
import { LATENESS_MS } from './link'
import { readVerification, type VerificationView } from './verification'

export interface TrailState {
  /** Records older than this are removed; null keeps them for ever. */
  readonly retentionDays: number | null
  /** The position of the newest record in the chain; 0 before there is one. */
  readonly position: number
  /** The hash of the newest link in hex, for comparing with a checkpoint kept elsewhere. */
  readonly hash: string | null
  /** The time of the newest record that is in the chain. */
  readonly recordedTo: Date | null
  /** When the newest link was made. */
  readonly linkedAt: Date | null
  /** Records that have no link yet, counted up to `MOST_WAITING`, and for how long the oldest has been waiting. */
  readonly waiting: number
  readonly waitingSeconds: number
  /** Up to which position records were removed. */
  readonly cutAt: number
  /** The signed statements about that, newest first; the latest few. */
  readonly cuts: readonly { readonly position: number; readonly cutAt: Date; readonly keyId: string }[]
  readonly checkpoints: readonly { readonly sink: string; readonly position: number; readonly toldAt: Date }[]
  /** The newest verification that was asked for. */
  readonly verification: VerificationView | null
}

export const MOST_WAITING = 10_000
const CUTS_SHOWN = 5

export interface TrailSettings {
  show(principal: MemberPrincipal): Promise<TrailState>
  /** @throws AppError `auth.forbidden`, `auth.step_up_required`, `request.invalid` */
  keep(principal: MemberPrincipal, retentionDays: number | null): Promise<TrailState>
}

/** The database holds these too. */
export const RETENTION_DAYS = { least: 30, most: 3_650 } as const

export function createTrailSettings(deps: {
  readonly appDb: AppDb
  readonly audit: Pick<Audit, 'event'>
}): TrailSettings {
  const { appDb, audit } = deps
  return {
    show: async (principal) => {
      checkPermission(principal, 'audit.read')
      return appDb.tenant(principal.tenantId, (tx) => read(tx, principal.tenantId))
    },
    keep: async (principal, retentionDays) => {
      checkPermission(principal, 'audit.retention')
      requireRecent(principal)
      if (
        retentionDays !== null &&
        (!Number.isSafeInteger(retentionDays) ||
          retentionDays < RETENTION_DAYS.least ||
          retentionDays > RETENTION_DAYS.most)
      )
        throw new AppError(
          'request.invalid',
          `retentionDays: must be between ${RETENTION_DAYS.least} and ${RETENTION_DAYS.most}, or null`,
          { field: 'retentionDays' },
        )
      const { tenantId } = principal
      return appDb.tenant(tenantId, async (tx) => {
        const [before] = await tx.$queryRaw<{ days: number | null }[]>`
          SELECT audit_retention_days AS days FROM tenant WHERE id = ${tenantId} FOR UPDATE`
        await tx.tenant.update({ where: { id: tenantId }, data: { auditRetentionDays: retentionDays } })
        await audit.event(tx, {
          tenantId,
          action: 'audit.retention_changed',
          actor: actorOf(principal),
          targetId: tenantId,
          detail: { from: before?.days ?? null, to: retentionDays },
          network: principal.network,
        })
        return read(tx, tenantId)
      })
    },
  }
}

async function read(tx: AppTx, tenantId: TenantId): Promise<TrailState> {
  const [row] = await tx.$queryRaw<
    {
      days: number | null
      position: number
      hash: string | null
      recorded_to: Date | null
      linked_at: Date | null
      cut_at: number
      waiting: number
      waiting_seconds: number
    }[]
  >`
    SELECT t.audit_retention_days AS days, COALESCE(h.position, 0)::float8 AS position, encode(h.hash, 'hex') AS hash, h.recorded_to,
           (SELECT l.linked_at FROM audit_link l WHERE l.tenant_id = t.id ORDER BY l.position DESC LIMIT 1) AS linked_at,
           COALESCE((SELECT max(c.position) FROM audit_cut c WHERE c.tenant_id = t.id), 0)::float8 AS cut_at,
           w.waiting, w.waiting_seconds
      FROM tenant t LEFT JOIN audit_head h ON h.tenant_id = t.id
     CROSS JOIN LATERAL (
        SELECT count(*)::int AS waiting,
               COALESCE(GREATEST(0, extract(epoch FROM clock_timestamp() - min(u.recorded_at))), 0)::float8 AS waiting_seconds
          FROM (SELECT r.recorded_at FROM audit_record r
                  LEFT JOIN LATERAL (
                    SELECT 1 AS one FROM audit_link x WHERE x.tenant_id = r.tenant_id AND x.record_id = r.id LIMIT 1) AS l ON true
                 WHERE r.tenant_id = t.id AND l.one IS NULL
                   AND (h.recorded_to IS NULL OR r.recorded_at >= LEAST(h.recorded_to, clock_timestamp()) - make_interval(secs => ${LATENESS_MS / 1_000}))
                 ORDER BY r.recorded_at, r.id LIMIT ${MOST_WAITING}) AS u) AS w
     WHERE t.id = ${tenantId}`
  const checkpoints = await tx.auditCheckpoint.findMany({ where: { tenantId }, orderBy: { sink: 'asc' } })
  const cuts = await tx.auditCut.findMany({ where: { tenantId }, orderBy: { position: 'desc' }, take: CUTS_SHOWN })
  return {
    retentionDays: row?.days ?? null,
    position: row?.position ?? 0,
    hash: row?.hash ?? null,
    recordedTo: row?.recorded_to ?? null,
    linkedAt: row?.linked_at ?? null,
    waiting: row?.waiting ?? 0,
    waitingSeconds: row?.waiting_seconds ?? 0,
    cutAt: row?.cut_at ?? 0,
    cuts: cuts.map(({ position, cutAt, keyId }) => ({ position: Number(position), cutAt, keyId })),
    checkpoints: checkpoints.map(({ sink, position, toldAt }) => ({ sink, position: Number(position), toldAt })),
    verification: await readVerification(tx, tenantId),
  }
}
