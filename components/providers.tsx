'use client'

import type { ReactNode } from 'react'

import { NowProvider } from '@/components/now'
import { ToastProvider } from '@/components/ui/toast'

declare global {
  // Read by the scroll lock below the dialogs, which adds one style element and asks for the nonce under this name.
  var __webpack_nonce__: string | undefined
}

/**
 * What every page needs from the browser's side.
 *
 * @param nonce  of this response's content security policy
 * @param initialNow  the server's instant, in milliseconds since the epoch
 */
export function Providers({
  nonce,
  initialNow,
  children,
}: {
  nonce: string | undefined
  initialNow: number
  children: ReactNode
}) {
  // Client navigation keeps the document and with it the policy of the first response: the first nonce stays the right one.
  if (typeof window !== 'undefined') globalThis.__webpack_nonce__ ??= nonce
  return (
    <NowProvider initialNow={initialNow}>
      <ToastProvider>{children}</ToastProvider>
    </NowProvider>
  )
}
