import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { newId } from '@/lib/ids'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { bundle, start } from '@/lib/testing/process'

import { openFileKek } from './kek/file'
import { INSTALLATION } from './key-store'
import { openKeys } from './readiness'
import { createTenantKeys } from './tenant-keys'

let db: TestDatabases
let dir: string
beforeAll(async () => {
  db = await createTestDatabases()
})
afterAll(() => db.close())
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'portcullis-keys-'))
})
afterEach(async () => {
  await rm(dir, { recursive: true, force: true })
  await db.adminQuery('vault', 'DELETE FROM key_canary')
  await db.adminQuery('vault', 'DELETE FROM credential')
})

const kekFile = () => path.join(dir, 'keys', 'kek.json')
const keyStoreDir = () => path.join(dir, 'keys', 'store')
const openAll = () => openKeys({ vaultDb: db.vault, kekFile: kekFile(), keyStoreDir: keyStoreDir() })
const modeOf = async (file: string) => ((await stat(file)).mode & 0o777).toString(8)

const aCredential = (tenantId = newId('tenant')) =>
  db.adminQuery(
    'vault',
    `INSERT INTO credential (tenant_id, connection_id, provider, provider_app, subject, state, generation, key_version)
     VALUES ($1, $2, 'github', 'app', 's', 'active', 1, 1)`,
    [tenantId, newId('connection')],
  )

describe('a first run', () => {
  it('makes keys that nobody else may read, and later runs find the same ones', async () => {
    const first = await openAll()
    if (!first.ok) throw new Error(first.reason)
    const tenantId = newId('tenant')
    const { key } = await first.keys.current(tenantId, 'vault')
    expect(await modeOf(kekFile())).toBe('600')
    expect(await modeOf(keyStoreDir())).toBe('700')
    const keyFile = path.join(keyStoreDir(), tenantId, 'vault', '1.key')
    expect(await modeOf(keyFile)).toBe('600')
    expect((await readFile(keyFile)).includes(key)).toBe(false)
    const again = await openAll()
    if (!again.ok) throw new Error(again.reason)
    expect(await again.kek.activeId()).toBe(await first.kek.activeId())
    expect((await again.keys.current(tenantId, 'vault')).key.equals(key)).toBe(true)
  })

  it(
    'in eight processes at once ends with one key, one store and the same tenant key everywhere',
    { timeout: 120_000 },
    async () => {
      const file = await bundle('lib/testing/keys-driver.ts')
      const tenantId = newId('tenant')
      const argument = { vaultUrl: db.urls.vault, kekFile: kekFile(), keyStoreDir: keyStoreDir(), tenantId }
      const drivers = Array.from({ length: 8 }, () =>
        start<{ go: true }, { ready: true } | { made: string }>(file, argument),
      )
      try {
        await Promise.all(
          drivers.map((driver) => driver.receive((report): report is { ready: true } => 'ready' in report)),
        )
        for (const driver of drivers) driver.send({ go: true })
        const made = await Promise.all(
          drivers.map((driver) => driver.receive((report): report is { made: string } => 'made' in report)),
        )
        expect(new Set(made.map((report) => report.made)).size).toBe(1)
        expect(made[0]?.made).toMatch(/^[0-9a-f]{64}:1$/)
        expect(await readdir(path.join(keyStoreDir(), tenantId, 'vault'))).toEqual(['1.key']) // and no drafts
      } finally {
        await Promise.all(drivers.map((driver) => driver.kill()))
      }
    },
  )
})

