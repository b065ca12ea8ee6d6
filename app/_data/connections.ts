/**
 * Accounts that are connected, as their page shows them. Members see their own and those that are shared; owners, admins
 * and auditors see all.
 *
 * @module
 */
import 'server-only'

import { toHistoryLine } from '@/app/_client/history'
import { providerName, providerOfTool } from '@/app/_client/providers'
import { reasonWords } from '@/app/_client/reasons'
import type { AgentUse, ConnectionSummary, HistoryLine, RenewalFacts } from '@/components/pages/connection-types'
import type { ConnectionState } from '@/components/ui/status-badge'
import { systemClock } from '@/lib/clock'
import type { AppTx } from '@/lib/db/app-db'
import { isId } from '@/lib/ids'
import { readLabels } from '@/lib/tenancy/labels'
import { isPermitted } from '@/lib/tenancy/permission'

import { allowedTools } from './agents'
import type { Viewer } from './session'
import { web } from './web'

const MAX_CONNECTIONS = 500
/** As many as are kept of one connection. */
const MAX_EVENTS = 200

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
  accessExpiresAt: true,
  refreshExpiresAt: true,
  nextRefreshAt: true,
  lastRefreshAt: true,
  lastErrorCode: true,
  lastErrorAt: true,
  refreshTokenPresent: true,
  failures: true,
  providerApp: true,
  authorizedAt: true,
  idleReason: true,
  sharing: true,
} as const

/** What a viewer may see of a workspace's connections, as a condition of every query here. */
export function visibleTo({ tenantId, personId, role }: Viewer) {
  return {
    tenantId,
    access: { not: 'deleted' },
    ...(role === 'member' ? { OR: [{ ownerPersonId: personId }, { sharing: 'workspace' }] } : {}),
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
    const users = await createToolUsers(tx, viewer)
    return rows.map((row) => toRow(row, users(row)))
  })
}

export interface ConnectionFacts extends ConnectionRow {
  readonly connectedBy: string
  readonly subjectId: string
  readonly grantedScopes: readonly string[]
  readonly agents: readonly AgentUse[]
  readonly renewal: RenewalFacts
  /** Newest first. */
  readonly history: readonly HistoryLine[]
  readonly stateReason?: string | undefined
  readonly stateSince: string
  /** How many warnings the gateway is likely to add, so that their place is kept. */
  readonly likelyWarnings: number
  readonly canDisconnect: boolean
  /** Only its owner can consent again. */
  readonly canReconnect: boolean
  readonly canTest: boolean
  readonly isShared: boolean
  /** Its owner either way; admins to take back what is shared. */
  readonly canChangeSharing: boolean
}

