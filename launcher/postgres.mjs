// @ts-check
/**
 * A PostgreSQL server of our own on a folder, for people who have none.
 *
 * Guarantees: it listens on 127.0.0.1 alone, on a port nobody else has, with passwords (scram-sha-256) and no sockets in
 * the file system; it never runs as root; its data is complete or absent, never half made; after a kill -9 of whoever
 * started it the next start finds the same data, whether the server survived or not; a process that merely inherited the
 * id in a stale lock file is never signalled.
 *
 * On disk, below the given folder (0700):
 *
 *     cluster/data/                 PostgreSQL's own, owned by the user it runs as
 *     cluster/superuser-password    0600
 *     cluster/owner.json            which process answers for the running server
 *     init-…/                       a cluster being made; renamed to `cluster` when complete, swept when abandoned
 *     postgres.log                  what the server says, without statements and their values
 *
 * When root starts it, the server runs as another user that cannot pass through the folders above its data (they hold
 * keys). So it is given `/proc/self/cwd` as its data folder: it starts inside, and stays there for life.
 *
 * Starting a second time on the same folder returns the running server. The second starter is a guest while the first
 * lives: its `stop()` leaves the server alone. When the first is gone the next starter becomes responsible for it.
 *
 * @module
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { connect } from 'node:net'
import { join, resolve } from 'node:path'
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'

import { chooseServerUser, usableBinaries } from './postgres-binaries.mjs'
import { describeProcess, freePort, isPortFree, processIdentity, signalExactly, waitForEnd } from './processes.mjs'

export { freePort } from './processes.mjs'

const SUPERUSER = 'postgres'
const MAX_LOG_BYTES = 8 * 1024 * 1024

/** @typedef {import('./postgres-binaries.mjs').ServerUser} ServerUser */

/**
 * @typedef {object} StartOptions
 * @property {string} dataDir  made when missing
 * @property {number} [port]  a wish: when it is taken, another is used
 * @property {(line: string) => void} [log]  progress, one line each
 * @property {Record<string, string>} [settings]  server settings (`fsync: 'off'` in tests)
 * @property {boolean} [tether]  end the server when this process ends, however it ends; for tests
 */

/**
 * @typedef {object} RunningPostgres
 * @property {'127.0.0.1'} host
 * @property {number} port
 * @property {number} pid
 * @property {boolean} guest  another living process started it and answers for it
 * @property {(database?: string) => string} superuserUrl
 * @property {() => Promise<void>} stop  disconnects everybody and waits until the data is at rest; a guest's does nothing
 */

/**
 * A server runs on the folder, and accepts connections.
 *
 * @param {StartOptions} options
 * @returns {Promise<RunningPostgres>}
 */
export async function startPostgres({ dataDir, port, log = () => {}, settings = {}, tether = false }) {
  const root = resolve(dataDir)
  makePrivateFolder(root)
  const cluster = join(root, 'cluster')
  const data = join(cluster, 'data')
  sweepAbandoned(root)
  setAsideUnstartable(cluster, log)

  const user = chooseServerUser(existsSync(data) ? data : undefined)
  checkOwner(data)
  const { native, version } = usableBinaries(user, log)

  if (!existsSync(cluster)) await createCluster({ root, cluster, native, user, log })
  checkVersion(data, version)
  const password = readFileSync(join(cluster, 'superuser-password'), 'utf8').trim()

  /** @type {string} */
  let reason = ''
  let wish = port
  for (let attempt = 0; attempt < 8; attempt += 1) {
    const live = await findLive(data, log)
    if (live !== undefined) {
      const guest = !claim(cluster, live)
      log(guest ? 'PostgreSQL is already running' : 'PostgreSQL was still running; taking it over')
      return handle({ cluster, live, password, guest, tether: tether && !guest })
    }
    const chosen = wish !== undefined && (await isPortFree(wish)) ? wish : await freePort()
    wish = undefined
    const started = await launch({ root, data, native, user, port: chosen, settings, log })
    if (started.live !== undefined) {
      claim(cluster, started.live)
      return handle({ cluster, live: started.live, password, guest: false, tether })
    }
    reason = started.reason
    // Two ordinary reasons end here: the port was taken after we looked, or another starter was quicker. Both are
    // visible facts, so no message of the server's is interpreted. Anything else would only fail again.
    const portTaken = !(await isPortFree(chosen))
    if (!portTaken && readPostmaster(data) === undefined && attempt >= 1) break
  }
  throw new Error(`PostgreSQL did not start on ${root}:\n${reason}`)
}

