// @ts-check
/**
 * Installs exactly what the lockfile says, when that is not what is installed.
 *
 * Install scripts of packages do not run: nothing the product needs comes from one (the links of the PostgreSQL package
 * are made by postgres-binaries.mjs), some of them download, and a dependency gets no say on this machine until it is
 * called.
 *
 * @module
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import process from 'node:process'

import { ROOT, StepFailed, attempt, readFileIfAny, run, step } from './steps.mjs'

const STAMP = join(ROOT, 'node_modules', '.portcullis-installed')

function wanted() {
  return createHash('sha256')
    .update(readFileSync(join(ROOT, 'package-lock.json')))
    .update(`${process.platform} ${process.arch} ${process.versions.modules}`)
    .digest('hex')
}

/** @returns {boolean} whether node_modules holds what the lockfile names, whoever installed it */
function isInstalled() {
  const stamp = readFileIfAny(STAMP)
  if (stamp !== undefined) return stamp === wanted()
  const hidden = readFileIfAny(join(ROOT, 'node_modules', '.package-lock.json'))
  if (hidden === undefined) return false
  /** @typedef {{ version?: string, integrity?: string, optional?: boolean }} Entry */
  /** @type {Record<string, Entry>} */
  const locked = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).packages
  /** @type {Record<string, Entry>} */
  const present = JSON.parse(hidden).packages
  return Object.entries(locked).every(([path, entry]) => {
    if (path === '') return true
    const found = present[path]
    // Packages for other platforms are optional and absent; a needed one that is missing shows when it is used.
    if (found === undefined) return entry.optional === true
    return found.version === entry.version && found.integrity === entry.integrity && existsSync(join(ROOT, path))
  })
}

/** @throws StepFailed when npm does */
export async function install() {
  if (isInstalled()) {
    if (readFileIfAny(STAMP) === undefined) stamp()
    return
  }
  const npm = process.env['npm_execpath']
  // Started by another package manager, npm_execpath names that one.
  const [command, ...first] =
    npm !== undefined && /^npm(-cli\.js)?$/.test(basename(npm)) && existsSync(npm) ? [process.execPath, npm] : ['npm']
  await step('installing packages from the lockfile', async (say) => {
    const args = ['ci', '--ignore-scripts', '--include=dev', '--include=optional', '--no-audit', '--no-fund']
    // What is in npm's cache was checked against the lockfile's digests: asking the registry about it again takes longer
    // than unpacking it.
    const { code } = await attempt(String(command), [...first, ...args, '--prefer-offline'])
    if (code !== 0) {
      say('once more, asking the registry for everything')
      await run('npm ci', String(command), [...first, ...args])
    }
    stamp()
  })
}

function stamp() {
  try {
    writeFileSync(STAMP, wanted())
  } catch {
    // node_modules may belong to somebody else and be read-only: then it is compared each time
  }
}

/** @throws StepFailed with the version that is needed */
export function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new StepFailed(`Portcullis needs Node.js 20.19 or newer; this is ${process.versions.node}`)
  }
}
