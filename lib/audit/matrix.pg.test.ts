import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

import { Secret as OtpSecret, TOTP } from 'otpauth'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { Audit } from '@/lib/audit/audit'
import { createShare } from '@/lib/connections/share'
import { parseDisplayName } from '@/lib/identity/display-name'
import { newId, type TenantId } from '@/lib/ids'
import type { PersonPrincipal } from '@/lib/tenancy/principal'
import { createWorkspaces, type Workspaces } from '@/lib/tenancy/workspaces'
import { createAuthenticator } from '@/lib/testing/authenticator'
import { createMcpWorld, type McpWorld, type Member } from '@/lib/testing/mcp-world'
import { createTestIdentity, newBrowser, PASSWORD, secretOf, type TestIdentity } from '@/lib/testing/identity'

import { ACTIONS, isAuditAction, type AuditAction, type EventAction } from './actions'
import type { ExportedRecord } from './export-page'
import { createAuditReader, type AuditReader } from './read'

/**
 * Every action there is, and what in the product causes it. Each is driven through the product's own functions and leaves
 * exactly one record, which names who acted in full: person, agent, client, session and network, as far as each exists.
 * What takes a provider, a key service or a stopped process to happen is driven by the test that is named, which asserts
 * the record itself. An action that nobody drives fails here.
 */
const ELSEWHERE: Partial<Record<AuditAction, string>> & Readonly<Record<string, string>> = {
  'sign_in.config_added': 'lib/sso/enterprise.pg.test.ts',
  'sign_in.config_changed': 'lib/sso/enterprise.pg.test.ts',
  'sign_in.config_removed': 'lib/sso/enterprise.pg.test.ts',
  'sign_in.domain_added': 'lib/sso/enterprise.pg.test.ts',
  'sign_in.domain_lapsed': 'lib/sso/enterprise.pg.test.ts',
  'sign_in.domain_removed': 'lib/sso/enterprise.pg.test.ts',
  'sign_in.domain_verified': 'lib/sso/enterprise.pg.test.ts',
  'sign_in.enforced': 'lib/sso/enterprise.pg.test.ts',
  'sign_in.enforcement_ended': 'lib/sso/enterprise.pg.test.ts',
  'sign_in.linked': 'lib/sso/enterprise.pg.test.ts',
  'sign_in.owner_way_back': 'lib/sso/enterprise.pg.test.ts',
  'sign_in.unlinked': 'lib/sso/enterprise.pg.test.ts',
  'invitation.accepted': 'lib/identity/invitations.pg.test.ts',
  'workspace.deleted': 'lib/connections/purge.pg.test.ts',
  'person.data_exported': 'lib/identity/personal-data.pg.test.ts',
  'api_key.leaked': 'lib/identity/api-keys.pg.test.ts',
  'audit.retention_changed': 'lib/audit/chain/settings.pg.test.ts',
  'audit.person_erased': 'lib/audit/chain/erasure.pg.test.ts',
  'connection.connect_started': 'lib/connections/connect.flow.test.ts',
  'connection.connected': 'lib/connections/connect.flow.test.ts',
  'connection.refused': 'lib/connections/connect.flow.test.ts',
  'connection.reconnected': 'lib/connections/connect.flow.test.ts',
  'connection.disconnected': 'lib/connections/connect.flow.test.ts',
  'connection.revoked_at_provider': 'lib/connections/connect.flow.test.ts',
  'connection.repaired': 'lib/connections/connect.flow.test.ts',
  'connection.test_started': 'lib/connections/check.pg.test.ts',
  'connection.tested': 'lib/connections/check.pg.test.ts',
  'connection.restored': 'lib/connections/restore.pg.test.ts',
  'connection.state_changed': 'lib/refresh/engine.pg.test.ts',
  'connection.shredded': 'lib/refresh/lifecycle.pg.test.ts',
  'connection.refreshed': 'lib/vault/credential.pg.test.ts',
  'connection.idle': 'lib/refresh/idle.pg.test.ts',
  'session.refused': 'lib/oauth-server/authorize.pg.test.ts',
  'client.created': 'lib/oauth-server/clients/clients.pg.test.ts',
  'client.revoked': 'lib/oauth-server/clients/clients.pg.test.ts',
  'api.refused': 'e2e/bad-input.e2e.ts',
  'mcp.refused': 'e2e/bad-input.e2e.ts',
  'webhook.created': 'lib/notifications/webhook.pg.test.ts',
  'webhook.deleted': 'lib/notifications/webhook.pg.test.ts',
  'webhook.tested': 'lib/notifications/webhook.pg.test.ts',
  'webhook.disabled': 'lib/notifications/webhook.pg.test.ts',
  'audit.export_started': 'lib/audit/exports.pg.test.ts',
  'audit.export_downloaded': 'lib/audit/exports.pg.test.ts',
  'audit.export_deleted': 'lib/audit/exports.pg.test.ts',
  'audit.stream_created': 'lib/audit/streams.pg.test.ts',
  'audit.stream_resumed': 'lib/audit/streams.pg.test.ts',
  'audit.stream_deleted': 'lib/audit/streams.pg.test.ts',
  'audit.stream_stopped': 'lib/audit/streams.pg.test.ts',
  'audit.verification_started': 'lib/audit/chain/verification.pg.test.ts',
  'audit.tampering_found': 'lib/audit/chain/verification.pg.test.ts',
  'audit.unreadable_record': 'lib/audit/drain.pg.test.ts',
  'provider_app.paused': 'lib/refresh/provider-apps.pg.test.ts',
  'provider_app.resumed': 'lib/refresh/provider-apps.pg.test.ts',
  'keys.rewrapped': 'lib/vault/rotation/rotation.pg.test.ts',
  'keys.tenant_rotated': 'lib/vault/rotation/rotation.pg.test.ts',
  'keys.dek_rotated': 'lib/vault/rotation/rotation.pg.test.ts',
  'keys.retired': 'lib/vault/rotation/rotation.pg.test.ts',
  'vault.integrity_alarm': 'lib/audit/degraded.pg.test.ts',
}

