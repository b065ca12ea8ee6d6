'use client'

import { useRouter } from 'next/navigation'
import { useEffect, useState } from 'react'

import { LiveRefresh } from '@/app/_client/live'
import { load, maybeNumber, maybeText } from '@/app/_client/load'
import { isRecord, send } from '@/app/_client/request'
import { useTellUnread } from '@/app/_client/unread'
import { NotificationsList, type MailPath, type NotificationRow } from '@/components/pages/notifications-list'
import { useToast } from '@/components/ui/toast'

const markPath = '/api/v1/notifications/read'
const unreadOf = (body: unknown) => maybeNumber(body, 'unread') ?? 0

export function NotificationsView({
  rows,
  hasMore,
  unread,
  isNewest,
}: {
  rows: readonly NotificationRow[]
  hasMore: boolean
  unread: number
  isNewest: boolean
}) {
  const router = useRouter()
  const toast = useToast()
  const tellUnread = useTellUnread()
  const mail = useMailPath()
  useEffect(() => tellUnread(unread), [tellUnread, unread])

  const mark = async (body: { notificationId: string } | { upTo: string } | Record<string, never>) => {
    const result = await send('POST', markPath, body, unreadOf)
    if (result.ok) {
      tellUnread(result.value)
      router.refresh()
    }
    return result
  }
  const markOne = async (id: string) => {
    try {
      const result = await mark({ notificationId: id })
      if (!result.ok) toast({ tone: 'danger', title: 'It is still unread', description: result.error.message })
    } catch {
      toast({ tone: 'danger', title: 'It is still unread', description: 'The server could not be reached.' })
    }
  }
  const last = rows.at(-1)
  return (
    <>
      {isNewest ? <LiveRefresh watch="/api/v1/notifications?limit=1" everyMs={10_000} /> : null}
      <NotificationsList
        rows={rows}
        unread={unread}
        mail={mail}
        onRead={(id) => void markOne(id)}
        // What arrives while the page is read stays unread.
        onReadAll={() => mark(rows[0] === undefined || !isNewest ? {} : { upTo: rows[0].id })}
        newerHref={isNewest ? undefined : '/notifications'}
        olderHref={hasMore && last !== undefined ? `/notifications?before=${last.id}` : undefined}
      />
    </>
  )
}

/** How mail leaves, which the gateway alone knows. */
function useMailPath(): MailPath | undefined {
  const [mail, setMail] = useState<MailPath>()
  useEffect(() => {
    const controller = new AbortController()
    load('/api/v1/notifications?limit=1', parseMail, controller.signal).then(
      (result) => {
        if (result.ok) setMail(result.value)
      },
      () => undefined, // the list itself is there; this is a remark beside it
    )
    return () => controller.abort()
  }, [])
  return mail
}

function parseMail(body: unknown): MailPath {
  const mail = isRecord(body) ? body['mail'] : undefined
  if (!isRecord(mail) || mail['kind'] !== 'kept') return { kind: 'sent' }
  return { kind: 'kept', folder: maybeText(mail, 'folder') ?? undefined }
}
