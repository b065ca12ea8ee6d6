import { z } from 'zod'

import { AppError } from '@/lib/errors'

import { printable } from '../output'
import type { Register } from '../run'

const report = z.object({ checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string() })) })

const words = z.object({ title: z.string(), meaning: z.string(), advice: z.string() })
const clients = z.object({
  diagnosis: words.extend({
    state: z.enum(['nobody', 'connected', 'waiting', 'failed']),
    problem: z.string().nullable(),
  }),
  steps: z.array(
    z.object({
      at: z.string(),
      repeats: z.number(),
      title: z.string(),
      status: z.number(),
      problem: z.string().nullable(),
      words: words.nullable(),
      isHarmless: z.boolean(),
      client: z.string().nullable(),
      network: z.string(),
      facts: z.array(z.object({ label: z.string(), value: z.string() })),
    }),
  ),
})
type Clients = z.infer<typeof clients>

export const doctorCommand: Register = (program, run) => {
  program
    .command('doctor')
    .description(
      'checks that this installation can do its work; with --agent, how far the clients of that agent got and why no further',
    )
    .option('--agent <agentId>', 'what its clients fetched, sent and were told lately')
    .action(({ agent }: { agent?: string }) =>
      run(async (api, output) => {
        if (agent !== undefined) {
          const found = clients.parse(await api.call('agent.doctor', { params: { agentId: agent } }))
          output.result(found, () => told(found))
          return
        }
        const { checks } = report.parse(await api.call('doctor'))
        const failed = checks.filter(({ ok }) => !ok).length
        output.result({ ok: failed === 0, checks }, () =>
          checks.map(({ name, ok, detail }) => `${ok ? 'ok  ' : 'FAIL'}  ${name}: ${detail}`).join('\n'),
        )
        if (failed > 0) throw new AppError('service.unavailable', `${failed} of ${checks.length} checks failed.`)
      }),
    )
}

/** Oldest first, as it happened; what it comes to stands last, where the eye is. */
function told({ diagnosis: { title, meaning, advice }, steps }: Clients): string {
  const lines = steps.toReversed().flatMap((step) => {
    const again = step.repeats === 0 ? '' : ` (and ${step.repeats} more)`
    const mark = step.problem === null ? 'ok  ' : step.isHarmless ? '    ' : 'FAIL'
    return [
      `${mark}  ${step.at}  ${step.title}: ${step.status}${again}  ${step.client ?? 'unknown client'} from ${step.network}`,
      ...(step.words === null ? [] : [`      ${step.words.title}. ${step.words.meaning}`]),
      ...(step.facts.length === 0
        ? []
        : [`      ${step.facts.map(({ label, value }) => `${label}: ${value}`).join('; ')}`]),
    ]
  })
  return [...lines.map(printable), ...(lines.length === 0 ? [] : ['']), title, meaning, advice].join('\n')
}
