import { z } from 'zod'

import { table } from '../output'
import type { Register } from '../run'

const activity = z.object({
  id: z.string(),
  at: z.string(),
  action: z.string(),
  actor: z.string(),
  tool: z.string().nullable(),
  decision: z.string().nullable(),
  outcome: z.string().nullable(),
  reason: z.string().nullable(),
})
const page = z.object({ items: z.array(activity), nextCursor: z.string().nullable() })
const POLL_MS = 1_000

export const auditCommands: Register = (program, run) => {
  const command = program.command('audit').description('the audit trail: what was decided, and how it ended')

  command
    .command('tail')
    .description('prints the latest records')
    .option('-n, --lines <count>', 'how many', '20')
    .option('-f, --follow', 'go on with new ones until interrupted', false)
    .action((options: { lines: string; follow: boolean }) =>
      run(async (api, output) => {
        const latest = page
          .parse(await api.call('activity.list', { query: { limit: options.lines } }))
          .items.toReversed()
        const columns = ['at', 'actor', 'action', 'tool', 'decision', 'outcome', 'reason']
        if (!options.follow) {
          output.result(latest, () => table(latest, columns, 'Nothing recorded yet.'))
          return
        }
        const seen = new Map<string, string | null>()
        for (;;) {
          const { items } = page.parse(await api.call('activity.list', { query: { limit: '100' } }))
          for (const row of items.toReversed()) {
            // A call is printed again when its outcome arrives.
            if (seen.has(row.id) && seen.get(row.id) === row.outcome) continue
            output.result(row, () => columns.map((column) => row[column as keyof typeof row] ?? '-').join('  ')) // columns name fields of a row
          }
          seen.clear()
          for (const row of items) seen.set(row.id, row.outcome)
          await new Promise((resolve) => setTimeout(resolve, POLL_MS))
        }
      }),
    )

  command
    .command('export')
    .description('prints every record of the workspace as JSON Lines, oldest first')
    .option('--since <time>', 'ISO 8601')
    .option('--until <time>', 'ISO 8601')
    .action((options: { since?: string; until?: string }) =>
      run(async (api, output) => {
        for await (const line of api.lines('activity.export', {
          query: { since: options.since, until: options.until },
        }))
          output.line(line)
      }),
    )
}
