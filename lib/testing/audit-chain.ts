/**
 * Chains over real trails, and somebody who owns the database, for tests.
 *
 * @module
 */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import pg from 'pg'

import type { Audit } from '../audit/audit'
import { createCheckpoints } from '../audit/chain/checkpoints'
import { createChainRetention } from '../audit/chain/retention'
import { createSequencer } from '../audit/chain/sequencer'
import { createFileSink, readStatements, type CheckpointSink } from '../audit/chain/sinks'
import { newChainKeyFile, readChainKeys } from '../audit/chain/statement'
import { createChainStore } from '../audit/chain/store'
import { verifyChain, type ChainReport } from '../audit/chain/verify'
import { systemClock } from '../clock'
import type { TenantId } from '../ids'
import { createLog } from '../log'
import { createAuditWorld, createTestAudit, type AuditWorld } from './audit'
import { createTestDatabases, type TestDatabases } from './database'

export function createTestChain(db: TestDatabases, options: { readonly batch?: number } = {}) {
  const store = createChainStore(db.urls.app)
  const log = createLog('test', 'silent')
  const keys = readChainKeys(newChainKeyFile(new Date()))
  const folder = path.join(mkdtempSync(path.join(tmpdir(), 'portcullis-chain-')), 'checkpoints')
  const sequencer = createSequencer({ store, log, ...options })
  const checkpointsTo = (...sinks: CheckpointSink[]) =>
    createCheckpoints({ store, keys, sinks, everySeconds: 0, clock: systemClock, log, ...options })
  const checkpoints = checkpointsTo(createFileSink(folder))
  const statementsOf = async (tenantId: TenantId) =>
    (await readStatements(folder)).statements.filter(({ tenant }) => tenant === tenantId)
  return {
    store,
    keys,
    folder,
    sequencer,
    checkpoints,
    checkpointsTo,
    statementsOf,
    removeOld: createChainRetention({ store, keys, checkpoints, clock: systemClock, log, ...options }),
    /** With what is in the folder of checkpoints, unless told otherwise. */
    verify: async (tenantId: TenantId, { isBlind = false } = {}): Promise<ChainReport> =>
      verifyChain({ store, keys, page: 7 }, tenantId, isBlind ? [] : await statementsOf(tenantId).catch(() => [])),
    close: () => store.close(),
  }
}
export type TestChain = ReturnType<typeof createTestChain>

/** Databases of their own with a trail and what chains it. */
export async function createChainWorld() {
  const db = await createTestDatabases()
  const audit = createTestAudit(db)
  const chain = createTestChain(db)
  const close = async () => {
    await chain.close()
    await audit.close()
    await db.close()
  }
  return { db, audit, chain, close }
}
export type ChainWorld = Awaited<ReturnType<typeof createChainWorld>>

/** A workspace in which so many calls were made and ended. Two records each, in the order of the calls. */
export async function createTrail(db: TestDatabases, audit: Audit, calls: number): Promise<AuditWorld> {
  const world = await createAuditWorld(db.app)
  await addCalls(world, audit, calls)
  return world
}

export async function addCalls(world: AuditWorld, audit: Audit, calls: number): Promise<void> {
  for (let i = 0; i < calls; i += 1) {
    const call = world.call({ personId: world.personId, network: '203.0.113.7' })
    await audit.intent(call)
    audit.outcome({ tenantId: world.tenantId, callId: call.callId, outcome: 'success', durationMs: 5, detail: { i } })
    await audit.settled()
  }
}

const TABLES = ['audit_record', 'audit_link', 'audit_head', 'audit_cut', 'audit_erasure']

/** Somebody with the rights of the role that owns the tables, who has taken row security off; it is on again afterwards. */
export async function asOwner(db: TestDatabases, ...statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: db.admin.app })
  await client.connect()
  try {
    await client.query('BEGIN; SET LOCAL ROLE portcullis_owner')
    for (const table of TABLES) await client.query(`ALTER TABLE ${table} NO FORCE ROW LEVEL SECURITY`)
    for (const sql of statements) await client.query(sql)
    for (const table of TABLES) await client.query(`ALTER TABLE ${table} FORCE ROW LEVEL SECURITY`)
    await client.query('COMMIT')
  } finally {
    await client.end()
  }
}
