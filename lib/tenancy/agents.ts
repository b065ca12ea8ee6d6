/**
 * Agents: what holds sessions of ours and nothing else. An agent has one profile, versioned; every change is a new row,
 * so that a record of a call can always say by which words it was decided.
 *
 * @module
 */
import { actorOf, type AuditEvent } from '../audit/record'
import type { Clock } from '../clock'
import type { AppDb, AppTx } from '../db/app-db'
import { AppError, notFound } from '../errors'
import { brand, isId, newId, type AgentId, type PersonId } from '../ids'
import { emptyProfile, parseProfile, readStoredProfile, type KnownTools, type ProfileDocument } from '../policy/profile'
import { checkPermission } from './permission'
import type { MemberPrincipal } from './principal'
import { holdQuota, QUOTAS } from './quotas'

/** What this module needs of lib/audit. */
export interface TenancyAudit {
  event(tx: AppTx, event: AuditEvent): Promise<void>
  never(tx: AppTx | null, event: AuditEvent): Promise<void>
}

export interface AgentView {
  readonly id: AgentId
  readonly name: string
  readonly description: string
  /** Where the agent's MCP client connects. */
  readonly mcpUrl: string
  readonly profileVersion: number
  readonly disabled: boolean
  readonly createdAt: Date
  readonly createdBy: PersonId | null
  readonly lastUsedAt: Date | null
}

export interface ProfileView {
  readonly agentId: AgentId
  readonly version: number
  readonly document: ProfileDocument
  readonly createdAt: Date
  readonly createdBy: PersonId | null
}

export interface AgentDependencies {
  readonly appDb: AppDb
  readonly audit: TenancyAudit
  /** Names of every tool there is; a profile may name no other. */
  readonly knownTools: KnownTools
  readonly publicUrl: string
  readonly clock: Clock
}

export interface NewAgent {
  readonly name: string
  readonly description?: string | undefined
  /** Absent: an agent that may do nothing until a profile is applied. */
  readonly profile?: unknown
}

export interface Agents {
  create(principal: MemberPrincipal, agent: NewAgent): Promise<AgentView>
  /** Newest first. */
  list(principal: MemberPrincipal): Promise<AgentView[]>
  show(principal: MemberPrincipal, agentId: string): Promise<AgentView>
  update(
    principal: MemberPrincipal,
    agentId: string,
    change: { readonly name?: string | undefined; readonly description?: string | undefined },
  ): Promise<AgentView>
  /** From the answer on, no call of this agent is permitted. Never refused for want of a record. */
  disable(principal: MemberPrincipal, agentId: string): Promise<AgentView>
  enable(principal: MemberPrincipal, agentId: string): Promise<AgentView>
  profile(principal: MemberPrincipal, agentId: string, version?: number): Promise<ProfileView>
  /** Makes the document the agent's next version. @param expectedVersion  refuse when somebody else applied one meanwhile */
  applyProfile(
    principal: MemberPrincipal,
    agentId: string,
    document: unknown,
    options?: { readonly expectedVersion?: number | undefined },
  ): Promise<ProfileView>
}

export function mcpUrlOf(publicUrl: string, agentId: string): string {
  return `${publicUrl}/mcp/${agentId}`
}

