'use client'

import { useEffect, useState } from 'react'

/** True once the page has been painted and the browser has nothing better to do: when large extras may be asked for. */
export function usePainted(): boolean {
  const [isPainted, setPainted] = useState(false)
  useEffect(() => {
    let cancel = () => {}
    const whenIdle = () => {
      // Safari has no requestIdleCallback.
      if ('requestIdleCallback' in window) {
        const handle = requestIdleCallback(() => setPainted(true), { timeout: 2000 })
        cancel = () => cancelIdleCallback(handle)
      } else {
        const timer = setTimeout(() => setPainted(true), 200)
        cancel = () => clearTimeout(timer)
      }
    }
    // Not while the page itself is still coming in.
    if (document.readyState === 'complete') whenIdle()
    else window.addEventListener('load', whenIdle, { once: true })
    return () => {
      window.removeEventListener('load', whenIdle)
      cancel()
    }
  }, [])
  return isPainted
}
