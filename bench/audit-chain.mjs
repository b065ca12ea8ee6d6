// @ts-check
/**
 * `node bench/audit-chain.mjs`: see bench/audit-chain.ts, which runs through the TypeScript loader.
 *
 * @module
 */
import { spawn } from 'node:child_process'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
const run = spawn(process.execPath, ['--import', 'tsx', 'bench/audit-chain.ts', ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
})
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => run.kill(signal))
run.on('exit', (code) => {
  process.exitCode = code ?? 1
})
