// @ts-check
/**
 * Facts about other processes and about ports, from Node built-ins alone.
 *
 * A process id by itself proves nothing: ids are reused, after a reboot within seconds. Whoever writes an id down writes
 * its identity beside it (start time and boot), and nothing is ever signalled whose identity no longer matches.
 *
 * @module
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { basename } from 'node:path'
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'

const onLinux = process.platform === 'linux'

/** @returns {string} */
function bootId() {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8)
  } catch {
    return '-'
  }
}

/**
 * What distinguishes the process that has this id now from every other that had or will have it.
 *
 * @param {number} pid
 * @returns {string | undefined} undefined when there is no such process, or only its unreaped remains
 */
export function processIdentity(pid) {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined
  if (onLinux) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      // The command name may itself hold spaces and parentheses: the fields begin after the last one.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      const [state] = fields
      const startTime = fields[19]
      if (state === undefined || startTime === undefined || state === 'Z' || state === 'X') return undefined
      return `${pid}:${startTime}:${bootId()}`
    } catch {
      return undefined
    }
  }
  try {
    const started = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { stdio: ['ignore', 'pipe', 'ignore'] })
    const text = started.toString().trim()
    return text === '' ? undefined : `${pid}:${text}`
  } catch {
    return undefined
  }
}

/**
 * @param {number} pid
 * @returns {{ program: string, folder: string | undefined, command: string }} empty strings where nothing may be read
 */
export function describeProcess(pid) {
  if (onLinux) {
    /** @param {() => string} read */
    const attempt = (read) => {
      try {
        return read()
      } catch {
        return undefined
      }
    }
    const exe = attempt(() => readlinkSync(`/proc/${pid}/exe`))?.replace(/ \(deleted\)$/, '')
    const command = attempt(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim())
    const folder = attempt(() => readlinkSync(`/proc/${pid}/cwd`))
    return { program: exe === undefined ? '' : basename(exe), folder, command: command ?? '' }
  }
  try {
    const command = execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim()
    return { program: basename(command.split(' ')[0] ?? ''), folder: undefined, command }
  } catch {
    return { program: '', folder: undefined, command: '' }
  }
}

/**
 * Sends a signal to exactly the process that was meant, or to nobody.
 *
 * @param {number} pid
 * @param {string} identity  from {@link processIdentity}
 * @param {NodeJS.Signals} signal
 * @returns {boolean} whether it was sent
 */
export function signalExactly(pid, identity, signal) {
  if (processIdentity(pid) !== identity) return false
  try {
    process.kill(pid, signal)
    return true
  } catch {
    return false
  }
}

/**
 * @param {number} pid
 * @param {string} identity
 * @param {number} timeoutMs
 * @returns {Promise<boolean>} whether the process has ended
 */
export async function waitForEnd(pid, identity, timeoutMs) {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    if (processIdentity(pid) !== identity) return true
    if (Date.now() >= deadline) return false
    await delay(25)
  }
}

/**
 * A port of 127.0.0.1 that was free a moment ago. It may be taken before its user binds it: whoever binds tries again.
 *
 * @returns {Promise<number>}
 */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.unref()
    server.once('error', reject)
    server.listen({ host: '127.0.0.1', port: 0, exclusive: true }, () => {
      const address = server.address()
      server.close(() => {
        if (address !== null && typeof address === 'object') resolve(address.port)
        else reject(new Error('the system gave no port'))
      })
    })
  })
}

/**
 * @param {number} port
 * @param {string} [host]
 * @returns {Promise<boolean>}
 */
export function isPortFree(port, host = '127.0.0.1') {
  return new Promise((resolve) => {
    const server = createServer()
    server.unref()
    server.once('error', () => {
      resolve(false)
    })
    server.listen({ host, port, exclusive: true }, () => {
      server.close(() => {
        resolve(true)
      })
    })
  })
}