export function createAgents(deps: AgentDependencies): Agents {
  const { appDb, audit, clock } = deps

  const view = (row: AgentRow): AgentView => ({
    id: brand<'agent'>(row.id),
    name: row.name,
    description: row.description,
    mcpUrl: mcpUrlOf(deps.publicUrl, row.id),
    profileVersion: row.profileVersion,
    disabled: row.disabledAt !== null,
    createdAt: row.createdAt,
    createdBy: row.createdBy === null ? null : brand<'person'>(row.createdBy),
    lastUsedAt: row.lastUsedAt,
  })

  /** Changes one row under its lock and records it in the same transaction. */
  function change(
    principal: MemberPrincipal,
    agentId: string,
    work: (tx: AppTx, row: AgentRow, id: AgentId) => Promise<AgentRow>,
  ): Promise<AgentView> {
    const id = agentIdOf(agentId)
    return appDb.tenant(principal.tenantId, async (tx) => view(await work(tx, await lockAgent(tx, principal, id), id)))
  }

  return {
    async create(principal, agent) {
      checkPermission(principal, 'agent.create')
      if (agent.profile !== undefined) checkPermission(principal, 'profile.apply')
      const name = cleanName(agent.name)
      const description = cleanDescription(agent.description ?? '')
      const document = agent.profile === undefined ? emptyProfile : parseProfile(agent.profile, deps.knownTools)
      const id = newId('agent', clock.now())
      const createdBy = personOf(principal)
      return appDb.tenant(principal.tenantId, async (tx) => {
        await holdQuota(tx, principal.tenantId, 'agents')
        const row = await tx.agent.create({
          data: { tenantId: principal.tenantId, id, name, description, createdBy, profileVersion: 1 },
        })
        await tx.profileVersion.create({
          data: { tenantId: principal.tenantId, agentId: id, version: 1, document, createdBy },
        })
        await audit.event(tx, {
          ...by(principal),
          action: 'agent.created',
          agentId: id,
          targetId: id,
          detail: { name, tools: document.tools.allow.length },
        })
        return view(row)
      })
    },

    async list(principal) {
      checkPermission(principal, 'agent.read')
      const rows = await appDb.tenant(principal.tenantId, (tx) =>
        tx.agent.findMany({
          where: { tenantId: principal.tenantId },
          orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
          take: QUOTAS.agents.most,
        }),
      )
      return rows.map(view)
    },

    async show(principal, agentId) {
      checkPermission(principal, 'agent.read')
      const id = agentIdOf(agentId)
      return view(await appDb.tenant(principal.tenantId, (tx) => loadAgent(tx, principal, id)))
    },

    async update(principal, agentId, { name, description }) {
      checkPermission(principal, 'agent.update')
      const data = {
        ...(name === undefined ? {} : { name: cleanName(name) }),
        ...(description === undefined ? {} : { description: cleanDescription(description) }),
      }
      return change(principal, agentId, async (tx, before, id) => {
        const row = await tx.agent.update({ where: { tenantId_id: { tenantId: principal.tenantId, id } }, data })
        await audit.event(tx, {
          ...by(principal),
          action: 'agent.updated',
          agentId: id,
          targetId: id,
          detail: { nameBefore: before.name, name: row.name },
        })
        return row
      })
    },

    async disable(principal, agentId) {
      checkPermission(principal, 'agent.disable')
      return change(principal, agentId, async (tx, before, id) => {
        if (before.disabledAt !== null) return before
        const row = await tx.agent.update({
          where: { tenantId_id: { tenantId: principal.tenantId, id } },
          data: { disabledAt: clock.now() },
        })
        await audit.never(tx, { ...by(principal), action: 'agent.disabled', agentId: id, targetId: id })
        return row
      })
    },

    async enable(principal, agentId) {
      checkPermission(principal, 'agent.disable')
      return change(principal, agentId, async (tx, before, id) => {
        if (before.disabledAt === null) return before
        const row = await tx.agent.update({
          where: { tenantId_id: { tenantId: principal.tenantId, id } },
          data: { disabledAt: null },
        })
        await audit.event(tx, { ...by(principal), action: 'agent.enabled', agentId: id, targetId: id })
        return row
      })
    },

    async profile(principal, agentId, version) {
      checkPermission(principal, 'profile.read')
      const id = agentIdOf(agentId)
      return appDb.tenant(principal.tenantId, async (tx) => {
        const agent = await loadAgent(tx, principal, id)
        return loadProfile(tx, principal, id, version ?? agent.profileVersion)
      })
    },

    async applyProfile(principal, agentId, document, options) {
      checkPermission(principal, 'profile.apply')
      const id = agentIdOf(agentId)
      const parsed = parseProfile(document, deps.knownTools)
      return appDb.tenant(principal.tenantId, async (tx) => {
        const agent = await lockAgent(tx, principal, id)
        if (options?.expectedVersion !== undefined && options.expectedVersion !== agent.profileVersion)
          throw new AppError('resource.conflict', 'The profile was changed meanwhile. Read it again, then apply.')
        const before = (await loadProfile(tx, principal, id, agent.profileVersion)).document.tools.allow
        const version = agent.profileVersion + 1
        const row = await tx.profileVersion.create({
          data: {
            tenantId: principal.tenantId,
            agentId: id,
            version,
            document: parsed,
            createdBy: personOf(principal),
          },
        })
        await tx.agent.update({
          where: { tenantId_id: { tenantId: principal.tenantId, id } },
          data: { profileVersion: version },
        })
        await audit.event(tx, {
          ...by(principal),
          action: 'profile.applied',
          agentId: id,
          targetId: id,
          detail: {
            version,
            added: difference(parsed.tools.allow, before).join(' '),
            removed: difference(before, parsed.tools.allow).join(' '),
          },
        })
        return profileView(row)
      })
    },
  }
}