interface Acting {
  readonly actor: ExportedRecord['actorKind']
  /** Whose pseudonym the record shows; null: nobody's. */
  readonly subject: string | null
  /** Opened from the sealed part. */
  readonly session?: string | undefined
  readonly network?: string | undefined
}

let world: McpWorld
let workspaces: Workspaces
let share: ReturnType<typeof createShare>
let audit: Audit
let id: TestIdentity
let reader: AuditReader
let owner: Member
let other: Member

beforeAll(async () => {
  world = await createMcpWorld()
  ;({ audit } = world)
  id = createTestIdentity(world.db, { events: audit })
  reader = createAuditReader({ appDb: world.db.app, audit })
  share = createShare({ appDb: world.db.app, audit })
  workspaces = createWorkspaces({ appDb: world.db.app, events: audit, parseName: parseDisplayName })
  owner = await world.newOwner()
  other = await world.newOwner(owner.tenantId)
})
afterAll(async () => {
  await id.close()
  await world.close()
})

const byOwner = (): Acting => ({
  actor: 'person',
  subject: owner.personId,
  session: owner.webSessionId,
  network: owner.network,
})

/** Somebody new with a password, signed in at a browser. */
async function somebody() {
  const email = `${newId('request')}@example.com`
  const { personId, tenantId } = await id.person(email)
  const browser = newBrowser()
  const ticket = await id.signIn.withPassword(email, PASSWORD, browser)
  const session = await id.sessions.lookup(await id.activate(ticket, browser))
  if (session === undefined) throw new Error('not signed in')
  const acting: Acting = { actor: 'person', subject: personId, session: session.sessionId, network: browser.network }
  return { email, personId, tenantId, browser, session, acting }
}

const digits = (secret: string) => new TOTP({ secret: OtpSecret.fromBase32(secret) }).generate()

/** Somebody new who has an authenticator app. */
async function withApp() {
  const person = await somebody()
  const { secret } = await id.signInMethods.beginTotp(person.session)
  await id.signInMethods.confirmTotp(person.session, digits(secret.reveal()), person.browser.network)
  return person
}

/** Somebody new, at work in the workspace they own. */
async function ownerOfTheirs() {
  const { personId, tenantId, session, browser, acting } = await somebody()
  const principal: PersonPrincipal = {
    kind: 'person',
    tenantId,
    personId,
    role: 'owner',
    webSessionId: session.sessionId,
    authenticatedAt: new Date(),
    network: browser.network,
  }
  return { principal, acting }
}

