/**
 * A PostgreSQL server of a test's own that may be ended and started again: the shared one of the run is nobody's to break.
 *
 * @module
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import pg from 'pg'

import { startPostgres } from '../../launcher/postgres.mjs'
import { waitForEnd, processIdentity } from '../../launcher/processes.mjs'
import { newRolePasswords, prepareDatabases } from '../db/bootstrap'
import type { TestDatabases } from './database'

export interface TestCluster extends Pick<TestDatabases, 'urls' | 'adminQuery'> {
  /** `pg_ctl stop -m immediate`: every backend dies where it is, and the next start replays the journal. */
  stopImmediately(): Promise<void>
  /** At the same address. */
  start(): Promise<void>
  close(): Promise<void>
}

export async function createTestCluster(): Promise<TestCluster> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'portcullis-cluster-'))
  // What was committed must survive a crash, as it does where the product runs.
  const settings = { fsync: 'off', synchronous_commit: 'on' }
  let server = await startPostgres({ dataDir, tether: true, settings })
  const { port } = server
  const admin = { app: server.superuserUrl('app'), vault: server.superuserUrl('vault') }
  const urls = await prepareDatabases({
    appAdminUrl: admin.app,
    vaultAdminUrl: admin.vault,
    passwords: newRolePasswords(),
    migrationsRoot: path.resolve('prisma'),
  })
  const end = async (signal: NodeJS.Signals) => {
    const identity = processIdentity(server.pid)
    if (identity === undefined) return
    process.kill(server.pid, signal)
    if (!(await waitForEnd(server.pid, identity, 30_000))) throw new Error('PostgreSQL does not end')
  }
  return {
    urls,
    async adminQuery(database, sql, values = []) {
      const client = new pg.Client({ connectionString: admin[database] })
      await client.connect()
      try {
        return (await client.query<Record<string, unknown>>(sql, [...values])).rows
      } finally {
        await client.end()
      }
    },
    stopImmediately: () => end('SIGQUIT'),
    async start() {
      server = await startPostgres({ dataDir, port, tether: true, settings })
      if (server.port !== port) throw new Error('The address was taken meanwhile')
    },
    async close() {
      await server.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
