/**
 * What the person who is looking was told, as their pages show it. The database itself shows them nobody else's.
 *
 * @module
 */
import 'server-only'

import type { NotificationRow } from '@/components/pages/notifications-list'
import { countUnread, listNotifications } from '@/lib/notifications/inbox'

import type { Viewer } from './session'
import { web } from './web'

const PAGE = 50

export interface InboxPage {
  readonly rows: readonly NotificationRow[]
  readonly hasMore: boolean
  readonly unread: number
}

/** @param before  the id of the last one on the page before */
export async function readInbox(
  { tenantId, personId }: Pick<Viewer, 'tenantId' | 'personId'>,
  before: string | undefined,
): Promise<InboxPage> {
  return web().db.scoped({ tenantId, personId }, async (tx) => {
    const own = { tenantId, personId }
    const { items, hasMore } = await listNotifications(tx, own, { before, limit: PAGE })
    return {
      rows: items.map(({ id, kind, title, body, path, provider, createdAt, readAt }) => ({
        id,
        kind,
        title,
        body,
        href: path,
        provider: provider ?? undefined,
        at: createdAt.toISOString(),
        isRead: readAt !== null,
      })),
      hasMore,
      unread: await countUnread(tx, own),
    }
  })
}

/** For the bell. */
export async function readUnread({ tenantId, personId }: Pick<Viewer, 'tenantId' | 'personId'>): Promise<number> {
  return web().db.scoped({ tenantId, personId }, (tx) => countUnread(tx, { tenantId, personId }))
}
