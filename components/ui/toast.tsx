'use client'

import { CircleAlert, CircleCheck, X } from 'lucide-react'
import { Toast as Radix } from 'radix-ui'
import { createContext, useCallback, useContext, useRef, useState } from 'react'
import type { ReactNode } from 'react'

import { IconButton } from '@/components/ui/button'

export interface ToastMessage {
  readonly tone: 'success' | 'danger'
  readonly title: string
  readonly description?: string
}

interface Shown extends ToastMessage {
  readonly id: number
}

const ToastContext = createContext<((message: ToastMessage) => void) | undefined>(undefined)

const maxShown = 3
const shownForMs = 6_000

/** Short confirmations of something that has happened. Failures that need a decision belong into the page, not here. */
export function ToastProvider({ children }: { children: ReactNode }) {
  const [toasts, setToasts] = useState<readonly Shown[]>([])
  const nextId = useRef(0)

  const show = useCallback((message: ToastMessage) => {
    const id = nextId.current
    nextId.current += 1
    setToasts((current) => [...current.slice(1 - maxShown), { ...message, id }])
  }, [])

  return (
    <ToastContext value={show}>
      <Radix.Provider swipeDirection="right" duration={shownForMs} label="Notice">
        {children}
        {toasts.map((toast) => (
          <Radix.Root
            key={toast.id}
            type={toast.tone === 'danger' ? 'foreground' : 'background'}
            onOpenChange={(isOpen) => {
              if (!isOpen) setToasts((current) => current.filter((other) => other.id !== toast.id))
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
    </ToastContext>
  )
}

/** @throws Error when used outside the provider: a lost confirmation would go unnoticed otherwise */
export function useToast(): (message: ToastMessage) => void {
  const show = useContext(ToastContext)
  if (show === undefined) throw new Error('useToast needs a ToastProvider above it')
  return show
}
