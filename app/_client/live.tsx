'use client'

import { useRouter } from 'next/navigation'
import { startTransition, useEffect, useEffectEvent, useRef } from 'react'

const defaultMs = 3_000
const longestMs = 30_000
const anywayMs = 15_000

/**
 * Calls `tick` again and again while somebody can see the page: at once when it comes into view, never twice at a time,
 * and less often while it fails.
 *
 * @param tick  resolves to false when it failed
 */
export function useWhileVisible(tick: (signal: AbortSignal) => Promise<boolean>, everyMs: number): void {
  const run = useEffectEvent(tick)
  useEffect(() => {
    const controller = new AbortController()
    const isOver = () => controller.signal.aborted
    let timer: ReturnType<typeof setTimeout> | undefined
    let isRunning = false
    let waitMs = everyMs
    const once = async () => {
      if (isRunning || isOver() || document.visibilityState === 'hidden') return
      clearTimeout(timer)
      isRunning = true
      const isGood = await run(controller.signal).catch(() => false)
      isRunning = false
      waitMs = isGood ? everyMs : Math.min(waitMs * 2, longestMs)
      if (!isOver()) timer = setTimeout(() => void once(), waitMs)
    }
    const onVisible = () => void once()
    void once()
    document.addEventListener('visibilitychange', onVisible)
    return () => {
      controller.abort()
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', onVisible)
    }
  }, [everyMs])
}

/**
 * Keeps a page's data fresh while it is looked at. The gateway is asked for the list behind the page; only when the answer
 * is another one is the page itself rendered again, and never while the gateway cannot be reached, because a failed
 * navigation would replace the page by the browser's own error.
 *
 * @param watch  API path whose answer changes when the page would
 */
export function LiveRefresh({ watch, everyMs = defaultMs }: { watch: `/${string}`; everyMs?: number }) {
  const router = useRouter()
  const seen = useRef<{ answer: string; at: number }>(undefined)
  useWhileVisible(async (signal) => {
    const response = await fetch(watch, { headers: { accept: 'application/json' }, cache: 'no-store', signal })
    // A refusal is an answer too: the page itself says what it means, such as a session that has ended.
    if (response.status >= 500) return false
    const answer = `${response.status} ${await response.text()}`
    const before = seen.current
    const isChanged = before !== undefined && before.answer !== answer
    // What changed between the page's own rendering and the first answer is caught up with here.
    const isDue = before !== undefined && performance.now() - before.at > anywayMs
    if (before === undefined || isChanged || isDue) seen.current = { answer, at: performance.now() }
    if (isChanged || isDue) startTransition(() => router.refresh())
    return true
  }, everyMs)
  return null
}
