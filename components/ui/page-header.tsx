import type { ReactNode } from 'react'

import { Breadcrumb } from '@/components/ui/breadcrumb'
import type { Crumb } from '@/components/ui/breadcrumb'

/** The one h1 of a page, with what it is about and what can be done. */
export function PageHeader({
  title,
  description,
  actions,
  crumbs,
  media,
  badge,
}: {
  title: string
  description?: ReactNode
  actions?: ReactNode
  crumbs?: readonly Crumb[]
  media?: ReactNode
  badge?: ReactNode
}) {
  return (
    <header className="mb-6 md:mb-8">
      {crumbs === undefined ? null : (
        <div className="mb-1 md:mb-2">
          <Breadcrumb crumbs={crumbs} />
        </div>
      )}
      <div className="flex flex-wrap items-start justify-between gap-x-6 gap-y-4">
        <div className="flex min-w-0 flex-1 basis-72 items-start gap-4">
          {media}
          <div className="min-w-0">
            <div className="flex flex-wrap items-center gap-x-3 gap-y-1.5">
              <h1 className="min-w-0 text-2xl font-semibold tracking-tight text-balance wrap-anywhere">{title}</h1>
              {badge}
            </div>
            {description === undefined ? null : (
              <div className="mt-1 max-w-2xl text-pretty text-muted">{description}</div>
            )}
          </div>
        </div>
        {actions === undefined ? null : <div className="flex flex-wrap gap-2">{actions}</div>}
      </div>
    </header>
  )
}
