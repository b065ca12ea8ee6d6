import Link from 'next/link'
import type { ReactNode } from 'react'

import { cn } from '@/components/cn'

export interface TabLink {
  readonly href: string
  readonly label: ReactNode
  readonly isCurrent: boolean
}

/** Tabs whose state is the address: they can be linked, reloaded and opened beside each other. */
export function TabNav({ tabs, label }: { tabs: readonly TabLink[]; label: string }) {
  return (
    <nav aria-label={label} className="-mx-4 mb-6 overflow-x-auto border-b border-line px-4 md:mx-0 md:px-0">
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
