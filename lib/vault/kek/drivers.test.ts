/** What every place for a key-encryption key must do, and how each of them is unwell. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { createOperatorEgress } from '@/lib/egress/operator'
import {
  createKmsStandIn,
  createTransitStandIn,
  KMS_CREDENTIALS,
  type KeyService,
  type KmsStandIn,
  type TransitStandIn,
  type Trouble,
} from '@/lib/testing/key-services'

import { createAwsKmsKek } from './aws-kms'
import { openFileKek } from './file'
import { combineKeks, kekIdOf, type KekDriver } from './kek'
import { createVaultTransitKek } from './vault-transit'

const AAD = Buffer.from(JSON.stringify(['tenant-key', 'ten_1', 'vault', 1]))
const OTHER = Buffer.from(JSON.stringify(['tenant-key', 'ten_2', 'vault', 1]))
const KEY = Buffer.alloc(32, 7)
const TIMING = { tryMs: 250, totalMs: 700, pauseMs: 5 }
const TOKEN = 'hvs.a-token-for-tests'

let dir: string
let kms: KmsStandIn
let transit: TransitStandIn
const open: KekDriver[] = []
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'portcullis-kek-'))
  kms = await createKmsStandIn()
  transit = await createTransitStandIn()
  transit.createKey('portcullis')
  transit.tokens.add(TOKEN)
  await writeFile(path.join(dir, 'token'), `${TOKEN}\n`)
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((driver) => driver.close()))
  await Promise.all([kms.close(), transit.close()])
  await rm(dir, { recursive: true, force: true })
})

const kept = <T extends KekDriver>(driver: T): T => {
  open.push(driver)
  return driver
}
const kmsKek = async (...keys: string[]) =>
  kept(await createAwsKmsKek({ keys, endpoint: kms.url, credentials: KMS_CREDENTIALS, timing: TIMING }))
const transitKek = (options: Partial<Parameters<typeof createVaultTransitKek>[0]> = {}) =>
  kept(
    createVaultTransitKek({
      address: transit.url,
      mount: 'transit',
      keys: ['portcullis'],
      auth: { tokenFile: path.join(dir, 'token') },
      egress: createOperatorEgress({ setting: 'KEK_TRANSIT_ADDRESS', url: transit.url }),
      timing: TIMING,
      ...options,
    }),
  )
const fileKek = async (name = 'kek.json') => kept(await openFileKek(path.join(dir, name), { createIfMissing: true }))

const DRIVERS: Record<string, () => Promise<{ kek: KekDriver; foreign: KekDriver }>> = {
  'a key file': async () => ({ kek: await fileKek(), foreign: await fileKek('other.json') }),
  'AWS KMS': async () => ({ kek: await kmsKek(kms.createKey()), foreign: await kmsKek(kms.createKey()) }),
  'Vault transit': async () => {
    transit.createKey('another')
    return Promise.resolve({ kek: transitKek(), foreign: transitKek({ keys: ['another'] }) })
  },
}

for (const [name, make] of Object.entries(DRIVERS))
  describe(`a key-encryption key in ${name}`, () => {
    it('opens what it wrapped, names itself in it, and never wraps twice alike', async () => {
      const { kek } = await make()
      const wrapped = await kek.wrap(KEY, AAD)
      expect((await kek.unwrap(wrapped, AAD)).equals(KEY)).toBe(true)
      expect(kekIdOf(wrapped)).toBe(await kek.activeId())
      expect(kek.owns(await kek.activeId())).toBe(true)
      expect((await kek.wrap(KEY, AAD)).equals(wrapped)).toBe(false)
      expect(wrapped.includes(KEY)).toBe(false)
    })

    it('opens nothing of another place, another key, or with any byte altered or missing', async () => {
      const { kek, foreign } = await make()
      const wrapped = await kek.wrap(KEY, AAD)
      const isWrong = { code: 'vault.wrong_key', fault: 'wrong', retry: 'never' }
      await expect(kek.unwrap(wrapped, OTHER)).rejects.toMatchObject(isWrong)
      await expect(foreign.unwrap(wrapped, AAD)).rejects.toMatchObject(isWrong)
      for (const at of [0, 3, 4, 6, 40, Math.floor(wrapped.length / 2), wrapped.length - 1]) {
        const altered = Buffer.from(wrapped)
        altered[at] = (altered[at] ?? 0) ^ 0x41
        await expect(kek.unwrap(altered, AAD), `byte ${at}`).rejects.toMatchObject(isWrong)
      }
      for (const length of [0, 4, 20, wrapped.length - 20])
        await expect(kek.unwrap(wrapped.subarray(0, length), AAD), `${length} bytes`).rejects.toMatchObject(isWrong)
    })

    it('does not open what claims its name over another key’s bytes', async () => {
      const { kek, foreign } = await make()
      const own = kekIdOf(await kek.wrap(KEY, AAD)) ?? ''
      const theirs = await foreign.wrap(KEY, AAD)
      const body = theirs.subarray(5 + (theirs[4] ?? 0))
      const claimed = Buffer.concat([theirs.subarray(0, 4), Buffer.from([own.length]), Buffer.from(own), body])
      await expect(kek.unwrap(claimed, AAD)).rejects.toMatchObject({ fault: 'wrong' })
    })
  })

// ------------------------------------------------------------------------------------------------ how they are unwell

/** Passing trouble is tried again within its time; anything else is told at once, by what it means. */
async function expectFault(
  service: KeyService,
  troubles: readonly Trouble[],
  work: () => Promise<unknown>,
  fault: 'unavailable' | 'refused' | 'wrong',
) {
  service.asked.length = 0
  service.trouble(troubles, true)
  const began = performance.now()
  await expect(work(), JSON.stringify(troubles)).rejects.toMatchObject({
    fault,
    code: fault === 'wrong' ? 'vault.wrong_key' : 'vault.key_unavailable',
  })
  expect(performance.now() - began).toBeLessThan(TIMING.totalMs + 1_000)
  if (fault === 'unavailable') expect(service.asked.length).toBeGreaterThan(1)
  service.trouble([])
}

