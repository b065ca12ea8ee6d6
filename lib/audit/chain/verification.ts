/**
 * A workspace's verification of its own trail: asked for by somebody, computed by a worker, shown with how far it is.
 *
 * There is one at a time for each workspace, and its row is all there is of it: a worker that dies leaves a lease that runs
 * out, and the next one begins anew. What it compares the chain with lies beside the product; whoever has taken the whole
 * machine is found by copies kept elsewhere.
 *
 * @module
 */
import { randomUUID } from 'node:crypto'

import { z } from 'zod'

import { sql, type AppDb, type AppTx } from '../../db/app-db'
import { AppError } from '../../errors'
import { brand, type TenantId } from '../../ids'
import type { Log } from '../../log'
import { checkPermission } from '../../tenancy/permission'
import type { MemberPrincipal } from '../../tenancy/principal'
import type { Audit } from '../audit'
import { actorOf } from '../record'
import { readStatements } from './sinks'
import type { ChainKeys } from './statement'
import type { ChainStore } from './store'
import { PROBLEM_KINDS, verifyChain } from './verify'

const problemSchema = z.object({
  kind: z.enum(PROBLEM_KINDS),
  position: z.number().nullable(),
  recordId: z.string().nullable(),
  detail: z.string(),
})
const reportSchema = z.object({
  ok: z.boolean(),
  checked: z.number(),
  from: z.number(),
  to: z.number(),
  vouchedTo: z.number(),
  checkpoints: z.number(),
  cutAt: z.number(),
  erased: z.number(),
  waiting: z.number(),
  problems: z.array(problemSchema).readonly(),
})
export type VerificationReport = z.infer<typeof reportSchema>

const STATUSES = ['queued', 'running', 'done', 'failed'] as const

export interface VerificationView {
  readonly status: (typeof STATUSES)[number]
  /** Steps done, of about so many. */
  readonly done: number
  readonly total: number
  readonly askedAt: Date
  readonly endedAt: Date | null
  /** What was found, once it is done. */
  readonly report: VerificationReport | null
  /** A code, when it failed. `too_long`: there is more than can be done in the time it has. */
  readonly error: string | null
}

export const VERIFICATION_LIMITS = {
  failures: 3,
  leaseSeconds: 60,
  /** One that takes longer belongs on the command line. */
  budgetMs: 15 * 60_000,
  /** How often it says how far it is. */
  everyMs: 500,
} as const

export async function readVerification(tx: AppTx, tenantId: TenantId): Promise<VerificationView | null> {
  const row = await tx.auditVerification.findUnique({ where: { tenantId } })
  if (row === null) return null
  return {
    status: STATUSES.find((one) => one === row.status) ?? 'failed',
    done: Number(row.done),
    total: Number(row.total),
    askedAt: row.askedAt,
    endedAt: row.endedAt,
    report: reportSchema.nullable().catch(null).parse(row.report),
    error: row.error,
  }
}

/**
 * Asks for one, unless one is under way.
 *
 * @throws AppError `auth.forbidden`
 */
export function createVerificationDesk(deps: {
  readonly appDb: AppDb
  readonly audit: Pick<Audit, 'event'>
  readonly announce: (tenantId: TenantId) => Promise<unknown>
}) {
  const { appDb, audit } = deps
  return async (principal: MemberPrincipal): Promise<VerificationView> => {
    checkPermission(principal, 'audit.verify')
    const { tenantId } = principal
    const view = await appDb.tenant(tenantId, async (tx) => {
      const begun = await tx.$executeRaw`
        INSERT INTO audit_verification AS v (tenant_id) VALUES (${tenantId})
        ON CONFLICT (tenant_id) DO UPDATE SET status = 'queued', done = 0, total = 0, report = NULL, error = NULL, lease = NULL,
               leased_until = NULL, failures = 0, asked_at = now(), ended_at = NULL
         WHERE v.status IN ('done', 'failed')`
      if (begun === 1)
        await audit.event(tx, {
          tenantId,
          action: 'audit.verification_started',
          actor: actorOf(principal),
          targetId: tenantId,
          network: principal.network,
        })
      const shown = await readVerification(tx, tenantId)
      if (shown === null) throw new AppError('internal', 'Something went wrong on our side.')
      return shown
    })
    // The row is the work; the job only makes it quick.
    await deps.announce(tenantId).catch(() => undefined)
    return view
  }
}

export interface Verifier {
  /** `again`: it was stopped or failed, and is due again. `not_mine`: it ended, or another worker has it. */
  verify(tenantId: TenantId): Promise<'done' | 'failed' | 'again' | 'not_mine'>
  due(limit: number): Promise<readonly TenantId[]>
  /** What is under way is let go at its next step, and begun anew by whoever comes next. */
  stop(): void
}