/** @param {string} path */
function makePrivateFolder(path) {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  const stat = statSync(path)
  if (!stat.isDirectory()) throw new Error(`${path} is not a folder`)
  const me = process.geteuid?.()
  if (me !== undefined && me !== 0 && stat.uid !== me) {
    throw new Error(
      `${path} belongs to another user (uid ${stat.uid}); start as that user, or choose another data folder`,
    )
  }
}

/** @param {string} data */
function checkOwner(data) {
  if (!existsSync(data)) return
  const me = process.geteuid?.()
  const { uid } = statSync(data)
  if (me !== undefined && me !== 0 && uid !== me) {
    throw new Error(
      `the database in ${data} belongs to uid ${uid} and this is uid ${me}: start as the user who made it, or as root`,
    )
  }
}

/**
 * Removes clusters whose maker died while making them. They were never used: a cluster gets its name when it is complete.
 *
 * @param {string} root
 */
function sweepAbandoned(root) {
  for (const name of readdirSync(root)) {
    if (!name.startsWith('init-')) continue
    const path = join(root, name)
    let maker
    try {
      maker = JSON.parse(readFileSync(join(path, 'maker.json'), 'utf8'))
    } catch {
      // Killed before it could say who it is, or not ours; a maker alive writes this within a millisecond.
      if (Date.now() - lstatSync(path).mtimeMs < 2000) continue
    }
    if (maker !== undefined && processIdentity(maker.pid) === maker.identity) continue
    if (maker?.program !== undefined) signalExactly(maker.program.pid, maker.program.identity, 'SIGKILL')
    try {
      rmSync(path, { recursive: true, force: true, maxRetries: 5 })
    } catch {
      // Its last program is still writing into it: the next start sweeps again.
    }
  }
}

/**
 * A cluster without its control file cannot be opened by any PostgreSQL, and was not left so by us. It is kept, under
 * another name, because it may be what remains of somebody's data.
 *
 * @param {string} cluster
 * @param {(line: string) => void} log
 */
function setAsideUnstartable(cluster, log) {
  if (!existsSync(cluster)) return
  const complete = ['data/global/pg_control', 'data/PG_VERSION', 'superuser-password'].every((path) => {
    try {
      return statSync(join(cluster, path)).size > 0
    } catch {
      return false
    }
  })
  if (complete) return
  if (existsSync(join(cluster, 'data/global/pg_control'))) {
    throw new Error(
      `the database in ${cluster} is damaged (its version or password file is missing); restore it from a backup`,
    )
  }
  const aside = `${cluster}.incomplete-${Date.now()}`
  renameSync(cluster, aside)
  log(`the database folder was half made and cannot be opened; kept as ${aside}, starting with an empty one`)
}

/**
 * @param {string} data
 * @param {string} version
 */
function checkVersion(data, version) {
  const made = readFileSync(join(data, 'PG_VERSION'), 'utf8').trim()
  if (made !== version.split('.')[0]) {
    throw new Error(
      `the database in ${data} was made by PostgreSQL ${made}; these programs are ${version} and cannot open it`,
    )
  }
}

/**
 * @param {string} data
 * @param {ServerUser | undefined} user
 * @returns {string} how the server itself names its data folder
 */
function dataArgument(data, user) {
  return user !== undefined && process.platform === 'linux' ? '/proc/self/cwd' : data
}

/** @param {ServerUser | undefined} user */
function credentials(user) {
  return user === undefined ? {} : { uid: user.uid, gid: user.gid }
}

/** What the server's programs see of our environment: nothing that could redirect or configure them. */
function cleanEnvironment() {
  const clean = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC', HOME: '/nonexistent' }
  // Next's types want NODE_ENV in every environment; PostgreSQL has no use for one.
  return /** @type {NodeJS.ProcessEnv} */ (/** @type {unknown} */ (clean))
}

/**
 * @param {{ root: string, cluster: string, native: string, user: ServerUser | undefined, log: (line: string) => void }} at
 */
