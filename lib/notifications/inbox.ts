/**
 * What a person was told, as the pages and the API show it. Everybody sees their own and nobody another's, whatever their
 * role; the order is that of the ids, which grow with time.
 *
 * @module
 */
import type { AppDb, AppTx } from '../db/app-db'
import { notFound } from '../errors'
import { brand, type ConnectionId, type Id, type PersonId, type TenantId } from '../ids'
import type { MemberPrincipal } from '../tenancy/principal'
import { bodyOf, headlineOf, parseKind, pathOf, type NotificationKind } from './words'

export interface NotificationView {
  readonly id: Id<'notification'>
  readonly kind: NotificationKind
  /** One sentence without a full stop. */
  readonly title: string
  readonly body: string
  /** A page of ours. */
  readonly path: string
  readonly connectionId: ConnectionId | null
  readonly provider: string | null
  readonly createdAt: Date
  readonly readAt: Date | null
}

export interface InboxPage {
  readonly items: readonly NotificationView[]
  /** Whether there are older ones. */
  readonly hasMore: boolean
}

/** Whose inbox it is; the reader must see this person's rows in this tenant. */
export interface Mine {
  readonly tenantId: TenantId
  readonly personId: PersonId
}

/** More than this is "many". */
export const MAX_UNREAD = 100

/** @param before  an id; older ones follow it */
export async function listNotifications(
  tx: AppTx,
  { tenantId, personId }: Mine,
  { before, limit }: { readonly before?: string | undefined; readonly limit: number },
): Promise<InboxPage> {
  const rows = await tx.notification.findMany({
    where: { tenantId, personId, ...(before === undefined ? {} : { id: { lt: before } }) },
    orderBy: { id: 'desc' },
    take: limit + 1,
  })
  const items = rows.slice(0, limit).flatMap((row): NotificationView[] => {
    const kind = parseKind(row.kind)
    if (kind === undefined) return []
    return [
      {
        id: brand<'notification'>(row.id),
        kind,
        title: headlineOf(kind, row.provider, row.label),
        body: bodyOf(kind, row),
        path: pathOf(kind, row.connectionId),
        connectionId: row.connectionId === null ? null : brand<'connection'>(row.connectionId),
        provider: row.provider,
        createdAt: row.createdAt,
        readAt: row.readAt,
      },
    ]
  })
  return { items, hasMore: rows.length > limit }
}

/** At most `MAX_UNREAD`: a bell says no more than "many". */
export async function countUnread(tx: AppTx, { tenantId, personId }: Mine): Promise<number> {
  const rows = await tx.$queryRaw<{ n: number }[]>`
    SELECT count(*)::int AS n FROM (
      SELECT 1 FROM notification WHERE tenant_id = ${tenantId} AND person_id = ${personId} AND read_at IS NULL LIMIT ${MAX_UNREAD}) x`
  return rows[0]?.n ?? 0
}

/** What is to be marked: one, everything up to one that was seen, or everything. */
export interface ReadMark {
  readonly notificationId?: string | undefined
  readonly upTo?: string | undefined
}

export interface Inbox {
  list(
    principal: MemberPrincipal,
    page: { readonly before?: string | undefined; readonly limit: number },
  ): Promise<InboxPage>
  unread(principal: MemberPrincipal): Promise<number>
  /** @returns how many are unread afterwards. @throws AppError `resource.not_found` for one that is not theirs */
  markRead(principal: MemberPrincipal, mark: ReadMark): Promise<number>
}

export function createInbox({ appDb }: { readonly appDb: AppDb }): Inbox {
  /** The operator at the machine is nobody who could be told anything. */
  const mine = (principal: MemberPrincipal): Mine | undefined =>
    principal.kind === 'operator' ? undefined : { tenantId: principal.tenantId, personId: principal.personId }

  return {
    async list(principal, page) {
      const own = mine(principal)
      if (own === undefined) return { items: [], hasMore: false }
      return appDb.tenant(own.tenantId, (tx) => listNotifications(tx, own, page))
    },

    async unread(principal) {
      const own = mine(principal)
      return own === undefined ? 0 : appDb.tenant(own.tenantId, (tx) => countUnread(tx, own))
    },

    async markRead(principal, { notificationId, upTo }) {
      const own = mine(principal)
      if (own === undefined) return 0
      const { tenantId, personId } = own
      return appDb.tenant(tenantId, async (tx) => {
        for (const id of [notificationId, upTo]) {
          if (id === undefined) continue
          const row = await tx.notification.findUnique({
            where: { tenantId_id: { tenantId, id } },
            select: { personId: true },
          })
          if (row?.personId !== personId) throw notFound()
        }
        await tx.$executeRaw`
          UPDATE notification SET read_at = now()
           WHERE tenant_id = ${tenantId} AND person_id = ${personId} AND read_at IS NULL
             AND (${notificationId ?? null}::text IS NULL OR id = ${notificationId ?? null})
             AND (${upTo ?? null}::text IS NULL OR id <= ${upTo ?? null})`
        return countUnread(tx, own)
      })
    },
  }
}
