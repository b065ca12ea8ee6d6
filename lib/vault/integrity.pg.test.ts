/**
 * A stored value that is not what was stored is an alarm and a refusal. It is never taken for the provider's verdict: the
 * connection's state stays, nothing is sent to the provider, and a refresh that was due waits.
 */
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { newId, type ConnectionId, type TenantId } from '@/lib/ids'
import { Secret } from '@/lib/secret'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { TEST_PROVIDER } from '@/lib/testing/refresh-client'
import { createEngine, type Engine } from '@/lib/testing/refresh-engine'
import { createTokenEndpoint, type TokenEndpoint } from '@/lib/testing/token-endpoint'

import { openFileKek } from './kek/file'
import { createTenantKeys } from './tenant-keys'

interface At {
  readonly tenantId: TenantId
  readonly connectionId: ConnectionId
}
type Row = Record<string, unknown>

let db: TestDatabases
let dataDir: string
let endpoint: TokenEndpoint
let engine: Engine
let victim: At
beforeAll(async () => {
  db = await createTestDatabases()
})
afterAll(() => db.close())
beforeEach(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'portcullis-integrity-'))
  endpoint = await createTokenEndpoint('strict')
  engine = await createEngine(settings())
  victim = await connect(newId('tenant'))
})
afterEach(async () => {
  await engine.close()
  await endpoint.close()
  await rm(dataDir, { recursive: true, force: true })
  await db.adminQuery('vault', 'DELETE FROM credential')
  await db.adminQuery('vault', 'DELETE FROM key_canary')
})

const settings = () => ({
  appUrl: db.urls.app,
  vaultUrl: db.urls.vault,
  dataDir,
  tokenUrl: endpoint.url,
  mode: 'strict' as const,
  max: 2,
  timing: { pollMs: 2, pollMaxMs: 20, flightMs: 2_000, callerMs: 2_000 },
})
const tokens = () => ({
  accessToken: new Secret(endpoint.first.access),
  refreshToken: new Secret(endpoint.first.refresh),
  accessExpiresAt: new Date(Date.now() + 3_600_000),
  refreshExpiresAt: null,
  grantedScopes: ['a'],
})

/** A connection whose access token is over, so that the next call and the next scan have to refresh it. */
async function connect(tenantId: TenantId): Promise<At> {
  const connectionId = newId('connection')
  const app = { provider: TEST_PROVIDER.name, providerApp: TEST_PROVIDER.app, subject: 's' }
  await engine.credentials.create({ tenantId, connectionId, ...app, tokens: tokens() })
  await write(
    { tenantId, connectionId },
    `issued_at = now() - interval '2 hours', access_expires_at = now() - interval '1 hour', refresh_at = now() - interval '1 hour'`,
  )
  return { tenantId, connectionId }
}
async function write({ connectionId }: At, assignments: string, values: readonly unknown[] = []): Promise<void> {
  await db.adminQuery('vault', `UPDATE credential SET ${assignments} WHERE connection_id = $1`, [
    connectionId,
    ...values,
  ])
}
async function rowOf({ connectionId }: At): Promise<Row> {
  const [row] = await db.adminQuery('vault', 'SELECT * FROM credential WHERE connection_id = $1', [connectionId])
  if (row === undefined) throw new Error('no row')
  return row
}
const bytesOf = (row: Row, column: string) => Buffer.from(row[column] as Uint8Array) // a bytea column
const keyFile = ({ tenantId }: At, purpose = 'vault', version = 1) =>
  path.join(dataDir, 'keys', 'store', tenantId, purpose, `${version}.key`)
const flipped = (bytes: Buffer, at: number) => {
  const altered = Buffer.from(bytes)
  altered[at] = (altered[at] ?? 0) ^ 0x10
  return altered
}
const putRow = (column: string, value: (row: Row) => unknown) => async () =>
  write(victim, `${column} = $2`, [value(await rowOf(victim))])

