import { z } from 'zod'

import { AppError } from '@/lib/errors'

import type { Api } from '../api'
import { table, type Output } from '../output'
import type { Register } from '../run'

const counts = z.record(z.string(), z.number())
const status = z.object({
  keks: z.array(z.object({ id: z.string(), active: z.boolean(), canary: z.boolean(), tenantKeys: z.number() })),
  tenantKeys: z.array(
    z.object({
      tenantId: z.string(),
      purpose: z.string(),
      version: z.number(),
      state: z.string(),
      kekId: z.string().nullable(),
      references: counts,
    }),
  ),
  unfinished: z.array(z.object({ scope: z.string(), done: z.number(), startedAt: z.string() })),
})
const line = z.union([
  z.object({ progress: z.object({ what: z.string(), done: z.number(), total: z.number() }) }),
  z.object({ result: z.record(z.string(), z.unknown()) }),
])
const PROGRESS_MS = 500

/** Keys. At the machine that holds them alone, without PORTCULLIS_URL. */
export const keysCommands: Register = (program, run) => {
  const keys = program.command('keys').description('keys: what there is, another one, the end of one (local only)')

  keys
    .command('status')
    .description(
      'lists key-encryption keys, the keys of workspaces and what needs them; with --tenant, of one workspace',
    )
    .action(() =>
      run(async (api, output) => {
        const found = status.parse(await api.call('keys.status'))
        output.result(found, () =>
          [
            table(found.keks, ['id', 'active', 'canary', 'tenantKeys'], 'No keys yet.'),
            table(
              found.tenantKeys.map(({ references, ...key }) => ({
                ...key,
                needed: Object.entries(references).map(([what, count]) => `${count} ${what}`),
              })),
              ['tenantId', 'purpose', 'version', 'state', 'kekId', 'needed'],
              'No workspace has keys yet.',
            ),
            ...found.unfinished.map(
              ({ scope, done, startedAt }) =>
                `Unfinished: ${scope}, ${done} done, since ${startedAt}. Run the same rotation again: it goes on.`,
            ),
          ].join('\n\n'),
        )
      }),
    )

  const rotate = keys.command('rotate').description('another key; everything goes on meanwhile, and after a crash too')
  rotate
    .command('kek')
    .description('another key-encryption key; every workspace’s keys are wrapped under it')
    .action(() => run((api, output) => change(api, output, { what: 'rotate_kek' })))
  rotate
    .command('oauth')
    .description('other keys of the authorization server; the ones before still count until the next rotation')
    .action(() => run((api, output) => change(api, output, { what: 'rotate_oauth' })))
  rotate
    .command('tenant')
    .description(
      'another key of a workspace; what is sealed from now on is under it, and the credentials that are there',
    )
    .option(
      '--purpose <purpose>',
      'vault, audit, spool, webhook, mcp, sign_in, or person for the installation’s',
      'vault',
    )
    .action((options: { purpose: string }) =>
      run((api, output) => change(api, output, { what: 'rotate_tenant', ...options })),
    )
  rotate
    .command('dek')
    .description('new data keys for a workspace’s credentials, which are sealed anew')
    .option('--connection <id>', 'this one alone')
    .action((options: { connection?: string }) =>
      run((api, output) => change(api, output, { what: 'rotate_dek', ...options })),
    )

  keys
    .command('retire')
    .description('destroys a key that nothing needs any more; what an old backup holds under it stays closed for good')
    .option('--kek <id>', 'a key-encryption key')
    .option('--key-version <number>', 'a version of a workspace’s key')
    .option('--purpose <purpose>', 'which of the workspace’s keys, or person for the installation’s', 'vault')
    .action((options: { kek?: string; keyVersion?: string; purpose: string }) =>
      run((api, output) => {
        if ((options.kek === undefined) === (options.keyVersion === undefined))
          throw new AppError('request.invalid', 'Say which key: --kek <id>, or --key-version <number>.')
        return change(
          api,
          output,
          options.kek === undefined
            ? { what: 'retire_tenant', purpose: options.purpose, version: Number(options.keyVersion) }
            : { what: 'retire_kek', kek: options.kek },
        )
      }),
    )
}

/** Shows what was done now and then, and what came of it. What does not open is a failure, but one that is told last. */
async function change(api: Api, output: Output, body: object): Promise<void> {
  let shownAt = 0
  for await (const text of api.lines('keys.change', { body })) {
    const parsed = line.parse(JSON.parse(text))
    if ('progress' in parsed) {
      const { what, done, total } = parsed.progress
      if (Date.now() - shownAt < PROGRESS_MS && done < total) continue
      shownAt = Date.now()
      output.note(`${what}: ${done} of ${total}`)
      continue
    }
    const { result } = parsed
    output.result(result, () =>
      Object.entries(result)
        .map(([name, value]) => `${name}: ${String(value)}`)
        .join('\n'),
    )
    if (Number(result['unreadable'] ?? 0) > 0)
      throw new AppError(
        'vault.unreadable',
        `${String(result['unreadable'])} could not be read and were left as they are.`,
      )
  }
}
