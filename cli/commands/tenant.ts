import { z } from 'zod'

import { table } from '../output'
import type { Register } from '../run'

const tenant = z.object({ id: z.string(), name: z.string(), slug: z.string() })
const deleted = z.object({ id: z.string(), name: z.string(), purgeAt: z.string() })
const user = z.object({ id: z.string(), email: z.string(), name: z.string() })

/** Workspaces and people. Creating either is the operator's, at the machine itself. */
export const tenantCommands: Register = (program, run) => {
  const tenants = program.command('tenant').description('workspaces')
  tenants
    .command('create')
    .description('makes a workspace (local only)')
    .requiredOption('--name <name>')
    .option('--owner <email>', 'a person that becomes its owner')
    .action((options: { name: string; owner?: string }) =>
      run(async (api, output) => {
        const created = tenant.parse(await api.call('tenant.create', { body: options }))
        output.result(created, () => `${created.id}  ${created.name} (${created.slug})`)
      }),
    )
  tenants
    .command('list')
    .description('lists workspaces')
    .action(() =>
      run(async (api, output) => {
        const { items } = z.object({ items: z.array(tenant) }).parse(await api.call('tenant.list'))
        output.result(items, () => table(items, ['id', 'name', 'slug'], 'No workspaces yet.'))
      }),
    )
  tenants
    .command('delete')
    .description('closes the workspace of --tenant at once; in seven days it is destroyed (local only)')
    .requiredOption('--confirm <name>', 'its name, as it is written')
    .action((options: { confirm: string }) =>
      run(async (api, output) => {
        const body = { confirmation: options.confirm }
        const gone = deleted.parse(await api.call('workspace.delete', { body }))
        output.result(gone, () => `${gone.name} is closed, and destroyed after ${gone.purgeAt}.`)
      }),
    )

  program
    .command('user')
    .description('people')
    .command('create')
    .description('makes a person, who signs in by a link sent by mail until they set a password (local only)')
    .requiredOption('--email <address>')
    .option('--name <name>', 'what they are called', '')
    .option('--role <role>', 'their role in the workspace of --tenant', 'member')
    .action((options: { email: string; name: string; role: string }) =>
      run(async (api, output) => {
        const created = user.parse(await api.call('user.create', { body: options }))
        output.result(created, () => `${created.id}  ${created.email}`)
      }),
    )
}