async function createCluster({ root, cluster, native, user, log }) {
  log('creating the database folder')
  const making = join(root, `init-${process.pid}-${randomBytes(6).toString('hex')}`)
  const data = join(making, 'data')
  const passwordPath = join(making, 'superuser-password')
  mkdirSync(making, { mode: 0o700 })
  try {
    const maker = { pid: process.pid, identity: processIdentity(process.pid) }
    writePrivate(join(making, 'maker.json'), JSON.stringify(maker))
    mkdirSync(data, { mode: 0o700 })
    writePrivate(passwordPath, `${randomBytes(24).toString('base64url')}\n`)
    if (user !== undefined) {
      chownSync(data, user.uid, user.gid)
      chownSync(passwordPath, user.uid, user.gid)
    }
    // Handed over as an open file: its path is closed to the server's user, and a command line is open to everybody.
    const passwordFile = openSync(passwordPath, 'r')
    const logFile = openLog(root)
    try {
      const child = spawn(
        join(native, 'bin', 'initdb'),
        [
          `--pgdata=${dataArgument(data, user)}`,
          `--username=${SUPERUSER}`,
          '--pwfile=/dev/stdin',
          '--auth=scram-sha-256',
          '--encoding=UTF8',
          '--locale=C',
          // Code point order and full Unicode case rules that do not change with the operating system's C library.
          '--locale-provider=builtin',
          '--builtin-locale=C.UTF-8',
          '--data-checksums',
        ],
        {
          ...credentials(user),
          cwd: data,
          env: cleanEnvironment(),
          stdio: [passwordFile, logFile.fd, logFile.fd],
          detached: true,
        },
      )
      const exit = ended(child)
      if (child.pid !== undefined) {
        const program = { pid: child.pid, identity: processIdentity(child.pid) }
        writePrivate(join(making, 'maker.json'), JSON.stringify({ ...maker, program }))
      }
      const code = await exit
      if (code !== 0) throw new Error(`initdb failed (${code}):\n${logFile.tail()}`)
    } finally {
      closeSync(passwordFile)
      logFile.close()
    }
    if (user !== undefined) chownSync(passwordPath, process.geteuid?.() ?? 0, process.getegid?.() ?? 0)
    rmSync(join(making, 'maker.json'))
    syncFolder(making)
    try {
      renameSync(making, cluster)
    } catch (error) {
      if (!existsSync(cluster)) throw error
      log('another start created the database first') // its data wins; ours was never used
    }
    syncFolder(root)
  } finally {
    rmSync(making, { recursive: true, force: true })
  }
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @returns {Promise<number | string>}
 */
function ended(child) {
  return new Promise((resolvePromise, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      resolvePromise(code ?? signal ?? 'unknown')
    })
  })
}

/**
 * @param {string} path
 * @param {string} text
 */