async function agentOf() {
  const agent = await world.agents.create(owner, { name: 'Agent' })
  return agent.id
}

type Driver = () => Promise<{
  readonly tenantId: TenantId
  readonly cause: () => Promise<unknown>
  readonly by: Acting
}>

const as =
  (arrange: () => Promise<() => Promise<unknown>>): Driver =>
  async () => ({ tenantId: owner.tenantId, cause: await arrange(), by: byOwner() })

/** Somebody signs in once more, in another browser. */
const signingIn = async (arrange: typeof somebody): ReturnType<Driver> => {
  const { tenantId, email, personId } = await arrange()
  const browser = newBrowser()
  let session: string | undefined
  return {
    tenantId,
    cause: async () => {
      session = (await id.signIn.withPassword(email, PASSWORD, browser)).sessionId
    },
    by: {
      actor: 'person',
      subject: personId,
      network: browser.network,
      get session() {
        return session
      },
    },
  }
}

const DRIVEN: Readonly<Partial<Record<EventAction, Driver>>> = {
  'person.signed_in': () => signingIn(somebody),
  'person.signed_out': async () => {
    const { tenantId, session, browser, acting } = await somebody()
    return { tenantId, cause: () => id.signIn.signOut(session, browser.network), by: acting }
  },
  'person.sign_in_refused': async () => {
    const { email, tenantId, browser } = await somebody()
    const cause = () => expect(id.signIn.withPassword(email, 'not the password', browser)).rejects.toThrow()
    return { tenantId, cause, by: { actor: 'anonymous', subject: null, network: browser.network } }
  },
  'person.signed_up': async () => {
    const email = `${newId('request')}@example.com`
    const browser = newBrowser()
    await id.signUp.askToSignUp(email, browser)
    const secret = secretOf((await id.deliver()).find((mail) => mail.to === email))
    const input = { workspaceName: 'Engines', name: 'Ada', password: PASSWORD }
    const ticket = await id.signUp.useSignUpLink(secret, input, browser)
    const [row] = await world.db.adminQuery('app', 'SELECT tenant_id FROM membership WHERE person_id = $1', [
      ticket.personId,
    ])
    return {
      tenantId: row?.['tenant_id'] as TenantId, // a column of ids
      cause: () => Promise.resolve(),
      by: { actor: 'person', subject: ticket.personId, network: browser.network },
    }
  },
  'person.password_changed': async () => {
    const { tenantId, session, browser, acting } = await somebody()
    const change = () => id.credentials.changePassword(session, PASSWORD, 'another long sentence', browser.network)
    return { tenantId, cause: change, by: acting }
  },
  'person.password_reset_requested': async () => {
    const { email, tenantId, browser } = await somebody()
    const cause = () => id.credentials.askToResetPassword(email, browser)
    return { tenantId, cause, by: { actor: 'anonymous', subject: null, network: browser.network } }
  },
  'person.password_reset': async () => {
    const { email, personId, tenantId, browser } = await somebody()
    await id.credentials.askToResetPassword(email, browser)
    const secret = secretOf((await id.deliver()).find((mail) => mail.to === email))
    const cause = () => id.credentials.resetPassword(secret, 'another long sentence', browser)
    return { tenantId, cause, by: { actor: 'person', subject: personId, network: browser.network } }
  },
  'person.email_verified': async () => {
    const { email, personId, tenantId, session, browser } = await somebody()
    await id.credentials.askToVerifyEmail(session, browser.network)
    const secret = secretOf((await id.deliver()).find((mail) => mail.to === email))
    const cause = () => id.credentials.confirmEmail(secret, undefined, browser.network)
    return { tenantId, cause, by: { actor: 'person', subject: personId, network: browser.network } }
  },
  'person.email_change_requested': async () => {
    const { tenantId, session, browser, acting } = await somebody()
    const to = `${newId('request')}@example.com`
    const cause = () => id.credentials.askToChangeEmail(session, PASSWORD, to, browser.network)
    return { tenantId, cause, by: acting }
  },
  'person.email_changed': async () => {
    const { tenantId, session, browser, acting } = await somebody()
    const to = `${newId('request')}@example.com`
    await id.credentials.askToChangeEmail(session, PASSWORD, to, browser.network)
    const secret = secretOf((await id.deliver()).find((mail) => mail.to === to))
    return { tenantId, cause: () => id.credentials.confirmEmail(secret, session, browser.network), by: acting }
  },
  'person.sessions_ended': async () => {
    const { tenantId, email, session, browser, acting } = await somebody()
    const second = newBrowser()
    await id.activate(await id.signIn.withPassword(email, PASSWORD, second), second)
    return { tenantId, cause: () => id.credentials.endOtherSessions(session, browser.network), by: acting }
  },
  'person.updated': async () => {
    const { personId, tenantId, session, browser, acting } = await somebody()
    const who = { personId, webSessionId: session.sessionId, network: browser.network }
    return { tenantId, cause: () => id.people.rename(who, 'Countess'), by: acting }
  },
  'person.reauthenticated': async () => {
    const { tenantId, session, browser, acting } = await somebody()
    const proof = { kind: 'password', password: PASSWORD } as const
    return { tenantId, cause: () => id.reauthentication.confirm(session, proof, browser.network), by: acting }
  },
  'person.totp_added': async () => {
    const { tenantId, session, browser, acting } = await somebody()
    const { secret } = await id.signInMethods.beginTotp(session)
    const code = digits(secret.reveal())
    return { tenantId, cause: () => id.signInMethods.confirmTotp(session, code, browser.network), by: acting }
  },
  'person.totp_removed': async () => {
    const { tenantId, session, browser, acting } = await withApp()
    return { tenantId, cause: () => id.signInMethods.removeTotp(session, browser.network), by: acting }
  },
  'person.recovery_codes_made': async () => {
    const { tenantId, session, browser, acting } = await withApp()
    return { tenantId, cause: () => id.signInMethods.newRecoveryCodes(session, browser.network), by: acting }
  },
  'person.second_factor_asked': () => signingIn(withApp),
  'person.passkey_added': async () => {
    const { tenantId, session, browser, acting } = await somebody()
    const made = createAuthenticator(id.publicUrl).create(await id.signInMethods.askToAddPasskey(session))
    return { tenantId, cause: () => id.signInMethods.addPasskey(session, 'Phone', made, browser.network), by: acting }
  },
  'person.passkey_removed': async () => {
    const { tenantId, session, browser, acting } = await somebody()
    const made = createAuthenticator(id.publicUrl).create(await id.signInMethods.askToAddPasskey(session))
    const { passkey } = await id.signInMethods.addPasskey(session, 'Phone', made, browser.network)
    return { tenantId, cause: () => id.signInMethods.removePasskey(session, passkey.id, browser.network), by: acting }
  },
  'workspace.created': async () => {
    const { personId } = await somebody()
    const made = await id.tenants.create({ name: 'Second', owner: personId, actor: { kind: 'system' } })
    return { tenantId: made.id, cause: () => Promise.resolve(), by: { actor: 'system', subject: null } }
  },
  'workspace.entered': async () => {
    const { personId, session, browser, acting } = await somebody()
    const second = await id.tenants.create({ name: 'Second', owner: personId, actor: { kind: 'system' } })
    const cause = () => id.authenticator.chooseTenant(session, second.id, browser.network)
    return { tenantId: second.id, cause, by: acting }
  },
  'workspace.updated': as(() => Promise.resolve(() => id.tenants.update(owner, { name: 'Renamed' }))),
  'workspace.deletion_began': async () => {
    const { principal, acting } = await ownerOfTheirs()
    return { tenantId: principal.tenantId, cause: () => workspaces.remove(principal, 'Analytical'), by: acting }
  },
  'workspace.restored': async () => {
    const { principal, acting } = await ownerOfTheirs()
    await workspaces.remove(principal, 'Analytical')
    return { tenantId: principal.tenantId, cause: () => workspaces.restore(principal, principal.tenantId), by: acting }
  },
  'invitation.created': as(() =>
    Promise.resolve(() =>
      id.invitations.create(owner, { email: `${newId('request')}@example.com`, role: 'member', days: 1 }),
    ),
  ),
  'invitation.revoked': as(async () => {
    const email = `${newId('request')}@example.com`
    const { invitation } = await id.invitations.create(owner, { email, role: 'member', days: 1 })
    return () => id.invitations.revoke(owner, invitation.id)
  }),
  'member.added': as(async () => {
    const { personId } = await somebody()
    return () => id.members.add(owner, personId, 'member')
  }),
  'member.role_changed': as(async () => {
    const { personId } = await somebody()
    await id.members.add(owner, personId, 'member')
    return () => id.members.changeRole(owner, personId, 'auditor')
  }),
  'member.removed': as(async () => {
    const { personId } = await somebody()
    await id.members.add(owner, personId, 'member')
    return () => id.members.remove(owner, personId)
  }),
  'api_key.created': as(() =>
    Promise.resolve(() => id.apiKeys.create(owner, { name: 'key', role: 'member', days: 1 })),
  ),
  'api_key.revoked': as(async () => {
    const { key } = await id.apiKeys.create(owner, { name: 'key', role: 'member', days: 1 })
    return () => id.apiKeys.revoke(owner, key.id)
  }),
  'connection.shared': as(async () => {
    const connectionId = await world.newConnection(owner, 'github', 'octocat')
    return () => share.share(owner, connectionId, 'workspace')
  }),
  'connection.unshared': as(async () => {
    const connectionId = await world.newConnection(owner, 'github', 'octocat')
    await share.share(owner, connectionId, 'workspace')
    return () => share.share(owner, connectionId, 'personal')
  }),
  'agent.created': as(() => Promise.resolve(() => world.agents.create(owner, { name: 'Agent' }))),
  'agent.updated': as(async () => {
    const agentId = await agentOf()
    return () => world.agents.update(owner, agentId, { name: 'Renamed' })
  }),
  'agent.disabled': as(async () => {
    const agentId = await agentOf()
    return () => world.agents.disable(owner, agentId)
  }),
  'agent.enabled': as(async () => {
    const agentId = await agentOf()
    await world.agents.disable(owner, agentId)
    return () => world.agents.enable(owner, agentId)
  }),
  'profile.applied': as(async () => {
    const agentId = await agentOf()
    return () => world.agents.applyProfile(owner, agentId, { version: 1, tools: { allow: ['github_create_issue'] } })
  }),
  'session.issued': as(async () => {
    const agentId = await agentOf()
    return () => world.sessions.issue(owner, agentId)
  }),
  'session.revoked': as(async () => {
    const issued = await world.sessions.issue(owner, await agentOf())
    return () => world.sessions.revoke(owner, issued.id)
  }),
  'audit.exported': as(() =>
    Promise.resolve(async () => {
      for await (const record of reader.export(owner, { from: new Date() })) expect(record.id).toMatch(/^aud_/)
    }),
  ),
  'audit.arguments_read': as(async () => {
    const agent = await world.newAgent(owner, ['github_create_issue'])
    const callId = newId('call')
    await audit.intent({
      tenantId: owner.tenantId,
      callId,
      agentId: agent.id,
      agentSessionId: agent.sessionId as never, // an id of ours
      connectionId: null,
      personId: owner.personId,
      tool: 'github_create_issue',
      profileVersion: 1,
      decision: 'approval_required',
      arguments: {},
    })
    return () => reader.openArguments(owner, callId)
  }),
}

