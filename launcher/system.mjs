// @ts-check
/**
 * What the tests need from the operating system: a browser and a Redis. Installed only where that is expected of us (a
 * build machine, or a person who asked), and only ever said first; otherwise the command to type is printed.
 *
 * @module
 */
import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import process from 'node:process'

import { buildEnvironment } from './environment.mjs'
import { StepFailed, readFileIfAny, run, step } from './steps.mjs'

/** The tests drive exactly this program. */
const CHROMIUM = '/usr/bin/chromium'

/** @returns {string[]} the Debian packages that are missing */
function missingPackages() {
  const missing = []
  if (!existsSync(CHROMIUM)) missing.push('chromium')
  if (!isOnPath('redis-server')) missing.push('redis-server')
  return missing
}

/** @param {string} name */
function isOnPath(name) {
  return (process.env['PATH'] ?? '/usr/bin').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

function isDebian() {
  return /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(readFileIfAny('/etc/os-release') ?? '')
}

/**
 * @param {{ mayInstall: boolean }} options
 * @throws StepFailed with the command that helps
 */
export async function requireSystem({ mayInstall }) {
  const missing = missingPackages()
  if (missing.length === 0) return
  const isRoot = process.geteuid?.() === 0
  const command = `apt-get update && apt-get install -y --no-install-recommends ${missing.join(' ')}`
  if (!isDebian()) {
    throw new StepFailed(
      `The tests need ${missing.join(' and ')}: install ${missing.length > 1 ? 'them' : 'it'} with your system's package manager` +
        (missing.includes('chromium') ? ` (the browser is expected at ${CHROMIUM})` : ''),
    )
  }
  if (!isRoot || !mayInstall) {
    throw new StepFailed(
      `The tests need ${missing.join(' and ')}. Install with:\n\n    ${isRoot ? command : `sudo sh -c '${command}'`}\n` +
        (isRoot ? '\nor let the tests do it: npm test -- --install\n' : ''),
    )
  }
  await step(`installing ${missing.join(' and ')} with apt-get`, async (say) => {
    const env = buildEnvironment({ DEBIAN_FRONTEND: 'noninteractive' })
    await run('apt-get update', 'apt-get', ['update', '-q'], { env })
    say('unpacking')
    await run('apt-get install', 'apt-get', ['install', '-q', '-y', '--no-install-recommends', ...missing], { env })
  })
  const still = missingPackages()
  if (still.length > 0) throw new StepFailed(`${still.join(' and ')} cannot be found after installing`)
}
