import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import type { Blockage } from '@/lib/audit/blockage'
import type { AuditEvent } from '@/lib/audit/record'
import { AppError } from '@/lib/errors'
import { newId, type PersonId, type TenantId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import { createAgentSessions, endAgentSessions, MAX_SESSION_SECONDS, type AgentSessions } from './agent-sessions'
import { createAgents, type Agents, type TenancyAudit } from './agents'
import type { MemberPrincipal, Role } from './principal'

const subjects = { resources: new Set<string>(), arguments: new Set<string>() }
const knownTools = new Map([
  ['github_list_issues', subjects],
  ['slack_send_message', subjects],
])
const allow = (...tools: string[]) => ({ version: 1, tools: { allow: tools } })
const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof AppError ? error.code : String(error)),
  )

describe('agents and their sessions', () => {
  let db: TestDatabases
  let now = new Date()
  const clock = { now: () => now }
  const recorded: { via: 'event' | 'never'; event: AuditEvent }[] = []
  let auditFails = false
  const audit: TenancyAudit & { readonly trail: Blockage } = {
    trail: { isBlocked: false, report: () => undefined },
    event: (_tx, event) => {
      if (auditFails) return Promise.reject(new AppError('audit.unavailable', 'No record could be written.'))
      recorded.push({ via: 'event', event })
      return Promise.resolve()
    },
    never: (_tx, event) => {
      recorded.push({ via: 'never', event })
      return Promise.resolve()
    },
  }
  let agents: Agents
  let sessions: AgentSessions

  async function newTenant(): Promise<TenantId> {
    const id = newId('tenant')
    await db.app.tenant(id, (tx) => tx.tenant.create({ data: { id, name: id, slug: id.replace('_', '-') } }))
    return id
  }
  async function newMember(tenantId: TenantId, role: Role): Promise<MemberPrincipal & { personId: PersonId }> {
    const personId = newId('person')
    const email = `${personId}@example.com`
    await db.app.transaction((tx) => tx.person.create({ data: { id: personId, email, emailCanonical: email } }))
    await db.app.tenant(tenantId, (tx) => tx.membership.create({ data: { tenantId, personId, role } }))
    return {
      kind: 'person',
      tenantId,
      personId,
      role,
      webSessionId: newId('webSession'),
      authenticatedAt: now,
      network: '192.0.2.1',
    }
  }
  const fresh = () => createAgentSessions({ appDb: db.app, audit, clock, log: createLog('test', 'silent') })

  beforeAll(async () => {
    db = await createTestDatabases()
    agents = createAgents({ appDb: db.app, audit, knownTools, publicUrl: 'https://gw.example', clock })
  })
  afterAll(() => db.close())
  beforeEach(() => {
    recorded.length = 0
    auditFails = false
    now = new Date()
    sessions = fresh()
  })

  it('makes an agent that may do nothing, reachable at its own URL', async () => {
    const owner = await newMember(await newTenant(), 'owner')
    const agent = await agents.create(owner, { name: '  Helper ' })
    expect(agent).toMatchObject({ name: 'Helper', profileVersion: 1, disabled: false })
    expect(agent.mcpUrl).toBe(`https://gw.example/mcp/${agent.id}`)
    expect((await agents.profile(owner, agent.id)).document.tools.allow).toEqual([])
    expect(recorded.map(({ event }) => event.action)).toEqual(['agent.created'])
  })

  it('keeps every version of a profile, and numbers two that are applied together', async () => {
    const owner = await newMember(await newTenant(), 'owner')
    const agent = await agents.create(owner, { name: 'A', profile: allow('github_list_issues') })
    const applied = await Promise.all([
      agents.applyProfile(owner, agent.id, allow('slack_send_message')),
      agents.applyProfile(owner, agent.id, allow()),
    ])
    expect(applied.map(({ version }) => version).sort()).toEqual([2, 3])
    expect((await agents.profile(owner, agent.id, 1)).document.tools.allow).toEqual(['github_list_issues'])
    expect((await agents.show(owner, agent.id)).profileVersion).toBe(3)
  })

  it('refuses to apply over a change somebody else made meanwhile', async () => {
    const owner = await newMember(await newTenant(), 'owner')
    const agent = await agents.create(owner, { name: 'A' })
    await agents.applyProfile(owner, agent.id, allow(), { expectedVersion: 1 })
    expect(await code(agents.applyProfile(owner, agent.id, allow(), { expectedVersion: 1 }))).toBe('resource.conflict')
  })

  it('changes nothing when what widens access cannot be recorded', async () => {
    const owner = await newMember(await newTenant(), 'owner')
    const agent = await agents.create(owner, { name: 'A' })
    auditFails = true
    expect(await code(agents.applyProfile(owner, agent.id, allow('github_list_issues')))).toBe('audit.unavailable')
    expect(await code(sessions.issue(owner, agent.id))).toBe('audit.unavailable')
    expect((await agents.show(owner, agent.id)).profileVersion).toBe(1)
    expect(await sessions.list(owner, agent.id)).toEqual([])
  })

  it('disables and revokes even when no record can be written', async () => {
    const owner = await newMember(await newTenant(), 'owner')
    const agent = await agents.create(owner, { name: 'A' })
    const session = await sessions.issue(owner, agent.id)
    auditFails = true
    expect((await sessions.revoke(owner, session.id)).endedReason).toBe('revoked')
    expect((await agents.disable(owner, agent.id)).disabled).toBe(true)
    expect(recorded.slice(-2).map(({ via, event }) => [via, event.action])).toEqual([
      ['never', 'session.revoked'],
      ['never', 'agent.disabled'],
    ])
  })

  it('answers a foreign id exactly as a missing and a malformed one', async () => {
    const owner = await newMember(await newTenant(), 'owner')
    const stranger = await newMember(await newTenant(), 'owner')
    const agent = await agents.create(owner, { name: 'A' })
    const session = await sessions.issue(owner, agent.id)
    for (const id of [agent.id, newId('agent'), 'agt_x', '../../etc']) {
      expect(await code(agents.show(stranger, id))).toBe('resource.not_found')
      expect(await code(agents.update(stranger, id, { name: 'mine' }))).toBe('resource.not_found')
      expect(await code(agents.disable(stranger, id))).toBe('resource.not_found')
      expect(await code(agents.applyProfile(stranger, id, allow()))).toBe('resource.not_found')
      expect(await code(agents.profile(stranger, id))).toBe('resource.not_found')
      expect(await code(sessions.issue(stranger, id))).toBe('resource.not_found')
      expect(await code(sessions.list(stranger, id))).toBe('resource.not_found')
    }
    for (const id of [session.id, newId('agentSession'), 'nonsense'])
      expect(await code(sessions.revoke(stranger, id))).toBe('resource.not_found')
    expect(await sessions.lookup(session.sessionKey.reveal())).toBeDefined()
    expect(await agents.list(stranger)).toEqual([])
  })

  it('lets an auditor read and change nothing', async () => {
    const tenantId = await newTenant()
    const owner = await newMember(tenantId, 'owner')
    const auditor = await newMember(tenantId, 'auditor')
    const agent = await agents.create(owner, { name: 'A' })
    const session = await sessions.issue(owner, agent.id)
    expect(await agents.list(auditor)).toHaveLength(1)
    for (const attempt of [
      agents.create(auditor, { name: 'B' }),
      agents.update(auditor, agent.id, { name: 'B' }),
      agents.disable(auditor, agent.id),
      agents.enable(auditor, agent.id),
      agents.applyProfile(auditor, agent.id, allow()),
      sessions.issue(auditor, agent.id),
      sessions.revoke(auditor, session.id),
    ])
      expect(await code(attempt)).toBe('auth.forbidden')
  })

  it('shows a session key once and stores only its hash', async () => {
    const owner = await newMember(await newTenant(), 'owner')
    const agent = await agents.create(owner, { name: 'A' })
    const issued = await sessions.issue(owner, agent.id, { label: 'laptop' })
    const key = issued.sessionKey.reveal()
    expect(key).toMatch(/^pcs_[A-Za-z0-9_-]{43}$/)
    expect(issued.expiresAt.getTime() - now.getTime()).toBe(90 * 86_400_000)
    expect(issued.hint).toBe(key.slice(-4))
    const stored = await db.adminQuery('app', 'SELECT s::text AS row FROM agent_session s')
    expect(JSON.stringify(stored)).not.toContain(key.slice(4, 16))
    expect(JSON.stringify([await sessions.list(owner), recorded, issued])).not.toContain(key.slice(4, 16))
  })

  it('finds the holder of a key, and nobody once it has expired, been revoked, or its agent or workspace is disabled', async () => {
    const owner = await newMember(await newTenant(), 'owner')
    const agent = await agents.create(owner, { name: 'A' })
    const key = async () => (await sessions.issue(owner, agent.id)).sessionKey.reveal()
    const [revoked, other] = [await sessions.issue(owner, agent.id), await key()]
    expect(await sessions.lookup(other)).toMatchObject({
      tenantId: owner.tenantId,
      agentId: agent.id,
      personId: owner.personId,
      scopes: ['mcp:read', 'mcp:write'],
    })
    expect(await sessions.lookup(`pcs_${'A'.repeat(43)}`)).toBeUndefined()
    expect(await sessions.lookup(other.slice(0, -1))).toBeUndefined()

    // In this process revocation is seen at once, in another within the age of its memory.
    const elsewhere = fresh()
    expect(await elsewhere.lookup(revoked.sessionKey.reveal())).toBeDefined()
    await sessions.revoke(owner, revoked.id)
    expect(await sessions.lookup(revoked.sessionKey.reveal())).toBeUndefined()
    now = new Date(now.getTime() + 1_500)
    expect(await elsewhere.lookup(revoked.sessionKey.reveal())).toBeUndefined()

    await agents.disable(owner, agent.id)
    expect(await fresh().lookup(other)).toBeUndefined()
    expect(await code(sessions.issue(owner, agent.id))).toBe('resource.conflict')
    await agents.enable(owner, agent.id)
    expect(await fresh().lookup(other)).toBeDefined()
    await db.adminQuery('app', 'UPDATE tenant SET disabled_at = now() WHERE id = $1', [owner.tenantId])
    expect(await fresh().lookup(other)).toBeUndefined()
  })

  it('ends with its hour, whatever is remembered', async () => {
    const owner = await newMember(await newTenant(), 'owner')
    const agent = await agents.create(owner, { name: 'A' })
    const key = (await sessions.issue(owner, agent.id, { expiresInSeconds: 60 })).sessionKey.reveal()
    now = new Date(now.getTime() + 59_500)
    expect(await sessions.lookup(key)).toBeDefined()
    now = new Date(now.getTime() + 500)
    expect(await sessions.lookup(key)).toBeUndefined()
  })

  it('does not outlive the membership of the person it acts for, nor widen when that person is deleted', async () => {
    const tenantId = await newTenant()
    const owner = await newMember(tenantId, 'owner')
    const [left, gone] = [await newMember(tenantId, 'member'), await newMember(tenantId, 'member')]
    const agent = await agents.create(owner, { name: 'A' })
    const keys = [
      (await sessions.issue(left, agent.id)).sessionKey.reveal(),
      (await sessions.issue(gone, agent.id)).sessionKey.reveal(),
    ]
    for (const key of keys) expect(await sessions.lookup(key)).toBeDefined()
    await db.app.tenant(tenantId, (tx) =>
      tx.membership.delete({ where: { tenantId_personId: { tenantId, personId: left.personId } } }),
    )
    await db.adminQuery('app', 'DELETE FROM person WHERE id = $1', [gone.personId])
    for (const key of keys) expect(await fresh().lookup(key)).toBeUndefined()
  })

  it('acts for the whole workspace only when the operator issued it', async () => {
    const owner = await newMember(await newTenant(), 'owner')
    const agent = await agents.create(owner, { name: 'A' })
    const operator: MemberPrincipal = { kind: 'operator', tenantId: owner.tenantId, role: 'owner', network: 'local' }
    const issued = await sessions.issue(operator, agent.id)
    expect(issued.actsFor).toBe('workspace')
    expect(await sessions.lookup(issued.sessionKey.reveal())).toMatchObject({ personId: null })
    expect((await sessions.issue(owner, agent.id)).actsFor).toBe('person')
  })

  it('ends all sessions of a person inside the transaction of a caller', async () => {
    const owner = await newMember(await newTenant(), 'owner')
    const agent = await agents.create(owner, { name: 'A' })
    await sessions.issue(owner, agent.id)
    await sessions.issue(owner, agent.id)
    const { tenantId, personId } = owner
    const ended = await db.app.tenant(tenantId, (tx) =>
      endAgentSessions(tx, { tenantId, personId }, 'password_changed', now),
    )
    expect(ended).toBe(2)
    expect((await sessions.list(owner)).map(({ endedReason }) => endedReason)).toEqual(
      Array(2).fill('password_changed'),
    )
  })

  it.each([0, 59, 1.5, MAX_SESSION_SECONDS + 1, Number.NaN, -1])(
    'refuses a lifetime of %s seconds',
    async (seconds) => {
      const owner = await newMember(await newTenant(), 'owner')
      const agent = await agents.create(owner, { name: 'A' })
      expect(await code(sessions.issue(owner, agent.id, { expiresInSeconds: seconds }))).toBe('request.invalid')
    },
  )

  it('refuses names that could forge a line or reorder text', async () => {
    const owner = await newMember(await newTenant(), 'owner')
    for (const name of ['', '  ', 'a\nb', 'x'.repeat(81), 'evil\u202etxt'])
      expect(await code(agents.create(owner, { name }))).toBe('request.invalid')
  })
})
