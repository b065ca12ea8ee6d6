import type { ComponentProps, ReactNode } from 'react'

import { cn } from '@/components/cn'

export function Card({ className, ...props }: ComponentProps<'section'>) {
  return (
    <section
      className={cn('overflow-clip rounded-lg border border-line bg-surface shadow-card', className)}
      {...props}
    />
  )
}

export function CardHeader({
  title,
  description,
  actions,
  level = 2,
  className,
}: {
  title: ReactNode
  description?: ReactNode
  actions?: ReactNode
  level?: 2 | 3
  className?: string
}) {
  const Heading = level === 2 ? 'h2' : 'h3'
  return (
    <div className={cn('flex flex-wrap items-start justify-between gap-x-4 gap-y-3 px-4 pt-4 md:px-5', className)}>
      {/* A sentence beside a button would be a column of single words on a phone. */}
      <div className={cn('min-w-0 flex-1', description === undefined ? 'basis-40' : 'basis-64')}>
        <Heading className="font-semibold">{title}</Heading>
        {description === undefined ? null : <div className="mt-0.5 text-sm text-muted">{description}</div>}
      </div>
      {actions === undefined ? null : <div className="flex flex-wrap gap-2">{actions}</div>}
    </div>
  )
}

export function CardBody({ className, ...props }: ComponentProps<'div'>) {
  return <div className={cn('p-4 md:px-5', className)} {...props} />
}

export function CardFooter({ className, ...props }: ComponentProps<'div'>) {
  return (
    <div
      className={cn(
        'flex flex-wrap items-center justify-end gap-2 border-t border-line bg-sunken px-4 py-3 md:px-5',
        className,
      )}
      {...props}
    />
  )
}