class LetGo extends Error {}

export function createVerifier(deps: {
  readonly appDb: AppDb
  readonly audit: Pick<Audit, 'never'>
  readonly store: ChainStore
  readonly keys: Pick<ChainKeys, 'isSigned'>
  /** Of checkpoints. */
  readonly folder: string
  readonly log: Log
  readonly page?: number
  readonly limits?: Partial<Record<keyof typeof VERIFICATION_LIMITS, number>>
  /** Of a monotonic clock. */
  readonly now?: () => number
}): Verifier {
  const { appDb, audit, store, keys, folder, log, now = () => performance.now() } = deps
  const limits = { ...VERIFICATION_LIMITS, ...deps.limits }
  let isStopping = false

  /** As long as the lease is ours. @returns false when it is not */
  const save = (tenantId: TenantId, lease: string, set: ReturnType<typeof sql>) =>
    appDb.tenant(tenantId, async (tx) => {
      const count = await tx.$executeRaw(
        sql`UPDATE audit_verification SET ${set} WHERE tenant_id = ${tenantId} AND lease = ${lease} AND status = 'running'`,
      )
      return count === 1
    })
  const release = sql`lease = NULL, leased_until = NULL`

  const run = async (tenantId: TenantId, lease: string) => {
    const { statements } = await readStatements(folder, tenantId).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return { statements: [] }
      throw error
    })
    const startedAt = now()
    let saidAt = Number.NEGATIVE_INFINITY
    return verifyChain(
      {
        store,
        keys,
        ...(deps.page === undefined ? {} : { page: deps.page }),
        onProgress: async ({ done, total }) => {
          if (isStopping) throw new LetGo()
          if (now() - startedAt > limits.budgetMs)
            throw new AppError('audit.unverifiable', 'There is more to verify than can be done in time.')
          if (now() - saidAt < limits.everyMs) return
          saidAt = now()
          const isOurs = await save(
            tenantId,
            lease,
            sql`done = ${done}, total = ${total}, leased_until = now() + make_interval(secs => ${limits.leaseSeconds}::int)`,
          )
          if (!isOurs) throw new LetGo()
        },
      },
      tenantId,
      statements,
    )
  }

  return {
    async verify(tenantId) {
      const lease = randomUUID()
      const claimed = await appDb.tenant(
        tenantId,
        (tx) => tx.$queryRaw<{ failures: number }[]>`
          UPDATE audit_verification SET status = 'running', done = 0, lease = ${lease},
                 leased_until = now() + make_interval(secs => ${limits.leaseSeconds}::int)
           WHERE tenant_id = ${tenantId} AND status IN ('queued', 'running') AND (leased_until IS NULL OR leased_until <= now())
          RETURNING failures`,
      )
      const failures = claimed[0]?.failures
      if (failures === undefined) return 'not_mine'
      try {
        const report = reportSchema.parse(await run(tenantId, lease))
        return await appDb.tenant(tenantId, async (tx) => {
          const count = await tx.$executeRaw`
            UPDATE audit_verification SET status = 'done', report = ${JSON.stringify(report)}::jsonb, done = total, ended_at = now(),
                   lease = NULL, leased_until = NULL
             WHERE tenant_id = ${tenantId} AND lease = ${lease} AND status = 'running'`
          if (count !== 1) return 'not_mine'
          const [first] = report.problems
          if (first !== undefined)
            await audit.never(tx, {
              tenantId,
              action: 'audit.tampering_found',
              actor: { kind: 'system' },
              targetId: first.recordId ?? tenantId,
              reason: first.kind,
            })
          return 'done'
        })
      } catch (error) {
        if (error instanceof LetGo) {
          await save(tenantId, lease, sql`status = 'queued', ${release}`)
          return 'again'
        }
        log.error({ err: error, tenantId }, 'a chain could not be verified')
        const isTooLong = error instanceof AppError && error.code === 'audit.unverifiable'
        const isOver = isTooLong || failures + 1 >= limits.failures
        const code = isTooLong ? 'too_long' : 'unreadable'
        await save(
          tenantId,
          lease,
          isOver
            ? sql`status = 'failed', error = ${code}, failures = failures + 1, ended_at = now(), ${release}`
            : sql`status = 'queued', failures = failures + 1, lease = NULL, leased_until = now() + make_interval(secs => ${2 ** failures * 5}::int)`,
        )
        return isOver ? 'failed' : 'again'
      }
    },

    async due(limit) {
      const rows = await appDb.global.$queryRaw<{ tenant_id: string }[]>`
        SELECT tenant_id FROM due_audit_verifications(${limit}::int)`
      return rows.map((row) => brand<'tenant'>(row.tenant_id))
    },

    stop: () => {
      isStopping = true
    },
  }
}
