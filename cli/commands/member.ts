import { z } from 'zod'

import { table } from '../output'
import type { Register } from '../run'

const member = z.object({ personId: z.string(), email: z.string(), name: z.string(), role: z.string() })
const invitation = z.object({
  id: z.string(),
  email: z.string(),
  role: z.string(),
  url: z.string(),
  expiresAt: z.string(),
})

/** Who belongs to a workspace. */
export const memberCommands: Register = (program, run) => {
  const members = program.command('member').description('people of a workspace')
  members
    .command('list')
    .description('lists people and their roles')
    .action(() =>
      run(async (api, output) => {
        const { items } = z.object({ items: z.array(member) }).parse(await api.call('member.list'))
        output.result(items, () => table(items, ['personId', 'email', 'role'], 'Nobody yet.'))
      }),
    )
  members
    .command('invite')
    .description('invites an address by mail, and shows the link this once')
    .requiredOption('--email <address>')
    .option('--role <role>', 'owner, admin, member or auditor; never above your own', 'member')
    .option('--expires-in-days <days>', 'at most 30', '7')
    .action((options: { email: string; role: string; expiresInDays: string }) =>
      run(async (api, output) => {
        const body = { email: options.email, role: options.role, expiresInDays: Number(options.expiresInDays) }
        const made = invitation.parse(await api.call('invitation.create', { body }))
        output.result(
          made,
          () => `${made.url}\n\nFor ${made.email}, until ${made.expiresAt}. It cannot be shown again.`,
        )
      }),
    )
  members
    .command('remove')
    .description('ends a membership, with the person’s keys and agent sessions here (local only)')
    .requiredOption('--person <id>')
    .action((options: { person: string }) =>
      run(async (api, output) => {
        await api.call('member.remove', { params: { personId: options.person } })
        output.result({ personId: options.person }, () => `${options.person} is a member no more.`)
      }),
    )
}
