import { z } from 'zod'

import { table } from '../output'
import type { Register } from '../run'

const connection = z.object({
  id: z.string(),
  provider: z.string(),
  account: z.string(),
  state: z.string(),
  grantedScopes: z.array(z.string()),
})

const AT_PROVIDER = {
  queued: 'The provider is asked to end the access too.',
  shared: 'The access at the provider stays: another connection of the same account lives on it.',
  none: 'Nothing was asked of the provider.',
  later: 'The stored tokens are destroyed as soon as the vault answers.',
} as const

export const connectionCommands: Register = (program, run) => {
  const command = program.command('connection').description('connections: accounts of people at providers')

  command
    .command('list')
    .description('lists connections and their state')
    .action(() =>
      run(async (api, output) => {
        const { items } = z.object({ items: z.array(connection) }).parse(await api.call('connection.list'))
        output.result(items, () =>
          table(
            items,
            ['id', 'provider', 'account', 'state'],
            'No connections yet. Start one: portcullis connection connect <provider>',
          ),
        )
      }),
    )

  command
    .command('connect <provider>')
    .description('prints the page where a signed-in person connects an account; consent is given in a browser')
    .action((provider: string) =>
      run(async (api, output) => {
        const started = z
          .object({ connectUrl: z.string(), provider: z.string() })
          .parse(await api.call('connection.start', { body: { provider } }))
        output.result(started, () => `Open ${started.connectUrl}`)
      }),
    )

  command
    .command('restore <connectionId>')
    .description('takes a revocation back within seven days, with permissions and tokens as they were')
    .action((connectionId: string) =>
      run(async (api, output) => {
        const { state } = z
          .object({ state: z.string() })
          .parse(await api.call('connection.restore', { params: { connectionId }, body: {} }))
        output.result({ id: connectionId, state }, () => `${connectionId} is restored: ${state}.`)
      }),
    )

  command
    .command('disconnect <connectionId>')
    .description('blocks a connection at once, revokes it at the provider and destroys the stored tokens')
    .action((connectionId: string) =>
      run(async (api, output) => {
        const { provider } = z
          .object({ provider: z.enum(['queued', 'shared', 'none', 'later']) })
          .parse(await api.call('connection.disconnect', { params: { connectionId } }))
        output.result(
          { id: connectionId, disconnected: true, provider },
          () => `${connectionId} is disconnected. ${AT_PROVIDER[provider]}`,
        )
      }),
    )
}
