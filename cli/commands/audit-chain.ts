import { z } from 'zod'

import { AppError } from '@/lib/errors'

import { table } from '../output'
import type { Register } from '../run'

const problem = z.object({
  kind: z.string(),
  position: z.number().nullable(),
  recordId: z.string().nullable(),
  detail: z.string(),
})
const report = z.object({
  ok: z.boolean(),
  tenants: z.array(
    z.object({
      tenantId: z.string(),
      ok: z.boolean(),
      checked: z.number(),
      from: z.number(),
      to: z.number(),
      vouchedTo: z.number(),
      checkpoints: z.number(),
      cutAt: z.number(),
      erased: z.number(),
      waiting: z.number(),
      waitingSeconds: z.number(),
      problems: z.array(problem),
    }),
  ),
  publicKey: z.string().nullable(),
  unreadable: z.number(),
})
const erased = z.object({ personId: z.string(), records: z.number(), calls: z.number() })
const trail = z.object({ retentionDays: z.number().nullable() })

/** What keeps the trail true. Added to the commands of `audit`. */
export const auditChainCommands: Register = (program, run) => {
  const audit = program.commands.find((command) => command.name() === 'audit') ?? program.command('audit')

  audit
    .command('verify')
    .description(
      'computes every chain again and compares it with its signed checkpoints; exit status 0: nothing was touched, 1: something was, 2: it cannot be said (local only)',
    )
    .option('--checkpoints <place...>', 'files or folders of checkpoints (default: those in the data folder)')
    .option('--public-key <file>', 'the public key that signed them, PEM (default: the key in the data folder)')
    .action((options: { checkpoints?: string[]; publicKey?: string }) =>
      run(async (api, output) => {
        const found = report.parse(
          await api.call('audit.verify', {
            body: {
              checkpoints: options.checkpoints ?? [],
              ...(options.publicKey === undefined ? {} : { publicKey: options.publicKey }),
            },
          }),
        )
        const broken = found.tenants.filter(({ ok }) => !ok)
        output.result(found, () =>
          [
            table(
              found.tenants.map((one) => ({
                workspace: one.tenantId,
                is: one.ok ? 'intact' : 'NOT INTACT',
                from: one.from,
                to: one.to,
                'vouched to': one.vouchedTo,
                waiting: one.waiting === 0 ? '-' : `${one.waiting}, ${Math.round(one.waitingSeconds)} s`,
                erased: one.erased,
              })),
              ['workspace', 'is', 'from', 'to', 'vouched to', 'waiting', 'erased'],
              'No workspace has records yet.',
            ),
            ...broken.map((one) =>
              [
                `${one.tenantId}:`,
                ...one.problems.map(
                  ({ kind, position, recordId, detail }) =>
                    `  ${kind}${position === null ? '' : ` at ${position}`}${recordId === null ? '' : ` (${recordId})`}: ${detail}`,
                ),
              ].join('\n'),
            ),
            ...(found.unreadable === 0 ? [] : [`${found.unreadable} lines among the checkpoints could not be read.`]),
          ].join('\n\n'),
        )
        if (!found.ok)
          throw new AppError('audit.tampered', `The records of ${broken.length} workspaces are not what was written.`)
      }),
    )

  audit
    .command('keep')
    .description('after how many days records are removed; the rest stays verifiable')
    .argument('<days>', '30 to 3650, or "forever"')
    .action((days: string) =>
      run(async (api, output) => {
        const kept = trail.parse(
          await api.call('trail.keep', { body: { retentionDays: days === 'forever' ? null : Number(days) } }),
        )
        output.result(kept, () =>
          kept.retentionDays === null
            ? 'Records are kept for ever.'
            : `Records are kept for ${kept.retentionDays} days, then removed.`,
        )
      }),
    )

  audit
    .command('erase-person')
    .description('takes a person out of the records of a workspace for good; the records stay verifiable (local only)')
    .argument('<e-mail or per_…>')
    .action((person: string) =>
      run(async (api, output) => {
        const done = erased.parse(await api.call('audit.erase_person', { body: { person } }))
        output.result(done, () => `${done.personId}: erased from ${done.records} records and ${done.calls} calls.`)
      }),
    )
}
