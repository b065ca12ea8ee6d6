'use client'

import { Ellipsis } from 'lucide-react'
import Link from 'next/link'
import { usePathname } from 'next/navigation'
import { useState } from 'react'
import type { ReactNode } from 'react'

import { cn } from '@/components/cn'
import { isCurrent, navItems } from '@/components/shell/nav'
import { Dialog, DialogContent, DialogTrigger } from '@/components/ui/dialog'

const slot =
  'flex h-14 w-full flex-col items-center justify-center gap-0.5 text-[0.6875rem] font-medium focus-visible:-outline-offset-2'

/** Navigation below 1024 px: four destinations within the thumb's reach, the rest in a sheet. */
export function BottomNav({ sheet }: { sheet: ReactNode }) {
  const pathname = usePathname()
  const [isOpen, setOpen] = useState(false)
  const isMoreCurrent = navItems.some((item) => !item.isPrimary && isCurrent(item.href, pathname))
  return (
    <nav
      aria-label="Main"
      className="fixed inset-x-0 bottom-0 z-30 border-t border-line bg-surface pb-[env(safe-area-inset-bottom)] lg:hidden"
    >
      <ul className="mx-auto grid max-w-lg grid-cols-5">
        {navItems
          .filter((item) => item.isPrimary)
          .map(({ href, label, icon: Icon }) => {
            const current = isCurrent(href, pathname)
            return (
              <li key={href}>
                <Link
                  href={href}
                  aria-current={current ? 'page' : undefined}
                  className={cn(slot, current ? 'text-accent-ink' : 'text-muted')}
                >
                  <Icon aria-hidden className="size-5" />
                  {label}
                </Link>
              </li>
            )
          })}
        <li>
          <Dialog open={isOpen} onOpenChange={setOpen}>
            <DialogTrigger className={cn(slot, isMoreCurrent ? 'text-accent-ink' : 'text-muted')}>
              <Ellipsis aria-hidden className="size-5" />
              More
            </DialogTrigger>
            <DialogContent title="More">
              <ul className="mb-4 space-y-1">
                {navItems
                  .filter((item) => !item.isPrimary)
                  .map(({ href, label, icon: Icon }) => (
                    <li key={href}>
                      <Link
                        href={href}
                        aria-current={isCurrent(href, pathname) ? 'page' : undefined}
                        onClick={() => setOpen(false)}
                        className={cn(
                          'flex min-h-11 items-center gap-3 rounded-md px-3 font-medium',
                          isCurrent(href, pathname) ? 'bg-accent-soft text-accent-ink' : 'hover:bg-hover',
                        )}
                      >
                        <Icon aria-hidden className="size-5 text-muted" />
                        {label}
                      </Link>
                    </li>
                  ))}
              </ul>
              {sheet}
            </DialogContent>
          </Dialog>
        </li>
      </ul>
    </nav>
  )
}
