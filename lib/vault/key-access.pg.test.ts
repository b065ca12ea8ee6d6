/** A wrong, a missing and an absent key-encryption key, at the start and later, in each place where one may live. */
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'

import { systemClock } from '@/lib/clock'
import type { KekConfig } from '@/lib/config'
import { newId, type TenantId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import { Secret } from '@/lib/secret'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import {
  createKmsStandIn,
  createTransitStandIn,
  KMS_CREDENTIALS,
  type KmsStandIn,
  type TransitStandIn,
} from '@/lib/testing/key-services'

import { createCredentials } from './credential'
import type { IntegrityAlarm } from './integrity'
import { openKeyAccess, type KeyAccess } from './key-access'
import { createMirror } from './mirror'
import { rotateKek } from './rotation/kek'
import { openKeys } from './readiness'

const log = createLog('test', 'silent')
const FAST = { retryMs: 10, maxRetryMs: 20 }
let db: TestDatabases
let dir: string
let kms: KmsStandIn
let transit: TransitStandIn
const accesses: KeyAccess[] = []
beforeAll(async () => {
  db = await createTestDatabases()
})
afterAll(() => db.close())
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'portcullis-access-'))
  kms = await createKmsStandIn()
  transit = await createTransitStandIn()
  transit.tokens.add('hvs.test')
  transit.createKey('portcullis')
  await writeFile(path.join(dir, 'token'), 'hvs.test')
  vi.stubEnv('AWS_ACCESS_KEY_ID', KMS_CREDENTIALS.accessKeyId)
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', KMS_CREDENTIALS.secretAccessKey)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await Promise.all(accesses.splice(0).map((access) => access.close()))
  await Promise.all([kms.close(), transit.close()])
  await rm(dir, { recursive: true, force: true })
  for (const table of ['key_canary', 'credential', 'key_rotation', 'audit_outbox'])
    await db.adminQuery('vault', `DELETE FROM ${table}`)
})

const keyStoreDir = () => path.join(dir, 'store')
const file = () => path.join(dir, 'kek.json')
const sources = (kek: KekConfig, maxAgeMs = 60_000) => ({
  vaultDb: db.vault,
  kek,
  keyStoreDir: keyStoreDir(),
  maxAgeMs,
})
const access = async (kek: KekConfig, maxAgeMs?: number) => {
  const opened = await openKeyAccess(sources(kek, maxAgeMs), log, FAST)
  accesses.push(opened)
  return opened
}
const ready = (opened: KeyAccess) => new Promise<void>((resolve) => opened.whenReady(resolve))

const transitConfig = (keys: readonly string[] = ['portcullis']): KekConfig => ({
  provider: 'vault-transit',
  file: file(),
  vaultTransit: {
    address: transit.url,
    mount: 'transit',
    keys,
    namespace: undefined,
    auth: { tokenFile: path.join(dir, 'token') },
    caFile: undefined,
  },
})

interface Place {
  readonly right: KekConfig
  /** Another key in the same kind of place. */
  readonly wrong: () => Promise<KekConfig>
  readonly goAway: () => Promise<void>
  readonly comeBack: () => Promise<void>
}
const PLACES: Record<string, () => Place> = {
  'a key file': () => ({
    right: { provider: 'file', file: file() },
    wrong: () => Promise.resolve({ provider: 'file', file: path.join(dir, 'other.json') }),
    goAway: () => rename(file(), `${file()}.away`),
    comeBack: () => rename(`${file()}.away`, file()),
  }),
  'AWS KMS': () => {
    const awsKms = (...keys: string[]): KekConfig => ({
      provider: 'aws-kms',
      file: file(),
      awsKms: { keys, endpoint: kms.url },
    })
    return {
      right: awsKms(kms.createKey()),
      wrong: () => Promise.resolve(awsKms(kms.createKey())),
      goAway: () => {
        kms.trouble([{ status: 400, type: 'AccessDeniedException' }], true)
        return Promise.resolve()
      },
      comeBack: () => {
        kms.trouble([])
        return Promise.resolve()
      },
    }
  },
  'Vault transit': () => ({
    right: transitConfig(),
    wrong: () => {
      transit.createKey('another')
      return Promise.resolve(transitConfig(['another']))
    },
    // A token that the server does not know: told at once, as a sealed server is told after its ten seconds.
    goAway: () => {
      transit.tokens.clear()
      return Promise.resolve()
    },
    comeBack: () => Promise.resolve(void transit.tokens.add('hvs.test')),
  }),
}

const credentialsOf = (keys: KeyAccess['keys'], alarms: IntegrityAlarm[]) =>
  createCredentials({
    vaultDb: db.vault,
    keys,
    mirror: createMirror(db.app),
    clock: systemClock,
    log,
    onIntegrityAlarm: (alarm) => void alarms.push(alarm),
  })
const connect = async (keys: KeyAccess['keys'], tenantId: TenantId) => {
  const connectionId = newId('connection')
  await credentialsOf(keys, []).create({
    tenantId,
    connectionId,
    provider: 'github',
    providerApp: 'app',
    subject: 's',
    tokens: {
      accessToken: new Secret('a token'),
      refreshToken: new Secret('a refresh token'),
      accessExpiresAt: null,
      refreshExpiresAt: null,
      grantedScopes: null,
    },
  })
  return connectionId
}
const rows = () => db.adminQuery('vault', 'SELECT * FROM credential ORDER BY connection_id')

