import { z } from 'zod'

import { table } from '../output'
import type { Register } from '../run'

const session = z.object({
  id: z.string(),
  agentId: z.string(),
  label: z.string(),
  hint: z.string(),
  createdAt: z.string(),
  expiresAt: z.string(),
  lastUsedAt: z.string().nullable(),
  endedAt: z.string().nullable(),
})
const issued = z.object({
  id: z.string(),
  agentId: z.string(),
  sessionKey: z.string(),
  expiresAt: z.string(),
  mcpUrl: z.string(),
})

export const sessionCommands: Register = (program, run) => {
  const command = program
    .command('session')
    .description('agent sessions: what an agent holds instead of a provider token')

  command
    .command('issue')
    .description('issues a session key, shown this once')
    .requiredOption('--agent <agentId>')
    .option('--label <text>', 'where it will be used')
    .option('--expires-in-days <days>', 'at most 365', '90')
    .action((options: { agent: string; label?: string; expiresInDays: string }) =>
      run(async (api, output) => {
        const made = issued.parse(
          await api.call('session.issue', {
            params: { agentId: options.agent },
            body: {
              expiresInDays: Number(options.expiresInDays),
              ...(options.label === undefined ? {} : { label: options.label }),
            },
          }),
        )
        output.result(
          made,
          () =>
            `${made.sessionKey}\n\nSent as "Authorization: Bearer …" to ${made.mcpUrl}\nuntil ${made.expiresAt}. It cannot be shown again.`,
        )
      }),
    )

  command
    .command('list')
    .description('lists agent sessions')
    .option('--agent <agentId>')
    .action((options: { agent?: string }) =>
      run(async (api, output) => {
        const { items } = z
          .object({ items: z.array(session) })
          .parse(await api.call('session.list', { query: { agentId: options.agent } }))
        output.result(items, () =>
          table(items, ['id', 'agentId', 'label', 'hint', 'expiresAt', 'lastUsedAt', 'endedAt'], 'No sessions.'),
        )
      }),
    )

  command
    .command('revoke <sessionId>')
    .description('ends a session: no further call of it reaches a provider')
    .action((sessionId: string) =>
      run(async (api, output) => {
        await api.call('session.revoke', { params: { sessionId } })
        output.result({ id: sessionId, revoked: true }, () => `${sessionId} is revoked.`)
      }),
    )
}