const CORRUPTIONS: Record<string, () => Promise<unknown>> = {
  'a refresh token with its format changed': putRow('refresh_sealed', (row) =>
    flipped(bytesOf(row, 'refresh_sealed'), 3),
  ),
  'a refresh token under another key name': putRow('refresh_sealed', (row) =>
    flipped(bytesOf(row, 'refresh_sealed'), 8),
  ),
  'a refresh token with a changed commitment': putRow('refresh_sealed', (row) =>
    flipped(bytesOf(row, 'refresh_sealed'), 40),
  ),
  'a refresh token with a changed end': putRow('refresh_sealed', (row) =>
    flipped(bytesOf(row, 'refresh_sealed'), bytesOf(row, 'refresh_sealed').length - 1),
  ),
  'a refresh token that is empty': putRow('refresh_sealed', () => Buffer.alloc(0)),
  'three bytes of a header': putRow('refresh_sealed', (row) => bytesOf(row, 'refresh_sealed').subarray(0, 3)),
  'half a header': putRow('refresh_sealed', (row) => bytesOf(row, 'refresh_sealed').subarray(0, 20)),
  'a header and nothing behind it': putRow('refresh_sealed', (row) => bytesOf(row, 'refresh_sealed').subarray(0, 26)),
  'a token in the clear': putRow('refresh_sealed', () =>
    Buffer.from('ghr_a-token-in-the-clear-as-some-other-program-would-have-left-it'),
  ),
  'the access token in the place of the refresh token': () => write(victim, 'refresh_sealed = access_sealed'),
  'the refresh token in the place of the access token': () => write(victim, 'access_sealed = refresh_sealed'),
  'the wrapped data key cut short': putRow('dek_wrapped', (row) => bytesOf(row, 'dek_wrapped').subarray(0, 30)),
  'the refresh token of another connection of the workspace': async () => {
    const other = await rowOf(await connect(victim.tenantId))
    await write(victim, 'refresh_sealed = $2, dek_wrapped = $3', [other['refresh_sealed'], other['dek_wrapped']])
  },
  'the refresh token of another workspace': async () => {
    const other = await rowOf(await connect(newId('tenant')))
    await write(victim, 'refresh_sealed = $2, dek_wrapped = $3', [other['refresh_sealed'], other['dek_wrapped']])
  },
  'a whole row of another workspace, its data key included': async () => {
    const other = await rowOf(await connect(newId('tenant')))
    await write(victim, 'access_sealed = $2, refresh_sealed = $3, dek_wrapped = $4', [
      other['access_sealed'],
      other['refresh_sealed'],
      other['dek_wrapped'],
    ])
  },
  'the value of an earlier generation': async () => {
    const before = await rowOf(victim)
    const app = { provider: TEST_PROVIDER.name, providerApp: TEST_PROVIDER.app, subject: 's' }
    await engine.credentials.replace({ ...victim, ...app, tokens: tokens() }, { minGeneration: 1 })
    await write(victim, "refresh_sealed = $2, dek_wrapped = $3, access_expires_at = now() - interval '1 hour'", [
      before['refresh_sealed'],
      before['dek_wrapped'],
    ])
  },
  'a generation written higher': () => write(victim, 'generation = 9'),
  'a row pointed at another account': () => write(victim, "subject = 'somebody else'"),
  'a key version that never was': () => write(victim, 'key_version = 42'),
  'the wrapped key of another workspace': async () =>
    copyFile(keyFile(await connect(newId('tenant'))), keyFile(victim)),
  'the wrapped key of another purpose': async () => {
    const kek = await openFileKek(path.join(dataDir, 'keys', 'kek.json'), { createIfMissing: false })
    const keys = createTenantKeys({ kek, keyStoreDir: path.join(dataDir, 'keys', 'store') })
    await keys.current(victim.tenantId, 'audit')
    await copyFile(keyFile(victim, 'audit'), keyFile(victim))
    keys.forget()
  },
  'a wrapped key that another key-encryption key wrapped': async () => {
    const kek = await openFileKek(path.join(dataDir, 'foreign', 'kek.json'), { createIfMissing: true })
    const keys = createTenantKeys({ kek, keyStoreDir: path.join(dataDir, 'foreign', 'store') })
    await keys.current(victim.tenantId, 'vault')
    await copyFile(path.join(dataDir, 'foreign', 'store', victim.tenantId, 'vault', '1.key'), keyFile(victim))
    keys.forget()
  },
  'a wrapped key with a byte changed': async () => {
    const bytes = await readFile(keyFile(victim))
    await writeFile(keyFile(victim), flipped(bytes, bytes.length - 5))
  },
  'a wrapped key cut short': async () => {
    const bytes = await readFile(keyFile(victim))
    await writeFile(keyFile(victim), bytes.subarray(0, 10))
  },
  'a wrapped key that is gone': () => rm(keyFile(victim)),
}

describe('a stored value that is not what was stored', () => {
  it('(the same connection, untouched, is refreshed: what follows is refused for what was done to it)', async () => {
    const { token } = await engine.refresher.accessToken(victim.tenantId, victim.connectionId, { minGeneration: 1 })
    expect(token.reveal()).toBe(endpoint.newest().access)
    expect(endpoint.calls()).toBe(1)
  })

  it.each(Object.keys(CORRUPTIONS))(
    '%s: an alarm, no request, no change of state, by call and by schedule',
    async (name) => {
      await CORRUPTIONS[name]?.()
      const before = await rowOf(victim)
      // A process that knows nothing yet.
      const cold = await createEngine(settings())
      try {
        const { tenantId, connectionId } = victim
        const refused = { code: expect.stringMatching(/^vault\.(unreadable|wrong_key|key_unavailable)$/) as string }
        await expect(cold.refresher.accessToken(tenantId, connectionId, { minGeneration: 1 })).rejects.toMatchObject(
          refused,
        )
        await cold.refresher.refreshOne(tenantId, connectionId, 'due').catch((error: unknown) => {
          expect(error).toMatchObject(refused)
        })
        await cold.refresher.drain()
        expect(cold.alarms).toContainEqual(
          expect.objectContaining({
            tenantId,
            connectionId,
            reason: expect.stringMatching(/^(altered|key_missing)$/) as string,
          }),
        )
        expect(endpoint.calls()).toBe(0)
        const after = await rowOf(victim)
        for (const column of [
          'state',
          'state_reason',
          'state_at',
          'generation',
          'rejections',
          'unknown_outcomes',
          'access_sealed',
          'refresh_sealed',
          'dek_wrapped',
          'lease_owner',
        ])
          expect(after[column], column).toEqual(before[column])
      } finally {
        await cold.close()
      }
    },
  )
})
