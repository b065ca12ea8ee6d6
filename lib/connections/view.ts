/**
 * Connections as members of a workspace see them. Everybody sees their own; owners, admins and auditors see all.
 *
 * @module
 */
import type { AppDb } from '../db/app-db'
import { notFound } from '../errors'
import { isId } from '../ids'
import type { Providers } from '../providers/client'
import { missingScopes } from '../providers/scopes'
import { checkPermission } from '../tenancy/permission'
import type { MemberPrincipal } from '../tenancy/principal'

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

export function createView(deps: { readonly appDb: AppDb; readonly providers: Providers }) {
  const { appDb, providers } = deps

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

  const toView = (principal: MemberPrincipal, row: Row): ConnectionView => {
    const client = providers.get(row.provider)
    const info = providers.list().find(({ name }) => name === row.provider)
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
      missingScopes:
        client === undefined ? [] : missingScopes(client.definition.scopes, row.grantedScopes, row.requestedScopes),
      sandbox: client?.app.sandbox ?? false,
      createdAt: row.createdAt.toISOString(),
      authorizedAt: row.authorizedAt?.toISOString() ?? null,
      lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
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
