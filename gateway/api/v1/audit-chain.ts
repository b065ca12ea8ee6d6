import { z } from 'zod'

import type { Audit } from '@/lib/audit/audit'
import { createTrailSettings, RETENTION_DAYS } from '@/lib/audit/chain/settings'
import type { AppDb } from '@/lib/db/app-db'

import { time } from '../fields'
import { defineRoute, type AnyRoute } from '../route'

const state = z.object({
  retentionDays: z.number().nullable(),
  position: z.number(),
  recordedTo: time.nullable(),
  cutAt: z.number(),
  checkpoints: z.array(z.object({ sink: z.string(), position: z.number(), toldAt: time })).readonly(),
})

export function auditChainRoutes(deps: { readonly appDb: AppDb; readonly audit: Audit }): AnyRoute[] {
  const settings = createTrailSettings(deps)
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
  ]
}
