/**
 * How much of what the MCP SDK can do on this machine is left with everything on.
 *
 *     node bench/tools-call.mjs [--seconds 4] [--rounds 3] [--connections 16] [--calls] [--write] [--prof]
 *
 * See bench/compare.ts.
 */
import { spawn } from 'node:child_process'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
const run = spawn(process.execPath, ['--import', 'tsx', 'bench/compare.ts', ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
})
run.on('exit', (code) => {
  process.exitCode = code ?? 1
})