interface AgentRow {
  readonly id: string
  readonly name: string
  readonly description: string
  readonly profileVersion: number
  readonly createdBy: string | null
  readonly createdAt: Date
  readonly disabledAt: Date | null
  readonly lastUsedAt: Date | null
}

/** A malformed id names nothing, so it is missing like any other. */
export function agentIdOf(value: string): AgentId {
  if (!isId('agent', value)) throw notFound()
  return value
}

export async function loadAgent(tx: AppTx, principal: MemberPrincipal, id: AgentId): Promise<AgentRow> {
  const row = await tx.agent.findUnique({ where: { tenantId_id: { tenantId: principal.tenantId, id } } })
  if (row === null) throw notFound()
  return row
}

/** As `loadAgent`, holding the row until the transaction ends: versions are numbered without gaps or doubles. */
async function lockAgent(tx: AppTx, principal: MemberPrincipal, id: AgentId): Promise<AgentRow> {
  await tx.$queryRaw`SELECT 1 FROM agent WHERE tenant_id = ${principal.tenantId} AND id = ${id} FOR NO KEY UPDATE`
  return loadAgent(tx, principal, id)
}

async function loadProfile(
  tx: AppTx,
  principal: MemberPrincipal,
  agentId: AgentId,
  version: number,
): Promise<ProfileView> {
  const row = await tx.profileVersion.findUnique({
    where: { tenantId_agentId_version: { tenantId: principal.tenantId, agentId, version } },
  })
  if (row === null) throw notFound()
  return profileView(row)
}

function profileView(row: {
  agentId: string
  version: number
  document: unknown
  createdAt: Date
  createdBy: string | null
}): ProfileView {
  return {
    agentId: brand<'agent'>(row.agentId),
    version: row.version,
    document: readStoredProfile(row.document),
    createdAt: row.createdAt,
    createdBy: row.createdBy === null ? null : brand<'person'>(row.createdBy),
  }
}

const by = (principal: MemberPrincipal) => ({
  tenantId: principal.tenantId,
  actor: actorOf(principal),
  network: principal.network,
})

export function personOf(principal: MemberPrincipal): PersonId | null {
  return principal.kind === 'operator' ? null : principal.personId
}

const difference = (these: readonly string[], those: readonly string[]) => these.filter((name) => !those.includes(name))

function cleanName(value: string): string {
  const name = value.trim()
  if (name.length < 1 || name.length > 80 || CONTROL.test(name))
    throw new AppError('request.invalid', 'name: must be 1 to 80 characters on one line', { field: 'name' })
  return name
}

function cleanDescription(value: string): string {
  const description = value.trim()
  if (description.length > 500 || CONTROL.test(description))
    throw new AppError('request.invalid', 'description: must be at most 500 characters on one line', {
      field: 'description',
    })
  return description
}

/** Control characters and the invisible ones that reorder text (Unicode TR36 §3). */
export const CONTROL = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/
