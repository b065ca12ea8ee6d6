'use client'

import Link from 'next/link'
import { usePathname } from 'next/navigation'
import type { ReactNode } from 'react'

import { cn } from '@/components/cn'
import { Brand } from '@/components/shell/brand'
import { isCurrent, navItems } from '@/components/shell/nav'

/** Navigation from 1024 px up. */
export function Sidebar({ switcher, bell, footer }: { switcher: ReactNode; bell: ReactNode; footer: ReactNode }) {
  const pathname = usePathname()
  return (
    <aside className="hidden w-60 shrink-0 border-r border-line bg-surface lg:block">
      <div className="sticky top-0 flex h-dvh flex-col">
        <div className="flex items-center justify-between gap-2 py-3 pr-3 pl-4">
          <Link href="/" className="inline-flex rounded-md" aria-label="Portcullis, home">
            <Brand />
          </Link>
          {bell}
        </div>
        <div className="px-3 pb-3">{switcher}</div>
        <nav aria-label="Main" className="min-h-0 flex-1 overflow-y-auto px-3">
          <ul className="space-y-0.5">
            {navItems.map(({ href, label, icon: Icon }) => {
              const current = isCurrent(href, pathname)
              return (
                <li key={href}>
                  <Link
                    href={href}
                    aria-current={current ? 'page' : undefined}
                    className={cn(
                      'flex h-9 items-center gap-3 rounded-md px-2.5 text-sm font-medium transition-colors',
                      current ? 'bg-accent-soft text-accent-ink' : 'text-muted hover:bg-hover hover:text-ink',
                    )}
                  >
                    <Icon aria-hidden className="size-4" />
                    {label}
                  </Link>
                </li>
              )
            })}
          </ul>
        </nav>
        <div className="border-t border-line p-3">{footer}</div>
      </div>
    </aside>
  )
}
