/**
 * What two thousand agents that only listen cost those who call.
 *
 *     node bench/streams.mjs [--streams 2000] [--seconds 6]
 *
 * See bench/streams.ts.
 */
import { spawn } from 'node:child_process'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
const run = spawn(process.execPath, ['--import', 'tsx', 'bench/streams.ts', ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
})
run.on('exit', (code) => {
  process.exitCode = code ?? 1
})
