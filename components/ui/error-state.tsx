import { CloudAlert } from 'lucide-react'
import type { ReactNode } from 'react'

import { cn } from '@/components/cn'

/**
 * Something could not be shown. Says what, whether anything was lost, and what to do; the reference lets an operator find
 * the log line, and is the only technical detail.
 */
export function ErrorState({
  title = 'This could not be loaded',
  children = 'Nothing was changed. Try again in a moment; if it stays like this, tell whoever runs this server.',
  action,
  reference,
  level = 2,
  className,
}: {
  title?: string
  children?: ReactNode
  action?: ReactNode
  /** Request id or error digest. */
  reference?: string | undefined
  level?: 1 | 2 | 3
  className?: string
}) {
  const Heading = level === 1 ? 'h1' : level === 2 ? 'h2' : 'h3'
  return (
    <div role="alert" className={cn('flex flex-col items-center px-6 py-14 text-center', className)}>
      <span className="grid size-12 place-items-center rounded-xl border border-danger-line bg-danger-soft text-danger-ink">
        <CloudAlert aria-hidden className="size-5" />
      </span>
      <Heading className="mt-4 font-semibold text-balance">{title}</Heading>
      <div className="mt-1 max-w-md text-sm text-pretty text-muted">{children}</div>
      {action === undefined ? null : <div className="mt-5 flex flex-wrap justify-center gap-2">{action}</div>}
      {reference === undefined ? null : (
        <p className="mt-4 text-xs text-muted">
          Reference <code className="font-mono select-all">{reference}</code>
        </p>
      )}
    </div>
  )
}