function writePrivate(path, text) {
  const temporary = `${path}.${process.pid}-${randomBytes(4).toString('hex')}`
  const fd = openSync(temporary, 'wx', 0o600)
  try {
    writeFileSync(fd, text)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(temporary, path)
}

/** @param {string} path */
function syncFolder(path) {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** @param {string} root */
function openLog(root) {
  const path = join(root, 'postgres.log')
  try {
    if (statSync(path).size > MAX_LOG_BYTES) renameSync(path, `${path}.1`)
  } catch {
    // no log yet
  }
  let fd
  try {
    fd = openSync(path, 'a', 0o600)
  } catch {
    unlinkSync(path) // left by another user; the folder is ours
    fd = openSync(path, 'a', 0o600)
  }
  const from = statSync(path).size
  return {
    fd,
    close: () => {
      closeSync(fd)
    },
    tail: () => readFileSync(path).subarray(from).toString('utf8').trim().split('\n').slice(-15).join('\n'),
  }
}

/**
 * @typedef {object} Live
 * @property {number} pid
 * @property {string} identity
 * @property {number} port
 */

/**
 * The lock file as the server writes it: pid, data folder, start, port, socket folder, address, shared memory, status.
 *
 * @param {string} data
 * @returns {{ pid: number, port: number, status: string, text: string } | undefined}
 */
function readPostmaster(data) {
  try {
    const text = readFileSync(join(data, 'postmaster.pid'), 'utf8')
    const lines = text.split('\n')
    return { pid: Number(lines[0]), port: Number(lines[3]), status: (lines[7] ?? '').trim(), text }
  } catch {
    return undefined
  }
}

/**
 * @param {number} pid
 * @param {string} data
 * @returns {string | undefined} the identity, if this process is a server on exactly this folder
 */
function identityOfServer(pid, data) {
  const identity = processIdentity(pid)
  if (identity === undefined) return undefined
  const { program, folder, command } = describeProcess(pid)
  const isServer = program === 'postgres'
  const isHere = folder === undefined ? command.includes(data) : folder === realpathSync(data)
  // Asked again: the answers above must all be about one process.
  return isServer && isHere && processIdentity(pid) === identity ? identity : undefined
}

/**
 * The server that runs on this folder and accepts connections, if there is one. A lock file nobody holds is removed; a
 * server that is on its way down, or that no longer answers, is waited for and then ended.
 *
 * @param {string} data
 * @param {(line: string) => void} log
 * @returns {Promise<Live | undefined>}
 */
async function findLive(data, log) {
  const began = Date.now()
  for (;;) {
    const found = readPostmaster(data)
    if (found === undefined) return undefined
    const identity = identityOfServer(found.pid, data)
    if (identity === undefined) {
      removeStaleLock(data, found.text)
      return undefined
    }
    const isReady = found.status === 'ready'
    if (isReady && (await accepts(found.port))) return { pid: found.pid, identity, port: found.port }
    // A ready server answers within milliseconds; one that replays its journal or shuts down may take its time.
    if (Date.now() - began > (isReady ? 20_000 : 300_000)) {
      log('a PostgreSQL left from before does not answer; stopping it')
      await endServer({ pid: found.pid, identity, port: found.port })
    }
    await delay(50)
  }
}

/**
 * Moves the file away before deleting it, so that a lock taken in between by another starter is noticed and put back.
 *
 * @param {string} data
 * @param {string} expected
 */
function removeStaleLock(data, expected) {
  const lock = join(data, 'postmaster.pid')
  const aside = `${lock}.stale-${randomBytes(6).toString('hex')}`
  try {
    renameSync(lock, aside)
  } catch {
    return
  }
  if (readFileSync(aside, 'utf8') === expected || existsSync(lock)) unlinkSync(aside)
  else renameSync(aside, lock)
}

/**
 * @param {number} port
 * @returns {Promise<boolean>} whether a PostgreSQL there is willing to talk (it answers a request for TLS with one letter)
 */
function accepts(port) {
  return new Promise((resolvePromise) => {
    const socket = connect({ host: '127.0.0.1', port })
    /** @param {boolean} answer */
    const finish = (answer) => {
      socket.destroy()
      resolvePromise(answer)
    }
    socket.setTimeout(5000, () => {
      finish(false)
    })
    socket.once('error', () => {
      finish(false)
    })
    socket.once('close', () => {
      finish(false)
    })
    socket.once('connect', () => {
      socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]))
    })
    socket.once('data', (answer) => {
      finish(answer[0] === 0x4e || answer[0] === 0x53)
    })
  })
}

/**
 * @param {{ root: string, data: string, native: string, user: ServerUser | undefined, port: number,
 *   settings: Record<string, string>, log: (line: string) => void }} at
 * @returns {Promise<{ live: Live, reason: '' } | { live: undefined, reason: string }>}
 */
