'use client'

import { createContext, useContext, useEffect, useState } from 'react'
import type { ReactNode } from 'react'

const NowContext = createContext<number | undefined>(undefined)

const tickMs = 5_000

/**
 * Gives relative times one shared instant. The first render uses the server's instant, so markup and hydration agree;
 * after that the browser's clock moves it on.
 *
 * @param initialNow  milliseconds since the epoch, from the server's clock
 */
export function NowProvider({ initialNow, children }: { initialNow: number; children: ReactNode }) {
  const [now, setNow] = useState(initialNow)
  useEffect(() => {
    // Only the elapsed time is taken from the browser, so a wrong clock there shifts nothing.
    const startedAt = performance.now()
    const timer = setInterval(() => setNow(initialNow + (performance.now() - startedAt)), tickMs)
    return () => clearInterval(timer)
  }, [initialNow])
  return <NowContext value={now}>{children}</NowContext>
}

export function useNow(): number | undefined {
  return useContext(NowContext)
}
