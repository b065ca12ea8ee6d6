import { ChevronRight } from 'lucide-react'
import Link from 'next/link'

export interface Crumb {
  readonly label: string
  /** Undefined for the page itself. */
  readonly href?: string
}

export function Breadcrumb({ crumbs }: { crumbs: readonly Crumb[] }) {
  return (
    <nav aria-label="Breadcrumb">
      <ol className="flex flex-wrap items-center gap-x-1 text-sm text-muted">
        {crumbs.map((crumb, index) => (
          <li key={crumb.label} className="flex min-w-0 items-center gap-1">
            {index === 0 ? null : <ChevronRight aria-hidden className="size-3.5 shrink-0" />}
            {crumb.href === undefined ? (
              <span aria-current="page" className="truncate">
                {crumb.label}
              </span>
            ) : (
              <Link
                href={crumb.href}
                className="inline-flex min-h-10 items-center rounded-sm hover:text-ink hover:underline md:min-h-7"
              >
                {crumb.label}
              </Link>
            )}
          </li>
        ))}
      </ol>
    </nav>
  )
}
