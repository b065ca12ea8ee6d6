import { ChevronLeft, ChevronRight } from 'lucide-react'
import Link from 'next/link'
import type { ReactNode } from 'react'

import { Button } from '@/components/ui/button'

/**
 * Newer and older by cursor. There is no page count: the list grows while it is read, and a cursor never skips a row.
 *
 * @param newerHref  undefined on the first page
 * @param olderHref  undefined on the last page
 */
export function CursorPagination({
  newerHref,
  olderHref,
  summary,
  label = 'Pages',
}: {
  newerHref?: string | undefined
  olderHref?: string | undefined
  summary?: ReactNode
  label?: string
}) {
  return (
    <nav aria-label={label} className="flex flex-wrap items-center justify-between gap-3 px-4 py-3 text-sm md:px-5">
      <p className="text-muted">{summary}</p>
      <div className="flex gap-2">
        <Step href={newerHref} emptyReason="These are the newest entries.">
          <ChevronLeft aria-hidden /> Newer
        </Step>
        <Step href={olderHref} emptyReason="There are no older entries.">
          Older <ChevronRight aria-hidden />
        </Step>
      </div>
    </nav>
  )
}

function Step({ href, emptyReason, children }: { href: string | undefined; emptyReason: string; children: ReactNode }) {
  if (href === undefined) {
    return (
      <Button size="sm" disabledReason={emptyReason}>
        {children}
      </Button>
    )
  }
  return (
    <Button size="sm" asChild>
      <Link href={href}>{children}</Link>
    </Button>
  )
}
