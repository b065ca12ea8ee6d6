/**
 * A workspace with an agent that may call, and an audit trail over a real database, for tests.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { createAudit, type Audit, type AuditDeps } from '../audit/audit'
import type { CallIntent } from '../audit/record'
import type { AuditKeys } from '../audit/seal'
import { systemClock } from '../clock'
import type { AppDb } from '../db/app-db'
import { newId, type AgentId, type AgentSessionId, type ConnectionId, type PersonId, type TenantId } from '../ids'
import { createLog } from '../log'
import type { TestDatabases } from './database'

export interface AuditWorld {
  readonly tenantId: TenantId
  readonly personId: PersonId
  readonly agentId: AgentId
  readonly agentSessionId: AgentSessionId
  readonly connectionId: ConnectionId
  /** A permitted call of this agent on this connection. */
  call(fields?: Partial<CallIntent>): CallIntent
}

export async function createAuditWorld(appDb: AppDb): Promise<AuditWorld> {
  const tenantId = newId('tenant')
  const personId = newId('person')
  const agentId = newId('agent')
  const agentSessionId = newId('agentSession')
  const connectionId = newId('connection')
  const email = `${personId}@example.test`
  await appDb.global.person.create({ data: { id: personId, email, emailCanonical: email } })
  await appDb.tenant(tenantId, async (tx) => {
    await tx.tenant.create({ data: { id: tenantId, name: 'Test', slug: tenantId.replace('_', '-') } })
    await tx.membership.create({ data: { tenantId, personId, role: 'owner' } })
    await tx.agent.create({ data: { tenantId, id: agentId, name: 'Agent' } })
    await tx.agentSession.create({
      data: {
        tenantId,
        id: agentSessionId,
        agentId,
        kind: 'key',
        secretHash: new Uint8Array(randomBytes(32)),
        secretHint: 'pcs_…',
        expiresAt: new Date(Date.now() + 86_400_000),
      },
    })
    await tx.connection.create({
      data: {
        tenantId,
        id: connectionId,
        provider: 'github',
        providerApp: 'app',
        subject: connectionId,
        accountLabel: 'octocat',
        access: 'allowed',
        state: 'active',
        credentialGeneration: 1,
      },
    })
  })
  return {
    tenantId,
    personId,
    agentId,
    agentSessionId,
    connectionId,
    call: (fields = {}) => ({
      tenantId,
      callId: newId('call'),
      agentId,
      agentSessionId,
      connectionId,
      personId: null,
      tool: 'github_create_issue',
      profileVersion: 1,
      decision: 'permit',
      arguments: { title: 'Hello' },
      ...fields,
    }),
  }
}

/** One random key for each tenant and version, as a key store would keep them. */
export function createTestAuditKeys(): AuditKeys & { rotate(): void } {
  const keys = new Map<string, Buffer>()
  let version = 1
  const at = (tenantId: TenantId, wanted: number) => {
    const name = `${tenantId}:${wanted}`
    const key = keys.get(name) ?? randomBytes(32)
    keys.set(name, key)
    return key
  }
  return {
    audit: (tenantId) => Promise.resolve({ version, key: at(tenantId, version) }),
    auditAt: (tenantId, wanted) => Promise.resolve(at(tenantId, wanted)),
    rotate: () => {
      version += 1
    },
  }
}

export function createTestAudit(
  db: TestDatabases,
  fields: Partial<AuditDeps> = {},
): Audit & { readonly spoolDir: string } {
  const spoolDir = path.join(mkdtempSync(path.join(tmpdir(), 'portcullis-audit-')), 'spool')
  const audit = createAudit({
    databaseUrl: db.urls.app,
    appDb: db.app,
    vaultDb: db.vault,
    keys: createTestAuditKeys(),
    clock: systemClock,
    log: createLog('test', 'silent'),
    spoolDir,
    ...fields,
  })
  return Object.assign(audit, { spoolDir: fields.spoolDir ?? spoolDir })
}
