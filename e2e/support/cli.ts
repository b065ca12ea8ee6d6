/**
 * The command line as people run it.
 *
 * @module
 */
import { execFile } from 'node:child_process'
import path from 'node:path'

import { cleanEnvironment } from './product'

const ROOT = path.resolve(import.meta.dirname, '../..')

export interface CommandResult {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
  json(): unknown
}

/** @param env  `PORTCULLIS_DATA_DIR` of a running product, or `PORTCULLIS_URL` and `PORTCULLIS_API_KEY` */
export function portcullis(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  input = '',
): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ['cli/portcullis.mjs', ...args],
      { cwd: ROOT, env: { ...cleanEnvironment(), ...env }, timeout: 60_000, maxBuffer: 32 * 1024 * 1024 },
      (error, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
        resolve({ status, stdout, stderr, json: () => JSON.parse(stdout) as unknown })
      },
    )
    child.stdin?.end(input)
  })
}
