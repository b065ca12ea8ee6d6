'use client'

/**
 * How many notifications are unread, for the bell: as the server counted, then asked for now and then while somebody looks,
 * and told at once by the page that marks them.
 *
 * @module
 */
import { createContext, useContext, useState } from 'react'
import type { ReactNode } from 'react'

import { useWhileVisible } from '@/app/_client/live'
import { load, maybeNumber } from '@/app/_client/load'

const everyMs = 30_000

type OnCount = (unread: number) => void
const UnreadContext = createContext<OnCount>(() => undefined)

export function UnreadProvider({ onCount, children }: { onCount: OnCount; children: ReactNode }) {
  return <UnreadContext value={onCount}>{children}</UnreadContext>
}

/** Tells the bell a number that is newer than its own. */
export function useTellUnread(): OnCount {
  return useContext(UnreadContext)
}

export function useUnreadCount(initial: number): { readonly unread: number; readonly set: OnCount } {
  const [unread, set] = useState(initial)
  useWhileVisible(async (signal) => {
    const result = await load('/api/v1/notifications/unread', (body) => maybeNumber(body, 'unread') ?? 0, signal)
    if (result.ok) set(result.value)
    return result.ok
  }, everyMs)
  return { unread, set }
}
