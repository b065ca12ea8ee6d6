/** The verifier as it is run: its exit status is the answer. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { systemClock } from '@/lib/clock'
import { loadConfig } from '@/lib/config'
import { createLog } from '@/lib/log'
import { createTestAudit } from '@/lib/testing/audit'
import { asOwner, createTrail } from '@/lib/testing/audit-chain'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { bundle } from '@/lib/testing/process'
import { chainKeyFile, createAuditChain, type AuditChain } from '@/wiring/audit-chain'

describe('portcullis audit', () => {
  let db: TestDatabases
  let audit: ReturnType<typeof createTestAudit>
  let chain: AuditChain
  let dataDir: string
  let program: string
  beforeAll(async () => {
    ;[db, program] = await Promise.all([createTestDatabases(), bundle('cli/main.ts')])
    audit = createTestAudit(db)
    dataDir = mkdtempSync(path.join(tmpdir(), 'portcullis-cli-'))
    chain = await createAuditChain({
      config: loadConfig({ PORTCULLIS_DATA_DIR: dataDir, DATABASE_URL: db.urls.app }),
      clock: systemClock,
      log: createLog('test', 'silent'),
    })
  })
  afterAll(async () => {
    await chain.close()
    await audit.close()
    await db.close()
    rmSync(dataDir, { recursive: true, force: true })
  })

  const run = (args: readonly string[], env: Record<string, string> = {}) =>
    new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve) => {
      const child = spawn(process.execPath, [program, 'audit', ...args], {
        env: {
          NODE_ENV: 'production',
          PATH: process.env['PATH'],
          PORTCULLIS_DATA_DIR: dataDir,
          DATABASE_URL: db.urls.app,
          VAULT_DATABASE_URL: db.urls.vault,
          ...env,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let [stdout, stderr] = ['', '']
      child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
      child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
      child.on('close', (status) => resolve({ status, stdout, stderr }))
    })
  const linkedTrail = async () => {
    const world = await createTrail(db, audit, 2)
    await chain.sequencer.run()
    await chain.checkpoints.run()
    return world
  }

  it('verify ends with 0 when nothing was touched, and says how far that is vouched for', async () => {
    const world = await linkedTrail()
    const { status, stdout, stderr } = await run(['verify', '--json', '--tenant', world.tenantId])
    expect([status, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      publicKey: expect.stringContaining('BEGIN PUBLIC KEY') as string, // an asymmetric matcher
      tenants: [{ tenantId: world.tenantId, ok: true, checked: 4, vouchedTo: 4, problems: [] }],
    })
    expect(stdout).not.toContain('PRIVATE')
    expect(statSync(chainKeyFile({ dataDir })).mode & 0o777).toBe(0o600)
  })

  it('verify ends with 1 and names the first bad record, of every workspace or of one', async () => {
    const [world, other] = [await linkedTrail(), await linkedTrail()]
    const [row] = await db.adminQuery('app', 'SELECT record_id FROM audit_link WHERE tenant_id = $1 AND position = 3', [
      world.tenantId,
    ])
    const id = String(row?.['record_id'])
    await asOwner(db, `UPDATE audit_record SET tool = 'other' WHERE id = '${id}'`)
    const [all, one] = await Promise.all([run(['verify', '--json']), run(['verify', '--tenant', world.tenantId])])
    expect([all.status, one.status]).toEqual([1, 1])
    const { ok, tenants } = JSON.parse(all.stdout) as { ok: boolean; tenants: { tenantId: string; ok: boolean }[] } // as verify prints
    expect(ok).toBe(false)
    expect(tenants.find(({ tenantId }) => tenantId === world.tenantId)).toMatchObject({
      ok: false,
      problems: [{ kind: 'edited', position: 3, recordId: id }],
    })
    expect(tenants.find(({ tenantId }) => tenantId === other.tenantId)).toMatchObject({ ok: true })
    expect(one.stdout).toMatch(new RegExp(`NOT INTACT[^]*edited at 3 \\(${id}\\)`))
    await asOwner(db, `UPDATE audit_record SET tool = 'github_create_issue' WHERE id = '${id}'`)
  })

  it('verify of a workspace that is gone ends with 1, because the checkpoints remember it', async () => {
    const world = await linkedTrail()
    await asOwner(
      db,
      ...['audit_record', 'audit_link', 'audit_head'].map(
        (table) => `DELETE FROM ${table} WHERE tenant_id = '${world.tenantId}'`,
      ),
    )
    await db.adminQuery('app', 'DELETE FROM audit_checkpoint WHERE tenant_id = $1', [world.tenantId])
    const { status, stdout } = await run(['verify', '--json', '--tenant', world.tenantId])
    expect(status).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ tenants: [{ problems: [{ kind: 'gone' }] }] })
    // With checkpoints that know nothing nobody misses it.
    const empty = path.join(dataDir, 'empty.jsonl')
    writeFileSync(empty, '')
    expect((await run(['verify', '--tenant', world.tenantId, '--checkpoints', empty])).status).toBe(0)
  })

  it('verify ends with 2 when it cannot be said: that is neither yes nor no', async () => {
    await linkedTrail()
    const answers = await Promise.all([
      run(['verify', '--json'], { DATABASE_URL: 'postgres://portcullis_app:x@127.0.0.1:1/nowhere' }),
      run(['verify', '--json'], { PORTCULLIS_DATA_DIR: path.join(tmpdir(), 'portcullis-nowhere') }),
      run(['verify', '--json', '--checkpoints', '/nowhere']),
      run(['verify', '--json', '--public-key', '/dev/null']),
    ])
    expect(answers.map(({ status, stdout }) => [status, stdout])).toEqual(answers.map(() => [2, '']))
    const codes = answers.map(({ stderr }) => (JSON.parse(stderr) as { error: { code: string } }).error.code) // as every refusal is printed
    expect(codes).toEqual(['audit.unverifiable', 'audit.unverifiable', 'request.invalid', 'config.invalid'])
  })

  it('erase-person takes somebody out of the records of a workspace, and they verify as before', async () => {
    const world = await linkedTrail()
    const erased = await run(['erase-person', `${world.personId}@example.test`, '--tenant', world.tenantId, '--json'])
    expect([erased.status, erased.stderr]).toEqual([0, ''])
    expect(JSON.parse(erased.stdout)).toEqual({ personId: world.personId, records: 4, calls: 2 })
    await chain.sequencer.run()
    expect((await run(['verify', '--tenant', world.tenantId])).status).toBe(0)
  })
})