for (const [name, place] of Object.entries(PLACES))
  describe(`a key-encryption key in ${name}`, () => {
    it('that is another one is not ready, says which was expected, and changes no connection', async () => {
      const { right, wrong } = place()
      const first = await access(right)
      await connect(first.keys, newId('tenant'))
      const before = await rows()
      const kekId = await first.opened().kek.activeId()
      const other = await wrong()
      if (other.provider === 'file') await openKeysOfOtherData(other)
      const second = await access(other)
      expect(second.notReady).toContain(kekId)
      await expect(second.keys.current(newId('tenant'), 'vault')).rejects.toMatchObject({
        code: 'vault.key_unavailable',
        retry: 'later',
      })
      expect(await rows()).toEqual(before)
    })

    it('that cannot be had at the start is waited for, and everything goes on by itself when it is back', async () => {
      const { right, goAway, comeBack } = place()
      const tenantId = newId('tenant')
      const connectionId = await connect((await access(right)).keys, tenantId)
      const before = await rows()
      await goAway()
      const waiting = await access(right)
      expect(waiting.notReady).toBeDefined()
      const alarms: IntegrityAlarm[] = []
      const credentials = credentialsOf(waiting.keys, alarms)
      const open = () => credentials.open(tenantId, connectionId, { minGeneration: 1 })
      await expect(open()).rejects.toMatchObject({ code: 'vault.key_unavailable', retry: 'later' })
      expect(await rows()).toEqual(before)
      await comeBack()
      await ready(waiting)
      expect(waiting.notReady).toBeUndefined()
      expect((await open()).accessToken?.reveal()).toBe('a token')
      expect(alarms).toEqual([])
    })
  })

/** A key file of its own, as another installation would have made it. */
async function openKeysOfOtherData(kek: KekConfig) {
  const { openFileKek } = await import('./kek/file')
  await (await openFileKek(kek.file, { createIfMissing: true })).close()
}

describe('a key service that goes away while calls are made', () => {
  it('leaves what is in memory usable until its age; then calls fail as passing, nothing changes, nobody is alarmed', async () => {
    const kek: KekConfig = { provider: 'aws-kms', file: file(), awsKms: { keys: [kms.createKey()], endpoint: kms.url } }
    const opened = await access(kek, 600)
    const tenantId = newId('tenant')
    const connectionId = await connect(opened.keys, tenantId)
    const before = await rows()
    kms.trouble([{ status: 400, type: 'AccessDeniedException' }], true)
    const alarms: IntegrityAlarm[] = []
    const open = () => credentialsOf(opened.keys, alarms).open(tenantId, connectionId, { minGeneration: 1 })
    expect((await open()).accessToken?.reveal()).toBe('a token')
    await vi.waitFor(
      () => expect(open()).rejects.toMatchObject({ code: 'vault.key_unavailable', retry: 'later' }),
      5_000,
    )
    expect(await rows()).toEqual(before)
    expect(alarms).toEqual([])
    expect(opened.notReady).toBeUndefined()
    kms.trouble([])
    expect((await open()).accessToken?.reveal()).toBe('a token')
  })

  it('is asked once by many callers that need the same key', async () => {
    const kek: KekConfig = { provider: 'aws-kms', file: file(), awsKms: { keys: [kms.createKey()], endpoint: kms.url } }
    const tenantId = newId('tenant')
    await connect((await access(kek)).keys, tenantId)
    const cold = await access(kek)
    kms.asked.length = 0
    const keys = await Promise.all(Array.from({ length: 200 }, () => cold.keys.at(tenantId, 'vault', 1)))
    expect(kms.asked).toEqual(['Decrypt'])
    expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(1)
  })
})

describe('an installation that moves', () => {
  it('from a file to a key service starts with both, and with the service alone once its keys were rotated', async () => {
    const tenantId = newId('tenant')
    const connectionId = await connect((await access({ provider: 'file', file: file() })).keys, tenantId)
    const moving = await access(transitConfig())
    expect(moving.notReady).toBeUndefined()
    const { kek, keys } = moving.opened()
    const rotation = rotateKek({
      vaultDb: db.vault,
      vaultUrl: db.urls.vault,
      appDb: db.app,
      kek,
      keys,
      keyStoreDir: keyStoreDir(),
      spoolDirs: [],
      clock: systemClock,
      log,
    })
    let step = await rotation.next()
    while (step.done !== true) step = await rotation.next()
    expect(step.value).toMatchObject({ kekId: 'vault-transit:transit/portcullis/v1', rewrapped: 1 })
    await db.adminQuery('vault', "DELETE FROM key_canary WHERE kek_id LIKE 'kek\\_%'")
    await rm(file())
    const moved = await access(transitConfig())
    expect(moved.notReady).toBeUndefined()
    const opened = await credentialsOf(moved.keys, []).open(tenantId, connectionId, { minGeneration: 1 })
    expect(opened.accessToken?.reveal()).toBe('a token')
  })
})

describe('keys', () => {
  it('come from nothing a session is made of: with another session secret, everything opens as before', async () => {
    const tenantId = newId('tenant')
    vi.stubEnv('NEXTAUTH_SECRET', 'one secret of at least thirty-two characters')
    const connectionId = await connect((await access({ provider: 'file', file: file() })).keys, tenantId)
    const store = await readFile(path.join(keyStoreDir(), tenantId, 'vault', '1.key'))
    vi.stubEnv('NEXTAUTH_SECRET', 'quite another secret of thirty-two characters')
    const again = await openKeys(sources({ provider: 'file', file: file() }))
    if (!again.ok) throw new Error(again.reason)
    const opened = await credentialsOf(again.keys, []).open(tenantId, connectionId, { minGeneration: 1 })
    expect(opened.accessToken?.reveal()).toBe('a token')
    expect((await readFile(path.join(keyStoreDir(), tenantId, 'vault', '1.key'))).equals(store)).toBe(true)
    await again.kek.close()
  })
})
