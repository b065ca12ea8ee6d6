import { readFileSync } from 'node:fs'

import { z } from 'zod'

import { AppError } from '@/lib/errors'

import type { Register } from '../run'

const profile = z.object({ agentId: z.string(), profileVersion: z.number(), document: z.looseObject({}) })

export const profileCommands: Register = (program, run) => {
  const command = program.command('profile').description('permission profiles: what an agent may call')

  command
    .command('apply <agentId>')
    .description('makes a document the profile of an agent, from the next call on')
    .requiredOption('-f, --file <path>', 'the profile as JSON; - reads standard input')
    .action((agentId: string, { file }: { file: string }) =>
      run(async (api, output) => {
        const applied = profile.parse(
          await api.call('profile.apply', { params: { agentId }, body: readDocument(file) }),
        )
        output.result(applied, () => `${agentId} now follows profile version ${applied.profileVersion}.`)
      }),
    )

  command
    .command('show <agentId>')
    .description('prints the profile an agent follows')
    .action((agentId: string) =>
      run(async (api, output) => {
        const shown = profile.parse(await api.call('profile.show', { params: { agentId } }))
        output.result(shown, () => JSON.stringify(shown.document, null, 2))
      }),
    )
}

function readDocument(file: string): unknown {
  let text: string
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch {
    throw new AppError('request.invalid', '--file: cannot be read')
  }
  try {
    return JSON.parse(text)
  } catch {
    throw new AppError('request.invalid', '--file: is not valid JSON')
  }
}
