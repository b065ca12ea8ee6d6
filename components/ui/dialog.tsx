'use client'

import { X } from 'lucide-react'
import { Dialog as Radix } from 'radix-ui'
import type { ReactNode } from 'react'

import { cn } from '@/components/cn'
import { IconButton } from '@/components/ui/button'

export const Dialog = Radix.Root
export const DialogTrigger = Radix.Trigger
export const DialogClose = Radix.Close

export const overlayClass = 'fixed inset-0 z-40 bg-scrim motion-safe:animate-fade'

/**
 * Centred on wide screens, a sheet from the bottom edge on a phone. As high as the overlay: what opens over another dialog
 * comes later in the page, and its overlay covers that one.
 */
export const dialogPanelClass = cn(
  'fixed z-40 flex max-h-[90dvh] flex-col overflow-hidden border border-line bg-raised shadow-pop focus:outline-none',
  'inset-x-0 bottom-0 rounded-t-xl motion-safe:animate-sheet',
  'md:inset-x-auto md:top-1/2 md:bottom-auto md:left-1/2 md:w-[calc(100vw-2rem)] md:max-w-lg md:-translate-x-1/2 md:-translate-y-1/2 md:rounded-xl md:motion-safe:animate-fade',
)

export function DialogContent({
  title,
  description,
  children,
  footer,
  className,
  isDismissable = true,
}: {
  title: ReactNode
  description?: ReactNode
  children?: ReactNode
  footer?: ReactNode
  className?: string
  /** False where closing by accident would lose something that cannot be shown again. */
  isDismissable?: boolean
}) {
  return (
    <Radix.Portal>
      <Radix.Overlay className={overlayClass} />
      <Radix.Content
        className={cn(dialogPanelClass, className)}
        {...(description === undefined ? { 'aria-describedby': undefined } : {})}
        onEscapeKeyDown={(event) => {
          if (!isDismissable) event.preventDefault()
        }}
        onInteractOutside={(event) => {
          if (!isDismissable) event.preventDefault()
        }}
      >
        <div className="flex items-start gap-3 px-5 pt-5">
          <div className="min-w-0 flex-1">
            <Radix.Title className="text-lg font-semibold text-balance">{title}</Radix.Title>
            {description === undefined ? null : (
              <Radix.Description asChild>
                <div className="mt-1 text-sm text-muted">{description}</div>
              </Radix.Description>
            )}
          </div>
          {isDismissable ? (
            <Radix.Close asChild>
              <IconButton label="Close" tooltip={false} className="-mt-2 -mr-2">
                <X aria-hidden />
              </IconButton>
            </Radix.Close>
          ) : null}
        </div>
        <div className="min-h-0 flex-1 overflow-y-auto px-5 py-4">{children}</div>
        {footer === undefined ? null : <DialogFooter>{footer}</DialogFooter>}
      </Radix.Content>
    </Radix.Portal>
  )
}

export function DialogFooter({ children }: { children: ReactNode }) {
  return (
    <div className="flex flex-col-reverse gap-2 border-t border-line bg-sunken px-5 pt-3 pb-[max(0.75rem,env(safe-area-inset-bottom))] md:flex-row md:justify-end">
      {children}
    </div>
  )
}
