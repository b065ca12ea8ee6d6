'use client'

import Link from 'next/link'
import { useEffect, useRef } from 'react'
import type { ReactNode } from 'react'

import { cn } from '@/components/cn'

export interface TabLink {
  readonly href: string
  readonly label: ReactNode
  readonly isCurrent: boolean
}

/** Tabs whose state is the address: they can be linked, reloaded and opened beside each other. */
export function TabNav({ tabs, label }: { tabs: readonly TabLink[]; label: string }) {
  const nav = useRef<HTMLElement>(null)
  const current = tabs.find(({ isCurrent }) => isCurrent)?.href
  useEffect(() => {
    // On a phone the row is wider than the window: where one is should not lie beyond its edge.
    const link = nav.current?.querySelector('[aria-current=page]')
    if (nav.current === null || link == null) return
    const beyond = link.getBoundingClientRect().right - nav.current.getBoundingClientRect().right
    if (beyond > 0) nav.current.scrollLeft += beyond + 16
  }, [current])
  return (
    <nav ref={nav} aria-label={label} className="-mx-4 mb-6 overflow-x-auto border-b border-line px-4 md:mx-0 md:px-0">
      <ul className="flex gap-1">
        {tabs.map((tab) => (
          <li key={tab.href}>
            <Link
              href={tab.href}
              scroll={false}
              aria-current={tab.isCurrent ? 'page' : undefined}
              className={cn(
                '-mb-px inline-flex min-h-11 items-center gap-2 border-b-2 px-3 text-sm font-medium whitespace-nowrap transition-colors focus-visible:-outline-offset-2',
                tab.isCurrent ? 'border-accent text-ink' : 'border-transparent text-muted hover:text-ink',
              )}
            >
              {tab.label}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  )
}
