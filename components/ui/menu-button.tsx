'use client'

import type { LucideIcon } from 'lucide-react'
import { useId, useRef, useState } from 'react'
import type { ComponentType, KeyboardEvent, ReactNode } from 'react'

export type MenuEntry =
  | { readonly kind: 'label'; readonly text: string }
  | { readonly kind: 'separator' }
  | { readonly kind: 'link'; readonly text: string; readonly href: string; readonly icon: LucideIcon }
  | { readonly kind: 'action'; readonly text: string; readonly onSelect: () => void; readonly icon: LucideIcon }
  | {
      readonly kind: 'choice'
      readonly value: string
      readonly onChoose: (value: string) => void
      readonly choices: readonly { readonly value: string; readonly text: string }[]
    }

export interface MenuPanelProps {
  readonly isOpen: boolean
  readonly onOpenChange: (isOpen: boolean) => void
  readonly entries: readonly MenuEntry[]
  readonly side: 'top' | 'bottom'
  /** The button it belongs to: named after it, placed at it, and the focus returns there. */
  readonly button: { readonly current: HTMLButtonElement | null }
  readonly buttonId: string
}

/** A button that opens a menu. The menu itself is fetched when somebody is about to use it: it is not in every page's way. */
export function MenuButton({
  entries,
  side = 'bottom',
  className,
  label,
  children,
}: {
  entries: readonly MenuEntry[]
  side?: 'top' | 'bottom'
  className?: string
  /** Where the content alone does not say it. */
  label?: string
  children: ReactNode
}) {
  const id = useId()
  const button = useRef<HTMLButtonElement>(null)
  const [Panel, setPanel] = useState<ComponentType<MenuPanelProps>>()
  const [isOpen, setOpen] = useState(false)

  const fetchPanel = () => {
    if (Panel !== undefined) return
    import('@/components/ui/menu-panel').then(
      (module) => setPanel(() => module.default),
      // Tried again at the next press.
      () => setOpen(false),
    )
  }
  const openIt = () => {
    setOpen(true)
    fetchPanel()
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'ArrowDown') return
    event.preventDefault()
    openIt()
  }

  return (
    <div className="relative">
      <button
        ref={button}
        id={id}
        type="button"
        aria-label={label}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        onPointerEnter={fetchPanel}
        onFocus={fetchPanel}
        onClick={openIt}
        onKeyDown={onKeyDown}
        className={className}
      >
        {children}
      </button>
      {Panel === undefined ? null : (
        <Panel isOpen={isOpen} onOpenChange={setOpen} entries={entries} side={side} button={button} buttonId={id} />
      )}
    </div>
  )
}