/** @returns undefined for a missing, a foreign and somebody else's connection alike */
export async function findConnection(viewer: Viewer, connectionId: string): Promise<ConnectionFacts | undefined> {
  if (!isId('connection', connectionId)) return undefined
  return web().db.tenant(viewer.tenantId, async (tx) => {
    const row = await tx.connection.findFirst({ where: { ...visibleTo(viewer), id: connectionId }, select })
    if (row === null) return undefined
    const agents = (await createToolUsers(tx, viewer))(row)
    const history = await readHistory(tx, viewer, connectionId)
    const labels = await readLabels(tx, { people: [row.ownerPersonId] })
    const { provider, providerApp } = row
    const incidents = await tx.providerAppStatus.count({ where: { provider, appKey: providerApp, state: 'open' } })
    const isOwn = row.ownerPersonId === viewer.personId
    const isAdmin = viewer.role === 'owner' || viewer.role === 'admin'
    return {
      ...toRow(row, agents),
      connectedBy: isOwn ? 'You' : (labels.person(row.ownerPersonId) ?? 'Somebody who left'),
      subjectId: row.subject,
      grantedScopes: row.grantedScopes,
      agents,
      renewal: renewalOf(row),
      history,
      stateReason: row.stateReason === null ? undefined : stateWords(row.stateReason),
      stateSince: row.stateAt.toISOString(),
      likelyWarnings: likelyWarnings(row, incidents > 0),
      canDisconnect: isPermitted(viewer.role, 'connection.disconnect') && (isAdmin || isOwn),
      canReconnect: isPermitted(viewer.role, 'connection.connect') && isOwn,
      canTest: isPermitted(viewer.role, 'connection.test') && (isAdmin || isOwn),
      isShared: row.sharing === 'workspace',
      canChangeSharing:
        isPermitted(viewer.role, 'connection.share') && (isOwn || (isAdmin && row.sharing === 'workspace')),
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
  readonly nextRefreshAt: Date | null
}
function toRow(row: Row, agents: readonly AgentUse[]): ConnectionRow {
  return {
    id: row.id,
    provider: row.provider,
    providerName: providerName(row.provider),
    account: row.accountLabel,
    accountContext: row.accountEmail !== null && row.accountEmail !== row.accountLabel ? row.accountEmail : undefined,
    state: shownState(row),
    connectedAt: row.createdAt.toISOString(),
    lastUsedAt: row.lastUsedAt?.toISOString(),
    agentCount: agents.filter(({ reach }) => reach === 'uses').length,
    nextRefreshAt: row.nextRefreshAt?.toISOString(),
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

async function readHistory(tx: AppTx, { tenantId }: Viewer, connectionId: string): Promise<HistoryLine[]> {
  const rows = await tx.refreshEvent.findMany({
    where: { tenantId, connectionId },
    select: { id: true, at: true, cause: true, outcome: true, code: true, latencyMs: true },
    orderBy: [{ at: 'desc' }, { id: 'desc' }],
    take: MAX_EVENTS,
  })
  return rows.map((row) => toHistoryLine({ ...row, at: row.at.toISOString() }))
}

interface RenewalRow {
  readonly accessExpiresAt: Date | null
  readonly refreshExpiresAt: Date | null
  readonly nextRefreshAt: Date | null
  readonly lastRefreshAt: Date | null
  readonly lastErrorCode: string | null
  readonly lastErrorAt: Date | null
  readonly refreshTokenPresent: boolean | null
  readonly failures: number
}

function renewalOf(row: RenewalRow): RenewalFacts {
  const { lastErrorAt, lastErrorCode, lastRefreshAt } = row
  // The code of a failure stays after a success; what is over is only history.
  const isOver = lastErrorAt === null || (lastRefreshAt !== null && lastRefreshAt > lastErrorAt)
  return {
    renews: row.refreshTokenPresent ?? undefined,
    lastAt: lastRefreshAt?.toISOString(),
    nextAt: row.nextRefreshAt?.toISOString(),
    accessEndsAt: row.accessExpiresAt?.toISOString(),
    consentEndsAt: row.refreshExpiresAt?.toISOString(),
    failures: row.failures,
    lastError:
      isOver || lastErrorCode === null
        ? undefined
        : { words: `${reasonWords(lastErrorCode)}.`, at: lastErrorAt.toISOString() },
  }
}

const FORTNIGHT_MS = 14 * 86_400_000

/** What can be seen coming without the provider's own rules, which the pages do not have. A guess: it only keeps a place. */
function likelyWarnings(
  row: RenewalRow & { readonly state: string; readonly idleReason: string | null },
  hasIncident: boolean,
): number {
  if (row.state !== 'active' && row.state !== 'refreshing' && row.state !== 'degraded') return 0
  const { accessExpiresAt, refreshExpiresAt, refreshTokenPresent } = row
  const endsSoon =
    refreshTokenPresent !== false &&
    refreshExpiresAt !== null &&
    refreshExpiresAt.getTime() - systemClock.now().getTime() <= FORTNIGHT_MS
  const cannotRenew = refreshTokenPresent === false && accessExpiresAt !== null
  return [hasIncident, endsSoon, cannotRenew, row.idleReason === 'grant_ending'].filter(Boolean).length
}

interface Reached {
  readonly provider: string
  readonly ownerPersonId: string | null
  readonly sharing: string
}

/**
 * Agents whose profile names tools of a connection's provider, and whether one of their live sessions reaches it: one that
 * acts for the workspace, for the person whose account it is, or for anybody while it is shared.
 */
async function createToolUsers(tx: AppTx, { tenantId }: Viewer): Promise<(connection: Reached) => AgentUse[]> {
  const agents = (await allowedTools(tx, tenantId)).map(({ tools, ...agent }) => {
    const counts = new Map<string, number>()
    for (const tool of tools) {
      const provider = providerOfTool(tool)
      if (provider !== undefined) counts.set(provider, (counts.get(provider) ?? 0) + 1)
    }
    return { ...agent, counts }
  })
  const [sessions, disabled] = await Promise.all([
    tx.agentSession.groupBy({
      by: ['agentId', 'actsFor', 'personId'],
      where: { tenantId, endedAt: null, expiresAt: { gt: systemClock.now() } },
    }),
    tx.agent.findMany({ where: { tenantId, disabledAt: { not: null } }, select: { id: true } }),
  ])
  const isDisabled = new Set(disabled.map(({ id }) => id))
  return ({ provider, ownerPersonId, sharing }) =>
    agents.flatMap(({ id, name, counts }) => {
      const toolCount = counts.get(provider)
      if (toolCount === undefined) return []
      const reaches = sessions.some(
        (session) =>
          session.agentId === id &&
          (session.actsFor === 'workspace' ||
            sharing === 'workspace' ||
            (ownerPersonId !== null && session.personId === ownerPersonId)),
      )
      return [{ id, name, toolCount, reach: isDisabled.has(id) ? 'disabled' : reaches ? 'uses' : 'could' } as const]
    })
}
