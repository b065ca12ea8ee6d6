/**
 * Connections as members of a workspace see them. Everybody sees their own and those that are shared; owners, admins and
 * auditors see all.
 *
 * @module
 */
import type { Clock } from '../clock'
import type { AppDb } from '../db/app-db'
import { notFound } from '../errors'
import { isId } from '../ids'
import type { Providers } from '../providers/client'
import { missingScopes } from '../providers/scopes'
import { checkPermission } from '../tenancy/permission'
import type { MemberPrincipal } from '../tenancy/principal'
import { findTraps, type Trap } from './traps'

export interface ConnectionView {
  readonly id: string
  readonly provider: string
  readonly providerName: string
  readonly account: string
  readonly email: string | null
  readonly ownerPersonId: string | null
  readonly isOwn: boolean
  readonly sharing: 'personal' | 'workspace'
  readonly access: 'allowed' | 'blocked'
  readonly state: string
  readonly stateReason: string | null
  readonly stateAt: string
  readonly requestedScopes: readonly string[]
  readonly grantedScopes: readonly string[]
  readonly missingScopes: readonly string[]
  readonly sandbox: boolean
  readonly createdAt: string
  readonly authorizedAt: string | null
  readonly lastUsedAt: string | null
  readonly accessExpiresAt: string | null
  readonly refreshExpiresAt: string | null
  readonly nextRefreshAt: string | null
  readonly lastRefreshAt: string | null
  /** Of the last failure; one older than the last renewal is over. */
  readonly lastErrorCode: string | null
  readonly lastErrorAt: string | null
  /** Null: not known yet. */
  readonly refreshTokenPresent: boolean | null
  /** Failed renewals in a row. */
  readonly failures: number
  readonly traps: readonly TrapView[]
}

export interface TrapView extends Pick<Trap, 'code' | 'severity' | 'title' | 'words' | 'action'> {
  readonly advice: string | null
  readonly at: string | null
}

export interface Whose {
  readonly ownerPersonId: string | null
  /** `personal`, or `workspace` for the agents of everybody in it. */
  readonly sharing: string
}

export function maySee(principal: MemberPrincipal, { ownerPersonId, sharing }: Whose): boolean {
  return principal.role !== 'member' || sharing === 'workspace' || isOwner(principal, ownerPersonId)
}

/** Auditors see and change nothing. */
export function mayManage(principal: MemberPrincipal, ownerPersonId: string | null): boolean {
  return principal.role === 'owner' || principal.role === 'admin' || isOwner(principal, ownerPersonId)
}

export const isOwner = (principal: MemberPrincipal, ownerPersonId: string | null) =>
  principal.kind !== 'operator' && ownerPersonId === principal.personId

export function createView(deps: { readonly appDb: AppDb; readonly providers: Providers; readonly clock: Clock }) {
  const { appDb, providers, clock } = deps

  type Row = Awaited<ReturnType<typeof rows>>['found'][number]
  /** Since when an app is left alone, by provider and app. */
  type Incidents = ReadonlyMap<string, Date | null>

  const rows = (principal: MemberPrincipal, id?: string) => {
    const { tenantId } = principal
    return appDb.tenant(tenantId, async (tx) => {
      const found = await tx.connection.findMany({
        where: {
          tenantId,
          access: { not: 'deleted' },
          ...(id === undefined ? {} : { id }),
          ...(principal.role === 'member'
            ? { OR: [{ ownerPersonId: principal.personId }, { sharing: 'workspace' }] }
            : {}),
        },
        orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
        take: 500,
      })
      const open = await tx.providerAppStatus.findMany({ where: { state: 'open' } })
      const incidents: Incidents = new Map(open.map((app) => [`${app.provider} ${app.appKey}`, app.since]))
      return { found, incidents }
    })
  }

  const trapsOf = (row: Row, missing: readonly string[], incidents: Incidents): TrapView[] => {
    const definition = providers.get(row.provider)?.definition
    if (definition === undefined) return []
    const appName = `${row.provider} ${row.providerApp}`
    return findTraps({
      providerName: definition.displayName,
      refreshMode: definition.refreshMode,
      providerTraps: definition.traps,
      state: row.state,
      variant: row.tokenVariant,
      hasRefreshToken: row.refreshTokenPresent,
      accessExpiresAt: row.accessExpiresAt,
      refreshExpiresAt: row.refreshExpiresAt,
      authorizedAt: row.authorizedAt,
      lastRefreshAt: row.lastRefreshAt,
      missingScopeCount: missing.length,
      idleSince: row.idleSince,
      isGrantEnding: row.idleReason === 'grant_ending',
      incident: incidents.has(appName) ? { since: incidents.get(appName) ?? null } : null,
      now: clock.now(),
    }).map(({ advice, at, ...trap }) => ({ ...trap, advice: advice ?? null, at: at?.toISOString() ?? null }))
  }

  const toView = (principal: MemberPrincipal, row: Row, incidents: Incidents): ConnectionView => {
    const client = providers.get(row.provider)
    const info = providers.list().find(({ name }) => name === row.provider)
    const missing =
      client === undefined ? [] : missingScopes(client.definition.scopes, row.grantedScopes, row.requestedScopes)
    return {
      id: row.id,
      provider: row.provider,
      providerName: info?.displayName ?? row.provider,
      account: row.accountLabel,
      email: row.accountEmail,
      ownerPersonId: row.ownerPersonId,
      isOwn: isOwner(principal, row.ownerPersonId),
      sharing: row.sharing === 'workspace' ? 'workspace' : 'personal',
      access: row.access === 'allowed' ? 'allowed' : 'blocked',
      state: row.state,
      stateReason: row.stateReason,
      stateAt: row.stateAt.toISOString(),
      requestedScopes: row.requestedScopes,
      grantedScopes: row.grantedScopes,
      missingScopes: missing,
      sandbox: client?.app.sandbox ?? false,
      createdAt: row.createdAt.toISOString(),
      authorizedAt: row.authorizedAt?.toISOString() ?? null,
      lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
      accessExpiresAt: row.accessExpiresAt?.toISOString() ?? null,
      refreshExpiresAt: row.refreshExpiresAt?.toISOString() ?? null,
      nextRefreshAt: row.nextRefreshAt?.toISOString() ?? null,
      lastRefreshAt: row.lastRefreshAt?.toISOString() ?? null,
      lastErrorCode: row.lastErrorCode,
      lastErrorAt: row.lastErrorAt?.toISOString() ?? null,
      refreshTokenPresent: row.refreshTokenPresent,
      failures: row.failures,
      traps: trapsOf(row, missing, incidents),
    }
  }

  return {
    /** Newest first, at most 500. */
    async list(principal: MemberPrincipal): Promise<ConnectionView[]> {
      checkPermission(principal, 'connection.read')
      const { found, incidents } = await rows(principal)
      return found.map((row) => toView(principal, row, incidents))
    },
    /** @throws AppError `resource.not_found` for a missing, a foreign and somebody else's connection alike */
    async show(principal: MemberPrincipal, connectionId: string): Promise<ConnectionView> {
      checkPermission(principal, 'connection.read')
      if (!isId('connection', connectionId)) throw notFound()
      const {
        found: [row],
        incidents,
      } = await rows(principal, connectionId)
      if (row === undefined) throw notFound()
      return toView(principal, row, incidents)
    },
  }
}
