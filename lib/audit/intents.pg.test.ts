import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { newId } from '@/lib/ids'
import { createAuditWorld, createTestAudit, type AuditWorld } from '@/lib/testing/audit'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import type { Audit } from './audit'

describe('audit intents', () => {
  let db: TestDatabases
  let audit: Audit
  let world: AuditWorld
  beforeAll(async () => {
    db = await createTestDatabases()
    audit = createTestAudit(db)
    world = await createAuditWorld(db.app)
  })
  afterAll(async () => {
    await audit.close()
    await db.close()
  })

  const recordsOf = (callId: string) =>
    db.adminQuery('app', 'SELECT * FROM audit_record WHERE call_id = $1 ORDER BY kind', [callId])

  it('is committed before the caller is told to go on', async () => {
    const call = world.call()
    expect(await audit.intent(call)).toEqual({ decision: 'permit', reason: null, credentialGeneration: 1 })
    expect(await recordsOf(call.callId)).toMatchObject([
      {
        kind: 'intent',
        format: 1,
        action: 'tool.call',
        decision: 'permit',
        outcome: null,
        tool: 'github_create_issue',
        agent_id: world.agentId,
        agent_session_id: world.agentSessionId,
        connection_id: world.connectionId,
        profile_version: 1,
      },
    ])
  })

  it('shares one transaction among calls that arrive together, and answers each its own', async () => {
    const good = Array.from({ length: 20 }, () => world.call())
    const foreign = world.call({ agentSessionId: newId('agentSession') })
    const answers = await Promise.all([...good, foreign].map((call) => audit.intent(call)))
    expect(answers.slice(0, 20).every((answer) => answer.decision === 'permit')).toBe(true)
    expect(answers[20]).toMatchObject({ decision: 'deny', reason: 'session_ended' })
    const rows = await db.adminQuery(
      'app',
      "SELECT DISTINCT xmin::text AS tx FROM audit_record WHERE kind = 'intent' AND call_id = ANY($1)",
      [[...good, foreign].map((call) => call.callId)],
    )
    expect(rows.length).toBeLessThanOrEqual(2)
  })

  it('costs only itself when one row of a batch cannot be stored', async () => {
    const taken = world.call()
    await audit.intent(taken)
    const poison = world.call({ callId: taken.callId })
    const unstorable = world.call({ tool: 'zero\u0000byte' })
    const good = Array.from({ length: 10 }, () => world.call())
    const answers = await Promise.allSettled(
      [...good.slice(0, 5), poison, unstorable, ...good.slice(5)].map((call) => audit.intent(call)),
    )
    expect(answers.map((answer) => answer.status)).toEqual([
      ...Array<string>(5).fill('fulfilled'),
      'rejected',
      'rejected',
      ...Array<string>(5).fill('fulfilled'),
    ])
    expect(answers[5]).toMatchObject({ reason: { code: 'audit.unavailable' } })
    for (const call of good) expect(await recordsOf(call.callId)).toHaveLength(1)
  })

  it('answers stale without a record when the profile changed, and refuses on the second try', async () => {
    const call = world.call({ profileVersion: 7 })
    expect(await audit.intent(call)).toMatchObject({ decision: 'stale', reason: 'profile_changed' })
    expect(await recordsOf(call.callId)).toEqual([])
    expect(await audit.intent({ ...call, isFinal: true })).toMatchObject({
      decision: 'deny',
      reason: 'profile_changed',
    })
    expect(await recordsOf(call.callId)).toMatchObject([
      { kind: 'intent', decision: 'deny' },
      { kind: 'outcome', outcome: 'denied', reason: 'profile_changed' },
    ])
  })

  it('gives a denied call its outcome at once and a waiting one none', async () => {
    const denied = world.call({ decision: 'deny', reason: 'tool_not_allowed' })
    const waiting = world.call({ decision: 'approval_required' })
    expect(await audit.intent(denied)).toMatchObject({ decision: 'deny', reason: 'tool_not_allowed' })
    expect(await audit.intent(waiting)).toMatchObject({ decision: 'approval_required' })
    audit.outcome({ tenantId: world.tenantId, callId: denied.callId, outcome: 'success', durationMs: 1 })
    await audit.settled()
    expect(await recordsOf(denied.callId)).toMatchObject([
      { kind: 'intent', reason: 'tool_not_allowed' },
      { kind: 'outcome', outcome: 'denied' },
    ])
    expect(await recordsOf(waiting.callId)).toHaveLength(1)
  })

  it.each([
    ['agent_disabled', 'UPDATE agent SET disabled_at = now() WHERE id = $1', 'agentId'],
    ['session_ended', 'UPDATE agent_session SET ended_at = now() WHERE id = $1', 'agentSessionId'],
    ['session_ended', 'UPDATE agent_session SET expires_at = now() WHERE id = $1', 'agentSessionId'],
    ['connection_blocked', "UPDATE connection SET access = 'blocked' WHERE id = $1", 'connectionId'],
    ['tenant_disabled', 'UPDATE tenant SET disabled_at = now() WHERE id = $1', 'tenantId'],
  ] as const)('denies with %s, whatever the caller decided', async (reason, sql, column) => {
    const own = await createAuditWorld(db.app)
    await db.adminQuery('app', sql, [own[column]])
    expect(await audit.intent(own.call())).toMatchObject({ decision: 'deny', reason })
  })

  it('refuses ids of another tenant as if they did not exist', async () => {
    const other = await createAuditWorld(db.app)
    expect(await audit.intent(world.call({ connectionId: other.connectionId }))).toMatchObject({
      decision: 'deny',
      reason: 'connection_blocked',
    })
    expect(await audit.intent(world.call({ agentSessionId: other.agentSessionId }))).toMatchObject({
      reason: 'session_ended',
    })
    // Another agent of the same workspace may not borrow a session either.
    const agentId = newId('agent')
    await db.app.tenant(world.tenantId, (tx) =>
      tx.agent.create({ data: { tenantId: world.tenantId, id: agentId, name: 'Second' } }),
    )
    expect(await audit.intent(world.call({ agentId }))).toMatchObject({ decision: 'deny', reason: 'session_ended' })
  })

  it('keeps arguments sealed, and of large ones the digest alone', async () => {
    const small = world.call({ arguments: { text: 'a confidential text' }, network: '203.0.113.9' })
    const large = world.call({ arguments: { text: 'x'.repeat(20_000) } })
    await Promise.all([audit.intent(small), audit.intent(large)])
    const [kept] = await db.adminQuery('app', 'SELECT * FROM audit_arguments WHERE call_id = $1', [small.callId])
    expect(kept).toBeDefined()
    expect(await db.adminQuery('app', 'SELECT * FROM audit_arguments WHERE call_id = $1', [large.callId])).toEqual([])
    const [record] = await recordsOf(large.callId)
    expect((record?.['argument_digest'] as Buffer).length).toBe(32) // a bytea column
    const dump = JSON.stringify([
      await db.adminQuery('app', "SELECT audit_record::text, encode(sealed, 'escape') FROM audit_record"),
      await db.adminQuery('app', "SELECT encode(sealed, 'escape') FROM audit_arguments"),
    ])
    expect(dump).not.toContain('confidential')
    expect(dump).not.toContain('203.0.113.9')
  })

  it('names the same arguments by the same digest within a tenant, and differently in another', async () => {
    const other = await createAuditWorld(db.app)
    const calls = [
      world.call({ arguments: { a: 1, b: [true] } }),
      world.call({ arguments: { b: [true], a: 1.0 } }),
      world.call({ arguments: { a: 2, b: [true] } }),
      other.call({ arguments: { a: 1, b: [true] } }),
    ]
    await Promise.all(calls.map((call) => audit.intent(call)))
    const digests = await Promise.all(
      calls.map(async (call) => (await recordsOf(call.callId))[0]?.['argument_digest'] as Buffer), // a bytea column
    )
    const [one, same, different, foreign] = digests.map((digest) => digest.toString('hex'))
    expect(same).toBe(one)
    expect(different).not.toBe(one)
    expect(foreign).not.toBe(one)
  })

  it('shows a person by one random pseudonym', async () => {
    const calls = [world.call({ personId: world.personId }), world.call({ personId: world.personId })]
    await Promise.all(calls.map((call) => audit.intent(call)))
    const names = await Promise.all(calls.map(async (call) => (await recordsOf(call.callId))[0]?.['actor_pseudonym']))
    expect(names[0]).toMatch(/^psn_/)
    expect(names[1]).toBe(names[0])
    expect(
      await db.adminQuery('app', 'SELECT subject_id FROM audit_identity WHERE pseudonym = $1', [names[0]]),
    ).toEqual([{ subject_id: world.personId }])
  })

  it('refuses arguments that are not JSON as the request’s fault', async () => {
    await expect(audit.intent(world.call({ arguments: { at: new Date() } }))).rejects.toMatchObject({
      code: 'request.invalid',
    })
  })

  it('refuses when the audit key cannot be had', async () => {
    const keyless = createTestAudit(db, {
      keys: { audit: () => Promise.reject(new Error('gone')), auditAt: () => Promise.reject(new Error('gone')) },
    })
    await expect(keyless.intent(world.call())).rejects.toMatchObject({ code: 'audit.unavailable' })
    await keyless.close()
  })
})
