'use client'

import { RadioGroup as Radix } from 'radix-ui'
import { useId } from 'react'
import type { ComponentProps, ReactNode } from 'react'

import { cn } from '@/components/cn'

export function RadioGroup({ className, ...props }: ComponentProps<typeof Radix.Root>) {
  return <Radix.Root className={cn('grid gap-2', className)} {...props} />
}

/** One choice as a full-width row: the whole row is the target. */
export function RadioCard({
  value,
  label,
  description,
  media,
  disabled = false,
}: {
  value: string
  label: ReactNode
  description?: ReactNode
  media?: ReactNode
  disabled?: boolean
}) {
  const id = useId()
  return (
    <div
      className={cn(
        'relative flex items-center gap-3 rounded-lg border border-line bg-surface p-3 transition-colors has-[[data-state=checked]]:border-accent has-[[data-state=checked]]:bg-accent-soft',
        disabled ? 'opacity-60' : 'hover:border-line-strong',
      )}
    >
      {media}
      <div className="min-w-0 flex-1">
        <label htmlFor={id} className="block font-medium after:absolute after:inset-0 after:cursor-pointer">
          {label}
        </label>
        {description === undefined ? null : (
          <div id={`${id}-d`} className="text-sm text-muted">
            {description}
          </div>
        )}
      </div>
      <Radix.Item
        id={id}
        value={value}
        disabled={disabled}
        aria-describedby={description === undefined ? undefined : `${id}-d`}
        className="relative z-10 grid size-5 shrink-0 place-items-center rounded-full border border-line-strong bg-surface data-[state=checked]:border-accent"
      >
        <Radix.Indicator className="block size-2.5 rounded-full bg-accent" />
      </Radix.Item>
    </div>
  )
}
