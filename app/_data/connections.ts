/**
 * Accounts that are connected, as their page shows them. Members see their own; owners, admins and auditors see all.
 *
 * @module
 */
import 'server-only'

import { providerName, providerOfTool } from '@/app/_client/providers'
import { reasonWords } from '@/app/_client/reasons'
import type { ConnectionSummary } from '@/components/pages/connection-types'
import type { ConnectionState } from '@/components/ui/status-badge'
import type { AppTx } from '@/lib/db/app-db'
import { isId } from '@/lib/ids'
import { readLabels } from '@/lib/tenancy/labels'
import { isPermitted } from '@/lib/tenancy/permission'

import { allowedTools } from './agents'
import type { Viewer } from './session'
import { web } from './web'

const MAX_CONNECTIONS = 500

const select = {
  id: true,
  provider: true,
  subject: true,
  accountLabel: true,
  accountEmail: true,
  ownerPersonId: true,
  access: true,
  state: true,
  stateReason: true,
  stateAt: true,
  grantedScopes: true,
  createdAt: true,
  lastUsedAt: true,
} as const

/** What a viewer may see of a workspace's connections, as a condition of every query here. */
export function visibleTo({ tenantId, personId, role }: Viewer) {
  return {
    tenantId,
    access: { not: 'deleted' },
    ...(role === 'member' ? { ownerPersonId: personId } : {}),
  }
}

/** What the server knows of a connection; missing permissions and the sandbox mark are the gateway's to say. */
export type ConnectionRow = Omit<ConnectionSummary, 'missingScopeCount' | 'isSandbox'>

/** Newest first. */
export async function listConnections(viewer: Viewer): Promise<ConnectionRow[]> {
  return web().db.tenant(viewer.tenantId, async (tx) => {
    const rows = await tx.connection.findMany({
      where: visibleTo(viewer),
      select,
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      take: MAX_CONNECTIONS,
    })
    const users = await toolUsers(tx, viewer)
    return rows.map((row) => toRow(row, users))
  })
}

export interface ConnectionFacts extends ConnectionRow {
  readonly connectedBy: string
  readonly subjectId: string
  readonly grantedScopes: readonly string[]
  readonly agents: readonly { readonly id: string; readonly name: string; readonly toolCount: number }[]
  readonly stateReason?: string | undefined
  readonly stateSince: string
  readonly canDisconnect: boolean
  /** Only its owner can consent again. */
  readonly canReconnect: boolean
}

/** @returns undefined for a missing, a foreign and somebody else's connection alike */
export async function findConnection(viewer: Viewer, connectionId: string): Promise<ConnectionFacts | undefined> {
  if (!isId('connection', connectionId)) return undefined
  return web().db.tenant(viewer.tenantId, async (tx) => {
    const row = await tx.connection.findFirst({ where: { ...visibleTo(viewer), id: connectionId }, select })
    if (row === null) return undefined
    const users = await toolUsers(tx, viewer)
    const labels = await readLabels(tx, { people: [row.ownerPersonId] })
    const isOwn = row.ownerPersonId === viewer.personId
    const isAdmin = viewer.role === 'owner' || viewer.role === 'admin'
    return {
      ...toRow(row, users),
      connectedBy: isOwn ? 'You' : (labels.person(row.ownerPersonId) ?? 'Somebody who left'),
      subjectId: row.subject,
      grantedScopes: row.grantedScopes,
      agents: users.get(row.provider) ?? [],
      stateReason: row.stateReason === null ? undefined : stateWords(row.stateReason),
      stateSince: row.stateAt.toISOString(),
      canDisconnect: isPermitted(viewer.role, 'connection.disconnect') && (isAdmin || isOwn),
      canReconnect: isPermitted(viewer.role, 'connection.connect') && isOwn,
    }
  })
}

/** For filters and hints: which accounts there are, by name. */
export async function listAccounts(
  viewer: Viewer,
): Promise<{ readonly id: string; readonly provider: string; readonly account: string; readonly isOwn: boolean }[]> {
  const rows = await web().db.tenant(viewer.tenantId, (tx) =>
    tx.connection.findMany({
      where: visibleTo(viewer),
      select: { id: true, provider: true, accountLabel: true, ownerPersonId: true },
      orderBy: [{ provider: 'asc' }, { accountLabel: 'asc' }, { id: 'asc' }],
      take: MAX_CONNECTIONS,
    }),
  )
  return rows.map((row) => ({
    id: row.id,
    provider: row.provider,
    account: row.accountLabel,
    isOwn: row.ownerPersonId === viewer.personId,
  }))
}

type Row = {
  readonly id: string
  readonly provider: string
  readonly accountLabel: string
  readonly accountEmail: string | null
  readonly access: string
  readonly state: string
  readonly createdAt: Date
  readonly lastUsedAt: Date | null
}
type ToolUsers = ReadonlyMap<
  string,
  readonly { readonly id: string; readonly name: string; readonly toolCount: number }[]
>

function toRow(row: Row, users: ToolUsers): ConnectionRow {
  return {
    id: row.id,
    provider: row.provider,
    providerName: providerName(row.provider),
    account: row.accountLabel,
    accountContext: row.accountEmail !== null && row.accountEmail !== row.accountLabel ? row.accountEmail : undefined,
    state: shownState(row),
    connectedAt: row.createdAt.toISOString(),
    lastUsedAt: row.lastUsedAt?.toISOString(),
    agentCount: users.get(row.provider)?.length ?? 0,
  }
}

const states: readonly string[] = [
  'connecting',
  'active',
  'refreshing',
  'degraded',
  'reauthorization_required',
  'revoked',
  'disconnected',
  'suspended',
] satisfies readonly ConnectionState[]

function isState(value: string): value is ConnectionState {
  return states.includes(value)
}

/** A blocked connection never looks usable, whatever the copy of its state says. */
function shownState({ access, state }: Pick<Row, 'access' | 'state'>): ConnectionState {
  const known = isState(state) ? state : 'degraded'
  const looksUsable = known === 'active' || known === 'refreshing'
  return access === 'allowed' || !looksUsable ? known : 'suspended'
}

function stateWords(reason: string): string | undefined {
  switch (reason) {
    case 'lost_rotation':
      return 'A renewal was interrupted and its answer was lost. Connect the account again to be safe.'
    case 'credential_missing':
      return 'The stored credential is gone. Connect the account again.'
    case 'disconnected':
      return undefined
    default:
      return `${reasonWords(reason)}.`
  }
}

/** Agents whose profile names tools of a provider, by provider. */
async function toolUsers(tx: AppTx, { tenantId }: Viewer): Promise<ToolUsers> {
  const users = new Map<string, { id: string; name: string; toolCount: number }[]>()
  for (const agent of await allowedTools(tx, tenantId)) {
    const counts = new Map<string, number>()
    for (const tool of agent.tools) {
      const provider = providerOfTool(tool)
      if (provider !== undefined) counts.set(provider, (counts.get(provider) ?? 0) + 1)
    }
    for (const [provider, toolCount] of counts) {
      const list = users.get(provider) ?? []
      list.push({ id: agent.id, name: agent.name, toolCount })
      users.set(provider, list)
    }
  }
  return users
}
