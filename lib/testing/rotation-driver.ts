/**
 * A process of its own that rotates keys, or opens credentials meanwhile, as the command line and the gateway do. It can be
 * stopped at every step, and is killed by tests.
 *
 * @module
 */
import path from 'node:path'

import { systemClock } from '../clock'
import { createAppDb } from '../db/app-db'
import { createVaultDb } from '../db/vault-db'
import { AppError } from '../errors'
import { brand, type ConnectionId, type TenantId } from '../ids'
import { createLog } from '../log'
import { createCredentials } from '../vault/credential'
import { createMirror } from '../vault/mirror'
import { openKeys } from '../vault/readiness'
import { rotateKek } from '../vault/rotation/kek'
import { retireTenantKey } from '../vault/rotation/retire'
import type { Rotation } from '../vault/rotation/run'
import { rotateDeks, rotateTenantKey } from '../vault/rotation/tenant'

export interface RotationOptions {
  readonly vaultUrl: string
  readonly appUrl: string
  readonly dataDir: string
  readonly what: 'kek' | 'tenant' | 'dek' | 'retire' | 'open'
  readonly tenantId?: string
  readonly version?: number
  /** Waits for a word before it goes on after each step. */
  readonly stepped?: boolean
  /** `open`: how many a second. Which ones is the first message: too many for an argument. */
  readonly perSecond?: number
}

export type Connections = readonly (readonly [tenantId: string, connectionId: string])[]

export type RotationReport =
  | { readonly ready: true }
  | { readonly step: number; readonly what: string }
  | { readonly result: Record<string, unknown> }
  | { readonly failed: string; readonly message: string }
  | { readonly opens: number; readonly failures: readonly string[]; readonly slowestMs: number }

const options = JSON.parse(process.argv[2] ?? '{}') as RotationOptions // written by the test
const report = (value: RotationReport) =>
  new Promise<void>((resolve) => (process.send === undefined ? resolve() : process.send(value, () => resolve())))
const vaultDb = createVaultDb(options.vaultUrl, { max: 3 })
const appDb = createAppDb(options.appUrl, { max: 3 })
const log = createLog('rotation', 'silent')

async function main(): Promise<void> {
  const keyStoreDir = path.join(options.dataDir, 'keys', 'store')
  const opened = await openKeys({ vaultDb, kekFile: path.join(options.dataDir, 'keys', 'kek.json'), keyStoreDir })
  if (!opened.ok) {
    await report({ failed: 'not_ready', message: opened.reason })
    return
  }
  const { kek, keys } = opened
  if (options.what === 'open') {
    await openAgainAndAgain()
    return
  }
  const deps = {
    vaultDb,
    vaultUrl: options.vaultUrl,
    appDb,
    kek,
    keys,
    keyStoreDir,
    spoolDirs: [path.join(options.dataDir, 'spool')],
    clock: systemClock,
    log,
    settleMs: 10,
  }
  const tenantId = brand<'tenant'>(options.tenantId ?? '')
  const rotations: Record<string, () => Rotation<object>> = {
    kek: () => rotateKek(deps),
    tenant: () => rotateTenantKey(deps, tenantId, 'vault'),
    dek: () => rotateDeks(deps, tenantId),
    retire: () => retireTenantKey(deps, tenantId, 'vault', options.version ?? 0),
  }
  const rotation = rotations[options.what]?.()
  if (rotation === undefined) throw new TypeError('no such rotation')
  await report({ ready: true })
  try {
    for (let step = 1; ; step += 1) {
      const taken = await rotation.next()
      if (taken.done === true) {
        await report({ result: { ...taken.value } })
        return
      }
      const word = options.stepped === true ? new Promise((resolve) => process.once('message', resolve)) : undefined
      await report({ step, what: taken.value.what })
      await word
    }
  } catch (error) {
    await report({
      failed: error instanceof AppError ? error.code : 'unexpected',
      message: error instanceof Error ? error.message : '',
    })
  }

  async function openAgainAndAgain(): Promise<void> {
    const credentials = createCredentials({
      vaultDb,
      keys,
      mirror: createMirror(appDb),
      clock: systemClock,
      log,
      onIntegrityAlarm: () => undefined,
    })
    await report({ ready: true })
    const connections = await new Promise<Connections>((resolve) => {
      process.once('message', (message) => resolve((message as { connections: Connections }).connections)) // the test's own
    })
    const all = connections.map(([tenant, connection]): [TenantId, ConnectionId] => [
      brand<'tenant'>(tenant),
      brand<'connection'>(connection),
    ])
    const failures: string[] = []
    let opens = 0
    let slowestMs = 0
    const end = new AbortController()
    process.once('message', () => end.abort())
    const gapMs = 1_000 / (options.perSecond ?? 20)
    const startedAt = performance.now()
    while (!end.signal.aborted) {
      const target = all[Math.floor(Math.random() * all.length)]
      if (target === undefined) break
      const [tenantId, connectionId] = target
      // As cold as a process can be: no row, no token, no opened key.
      credentials.evict(tenantId, connectionId)
      keys.forget()
      const began = performance.now()
      try {
        const { accessToken } = await credentials.open(tenantId, connectionId, { minGeneration: 1 })
        if (accessToken?.reveal() !== `token of ${connectionId}`) failures.push('another token')
      } catch (error) {
        failures.push(error instanceof AppError ? `${error.code} ${JSON.stringify(error.internal)}` : String(error))
      }
      opens += 1
      slowestMs = Math.max(slowestMs, performance.now() - began)
      const waitMs = startedAt + opens * gapMs - performance.now()
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
    }
    await report({ opens, failures, slowestMs })
  }
}

main()
  .finally(() => Promise.all([vaultDb.close(), appDb.close()]))
  .then(
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`)
      process.exit(1)
    },
  )
