'use client'

import { Bell } from 'lucide-react'
import Link from 'next/link'
import { usePathname } from 'next/navigation'

import { cn } from '@/components/cn'

export const notificationsHref = '/notifications'

/** From here on a number says no more than “many”. */
const many = 99

/** The way to the notifications, with how many of them are unread. */
export function NotificationBell({ unread, className }: { unread: number; className?: string }) {
  const pathname = usePathname()
  const isHere = pathname === notificationsHref
  return (
    <Link
      href={notificationsHref}
      aria-label={unreadWords(unread)}
      aria-current={isHere ? 'page' : undefined}
      className={cn(
        'relative grid size-10 shrink-0 place-items-center rounded-md transition-colors',
        isHere ? 'bg-accent-soft text-accent-ink' : 'text-muted hover:bg-hover hover:text-ink',
        className,
      )}
    >
      <Bell aria-hidden className="size-5" />
      {unread === 0 ? null : (
        <span
          aria-hidden
          className="absolute top-0.5 right-0 grid h-4.5 min-w-4.5 place-items-center rounded-full border-2 border-surface bg-danger px-1 text-[0.625rem] leading-none font-semibold text-on-danger"
        >
          {unread > many ? `${many}+` : unread}
        </span>
      )}
    </Link>
  )
}

export function unreadWords(unread: number): string {
  if (unread === 0) return 'Notifications'
  return `Notifications, ${unread > many ? `more than ${many}` : unread} unread`
}