describe('AWS KMS that is unwell', () => {
  it.each([
    [{ status: 400, type: 'ThrottlingException' }],
    [{ status: 500, type: 'KMSInternalException' }],
    [{ status: 503, type: 'DependencyTimeoutException' }],
    [{ status: 500, type: 'KeyUnavailableException' }],
    [{ status: 502, text: '<html>Bad gateway</html>' }],
    ['hang'],
    ['reset'],
  ] satisfies [Trouble][])(
    '(%j) is asked again, and after its time says that it is away, not that a key is wrong',
    async (trouble) => {
      const kek = await kmsKek(kms.createKey())
      const wrapped = await kek.wrap(KEY, AAD)
      await expectFault(kms, [trouble], () => kek.unwrap(wrapped, AAD), 'unavailable')
      await expectFault(kms, [trouble], () => kek.wrap(KEY, AAD), 'unavailable')
      // It passes: the same call goes on.
      kms.trouble([trouble, trouble])
      expect((await kek.unwrap(wrapped, AAD)).equals(KEY)).toBe(true)
    },
  )

  it.each([
    ['AccessDeniedException', 'refused'],
    ['ExpiredTokenException', 'refused'],
    ['UnrecognizedClientException', 'refused'],
    ['InvalidCiphertextException', 'wrong'],
    ['IncorrectKeyException', 'wrong'],
    ['NotFoundException', 'wrong'],
  ] as const)('(%s) is not asked again: %s', async (type, fault) => {
    const kek = await kmsKek(kms.createKey())
    const wrapped = await kek.wrap(KEY, AAD)
    await expectFault(kms, [{ status: 400, type }], () => kek.unwrap(wrapped, AAD), fault)
    expect(kms.asked).toEqual(['trouble 400'])
  })

  it('a key that is disabled or to be deleted is not lost: when it is enabled again, it opens', async () => {
    const arn = kms.createKey()
    const kek = await kmsKek(arn)
    const wrapped = await kek.wrap(KEY, AAD)
    for (const state of ['Disabled', 'PendingDeletion'] as const) {
      kms.setState(arn, state)
      await expect(kek.unwrap(wrapped, AAD)).rejects.toMatchObject({ fault: 'refused' })
      kms.setState(arn, 'Enabled')
      expect((await kek.unwrap(wrapped, AAD)).equals(KEY)).toBe(true)
    }
  })

  it('never decrypts under a key that is not configured here, whatever the bytes claim', async () => {
    const mine = await kmsKek(kms.createKey())
    const theirs = await kmsKek(kms.createKey())
    const planted = await theirs.wrap(KEY, AAD)
    kms.asked.length = 0
    await expect(mine.unwrap(planted, AAD)).rejects.toMatchObject({ fault: 'wrong' })
    expect(kms.asked).toEqual([])
  })

  it('opens what an earlier key of the list wrapped, wraps under the first, and is told the place alone', async () => {
    const [old, next] = [kms.createKey(), kms.createKey()]
    const wrapped = await (await kmsKek(old)).wrap(KEY, AAD)
    const moved = await kmsKek(next, old)
    expect((await moved.unwrap(wrapped, AAD)).equals(KEY)).toBe(true)
    expect(kekIdOf(await moved.wrap(KEY, AAD))).toBe(next)
    expect(kms.contexts.at(-1)).toEqual({ portcullis: AAD.toString() })
    await expect(moved.rotate()).rejects.toMatchObject({ fault: 'refused' })
  })
})

