/**
 * An installation for key rotations: databases, a key ring, workspaces with credentials whose tokens say which they are.
 *
 * @module
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { systemClock } from '../clock'
import { newId, type ConnectionId, type TenantId } from '../ids'
import { createLog } from '../log'
import { Secret } from '../secret'
import { createCredentials, type Credentials } from '../vault/credential'
import type { IntegrityAlarm } from '../vault/integrity'
import type { Kek } from '../vault/kek/kek'
import { createMirror } from '../vault/mirror'
import { openKeys } from '../vault/readiness'
import type { Rotation, RotationDeps } from '../vault/rotation/run'
import type { OpenTenantKeys } from '../vault/tenant-keys'
import { createTestDatabases, type TestDatabases } from './database'
import { bundle, start, type TestProcess } from './process'
import type { RotationOptions, RotationReport } from './rotation-driver'

export type RotationProcess = TestProcess<object, RotationReport>

export interface RotationWorld {
  readonly db: TestDatabases
  readonly dataDir: string
  readonly kekFile: string
  readonly keyStoreDir: string
  readonly deps: RotationDeps
  readonly kek: Kek
  readonly keys: OpenTenantKeys
  readonly credentials: Credentials
  readonly alarms: IntegrityAlarm[]
  /** Makes a workspace with that many credentials. */
  connect(count: number): Promise<{ readonly tenantId: TenantId; readonly connections: readonly ConnectionId[] }>
  /** A store of credentials with nothing in memory, as a process that has just started. */
  cold(): Credentials
  /** Opens each with nothing in memory; fails for any that does not give its own token. */
  openAll(tenantId: TenantId, connections: readonly ConnectionId[]): Promise<void>
  run(options: Omit<RotationOptions, 'vaultUrl' | 'appUrl' | 'dataDir'>): Promise<RotationProcess>
  close(): Promise<void>
}

export async function createRotationWorld(): Promise<RotationWorld> {
  const db = await createTestDatabases({ max: 6 })
  const dataDir = await mkdtemp(path.join(tmpdir(), 'portcullis-rotation-'))
  const kekFile = path.join(dataDir, 'keys', 'kek.json')
  const keyStoreDir = path.join(dataDir, 'keys', 'store')
  const opened = await openKeys({ vaultDb: db.vault, kekFile, keyStoreDir })
  if (!opened.ok) throw new Error(opened.reason)
  const { kek, keys } = opened
  const log = createLog('test', 'silent')
  const alarms: IntegrityAlarm[] = []
  const credentialsOf = () =>
    createCredentials({
      vaultDb: db.vault,
      keys,
      mirror: createMirror(db.app),
      clock: systemClock,
      log,
      onIntegrityAlarm: (alarm) => void alarms.push(alarm),
    })
  const credentials = credentialsOf()
  const deps: RotationDeps = {
    vaultDb: db.vault,
    vaultUrl: db.urls.vault,
    appDb: db.app,
    kek,
    keys,
    keyStoreDir,
    spoolDirs: [path.join(dataDir, 'spool')],
    clock: systemClock,
    log,
    settleMs: 1,
  }
  const file = await bundle('lib/testing/rotation-driver.ts')
  const processes: RotationProcess[] = []
  const cold = () => {
    keys.forget()
    return credentialsOf()
  }
  return {
    db,
    dataDir,
    kekFile,
    keyStoreDir,
    deps,
    kek,
    keys,
    credentials,
    alarms,
    cold,
    async connect(count) {
      const tenantId = newId('tenant')
      const connections: ConnectionId[] = []
      for (let index = 0; index < count; index += 1) {
        const connectionId = newId('connection')
        connections.push(connectionId)
        await credentials.create({
          tenantId,
          connectionId,
          provider: 'github',
          providerApp: 'app',
          subject: 'somebody',
          tokens: {
            accessToken: new Secret(`token of ${connectionId}`),
            refreshToken: new Secret(`refresh token of ${connectionId}`),
            accessExpiresAt: new Date(Date.now() + 3_600_000),
            refreshExpiresAt: null,
            grantedScopes: ['repo'],
          },
        })
      }
      return { tenantId, connections }
    },
    async openAll(tenantId, connections) {
      const fresh = cold()
      for (const connectionId of connections) {
        const { accessToken } = await fresh.open(tenantId, connectionId, { minGeneration: 1 })
        if (accessToken?.reveal() !== `token of ${connectionId}`) throw new Error('Another token was opened.')
        const row = await fresh.read(tenantId, connectionId)
        const refresh = row === undefined ? undefined : await fresh.openRefreshToken(row)
        if (refresh?.reveal() !== `refresh token of ${connectionId}`) throw new Error('Another refresh token.')
      }
    },
    async run(options) {
      const child = start<object, RotationReport>(file, {
        ...options,
        vaultUrl: db.urls.vault,
        appUrl: db.urls.app,
        dataDir,
      })
      processes.push(child)
      return Promise.resolve(child)
    },
    async close() {
      await Promise.all(processes.map((child) => child.kill()))
      keys.forget()
      await kek.close()
      await db.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** Runs a rotation to its end. */
export async function finished<R>(rotation: Rotation<R>): Promise<R> {
  for (;;) {
    const step = await rotation.next()
    if (step.done === true) return step.value
  }
}
