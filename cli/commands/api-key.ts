import { z } from 'zod'

import type { Register } from '../run'

const issued = z.object({ id: z.string(), name: z.string(), apiKey: z.string(), expiresAt: z.string() })

interface KeyOptions {
  readonly name: string
  readonly role: string
  readonly user?: string
  readonly expiresInDays: string
  readonly scope?: string[]
  readonly from?: string[]
}

export const apiKeyCommands: Register = (program, run) => {
  program
    .command('api-key')
    .description('keys for the REST API and for this command at a remote service')
    .command('create')
    .description('makes an API key, shown this once')
    .requiredOption('--name <name>', 'where it will be used')
    .option('--role <role>', 'owner, admin, member or auditor; never more than the person has', 'member')
    .option('--user <email>', 'whose key it is (local only; default: the first owner of the workspace)')
    .option('--expires-in-days <days>', 'at most 365', '90')
    .option('--scope <permission...>', 'what it is for, for example connection.read; default: all its role may do')
    .option('--from <range...>', 'where it may be used from, as CIDR ranges; default: everywhere')
    .action((options: KeyOptions) =>
      run(async (api, output) => {
        const made = issued.parse(
          await api.call('api_key.create', {
            body: {
              name: options.name,
              role: options.role,
              expiresInDays: Number(options.expiresInDays),
              ...(options.user === undefined ? {} : { user: options.user }),
              ...(options.scope === undefined ? {} : { scopes: options.scope }),
              ...(options.from === undefined ? {} : { ipRanges: options.from }),
            },
          }),
        )
        output.result(made, () => `${made.apiKey}\n\nValid until ${made.expiresAt}. It cannot be shown again.`)
      }),
    )
}