describe('a Vault server that is unwell', () => {
  it.each([
    [{ status: 503, errors: ['Vault is sealed'] }],
    [{ status: 500, errors: ['internal error'] }],
    [{ status: 429, errors: ['request path "transit/decrypt/portcullis": rate limit quota exceeded'] }],
    [{ status: 412, errors: [] }],
    [{ status: 473, errors: [] }],
    [{ status: 502, text: '<html>Bad gateway</html>' }],
    [{ status: 200, text: '{"data":{' }],
    ['hang'],
    ['reset'],
  ] satisfies [Trouble][])(
    '(%j) is asked again, and after its time says that it is away, not that a key is wrong',
    async (trouble) => {
      const kek = transitKek()
      const wrapped = await kek.wrap(KEY, AAD)
      await expectFault(transit, [trouble], () => kek.unwrap(wrapped, AAD), 'unavailable')
      await expectFault(transit, [trouble], () => kek.wrap(KEY, AAD), 'unavailable')
      transit.trouble([trouble, trouble])
      expect((await kek.unwrap(wrapped, AAD)).equals(KEY)).toBe(true)
    },
  )

  it('that refuses the token is asked once more with the one its file holds by then, and then no more', async () => {
    const kek = transitKek()
    const wrapped = await kek.wrap(KEY, AAD)
    transit.tokens.clear()
    transit.asked.length = 0
    await expect(kek.unwrap(wrapped, AAD)).rejects.toMatchObject({ fault: 'refused', code: 'vault.key_unavailable' })
    expect(transit.asked).toHaveLength(2)
    transit.tokens.add('hvs.renewed')
    await writeFile(path.join(dir, 'token'), 'hvs.renewed')
    expect((await kek.unwrap(wrapped, AAD)).equals(KEY)).toBe(true)
    await rm(path.join(dir, 'token'))
    await expect(kek.unwrap(wrapped, AAD)).rejects.toMatchObject({ fault: 'refused' })
  })

  it('is logged into by AppRole once for many calls, and again when the login is over', async () => {
    transit.roles.set('role', 'a-secret-id')
    await writeFile(path.join(dir, 'secret-id'), 'a-secret-id')
    const kek = transitKek({ auth: { roleId: 'role', secretIdFile: path.join(dir, 'secret-id') } })
    const wrapped = await kek.wrap(KEY, AAD)
    await kek.unwrap(wrapped, AAD)
    const logins = () => transit.asked.filter((one) => one === 'auth/approle/login').length
    expect(logins()).toBe(1)
    transit.tokens.clear()
    expect((await kek.unwrap(wrapped, AAD)).equals(KEY)).toBe(true)
    expect(logins()).toBe(2)
    transit.roles.clear()
    transit.tokens.clear()
    await expect(kek.unwrap(wrapped, AAD)).rejects.toMatchObject({ fault: 'refused' })
  })

  it('and old enough to ignore associated data does not make two places exchangeable', async () => {
    transit.ignoreAssociatedData = true
    const kek = transitKek()
    const wrapped = await kek.wrap(KEY, AAD)
    expect((await kek.unwrap(wrapped, AAD)).equals(KEY)).toBe(true)
    await expect(kek.unwrap(wrapped, OTHER)).rejects.toMatchObject({ fault: 'wrong' })
  })

  it('wraps under its newest version after a rotation, opens the older ones, and not those it gave up', async () => {
    const kek = transitKek()
    const wrapped = await kek.wrap(KEY, AAD)
    expect(await kek.rotate()).toBe('vault-transit:transit/portcullis/v2')
    expect(kekIdOf(await kek.wrap(KEY, AAD))).toBe('vault-transit:transit/portcullis/v2')
    expect((await kek.unwrap(wrapped, AAD)).equals(KEY)).toBe(true)
    transit.setMinimum('portcullis', 2)
    await expect(kek.unwrap(wrapped, AAD)).rejects.toMatchObject({ fault: 'wrong' })
  })

  it('is asked at its own origin alone, and never over plain http beyond this machine', async () => {
    expect(() => createOperatorEgress({ setting: 'KEK_TRANSIT_ADDRESS', url: 'http://vault.example:8200' })).toThrow(
      /KEK_TRANSIT_ADDRESS: must be https/,
    )
    const egress = createOperatorEgress({ setting: 'KEK_TRANSIT_ADDRESS', url: transit.url })
    try {
      await expect(egress.request(`${kms.url}/`)).rejects.toMatchObject({ code: 'egress.refused' })
    } finally {
      await egress.close()
    }
  })
})

describe('several places at once', () => {
  it('wrap in the first and open what each wrapped, so that an installation can move from a file to a service', async () => {
    const file = await fileKek()
    const wrapped = await file.wrap(KEY, AAD)
    const moved = combineKeks(await kmsKek(kms.createKey()), [file, transitKek()])
    expect((await moved.unwrap(wrapped, AAD)).equals(KEY)).toBe(true)
    const next = await moved.wrap(KEY, AAD)
    expect(kekIdOf(next)).toMatch(/^arn:aws:kms:/)
    expect((await moved.unwrap(next, AAD)).equals(KEY)).toBe(true)
    await expect(combineKeks(file, []).unwrap(next, AAD)).rejects.toMatchObject({ fault: 'wrong' })
  })
})
