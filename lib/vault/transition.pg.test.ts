import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { systemClock } from '@/lib/clock'
import { newId } from '@/lib/ids'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import { lockRow } from './row'
import { isConnectionState, mayChange, type ConnectionState } from './state'
import { changeState } from './transition'

const STATES: readonly ConnectionState[] = [
  'connecting',
  'active',
  'refreshing',
  'degraded',
  'reauthorization_required',
  'revoked',
  'disconnected',
  'suspended',
]
const PAIRS = STATES.flatMap((from) => STATES.map((to) => [from, to] as const))

let db: TestDatabases
beforeAll(async () => {
  db = await createTestDatabases()
})
afterAll(() => db.close())

async function credentialIn(state: ConnectionState) {
  const tenantId = newId('tenant')
  const connectionId = newId('connection')
  await db.adminQuery(
    'vault',
    `INSERT INTO credential (tenant_id, connection_id, provider, provider_app, subject, state, generation, key_version, lease_owner, lease_until, attempt_id)
     VALUES ($1, $2, 'github', 'app', 's', $3, 3, 1, 'somebody', now() + interval '1 minute', 'attempt')`,
    [tenantId, connectionId, state],
  )
  const row = async () =>
    (await db.adminQuery('vault', 'SELECT * FROM credential WHERE connection_id = $1', [connectionId]))[0] ?? {}
  const reasons = async () =>
    (
      await db.adminQuery('vault', `SELECT record->>'reason' AS reason FROM audit_outbox WHERE tenant_id = $1`, [
        tenantId,
      ])
    ).map(({ reason }) => reason)
  return { tenantId, connectionId, row, reasons }
}

describe('each of the 64 changes of a state', () => {
  it('is named: no state is forgotten', () => {
    expect(STATES.every(isConnectionState)).toBe(true)
    expect(PAIRS).toHaveLength(64)
    expect(PAIRS.filter(([from, to]) => mayChange(from, to))).toHaveLength(28)
  })

  it.each(PAIRS)('is made and recorded, or is not and leaves no trace: %s to %s', async (from, to) => {
    const { tenantId, connectionId, row, reasons } = await credentialIn(from)
    const change = await db.vault.tenant(tenantId, async (tx) => {
      const locked = await lockRow(tx, tenantId, connectionId)
      return changeState(tx, systemClock, locked!, { to, reason: 'some:Reason', cause: 'test' })
    })
    if (!mayChange(from, to)) {
      expect(change).toBeNull()
      expect(await row()).toMatchObject({ state: from, state_reason: null, state_shown: true, lease_owner: 'somebody' })
      expect(await reasons()).toEqual([])
      return
    }
    expect(change).toMatchObject({ from, state: to, reason: 'some:Reason', cause: 'test', generation: 3 })
    expect(await row()).toMatchObject({ state: to, state_reason: 'some:Reason', state_shown: false })
    expect(await reasons()).toEqual([`${from}:${to}:some_reason:test`])
    expect((await row())['shred_at'] !== null).toBe(to === 'revoked')
    const isEnd = to === 'reauthorization_required' || to === 'revoked' || to === 'disconnected'
    expect((await row())['lease_owner']).toBe(isEnd ? null : 'somebody')
  })

  it.each(PAIRS)('is allowed by the database exactly where it is by the table: %s to %s', async (from, to) => {
    const { connectionId, row } = await credentialIn(from)
    const update = db.adminQuery('vault', 'UPDATE credential SET state = $2 WHERE connection_id = $1', [
      connectionId,
      to,
    ])
    if (from === to || mayChange(from, to)) {
      await update
      expect(await row()).toMatchObject({ state: to })
    } else {
      await expect(update).rejects.toMatchObject({ code: '23514' })
      expect(await row()).toMatchObject({ state: from })
    }
  })
})
