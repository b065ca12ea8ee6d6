'use client'

import { CircleAlert, CircleCheck, X } from 'lucide-react'
import { Toast as Radix } from 'radix-ui'

import { IconButton } from '@/components/ui/button'
import type { ToastStackProps } from '@/components/ui/toast'

const shownForMs = 6_000

/** The toasts themselves, in their own chunk: no page begins with one. */
export default function ToastStack({ toasts, onClose }: ToastStackProps) {
  return (
    <Radix.Provider swipeDirection="right" duration={shownForMs} label="Notice">
      {toasts.map((toast) => (
        <Radix.Root
          key={toast.id}
          type={toast.tone === 'danger' ? 'foreground' : 'background'}
          onOpenChange={(isOpen) => {
            if (!isOpen) onClose(toast.id)
          }}
          className="flex items-start gap-3 rounded-lg border border-line bg-raised py-2 pr-2 pl-4 shadow-pop motion-safe:animate-rise"
        >
          {toast.tone === 'success' ? (
            <CircleCheck aria-hidden className="mt-2 size-4 shrink-0 text-success" />
          ) : (
            <CircleAlert aria-hidden className="mt-2 size-4 shrink-0 text-danger" />
          )}
          <div className="min-w-0 flex-1 py-1.5">
            <Radix.Title className="text-sm font-medium">{toast.title}</Radix.Title>
            {toast.description === undefined ? null : (
              <Radix.Description className="mt-0.5 text-sm text-muted">{toast.description}</Radix.Description>
            )}
          </div>
          <Radix.Close asChild>
            <IconButton label="Dismiss" tooltip={false}>
              <X aria-hidden />
            </IconButton>
          </Radix.Close>
        </Radix.Root>
      ))}
      <Radix.Viewport className="fixed inset-x-4 bottom-24 z-50 flex flex-col gap-2 outline-none md:inset-x-auto md:right-6 md:bottom-6 md:w-96" />
    </Radix.Provider>
  )
}
