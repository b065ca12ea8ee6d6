import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import { systemClock } from '@/lib/clock'
import { newId } from '@/lib/ids'
import { toEventRecord } from '@/lib/audit/record'
import { createAuditWorld, type AuditWorld } from '@/lib/testing/audit'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestQueueBackend, type TestQueueBackend } from '@/lib/testing/queue'

interface Running {
  readonly child: ChildProcess
  readonly output: () => string
  readonly exit: Promise<number | null>
}

describe('the worker process', () => {
  let db: TestDatabases
  let world: AuditWorld
  let queue: TestQueueBackend
  let dataDir: string
  const running: Running[] = []
  beforeAll(async () => {
    db = await createTestDatabases()
    world = await createAuditWorld(db.app)
    queue = await createTestQueueBackend()
    dataDir = mkdtempSync(path.join(tmpdir(), 'portcullis-worker-'))
  })
  afterEach(async () => {
    for (const { child } of running) child.kill('SIGKILL')
    await Promise.all(running.splice(0).map(({ exit }) => exit))
  })
  afterAll(async () => {
    await queue.close()
    await db.close()
    rmSync(dataDir, { recursive: true, force: true })
  })

  const start = (env: Record<string, string> = {}): Running => {
    const child = spawn(process.execPath, ['--import', 'tsx', 'workers/main.ts'], {
      env: {
        NODE_ENV: 'test',
        PATH: process.env['PATH'],
        DATABASE_URL: db.urls.app,
        VAULT_DATABASE_URL: db.urls.vault,
        PORTCULLIS_DATA_DIR: dataDir,
        ...(queue.config.redisUrl === undefined ? {} : { REDIS_URL: queue.config.redisUrl }),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()))
    child.stderr.on('data', (bytes: Buffer) => (output += bytes.toString()))
    const exit = new Promise<number | null>((resolve) => child.once('close', resolve))
    const one = { child, output: () => output, exit }
    running.push(one)
    return one
  }
  const eventually = { timeout: 25_000, interval: 50 }
  const untilWorking = ({ output }: Running) => expect.poll(output, eventually).toContain('the worker takes jobs')

  const leaveInOutbox = async () => {
    const targetId = newId('request')
    const record = toEventRecord(
      { tenantId: world.tenantId, action: 'session.revoked', actor: { kind: 'system' }, targetId },
      null,
      systemClock,
    )
    await db.app.tenant(world.tenantId, (tx) =>
      tx.auditOutbox.create({ data: { tenantId: world.tenantId, id: record.id, record } }),
    )
    return () => db.adminQuery('app', 'SELECT action FROM audit_record WHERE target_id = $1', [targetId])
  }

  it('names what is wrong with its environment, never the value, and exits 2', async () => {
    const worker = start({ DATABASE_URL: 'mysql://somebody:hunter2@nowhere/x' })
    expect(await worker.exit).toBe(2)
    expect(worker.output()).toContain('DATABASE_URL')
    expect(worker.output()).not.toContain('hunter2')
  })

  it('does its work, and stops in order when told to', async () => {
    const drained = await leaveInOutbox()
    await db.app.global.emailToken.create({
      data: { id: newId('emailToken'), purpose: 'magic_link', email: 'a@example.test', expiresAt: new Date(0) },
    })
    const worker = start()
    await untilWorking(worker)
    await expect.poll(drained, eventually).toEqual([{ action: 'session.revoked' }])
    await expect.poll(() => db.app.global.emailToken.count(), eventually).toBe(0)
    worker.child.kill('SIGTERM')
    expect(await worker.exit).toBe(0)
    const left = await db.adminQuery(
      'app',
      "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'portcullis-%'",
    )
    expect(left).toEqual([])
  }, 60_000)

  it('stays up without its keys and does what needs none', async () => {
    // Data that was written under keys which are not here.
    await db.adminQuery('vault', `INSERT INTO key_canary (kek_id, sealed) VALUES ('another', '\\x00')`)
    const drained = await leaveInOutbox()
    const worker = start({
      PORTCULLIS_DATA_DIR: path.join(dataDir, 'elsewhere'),
      KEK_FILE: `/tmp/${randomBytes(8).toString('hex')}`,
    })
    await untilWorking(worker)
    expect(worker.output()).toContain('not ready: no credential is opened')
    await expect.poll(drained, eventually).toEqual([{ action: 'session.revoked' }])
    expect(worker.child.exitCode).toBeNull()
    worker.child.kill('SIGTERM')
    expect(await worker.exit).toBe(0)
  }, 60_000)
})
