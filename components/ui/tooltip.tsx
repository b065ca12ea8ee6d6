'use client'

import { Slot } from 'radix-ui'
import { useEffect, useEffectEvent, useLayoutEffect, useRef, useState } from 'react'
import type { FocusEvent, PointerEvent as ReactPointerEvent, ReactNode } from 'react'
import { createPortal } from 'react-dom'

const delayMs = 250
/** Long enough to move the pointer onto the hint (WCAG 2.2, 1.4.13). */
const graceMs = 150
const gap = 6
const edge = 8

/**
 * A short hint for an element that can take the focus. Never the only place where something needed is said: it is not read
 * out, because every element that has one says the same by its name or its description.
 *
 * Every page has buttons with hints, so this is small and brings no library for placing things.
 */
export function Tooltip({
  content,
  children,
  open,
  onOpenChange,
}: {
  content: ReactNode
  children: ReactNode
  open?: boolean
  onOpenChange?: (open: boolean) => void
}) {
  const anchor = useRef<HTMLElement>(null)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  const [isOwnOpen, setOwnOpen] = useState(false)
  const isOpen = open ?? isOwnOpen

  const set = (next: boolean) => {
    clearTimeout(timer.current)
    setOwnOpen(next)
    onOpenChange?.(next)
  }
  const setSoon = (next: boolean, ms: number) => {
    clearTimeout(timer.current)
    timer.current = setTimeout(() => set(next), ms)
  }
  useEffect(() => () => clearTimeout(timer.current), [])

  return (
    <>
      <Slot.Root
        ref={anchor}
        onPointerEnter={(event: ReactPointerEvent) => {
          // Touch has no hover; what it has to say is asked for by a press.
          if (event.pointerType === 'mouse') setSoon(true, delayMs)
        }}
        onPointerLeave={() => setSoon(false, graceMs)}
        onPointerDown={() => set(false)}
        onFocus={(event: FocusEvent<HTMLElement>) => {
          if (event.target.matches(':focus-visible')) set(true)
        }}
        onBlur={() => set(false)}
      >
        {children}
      </Slot.Root>
      {isOpen ? (
        <Bubble anchor={anchor} onClose={() => set(false)} onHold={() => clearTimeout(timer.current)}>
          {content}
        </Bubble>
      ) : null}
    </>
  )
}

function Bubble({
  anchor,
  onClose,
  onHold,
  children,
}: {
  anchor: { readonly current: HTMLElement | null }
  onClose: () => void
  onHold: () => void
  children: ReactNode
}) {
  const bubble = useRef<HTMLDivElement>(null)
  const arrow = useRef<HTMLSpanElement>(null)
  const close = useEffectEvent(onClose)

  useLayoutEffect(() => {
    const [box, at, tip] = [bubble.current, anchor.current?.getBoundingClientRect(), arrow.current]
    if (box === null || tip === null || at === undefined) return
    // In the top layer: above dialogs, clipped by nothing.
    box.showPopover()
    const { width, height } = box.getBoundingClientRect()
    const middle = at.left + at.width / 2
    const left = Math.max(edge, Math.min(middle - width / 2, document.documentElement.clientWidth - width - edge))
    const isAbove = at.top - height - gap >= edge
    box.style.left = `${left}px`
    box.style.top = `${isAbove ? at.top - height - gap : at.bottom + gap}px`
    tip.style.left = `${Math.max(edge, Math.min(middle - left, width - edge)) - 4}px`
    tip.style[isAbove ? 'bottom' : 'top'] = '-4px'
  }, [anchor])

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return
      // A dialog below stays.
      event.stopPropagation()
      close()
    }
    const onPress = (event: PointerEvent) => {
      const target = event.target instanceof Node ? event.target : null
      if (anchor.current?.contains(target) !== true && bubble.current?.contains(target) !== true) close()
    }
    const onMove = () => close()
    window.addEventListener('keydown', onKey, true)
    window.addEventListener('pointerdown', onPress, true)
    window.addEventListener('scroll', onMove, true)
    window.addEventListener('resize', onMove)
    return () => {
      window.removeEventListener('keydown', onKey, true)
      window.removeEventListener('pointerdown', onPress, true)
      window.removeEventListener('scroll', onMove, true)
      window.removeEventListener('resize', onMove)
    }
  }, [anchor])

  return createPortal(
    <div
      ref={bubble}
      popover="manual"
      aria-hidden
      onPointerEnter={onHold}
      onPointerLeave={onClose}
      className="pointer-events-auto fixed inset-auto m-0 max-w-xs overflow-visible rounded-md border-0 bg-ink px-2.5 py-1.5 text-xs leading-snug text-canvas shadow-pop motion-safe:animate-fade"
    >
      <span ref={arrow} className="absolute size-2 rotate-45 bg-ink" />
      {children}
    </div>,
    document.body,
  )
}
