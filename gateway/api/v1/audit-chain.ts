import { z } from 'zod'

import type { Audit } from '@/lib/audit/audit'
import { createTrailSettings, RETENTION_DAYS } from '@/lib/audit/chain/settings'
import { createVerificationDesk } from '@/lib/audit/chain/verification'
import { PROBLEM_KINDS } from '@/lib/audit/chain/verify'
import type { AppDb } from '@/lib/db/app-db'
import type { TenantId } from '@/lib/ids'

import { time } from '../fields'
import { defineRoute, type AnyRoute } from '../route'

const count = z.number()
const verification = z.object({
  status: z.enum(['queued', 'running', 'done', 'failed']),
  done: count,
  total: count,
  askedAt: time,
  endedAt: time.nullable(),
  report: z
    .object({
      ok: z.boolean(),
      checked: count,
      from: count,
      to: count,
      vouchedTo: count,
      checkpoints: count,
      cutAt: count,
      erased: count,
      waiting: count,
      problems: z
        .array(
          z.object({
            kind: z.enum(PROBLEM_KINDS),
            position: count.nullable(),
            recordId: z.string().nullable(),
            detail: z.string(),
          }),
        )
        .readonly(),
    })
    .nullable(),
  error: z.string().nullable(),
})
const state = z.object({
  retentionDays: count.nullable(),
  position: count,
  hash: z.string().nullable(),
  recordedTo: time.nullable(),
  linkedAt: time.nullable(),
  waiting: count,
  waitingSeconds: count,
  cutAt: count,
  cuts: z.array(z.object({ position: count, cutAt: time, keyId: z.string() })).readonly(),
  checkpoints: z.array(z.object({ sink: z.string(), position: count, toldAt: time })).readonly(),
  verification: verification.nullable(),
})

export function auditChainRoutes(deps: {
  readonly appDb: AppDb
  readonly audit: Audit
  readonly announceVerification: (tenantId: TenantId) => Promise<unknown>
}): AnyRoute[] {
  const settings = createTrailSettings(deps)
  const ask = createVerificationDesk({ ...deps, announce: deps.announceVerification })
  return [
    defineRoute({
      id: 'trail.show',
      method: 'GET',
      path: '/api/v1/workspace/trail',
      summary: 'Shows how long records are kept, and how far the chain over them has come, inside and outside.',
      permission: 'audit.read',
      response: state,
      handle: ({ principal }) => settings.show(principal),
    }),
    defineRoute({
      id: 'trail.keep',
      method: 'PATCH',
      path: '/api/v1/workspace/trail',
      summary: 'Sets after how many days records are removed; null keeps them for ever. What was removed is gone.',
      permission: 'audit.retention',
      body: z.strictObject({ retentionDays: z.int().min(RETENTION_DAYS.least).max(RETENTION_DAYS.most).nullable() }),
      response: state,
      handle: ({ principal, body }) => settings.keep(principal, body.retentionDays),
    }),
    defineRoute({
      id: 'trail.verify',
      method: 'POST',
      path: '/api/v1/workspace/trail/verification',
      summary:
        'Has the whole chain computed again and compared with its checkpoints. One at a time: what is under way is answered with how far it is.',
      permission: 'audit.verify',
      body: z.strictObject({}),
      response: verification,
      status: 202,
      handle: ({ principal }) => ask(principal),
    }),
  ]
}