describe('data without its keys', () => {
  it('is not a first run: a lost key file is reported and never made anew', async () => {
    expect((await openAll()).ok).toBe(true)
    await aCredential()
    await rm(kekFile())
    const result = await openAll()
    expect(result.ok).toBe(false)
    expect(!result.ok && result.reason).toContain('no key file')
    await expect(stat(kekFile())).rejects.toThrow()
  })

  it('is no reason for a first key where authenticator apps are kept: their key was lost', async () => {
    let isKept = true
    const opened = await openKeys({
      vaultDb: db.vault,
      kekFile: kekFile(),
      keyStoreDir: keyStoreDir(),
      hasPersonData: () => Promise.resolve(isKept),
    })
    if (!opened.ok) throw new Error(opened.reason)
    await expect(opened.keys.current(INSTALLATION, 'person')).rejects.toMatchObject({ code: 'vault.key_unavailable' })
    isKept = false
    expect(await opened.keys.current(INSTALLATION, 'person')).toMatchObject({ version: 1 })
  })

  it('is refused without its key store, and no new store is made', async () => {
    expect((await openAll()).ok).toBe(true)
    await rm(keyStoreDir(), { recursive: true })
    const result = await openAll()
    expect(!result.ok && result.reason).toContain('missing or empty')
    await expect(stat(keyStoreDir())).rejects.toThrow()
  })

  it('is refused with the key of other data', async () => {
    expect((await openAll()).ok).toBe(true)
    await rm(kekFile())
    await openFileKek(kekFile(), { createIfMissing: true })
    expect(await openAll()).toMatchObject({ ok: false, reason: expect.stringContaining('sealed under kek_') as string })
  })

  it('is refused with a key file whose bytes changed under the same name', async () => {
    expect((await openAll()).ok).toBe(true)
    const file = JSON.parse(await readFile(kekFile(), 'utf8')) as { key: string }
    await writeFile(kekFile(), JSON.stringify({ ...file, key: Buffer.alloc(32, 1).toString('base64') }))
    expect(await openAll()).toMatchObject({ ok: false, reason: expect.stringContaining('does not open') as string })
  })

  it('is refused with the key store of other data', async () => {
    expect((await openAll()).ok).toBe(true)
    await writeFile(path.join(keyStoreDir(), 'store-id'), 'ab'.repeat(16))
    expect(await openAll()).toMatchObject({ ok: false, reason: expect.stringContaining('other data') as string })
  })

  it('is refused when credentials are there and the canary is not', async () => {
    expect((await openAll()).ok).toBe(true)
    await db.adminQuery('vault', 'DELETE FROM key_canary')
    await aCredential()
    expect(await openAll()).toMatchObject({ ok: false, reason: expect.stringContaining('no key canary') as string })
  })

  it('gives a tenant whose keys were lost no new ones', async () => {
    const opened = await openAll()
    if (!opened.ok) throw new Error(opened.reason)
    const tenantId = newId('tenant')
    await aCredential(tenantId)
    await expect(opened.keys.current(tenantId, 'vault')).rejects.toMatchObject({ code: 'vault.key_unavailable' })
    expect(await readdir(keyStoreDir())).toEqual(['store-id'])
  })
})

describe('files that others may read', () => {
  it('are closed to them before they are used', async () => {
    expect((await openAll()).ok).toBe(true)
    await chmod(kekFile(), 0o644)
    expect((await openAll()).ok).toBe(true)
    expect(await modeOf(kekFile())).toBe('600')
  })
})

describe('tenant keys', () => {
  const keysUnder = async () =>
    createTenantKeys({ kek: await openFileKek(kekFile(), { createIfMissing: true }), keyStoreDir: keyStoreDir() })

  it('differ by purpose and by tenant', async () => {
    const keys = await keysUnder()
    const [a, b] = [newId('tenant'), newId('tenant')]
    const made = await Promise.all(
      (['vault', 'audit', 'spool'] as const).flatMap((purpose) => [keys.current(a, purpose), keys.current(b, purpose)]),
    )
    expect(new Set(made.map(({ key }) => key.toString('hex'))).size).toBe(6)
  })

  it('do not open when their file is moved to another tenant, purpose or version', async () => {
    const keys = await keysUnder()
    const [a, b] = [newId('tenant'), newId('tenant')]
    await keys.current(a, 'vault')
    await keys.current(b, 'vault')
    const stolen = await readFile(path.join(keyStoreDir(), a, 'vault', '1.key'))
    await writeFile(path.join(keyStoreDir(), b, 'vault', '1.key'), stolen)
    await expect((await keysUnder()).at(b, 'vault', 1)).rejects.toMatchObject({
      code: 'vault.wrong_key',
      internal: { tenantId: b, version: 1 },
    })
  })

  it('are gone once destroyed, and their number is never used again', async () => {
    const keys = await keysUnder()
    const tenantId = newId('tenant')
    const { key } = await keys.current(tenantId, 'spool')
    await keys.destroy(tenantId, 'spool', 1)
    await expect(keys.at(tenantId, 'spool', 1)).rejects.toMatchObject({ code: 'vault.key_unavailable' })
    const next = await keys.current(tenantId, 'spool')
    expect(next.version).toBe(2)
    expect(next.key.equals(key)).toBe(false)
    await keys.destroy(tenantId, 'spool', 1) // safe to repeat
  })

  it('are handed out as copies: a caller that zeroes its own spoils nobody else’s', async () => {
    const keys = await keysUnder()
    const tenantId = newId('tenant')
    const mine = await keys.current(tenantId, 'vault')
    const hexBefore = mine.key.toString('hex')
    mine.key.fill(0)
    expect((await keys.at(tenantId, 'vault', 1)).toString('hex')).toBe(hexBefore)
  })

  it('refuse a tenant id that would leave the folder', async () => {
    const keys = await keysUnder()
    await expect(keys.current('../../etc' as ReturnType<typeof newId<'tenant'>>, 'vault')).rejects.toMatchObject({
      code: 'internal',
    })
  })
})
