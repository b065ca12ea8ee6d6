/**
 * The `portcullis` command. Each command names one operation of the REST API; where it runs, here on the databases or at a
 * remote service, is the only thing that differs.
 *
 * Exit status: 0 done, 1 refused or failed, 2 wrong usage or environment.
 *
 * @module
 */
import { Command, CommanderError } from 'commander'

import { loadConfig } from '@/lib/config'
import { AppError } from '@/lib/errors'

import type { Api } from './api'
import { agentCommands } from './commands/agent'
import { apiKeyCommands } from './commands/api-key'
import { auditCommands } from './commands/audit'
import { auditChainCommands } from './commands/audit-chain'
import { connectionCommands } from './commands/connection'
import { doctorCommand } from './commands/doctor'
import { keysCommands } from './commands/keys'
import { memberCommands } from './commands/member'
import { profileCommands } from './commands/profile'
import { sessionCommands } from './commands/session'
import { tenantCommands } from './commands/tenant'
import { connectLocal } from './local'
import { createOutput } from './output'
import { connectRemote } from './remote'
import type { Run } from './run'

const program = new Command('portcullis')
  .description('Credential vault and brokering gateway: the command line.')
  .option('--json', 'print the answer as JSON', false)
  .option('--tenant <id or slug>', 'the workspace to act in (local only; default: the only one)')
  .showHelpAfterError('(add --help for what this command takes)')
  .exitOverride()
  .configureOutput({ writeErr: (text) => void process.stderr.write(text) })

/** Runs one command's body with an API and an output, and always closes what it opened. */
const run: Run = async (body) => {
  const { json, tenant } = program.opts<{ json: boolean; tenant?: string }>()
  const config = loadConfig()
  let api: Api | undefined
  try {
    api =
      config.remote === undefined
        ? connectLocal(config, tenant)
        : await connectRemote(config.remote.url, config.remote.apiKey)
    await body(api, createOutput(json), config)
  } finally {
    await api?.close()
  }
}

for (const register of [
  tenantCommands,
  memberCommands,
  apiKeyCommands,
  connectionCommands,
  agentCommands,
  profileCommands,
  sessionCommands,
  auditCommands,
  auditChainCommands,
  keysCommands,
  doctorCommand,
])
  register(program, run)
withJsonEverywhere(program)

/** `--json` and `--tenant` are taken before and after the command's name, as people type them. */
function withJsonEverywhere(command: Command): void {
  for (const child of command.commands) {
    child.exitOverride()
    if (child.commands.length === 0) {
      child.option('--json', 'print the answer as JSON').on('option:json', () => program.setOptionValue('json', true))
      child
        .option('--tenant <id or slug>', 'the workspace to act in')
        .on('option:tenant', (value: string) => program.setOptionValue('tenant', value))
    }
    withJsonEverywhere(child)
  }
}

// Whoever reads may have read enough: `portcullis audit export | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = report(error)
}

function report(error: unknown): 0 | 1 | 2 {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2 // help and version end with 0
  if (!(error instanceof AppError)) {
    process.stderr.write(`portcullis: ${error instanceof Error ? error.message : 'failed'}\n`)
    return 1
  }
  const json = program.opts<{ json: boolean }>().json
  process.stderr.write(
    json
      ? `${JSON.stringify({ error: { code: error.code, message: error.message } })}\n`
      : `portcullis: ${error.message}\n`,
  )
  // Wrong usage or environment; and a question without an answer, which is neither yes nor no.
  const isAboutUs = ['config.invalid', 'request.invalid', 'audit.unverifiable'].includes(error.code)
  return isAboutUs ? 2 : 1
}
