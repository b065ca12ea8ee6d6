import { z } from 'zod'

import { AppError } from '@/lib/errors'

import type { Register } from '../run'

const report = z.object({ checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string() })) })

export const doctorCommand: Register = (program, run) => {
  program
    .command('doctor')
    .description('checks that this installation can do its work, and says what is wrong where it cannot')
    .action(() =>
      run(async (api, output) => {
        const { checks } = report.parse(await api.call('doctor'))
        const failed = checks.filter(({ ok }) => !ok).length
        output.result({ ok: failed === 0, checks }, () =>
          checks.map(({ name, ok, detail }) => `${ok ? 'ok  ' : 'FAIL'}  ${name}: ${detail}`).join('\n'),
        )
        if (failed > 0) throw new AppError('service.unavailable', `${failed} of ${checks.length} checks failed.`)
      }),
    )
}
