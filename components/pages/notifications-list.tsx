'use client'

import { BellOff, CircleAlert, CircleCheck, CirclePause, CloudAlert, ShieldOff, Unplug } from 'lucide-react'
import type { LucideIcon } from 'lucide-react'
import Link from 'next/link'

import type { Action } from '@/components/action'
import { cn } from '@/components/cn'
import { useNow } from '@/components/now'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { Card } from '@/components/ui/card'
import { EmptyState } from '@/components/ui/empty-state'
import { PageHeader } from '@/components/ui/page-header'
import { CursorPagination } from '@/components/ui/pagination'
import { formatDay } from '@/components/ui/relative-time'
import { Time } from '@/components/ui/time'
import { useAction } from '@/components/use-action'

export type NotificationKind =
  'degraded' | 'reauthorization_required' | 'revoked' | 'suspended' | 'recovered' | 'webhook_disabled'

export interface NotificationRow {
  readonly id: string
  readonly kind: NotificationKind
  /** One sentence without a full stop. */
  readonly title: string
  readonly body: string
  /** Where something can be done about it. */
  readonly href: string
  readonly provider: string | undefined
  readonly at: string
  readonly isRead: boolean
}

/** How mail leaves: to a mail server, or into files of this machine, named only on the machine itself. */
export type MailPath = { readonly kind: 'sent' } | { readonly kind: 'kept'; readonly folder: string | undefined }

const signs: Readonly<Record<NotificationKind, { readonly icon: LucideIcon; readonly tone: string }>> = {
  degraded: { icon: CloudAlert, tone: 'border-warning-line bg-warning-soft text-warning-ink' },
  reauthorization_required: { icon: CircleAlert, tone: 'border-danger-line bg-danger-soft text-danger-ink' },
  revoked: { icon: ShieldOff, tone: 'border-danger-line bg-danger-soft text-danger-ink' },
  suspended: { icon: CirclePause, tone: 'border-warning-line bg-warning-soft text-warning-ink' },
  recovered: { icon: CircleCheck, tone: 'border-success-line bg-success-soft text-success-ink' },
  webhook_disabled: { icon: Unplug, tone: 'border-warning-line bg-warning-soft text-warning-ink' },
}

export function NotificationsList({
  rows,
  unread,
  mail,
  onRead,
  onReadAll,
  newerHref,
  olderHref,
}: {
  rows: readonly NotificationRow[]
  unread: number
  mail: MailPath | undefined
  onRead: (id: string) => void
  onReadAll: Action<undefined>
  newerHref?: string | undefined
  olderHref?: string | undefined
}) {
  const action = useAction(onReadAll)
  const days = groupByDay(rows)
  const now = useNow()
  return (
    <>
      <PageHeader
        title="Notifications"
        description="What happened to your connections, told once each time."
        actions={
          <Button
            pending={action.pending}
            disabledReason={unread === 0 ? 'Everything is read already.' : undefined}
            onClick={() => void action.run(undefined)}
          >
            Mark all as read
          </Button>
        }
      />
      <div className="space-y-6">
        {action.error === undefined ? null : <Alert tone="danger" title={action.error.message} />}
        {mail?.kind === 'kept' ? <KeptMail folder={mail.folder} /> : null}
        {rows.length === 0 ? (
          <Card>
            <EmptyState icon={BellOff} title={newerHref === undefined ? 'Nothing has happened' : 'Nothing older'}>
              When a connection stops working you read it here, and in one mail for everything that happens within a few
              minutes.
            </EmptyState>
          </Card>
        ) : (
          days.map(({ day, rows: ofDay }) => (
            <section key={day} aria-labelledby={`day-${day}`}>
              <h2 id={`day-${day}`} className="mb-2 text-sm font-medium text-muted">
                {dayWords(day, now)}
              </h2>
              <Card>
                <ul className="divide-y divide-line">
                  {ofDay.map((row) => (
                    <Entry key={row.id} row={row} onRead={onRead} />
                  ))}
                </ul>
              </Card>
            </section>
          ))
        )}
        {newerHref === undefined && olderHref === undefined ? null : (
          <CursorPagination newerHref={newerHref} olderHref={olderHref} />
        )}
      </div>
    </>
  )
}

function Entry({ row, onRead }: { row: NotificationRow; onRead: (id: string) => void }) {
  const { icon: Icon, tone } = signs[row.kind]
  return (
    <li className={cn('flex gap-3 px-4 py-4 md:px-5', !row.isRead && 'bg-accent-soft/40')}>
      <span className={cn('mt-0.5 grid size-9 shrink-0 place-items-center rounded-full border', tone)}>
        <Icon aria-hidden className="size-4" />
      </span>
      <div className="min-w-0 flex-1">
        <div className="flex flex-wrap items-baseline justify-between gap-x-4 gap-y-0.5">
          <h3 className={cn('min-w-0 wrap-anywhere', row.isRead ? 'font-medium' : 'font-semibold')}>
            {row.isRead ? null : (
              <>
                <span aria-hidden className="mr-2 inline-block size-2 rounded-full bg-accent align-middle" />
                <span className="sr-only">Unread: </span>
              </>
            )}
            {row.title}
          </h3>
          <Time at={row.at} className="text-xs text-muted" />
        </div>
        <p className="mt-1 max-w-prose text-sm text-pretty text-muted">{row.body}</p>
        <div className="mt-2 flex flex-wrap gap-2">
          <Button asChild size="sm">
            <Link href={row.href} onClick={() => (row.isRead ? undefined : onRead(row.id))}>
              {row.kind === 'webhook_disabled' ? 'Open settings' : 'Open connection'}
              <span className="sr-only">: {row.title}</span>
            </Link>
          </Button>
          {row.isRead ? null : (
            <Button size="sm" variant="ghost" onClick={() => onRead(row.id)}>
              Mark as read
              <span className="sr-only">: {row.title}</span>
            </Button>
          )}
        </div>
      </div>
    </li>
  )
}

function KeptMail({ folder }: { folder: string | undefined }) {
  return (
    <Alert tone="info" title="Mail is not sent from here">
      No mail server is set up, so mails about this are kept as files
      {folder === undefined ? ' on the server' : null}.{' '}
      {folder === undefined ? null : (
        <>
          They lie in <code className="font-mono text-xs wrap-anywhere">{folder}</code>.
        </>
      )}
    </Alert>
  )
}

/** In UTC, as every time of the product. The rows come newest first. */
function groupByDay(rows: readonly NotificationRow[]): { readonly day: string; readonly rows: NotificationRow[] }[] {
  const days: { day: string; rows: NotificationRow[] }[] = []
  for (const row of rows) {
    const day = row.at.slice(0, 10)
    const last = days.at(-1)
    if (last?.day === day) last.rows.push(row)
    else days.push({ day, rows: [row] })
  }
  return days
}

const dayMs = 86_400_000

function dayWords(day: string, now: number | undefined): string {
  if (now !== undefined) {
    if (day === new Date(now).toISOString().slice(0, 10)) return 'Today'
    if (day === new Date(now - dayMs).toISOString().slice(0, 10)) return 'Yesterday'
  }
  return formatDay(new Date(`${day}T00:00:00Z`))
}
