import { z } from 'zod'

import { AppError } from '@/lib/errors'

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
  clientName: z.string().nullable(),
  lastClient: z.string().nullable(),
  lastNetwork: z.string().nullable(),
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
          table(
            items,
            ['id', 'agentId', 'label', 'clientName', 'lastClient', 'lastNetwork', 'expiresAt', 'lastUsedAt', 'endedAt'],
            'No sessions.',
          ),
        )
      }),
    )

  command
    .command('revoke [sessionId]')
    .description('ends a session, or all of an agent or of a person: no further call of it reaches a provider')
    .option('--agent <agentId>', 'all sessions of this agent')
    .option('--person <personId>', 'all sessions that act for this member')
    .action((sessionId: string | undefined, { agent, person }: { agent?: string; person?: string }) =>
      run(async (api, output) => {
        if ([sessionId, agent, person].filter((one) => one !== undefined).length !== 1)
          throw new AppError('request.invalid', 'Say one: a session id, --agent, or --person.')
        if (sessionId !== undefined) {
          const { callsUnderWay } = ended.parse(await api.call('session.revoke', { params: { sessionId } }))
          output.result(
            { id: sessionId, revoked: true, callsUnderWay },
            () => `${sessionId} is revoked.${stopped(callsUnderWay)}`,
          )
          return
        }
        const { sessions, callsUnderWay } = ended
          .extend({ sessions: z.array(z.object({ id: z.string() })) })
          .parse(
            await (agent === undefined
              ? api.call('session.revoke_person', { params: { personId: person ?? '' } })
              : api.call('session.revoke_agent', { params: { agentId: agent } })),
          )
        output.result(
          { revoked: sessions.map(({ id }) => id), callsUnderWay },
          () =>
            `${sessions.length} ${sessions.length === 1 ? 'session is' : 'sessions are'} revoked.${stopped(callsUnderWay)}`,
        )
      }),
    )
}

const ended = z.object({ callsUnderWay: z.array(z.string()) })

const stopped = (calls: readonly string[]) =>
  calls.length === 0 ? '' : `\nCalls under way, stopped within seconds:\n${calls.join('\n')}`
