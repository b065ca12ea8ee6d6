/**
 * Connections as members of a workspace see them. Everybody sees their own; owners, admins and auditors see all.
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
import { findTraps, type ProviderTrap, type Trap } from './traps'

export interface ConnectionView {
  readonly id: string
  readonly provider: string
  readonly providerName: string
  readonly account: string
  readonly email: string | null
  readonly ownerPersonId: string | null
  readonly isOwn: boolean
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

export interface TrapView extends Pick<Trap, 'code' | 'severity' | 'words' | 'action'> {
  readonly advice: string | null
  readonly at: string | null
}

export function maySee(principal: MemberPrincipal, ownerPersonId: string | null): boolean {
  return principal.role !== 'member' || isOwner(principal, ownerPersonId)
}

/** Auditors see and change nothing. */
export function mayManage(principal: MemberPrincipal, ownerPersonId: string | null): boolean {
  return principal.role === 'owner' || principal.role === 'admin' || isOwner(principal, ownerPersonId)
}

const isOwner = (principal: MemberPrincipal, ownerPersonId: string | null) =>
  principal.kind !== 'operator' && ownerPersonId === principal.personId

export function createView(deps: { readonly appDb: AppDb; readonly providers: Providers; readonly clock: Clock }) {
  const { appDb, providers, clock } = deps

  type Row = Awaited<ReturnType<typeof rows>>[number]

  const rows = (principal: MemberPrincipal, id?: string) => {
    const { tenantId } = principal
    return appDb.tenant(tenantId, (tx) =>
      tx.connection.findMany({
        where: {
          tenantId,
          access: { not: 'deleted' },
          ...(id === undefined ? {} : { id }),
          ...(principal.role === 'member' ? { ownerPersonId: principal.personId } : {}),
        },
        orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
        take: 500,
      }),
    )
  }

  const trapsOf = (row: Row, missing: readonly string[]): TrapView[] => {
    const definition = providers.get(row.provider)?.definition
    if (definition === undefined) return []
    return findTraps({
      providerName: definition.displayName,
      refreshMode: definition.refreshMode,
      providerTraps: PROVIDER_TRAPS[row.provider] ?? [],
      state: row.state,
      variant: null,
      hasRefreshToken: row.refreshTokenPresent,
      accessExpiresAt: row.accessExpiresAt,
      refreshExpiresAt: row.refreshExpiresAt,
      authorizedAt: row.authorizedAt,
      lastRefreshAt: row.lastRefreshAt,
      missingScopeCount: missing.length,
      idleSince: null,
      incidentSince: null,
      now: clock.now(),
    }).map(({ advice, at, ...trap }) => ({ ...trap, advice: advice ?? null, at: at?.toISOString() ?? null }))
  }

  const toView = (principal: MemberPrincipal, row: Row): ConnectionView => {
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
      traps: trapsOf(row, missing),
    }
  }

  return {
    /** Newest first, at most 500. */
    async list(principal: MemberPrincipal): Promise<ConnectionView[]> {
      checkPermission(principal, 'connection.read')
      return (await rows(principal)).map((row) => toView(principal, row))
    },
    /** @throws AppError `resource.not_found` for a missing, a foreign and somebody else's connection alike */
    async show(principal: MemberPrincipal, connectionId: string): Promise<ConnectionView> {
      checkPermission(principal, 'connection.read')
      if (!isId('connection', connectionId)) throw notFound()
      const [row] = await rows(principal, connectionId)
      if (row === undefined) throw notFound()
      return toView(principal, row)
    },
  }
}

/** What the tokens of a provider look like when its app is set up in a way that surprises people. */
const PROVIDER_TRAPS: Readonly<Record<string, readonly ProviderTrap[]>> = {
  google: [
    {
      id: 'google_testing',
      words:
        'This server’s Google app is still in testing, so Google ends every consent seven days after it was given. Until its operator publishes it (Google Cloud console, Audience, “Publish app”), reconnect before that day; after publishing, reconnect once.',
      severity: 'warning',
      when: { refreshLifetimeAtMostSeconds: 604_800 },
    },
    {
      id: 'google_no_refresh_token',
      words:
        'Google gave access without the means to renew it, which it does when it has not shown its consent page in full. Remove this app at myaccount.google.com/connections, then reconnect.',
      severity: 'warning',
      when: { hasRefreshToken: false, accessExpires: true },
    },
  ],
  github: [
    {
      id: 'github_never_expires',
      words:
        'This server’s GitHub app gives tokens that never expire: one that leaks works until somebody revokes it. Whoever owns the app can turn on “Expire user authorization tokens” in its settings; reconnect afterwards. Until then grant little, and disconnect what is not used.',
      severity: 'note',
      when: { hasRefreshToken: false, accessExpires: false },
    },
  ],
  slack: [
    {
      id: 'slack_rotation_on',
      words:
        'Token rotation is on for this server’s Slack app, and Slack cannot turn it off again. Use the app with this installation only, and copy its tokens nowhere: each renewal ends the one before.',
      severity: 'note',
      when: { hasRefreshToken: true },
    },
    {
      id: 'slack_rotation_off',
      words:
        'Token rotation is off for this server’s Slack app, so its tokens never expire. It can be turned on in the app’s settings at Slack, for good: there is no way back. Reconnect afterwards.',
      severity: 'note',
      when: { hasRefreshToken: false, accessExpires: false },
    },
  ],
}
