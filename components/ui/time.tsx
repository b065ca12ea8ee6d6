'use client'

import { cn } from '@/components/cn'
import { useNow } from '@/components/now'
import { formatAbsolute, formatRelative } from '@/components/ui/relative-time'

/** A moment, relative in the text and absolute in the title. */
export function Time({ at, className }: { at: string; className?: string }) {
  const now = useNow()
  return (
    <time dateTime={at} title={formatAbsolute(at)} className={cn('whitespace-nowrap', className)}>
      {formatRelative(at, now)}
    </time>
  )
}

/** A moment that something waits for. What is over is due, and not “just now”, as if it had happened. */
export function Ahead({ at, lead = '', due }: { at: string; lead?: string; due: string }) {
  const now = useNow()
  if (now !== undefined && Date.parse(at) <= now) return <span title={formatAbsolute(at)}>{due}</span>
  return (
    <>
      {lead}
      <Time at={at} />
    </>
  )
}
