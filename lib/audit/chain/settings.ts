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

export interface TrailState {
  /** Records older than this are removed; null keeps them for ever. */
  readonly retentionDays: number | null
  /** The position of the newest record in the chain; 0 before there is one. */
  readonly position: number
  /** The time of the newest record that is in the chain. */
  readonly recordedTo: Date | null
  /** Up to which position records were removed. */
  readonly cutAt: number
  readonly checkpoints: readonly { readonly sink: string; readonly position: number; readonly toldAt: Date }[]
}

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
    { days: number | null; position: number; recorded_to: Date | null; cut_at: number }[]
  >`
    SELECT t.audit_retention_days AS days, COALESCE(h.position, 0)::float8 AS position, h.recorded_to,
           COALESCE((SELECT max(c.position) FROM audit_cut c WHERE c.tenant_id = t.id), 0)::float8 AS cut_at
      FROM tenant t LEFT JOIN audit_head h ON h.tenant_id = t.id WHERE t.id = ${tenantId}`
  const checkpoints = await tx.auditCheckpoint.findMany({ where: { tenantId }, orderBy: { sink: 'asc' } })
  return {
    retentionDays: row?.days ?? null,
    position: row?.position ?? 0,
    recordedTo: row?.recorded_to ?? null,
    cutAt: row?.cut_at ?? 0,
    checkpoints: checkpoints.map(({ sink, position, toldAt }) => ({ sink, position: Number(position), toldAt })),
  }
}
