/**
 * What people are shown of the clients of an agent, newest first.
 *
 * @module
 */
import type { AppDb } from '../db/app-db'
import type { Id } from '../ids'
import { agentIdOf, loadAgent } from '../tenancy/agents'
import { checkPermission } from '../tenancy/permission'
import type { MemberPrincipal } from '../tenancy/principal'
import { diagnose, type Diagnosis, type SeenStep } from './diagnose'
import { KEPT_STEPS } from './recorder'
import { DETAILS, isProblem, STEPS, type Detail } from './step'
import { DETAIL_WORDS, HARMLESS, PROBLEM_WORDS, STEP_WORDS, type Words } from './words'

export interface ShownStep extends SeenStep {
  readonly id: Id<'doctorStep'>
  readonly at: Date
  /** How often it happened again within a minute. */
  readonly repeats: number
  readonly title: string
  readonly words: Words | null
  /** Part of the way: nothing that has to be mended. */
  readonly isHarmless: boolean
  readonly facts: readonly { readonly label: string; readonly value: string }[]
}

export interface DoctorReport {
  readonly diagnosis: Diagnosis
  readonly steps: readonly ShownStep[]
}

export interface Doctor {
  report(principal: MemberPrincipal, agentId: string): Promise<DoctorReport>
}

export function createDoctor({ appDb }: { readonly appDb: AppDb }): Doctor {
  return {
    async report(principal, agentId) {
      checkPermission(principal, 'session.read')
      const { tenantId } = principal
      const id = agentIdOf(agentId)
      const rows = await appDb.tenant(tenantId, async (tx) => {
        await loadAgent(tx, principal, id)
        return tx.doctorStep.findMany({
          where: { tenantId, agentId: id },
          orderBy: [{ at: 'desc' }, { id: 'desc' }],
          take: KEPT_STEPS,
        })
      })
      const steps = rows.flatMap((row): ShownStep[] => {
        const step = STEPS.find((one) => one === row.step)
        if (step === undefined) return [] // of a newer version
        const problem = row.problem === null ? null : isProblem(row.problem) ? row.problem : 'other'
        const detail = readDetail(row.detail)
        return [
          {
            id: row.id as Id<'doctorStep'>, // from our own table
            at: row.at,
            lastAt: row.lastAt,
            repeats: row.repeats,
            step,
            title: STEP_WORDS[step],
            status: row.status,
            problem,
            words: problem === null ? null : PROBLEM_WORDS[problem],
            isHarmless: problem === null || HARMLESS.has(problem),
            client: row.client,
            network: row.network,
            detail,
            facts: DETAILS.flatMap((key) => {
              const value = detail[key]
              return value === undefined ? [] : [{ label: DETAIL_WORDS[key], value }]
            }),
          },
        ]
      })
      return { diagnosis: diagnose(steps.toSorted((a, b) => b.lastAt.getTime() - a.lastAt.getTime())), steps }
    },
  }
}

function readDetail(value: unknown): Detail {
  if (typeof value !== 'object' || value === null) return {}
  return Object.fromEntries(
    DETAILS.flatMap((key) => {
      const one: unknown = Reflect.get(value, key)
      return typeof one === 'string' ? [[key, one]] : []
    }),
  )
}