async function recordsOf(tenantId: TenantId, action: string): Promise<readonly ExportedRecord[]> {
  await audit.settled()
  await audit.drain()
  const watcher: Member = { ...owner, tenantId }
  const found: ExportedRecord[] = []
  for await (const record of reader.export(watcher, {})) if (record.action === action) found.push(record)
  return found
}

async function subjectOf(tenantId: TenantId, pseudonym: string | null): Promise<string | null> {
  if (pseudonym === null) return null
  const [row] = await world.db.adminQuery(
    'app',
    'SELECT subject_id FROM audit_identity WHERE tenant_id = $1 AND pseudonym = $2',
    [tenantId, pseudonym],
  )
  return String(row?.['subject_id'])
}

describe('what is done is on record', () => {
  it.each(Object.entries(DRIVEN))(
    '%s: once, and with everything that is known of who did it',
    async (action, drive) => {
      const { tenantId, cause, by } = await drive()
      const isMade = action === 'workspace.created' || action === 'person.signed_up'
      const known = new Set((isMade ? [] : await recordsOf(tenantId, action)).map((record) => record.id))
      await cause()
      const fresh = async () => (await recordsOf(tenantId, action)).filter((record) => !known.has(record.id))
      await expect.poll(async () => (await fresh()).length, { timeout: 5_000 }).toBeGreaterThan(0)
      // The reading that looks for the export is itself one, and comes after it.
      const records = action === 'audit.exported' ? (await fresh()).slice(0, 1) : await fresh()
      expect(records).toHaveLength(1)
      const [record] = records
      expect({
        actor: record?.actorKind,
        subject: await subjectOf(tenantId, record?.actorPseudonym ?? null),
        ...(record?.details === null || record?.details === 'unreadable'
          ? {}
          : { session: record?.details.session, network: record?.details.network }),
      }).toEqual({ ...by, session: by.session, network: by.network })
    },
  )

  it('tool.call: permitted, denied, pending and unknown, with agent, session, person, client and network', async () => {
    const agent = await world.newAgent(other, ['github_create_issue'])
    const call = (decision: 'permit' | 'deny' | 'approval_required') => ({
      tenantId: other.tenantId,
      callId: newId('call'),
      agentId: agent.id,
      agentSessionId: agent.sessionId as never, // an id of ours
      connectionId: null,
      personId: other.personId,
      tool: 'github_create_issue',
      profileVersion: 1,
      decision,
      reason: decision === 'permit' ? undefined : 'because',
      arguments: { n: 1 },
      network: '198.51.100.7',
    })
    const [permitted, denied, pending, lost] = [call('permit'), call('deny'), call('approval_required'), call('permit')]
    for (const one of [permitted, denied, pending, lost]) await audit.intent(one)
    const { tenantId } = other
    audit.outcome({ tenantId, callId: permitted.callId, outcome: 'success', durationMs: 1 })
    await audit.settled()
    await world.db.adminQuery(
      'app',
      `UPDATE audit_record SET recorded_at = recorded_at - interval '10 minutes' WHERE call_id = $1`,
      [lost.callId],
    )
    await audit.reconcile({ olderThanMs: 300_000, windowMs: 3_600_000, limit: 100 })
    const records = (await recordsOf(tenantId, 'tool.call')).filter((record) => record.agentId === agent.id)
    const told = (callId: string) => records.filter((record) => record.callId === callId)
    const shape = (callId: string) =>
      told(callId)
        .map((record) => `${record.kind} ${record.decision ?? record.outcome ?? ''}`)
        .sort()
    expect(shape(permitted.callId)).toEqual(['intent permit', 'outcome success'])
    expect(shape(denied.callId)).toEqual(['intent deny', 'outcome denied'])
    expect(shape(pending.callId)).toEqual(['intent approval_required'])
    expect(shape(lost.callId)).toEqual(['intent permit', 'outcome unknown'])
    for (const record of records) {
      expect(record).toMatchObject({ actorKind: 'agent', agentSessionId: agent.sessionId, clientId: null })
      expect(await subjectOf(tenantId, record.actorPseudonym)).toBe(other.personId)
      if (record.kind === 'intent') expect(record.details).toMatchObject({ network: '198.51.100.7' })
    }
  })
})

describe('the list of actions', () => {
  const drivers = [...Object.keys(DRIVEN), ...Object.keys(ELSEWHERE), 'tool.call']

  it('has a driver for each that the product causes, one, and no driver for what is no longer there', () => {
    const sources = ['lib', 'gateway', 'workers', 'wiring'].flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter(
          (name) => name.endsWith('.ts') && !/\.test\.ts$|^testing\/|^db\/internal\/|^audit\/actions\.ts$/.test(name),
        )
        .map((name) => readFileSync(path.join(folder, name), 'utf8')),
    )
    const isCaused = (action: string) =>
      action === 'tool.call' || sources.some((source) => source.includes(`'${action}'`))
    expect([...drivers].sort()).toEqual(Object.keys(ACTIONS).filter(isCaused).sort())
    expect(drivers.filter((action) => !isAuditAction(action))).toEqual([])
  })

  it.each(Object.entries(ELSEWHERE))('%s is asserted by the test that is named', (action, file) => {
    expect(readFileSync(file, 'utf8')).toContain(action)
  })
})
