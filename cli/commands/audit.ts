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
const columns = ['at', 'actor', 'action', 'tool', 'decision', 'outcome', 'reason'] as const

interface Filter {
  readonly agent?: string
  readonly person?: string
  readonly tool?: string
  readonly connection?: string
  readonly action?: string
  readonly decision?: string
  readonly outcome?: string
}

const queryOf = ({ agent, person, tool, connection, action, decision, outcome }: Filter) => ({
  agentId: agent,
  personId: person,
  tool,
  connectionId: connection,
  action,
  decision,
  outcome,
})

export const auditCommands: Register = (program, run) => {
  const command = program.command('audit').description('the audit trail: what was decided, and how it ended')
  const withFilter = (name: string) =>
    command
      .command(name)
      .option('--agent <id>', 'of this agent')
      .option('--person <id>', 'of this person, or done for them')
      .option('--tool <name>', 'calls of this tool')
      .option('--connection <id>', 'on this connection')
      .option('--action <name>', 'of this kind, such as agent.created')
      .option('--decision <decision>', 'permit, deny or approval_required')
      .option('--outcome <outcome>', 'success, error, denied, cancelled, expired, unknown or pending')

  withFilter('tail')
    .description('prints the latest records')
    .option('-n, --lines <count>', 'how many', '20')
    .option('-f, --follow', 'go on with new ones until interrupted', false)
    .action((options: Filter & { lines: string; follow: boolean }) =>
      run(async (api, output) => {
        const latest = page
          .parse(await api.call('activity.list', { query: { ...queryOf(options), limit: options.lines } }))
          .items.toReversed()
        if (!options.follow) {
          output.result(latest, () => table(latest, columns, 'Nothing recorded yet.'))
          return
        }
        const seen = new Map<string, string | null>()
        for (;;) {
          const { items } = page.parse(
            await api.call('activity.list', { query: { ...queryOf(options), limit: '100' } }),
          )
          for (const row of items.toReversed()) {
            // A call is printed again when its outcome arrives.
            if (seen.has(row.id) && seen.get(row.id) === row.outcome) continue
            output.result(row, () => columns.map((column) => row[column] ?? '-').join('  '))
          }
          seen.clear()
          for (const row of items) seen.set(row.id, row.outcome)
          await new Promise((resolve) => setTimeout(resolve, POLL_MS))
        }
      }),
    )

  withFilter('export')
    .description('prints the records of the workspace, oldest first')
    .option('--format <format>', 'jsonl, csv (safe to open in a spreadsheet) or cef', 'jsonl')
    .option('--since <time>', 'ISO 8601')
    .option('--until <time>', 'ISO 8601')
    .action((options: Filter & { format: string; since?: string; until?: string }) =>
      run(async (api, output) => {
        const { format, since, until } = options
        for await (const line of api.lines('activity.export', { query: { ...queryOf(options), format, since, until } }))
          output.line(line)
      }),
    )
}
