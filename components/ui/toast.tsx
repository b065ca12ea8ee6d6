'use client'

import { createContext, useCallback, useContext, useRef, useState } from 'react'
import type { ComponentType, ReactNode } from 'react'

export interface ToastMessage {
  readonly tone: 'success' | 'danger'
  readonly title: string
  readonly description?: string
}

export interface ShownToast extends ToastMessage {
  readonly id: number
}

export interface ToastStackProps {
  readonly toasts: readonly ShownToast[]
  readonly onClose: (id: number) => void
}

const ToastContext = createContext<((message: ToastMessage) => void) | undefined>(undefined)

const maxShown = 3

/** Short confirmations of something that has happened. Failures that need a decision belong into the page, not here. */
export function ToastProvider({ children }: { children: ReactNode }) {
  const [toasts, setToasts] = useState<readonly ShownToast[]>([])
  const [Stack, setStack] = useState<ComponentType<ToastStackProps>>()
  const nextId = useRef(0)

  const show = useCallback((message: ToastMessage) => {
    const id = nextId.current
    nextId.current += 1
    setToasts((current) => [...current.slice(1 - maxShown), { ...message, id }])
    // Asked for again with the next one when it does not come.
    import('@/components/ui/toast-stack').then(
      (module) => setStack(() => module.default),
      () => undefined,
    )
  }, [])

  const close = useCallback((id: number) => setToasts((current) => current.filter((other) => other.id !== id)), [])

  return (
    <ToastContext value={show}>
      {children}
      {Stack === undefined ? null : <Stack toasts={toasts} onClose={close} />}
    </ToastContext>
  )
}

/** @throws Error when used outside the provider: a lost confirmation would go unnoticed otherwise */
export function useToast(): (message: ToastMessage) => void {
  const show = useContext(ToastContext)
  if (show === undefined) throw new Error('useToast needs a ToastProvider above it')
  return show
}
