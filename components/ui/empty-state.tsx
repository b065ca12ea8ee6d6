import type { LucideIcon } from 'lucide-react'
import type { ReactNode } from 'react'

import { cn } from '@/components/cn'

/** Nothing is here yet: says what will be, and offers the one next step. */
export function EmptyState({
  icon: Icon,
  title,
  children,
  action,
  level = 2,
  className,
}: {
  icon: LucideIcon
  title: string
  children?: ReactNode
  action?: ReactNode
  level?: 1 | 2 | 3
  className?: string
}) {
  const Heading = level === 1 ? 'h1' : level === 2 ? 'h2' : 'h3'
  return (
    <div className={cn('flex flex-col items-center px-6 py-14 text-center', className)}>
      <span className="grid size-12 place-items-center rounded-xl border border-line bg-sunken text-muted">
        <Icon aria-hidden className="size-5" />
      </span>
      <Heading className="mt-4 font-semibold text-balance">{title}</Heading>
      {children === undefined ? null : <div className="mt-1 max-w-md text-sm text-pretty text-muted">{children}</div>}
      {action === undefined ? null : <div className="mt-5 flex flex-wrap justify-center gap-2">{action}</div>}
    </div>
  )
}
