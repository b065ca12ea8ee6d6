// @ts-check
/**
 * Steps a person waits for: each says what it is doing, for how long, and when it fails why. On a terminal the seconds
 * count up in place; elsewhere a plain line appears every ten seconds, so that no log looks hung.
 *
 * @module
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { buildEnvironment } from './environment.mjs'
import { processIdentity } from './processes.mjs'

/** The repository. Everything the launcher starts runs here. */
export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..')

/** A failure whose message is all a person needs: printed without a stack. */
export class StepFailed extends Error {}

/** How many steps run now: one alone may draw over its own line. */
let active = 0
const isDrawn = () => process.stdout.isTTY && active === 1
const TAIL_BYTES = 16 * 1024

/**
 * @param {number} since  milliseconds
 * @returns {string}
 */
export function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`
}

/**
 * Runs one step under its title.
 *
 * @template T
 * @param {string} title
 * @param {(say: (detail: string) => void) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function step(title, work) {
  const began = Date.now()
  let detail = ''
  let ticks = 0
  const elapsed = () => `${Math.floor((Date.now() - began) / 1000)} s`
  const clear = () => (process.stdout.isTTY ? '\r\u001B[K' : '')
  const show = () => {
    const text = detail === '' ? title : `${title}: ${detail}`
    if (isDrawn()) process.stdout.write(`${clear()}  ${text} … ${elapsed()}`)
    else process.stdout.write(`  ${text} … ${elapsed()}\n`)
  }
  active += 1
  const ticker = setInterval(() => {
    ticks += 1
    if (isDrawn() || ticks % 10 === 0) show()
  }, 1000)
  if (isDrawn()) show()
  try {
    const result = await work((line) => {
      detail = line
      show()
    })
    process.stdout.write(`${clear()}  ${title}: ${seconds(began)}\n`)
    return result
  } catch (error) {
    process.stdout.write(`${clear()}  ${title}: failed after ${seconds(began)}\n`)
    throw error
  } finally {
    clearInterval(ticker)
    active -= 1
  }
}

/** Everything spawned by {@link run} and still running: an interrupted launcher ends them. */
const running = new Set()

/** Ends what {@link run} started, with the children it started in turn. */
export function endRunning() {
  for (const child of running) {
    try {
      process.kill(-child.pid, 'SIGTERM')
    } catch {
      // it ended by itself
    }
  }
}

/**
 * Runs a program to its end, keeping only the tail of what it says.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, cwd?: string, timeoutMs?: number, onStderr?: (line: string) => void }} [options]
 * @returns {Promise<{ code: number, output: string, stdout: string, stderr: string }>}
 */
export function attempt(command, args, { env = buildEnvironment(), cwd = ROOT, timeoutMs, onStderr } = {}) {
  return new Promise((resolvePromise) => {
    // Its own process group, so that a timeout or an interrupt ends grandchildren as well.
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    running.add(child)
    let output = ''
    let stdout = ''
    let stderr = ''
    let timedOut = false
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            timedOut = true
            try {
              process.kill(-Number(child.pid), 'SIGKILL')
            } catch {
              // it ended in the same moment
            }
          }, timeoutMs)
    /** @param {boolean} isStdout */
    const collect = (isStdout) => (/** @type {string} */ text) => {
      output = (output + text).slice(-TAIL_BYTES)
      if (isStdout) stdout = (stdout + text).slice(-TAIL_BYTES)
      else {
        stderr = (stderr + text).slice(-TAIL_BYTES)
        if (onStderr !== undefined) for (const line of text.split('\n')) if (line.trim() !== '') onStderr(line)
      }
    }
    child.stdout.setEncoding('utf8').on('data', collect(true))
    child.stderr.setEncoding('utf8').on('data', collect(false))
    /** @param {number} code */
    const finish = (code) => {
      clearTimeout(timer)
      running.delete(child)
      if (timedOut) output += `\nended after ${Math.round((timeoutMs ?? 0) / 1000)} s, the time it may take\n`
      resolvePromise({ code: timedOut ? 124 : code, output, stdout, stderr })
    }
    child.once('error', (error) => {
      output += `${command}: ${error.message}\n`
      finish(127)
    })
    child.once('close', (code, signal) => {
      if (signal !== null) output += `\nended by ${signal}\n`
      finish(code ?? 1)
    })
  })
}

/**
 * Like {@link attempt}, and a failure is an error that shows what the program said last.
 *
 * @param {string} what
 * @param {string} command
 * @param {readonly string[]} args
 * @param {Parameters<typeof attempt>[2]} [options]
 */
export async function run(what, command, args, options) {
  const result = await attempt(command, args, options)
  if (result.code !== 0) throw new StepFailed(`${what} failed (exit ${result.code}):\n${tail(result.output, 40)}`)
  return result
}

/**
 * @param {string} text
 * @param {number} lines
 */
export function tail(text, lines) {
  return text.trimEnd().split('\n').slice(-lines).join('\n')
}

/**
 * One process at a time does this work in this folder. A lock whose holder died is taken over.
 *
 * @template T
 * @param {string} path  the lock file
 * @param {(line: string) => void} say
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function exclusively(path, say, work) {
  let told = false
  for (;;) {
    const { release } = tryLock(path)
    if (release !== undefined) {
      try {
        return await work()
      } finally {
        release()
      }
    }
    if (!told) say('waiting for another start in this folder')
    told = true
    await delay(250)
  }
}

/**
 * Takes the lock, or names the living process that holds it.
 *
 * @param {string} path
 * @param {Record<string, unknown>} [facts]  written beside who we are
 * @returns {{ release: () => void, holder?: undefined } | { holder: Record<string, unknown> & { pid: number, identity: string }, release?: undefined }}
 */
export function tryLock(path, facts = {}) {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const me = JSON.stringify({ ...facts, pid: process.pid, identity: processIdentity(process.pid) })
  const draft = `${path}.${process.pid}-${randomBytes(4).toString('hex')}`
  writeFileSync(draft, me, { mode: 0o600 })
  try {
    for (;;) {
      try {
        linkSync(draft, path) // fails when it exists, and is never seen half written
        return {
          release: () => {
            if (readFileIfAny(path) === me) rmSync(path, { force: true })
          },
        }
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
      }
      const text = readFileIfAny(path)
      if (text === undefined) continue
      const holder = livingHolder(text)
      if (holder !== undefined) return { holder }
      // Moved before it is deleted: if another start took the lock meanwhile, that one is put back.
      const aside = `${draft}-stale`
      try {
        renameSync(path, aside)
        if (readFileIfAny(aside) !== text && !existsSync(path)) renameSync(aside, path)
        else rmSync(aside, { force: true })
      } catch {
        // another start was quicker
      }
    }
  } finally {
    rmSync(draft, { force: true })
  }
}

/** @param {string} text */
function livingHolder(text) {
  try {
    const holder = JSON.parse(text)
    return typeof holder.identity === 'string' && processIdentity(holder.pid) === holder.identity ? holder : undefined
  } catch {
    return undefined
  }
}

/** @param {string} path */
export function readFileIfAny(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
