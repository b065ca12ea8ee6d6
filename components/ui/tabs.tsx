'use client'

import { Tabs as Radix } from 'radix-ui'
import type { ComponentProps } from 'react'

import { cn } from '@/components/cn'

export const Tabs = Radix.Root

/** Scrolls sideways on a phone rather than wrapping. */
export function TabsList({ className, ...props }: ComponentProps<typeof Radix.List>) {
  return (
    <Radix.List
      className={cn('-mx-4 flex gap-1 overflow-x-auto border-b border-line px-4 md:mx-0 md:px-0', className)}
      {...props}
    />
  )
}

export function TabsTrigger({ className, ...props }: ComponentProps<typeof Radix.Trigger>) {
  return (
    <Radix.Trigger
      className={cn(
        '-mb-px inline-flex min-h-11 shrink-0 items-center gap-2 border-b-2 border-transparent px-3 text-sm font-medium text-muted transition-colors hover:text-ink focus-visible:-outline-offset-2',
        'data-[state=active]:border-accent data-[state=active]:text-ink',
        className,
      )}
      {...props}
    />
  )
}

/** Tabs that are many: they wrap, so that all can be seen at once. */
export function ChoiceList({ className, ...props }: ComponentProps<typeof Radix.List>) {
  return <Radix.List className={cn('flex flex-wrap gap-2', className)} {...props} />
}

export function ChoiceTrigger({ className, ...props }: ComponentProps<typeof Radix.Trigger>) {
  return (
    <Radix.Trigger
      className={cn(
        'inline-flex min-h-10 items-center rounded-lg border border-line px-3 text-sm font-medium text-muted transition-colors hover:border-line-strong hover:text-ink',
        'data-[state=active]:border-accent data-[state=active]:bg-accent-soft data-[state=active]:text-accent-ink',
        className,
      )}
      {...props}
    />
  )
}

export function TabsContent({ className, ...props }: ComponentProps<typeof Radix.Content>) {
  return <Radix.Content className={cn('pt-5', className)} {...props} />
}
