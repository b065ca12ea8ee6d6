import { z } from 'zod'

import { table } from '../output'
import type { Register } from '../run'

const agent = z.object({
  id: z.string(),
  name: z.string(),
  mcpUrl: z.string(),
  profileVersion: z.number(),
  disabled: z.boolean(),
})
const list = z.object({ items: z.array(agent) })

export const agentCommands: Register = (program, run) => {
  const command = program.command('agent').description('agents: who may call tools, at one URL each')

  command
    .command('create')
    .description('makes an agent and prints its MCP URL')
    .requiredOption('--name <name>', 'what people call it')
    .option('--description <text>', 'what it is for')
    .option('--tools <names>', 'tools it may call, comma-separated', '')
    .action((options: { name: string; description?: string; tools: string }) =>
      run(async (api, output) => {
        const allow = options.tools
          .split(',')
          .map((name) => name.trim())
          .filter((name) => name !== '')
        const created = agent.parse(
          await api.call('agent.create', {
            body: {
              name: options.name,
              ...(options.description === undefined ? {} : { description: options.description }),
              profile: { version: 1, tools: { allow } },
            },
          }),
        )
        output.result(created, () => `${created.id}  ${created.name}\n${created.mcpUrl}`)
      }),
    )

  command
    .command('list')
    .description('lists the agents of the workspace')
    .action(() =>
      run(async (api, output) => {
        const { items } = list.parse(await api.call('agent.list'))
        output.result(items, () =>
          table(
            items,
            ['id', 'name', 'mcpUrl', 'disabled'],
            'No agents yet. Make one: portcullis agent create --name …',
          ),
        )
      }),
    )

  for (const [verb, does] of [
    ['disable', 'stops an agent at once: its next call is refused'],
    ['enable', 'lets a disabled agent call again'],
  ] as const)
    command
      .command(`${verb} <agentId>`)
      .description(does)
      .action((agentId: string) =>
        run(async (api, output) => {
          const changed = agent.parse(await api.call(`agent.${verb}`, { params: { agentId } }))
          output.result(changed, () => `${changed.id} is ${verb}d.`)
        }),
      )
}