async function launch({ root, data, native, user, port, settings, log }) {
  const all = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    port: String(port),
    max_connections: '200',
    timezone: 'UTC',
    log_timezone: 'UTC',
    // Statements and the values in them are people's data: neither belongs in a file.
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
    ...settings,
  }
  const logFile = openLog(root)
  try {
    const child = spawn(
      join(native, 'bin', 'postgres'),
      ['-D', dataArgument(data, user), ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      {
        ...credentials(user),
        cwd: data,
        env: cleanEnvironment(),
        stdio: ['ignore', logFile.fd, logFile.fd],
        // Its own session: Ctrl-C in the terminal reaches us, and the server goes last, when we say so.
        detached: true,
      },
    )
    child.unref()
    /** @type {number | string | undefined} */
    let gone
    ended(child).then(
      (code) => {
        gone = code
      },
      (error) => {
        gone = String(error)
      },
    )
    const began = Date.now()
    let spoken = 0
    for (;;) {
      await delay(20)
      if (gone !== undefined) return { live: undefined, reason: `${logFile.tail()} (exit ${gone})` }
      const found = readPostmaster(data)
      if (found !== undefined && found.pid === child.pid && found.status === 'ready') {
        const identity = processIdentity(found.pid)
        if (identity !== undefined && (await accepts(found.port))) {
          return { live: { pid: found.pid, identity, port: found.port }, reason: '' }
        }
      }
      const seconds = Math.floor((Date.now() - began) / 1000)
      if (seconds >= spoken + 5) {
        spoken = seconds
        log(`waiting for PostgreSQL, ${seconds} s (it replays its journal after a crash)`)
      }
      if (seconds > 600) {
        child.kill('SIGQUIT')
        return { live: undefined, reason: `not ready after ${seconds} s:\n${logFile.tail()}` }
      }
    }
  } finally {
    logFile.close()
  }
}

/**
 * Makes this process answer for the server, unless a living one already does.
 *
 * @param {string} cluster
 * @param {Live} live
 * @returns {boolean} whether it is ours to stop
 */
function claim(cluster, live) {
  const path = join(cluster, 'owner.json')
  const me = { pid: process.pid, identity: processIdentity(process.pid), server: live.identity }
  try {
    const owner = JSON.parse(readFileSync(path, 'utf8'))
    const isMine = owner.pid === me.pid && owner.identity === me.identity
    if (owner.server === live.identity && !isMine && processIdentity(owner.pid) === owner.identity) return false
    if (owner.server === live.identity && isMine) return false // a second start in one process is a guest of the first
  } catch {
    // nobody claimed it
  }
  writePrivate(path, JSON.stringify(me))
  return true
}

/**
 * @param {{ cluster: string, live: Live, password: string, guest: boolean, tether: boolean }} at
 * @returns {RunningPostgres}
 */
function handle({ cluster, live, password, guest, tether }) {
  const watcher = tether ? spawnWatcher(live) : undefined
  /** @type {Promise<void> | undefined} */
  let stopping
  return {
    host: '127.0.0.1',
    port: live.port,
    pid: live.pid,
    guest,
    superuserUrl: (database = 'postgres') =>
      `postgresql://${SUPERUSER}:${password}@127.0.0.1:${live.port}/${encodeURIComponent(database)}`,
    stop: () => {
      if (guest) return Promise.resolve()
      stopping ??= (async () => {
        watcher?.kill('SIGKILL')
        await endServer(live)
        rmSync(join(cluster, 'owner.json'), { force: true })
      })()
      return stopping
    },
  }
}

/**
 * A shell that waits for this process to end, in whatever way: the pipe between them then closes.
 *
 * @param {Live} live
 */
function spawnWatcher(live) {
  // By then the server may have ended by itself and its id may be another's: the name is asked first.
  const script = `cat >/dev/null
    case "$(cat "/proc/$1/comm" 2>/dev/null || ps -o comm= -p "$1")" in *postgres*) kill -INT "$1" ;; esac`
  const watcher = spawn('/bin/sh', ['-c', script, 'sh', String(live.pid)], {
    cwd: '/',
    env: cleanEnvironment(),
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  watcher.unref()
  // Node's own handle would keep the process alive; the descriptor closes with the process all the same.
  const pipe = watcher.stdin
  if (pipe !== null && 'unref' in pipe && typeof pipe.unref === 'function') pipe.unref()
  return watcher
}

/**
 * Fast shutdown first (sessions end, the journal is flushed); then immediate (the next start replays); then the kernel.
 *
 * @param {Live} live
 */
async function endServer({ pid, identity }) {
  for (const [signal, timeoutMs] of /** @type {const} */ ([
    ['SIGINT', 30_000],
    ['SIGQUIT', 10_000],
    ['SIGKILL', 10_000],
  ])) {
    signalExactly(pid, identity, signal)
    signalExactly(pid, identity, 'SIGCONT') // one that was suspended hears nothing else
    if (await waitForEnd(pid, identity, timeoutMs)) return
  }
  throw new Error(`PostgreSQL (process ${pid}) could not be stopped`)
}
