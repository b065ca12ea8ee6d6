import { z } from 'zod'

import type { Doctor } from '@/lib/doctor/doctor'
import { STEPS } from '@/lib/doctor/step'

import { time } from '../fields'
import { defineRoute, idParam, type AnyRoute } from '../route'

const words = z.object({ title: z.string(), meaning: z.string(), advice: z.string() })
const step = z.object({
  id: z.string(),
  at: time,
  lastAt: time,
  repeats: z.number().int(),
  step: z.enum(STEPS),
  title: z.string(),
  status: z.number().int(),
  problem: z.string().nullable(),
  words: words.nullable(),
  isHarmless: z.boolean(),
  client: z.string().nullable(),
  network: z.string(),
  facts: z.array(z.object({ label: z.string(), value: z.string() })).readonly(),
})

export function doctorRoutes({ doctor }: { readonly doctor: Doctor }): AnyRoute[] {
  return [
    defineRoute({
      id: 'agent.doctor',
      method: 'GET',
      path: '/api/v1/agents/{agentId}/doctor',
      summary:
        'Shows what the clients of an agent fetched, sent and were told lately, newest first, and why the last one did not get through. Nothing secret is in it.',
      permission: 'session.read',
      params: z.strictObject({ agentId: idParam('agent') }),
      response: z.object({
        diagnosis: words.extend({
          state: z.enum(['nobody', 'connected', 'waiting', 'failed']),
          problem: z.string().nullable(),
        }),
        steps: z.array(step).readonly(),
      }),
      handle: ({ principal, params }) => doctor.report(principal, params.agentId),
    }),
  ]
}
