/**
 * Every job there is. A payload holds ids and nothing else, so that the queue's storage is worth nothing to a thief, and
 * every job can be found again by scanning a table, so that losing the queue loses no work.
 *
 * @module
 */
import { z } from 'zod'

import { isId, type IdKind } from '../ids'

const id = <K extends IdKind>(kind: K) => z.string().refine((value) => isId(kind, value))
const nothing = z.strictObject({})

/** Scans keep running however long deliveries take: each lane has its own workers. */
export type Lane = 'scans' | 'deliveries'

interface JobFacts {
  readonly lane: Lane
  readonly payload: z.ZodType
  /** Starts of one job, the first included. */
  readonly attempts: number
  /** Delays between attempts are random between nothing and the smaller of `baseMs · 2ⁿ` and `maxMs`. */
  readonly baseMs: number
  readonly maxMs: number
  /** Runs by itself this often. A scan that fails is not repeated: the next one comes soon enough. */
  readonly everyMs?: number
}

const scan = (everyMs: number) =>
  ({ lane: 'scans', payload: nothing, attempts: 1, baseMs: 0, maxMs: 0, everyMs }) as const
const delivery = { lane: 'deliveries', attempts: 6, baseMs: 2_000, maxMs: 300_000 } as const

export const JOBS = {
  sendMail: { ...delivery, payload: z.strictObject({ mailId: id('mail') }) },
  revokeGrant: { ...delivery, payload: z.strictObject({ tenantId: id('tenant'), revocationId: id('revocation') }) },
  deliverWebhook: { ...delivery, payload: z.strictObject({ tenantId: id('tenant'), deliveryId: id('delivery') }) },

  makeExport: { ...delivery, payload: z.strictObject({ tenantId: id('tenant'), exportId: id('auditExport') }) },
  streamAudit: { ...delivery, payload: z.strictObject({ tenantId: id('tenant'), streamId: id('auditStream') }) },
  verifyTrail: { ...delivery, payload: z.strictObject({ tenantId: id('tenant') }) },

  findMail: scan(15_000),
  findRevocations: scan(15_000),
  refreshDue: scan(5_000),
  tendApps: scan(60_000),
  recoverAttempts: scan(10_000),
  sweepConnections: scan(60_000),
  drainAudit: scan(5_000),
  reconcileCalls: scan(30_000),
  /** Links of the audit chain, and what is told outside about it. */
  chainAudit: scan(5_000),
  /** Episodes of trouble, and the mails that tell of them. */
  tellPeople: scan(10_000),
  findWebhooks: scan(10_000),
  findExports: scan(5_000),
  findStreams: scan(5_000),
  findVerifications: scan(5_000),
  /** Domains of single sign-on that nobody looked at for a day, and sign-ins that nobody finished. */
  tendSignIn: scan(600_000),
  /** Workspaces that were deleted, when nobody took them back. */
  purgeWorkspaces: scan(600_000),
  retention: scan(600_000),
} as const satisfies Record<string, JobFacts>

export type JobName = keyof typeof JOBS
export type JobPayload<N extends JobName> = z.input<(typeof JOBS)[N]['payload']>

export const JOB_NAMES = Object.keys(JOBS) as readonly JobName[] // keys of a const object

export const isJobName = (name: string): name is JobName => Object.hasOwn(JOBS, name)

export function everyMsOf(name: JobName): number | undefined {
  const facts: JobFacts = JOBS[name]
  return facts.everyMs
}

/** Two jobs of one name and payload are one as long as the first has not ended. */
export function dedupeIdOf(name: JobName, payload: Readonly<Record<string, string>>): string {
  return [
    name,
    ...Object.keys(payload)
      .sort()
      .map((key) => payload[key]),
  ].join('.')
}

/**
 * How long to wait after the given failed attempt: full jitter, so that what failed together does not return together.
 *
 * @param random  from 0 to 1
 */
export function retryDelayMs(name: JobName, failedAttempts: number, random: number): number {
  const { baseMs, maxMs } = JOBS[name]
  return Math.round(random * Math.min(maxMs, baseMs * 2 ** Math.min(failedAttempts - 1, 30)))
}
