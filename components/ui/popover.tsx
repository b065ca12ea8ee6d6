'use client'

import { Popover as Radix } from 'radix-ui'
import type { ComponentProps } from 'react'

import { cn } from '@/components/cn'

export const Popover = Radix.Root
export const PopoverTrigger = Radix.Trigger
export const PopoverClose = Radix.Close

export function PopoverContent({ className, ...props }: ComponentProps<typeof Radix.Content>) {
  return (
    <Radix.Portal>
      <Radix.Content
        sideOffset={6}
        collisionPadding={8}
        className={cn(
          'z-50 w-72 rounded-lg border border-line bg-raised p-4 text-sm shadow-pop focus:outline-none motion-safe:animate-rise',
          className,
        )}
        {...props}
      />
    </Radix.Portal>
  )
}
