'use client'

import { lazy, Suspense } from 'react'

import { Skeleton } from '@/components/ui/skeleton'
import { usePainted } from '@/components/use-painted'

export interface CallsBucket {
  /** Written under the bar, for example `14 Mar`. */
  readonly label: string
  readonly permit: number
  readonly deny: number
  readonly approval: number
}

// recharts is about as large as everything else together: it is asked for only after the page has been painted.
const CallsBars = lazy(async () => import('@/components/ui/chart-calls'))

/** Calls over time by decision. The numbers are also a table, for screen readers and for who prefers reading. */
export function CallsChart({ buckets, caption }: { buckets: readonly CallsBucket[]; caption: string }) {
  const isPainted = usePainted()
  const placeholder = <Skeleton className="h-48" />
  return (
    <figure>
      <div aria-hidden className="h-48">
        {isPainted ? (
          <Suspense fallback={placeholder}>
            <CallsBars buckets={buckets} />
          </Suspense>
        ) : (
          placeholder
        )}
      </div>
      <figcaption className="mt-3 flex flex-wrap items-center gap-x-5 gap-y-1 text-xs text-muted">
        <Swatch className="bg-chart-permit">Permitted</Swatch>
        <Swatch className="bg-chart-deny">Denied</Swatch>
        <Swatch className="bg-chart-approval">Needs approval</Swatch>
        <span className="sr-only">{caption}</span>
      </figcaption>
      <details className="mt-1 text-sm">
        <summary className="flex min-h-10 w-fit items-center rounded-sm text-xs text-muted hover:text-ink md:min-h-7">
          Show the numbers
        </summary>
        <table className="mt-1 w-full text-left text-xs tabular-nums">
          <caption className="sr-only">{caption}</caption>
          <thead className="text-muted">
            <tr>
              <th scope="col" className="py-1 font-medium">
                When
              </th>
              <th scope="col" className="py-1 text-right font-medium">
                Permitted
              </th>
              <th scope="col" className="py-1 text-right font-medium">
                Denied
              </th>
              <th scope="col" className="py-1 text-right font-medium">
                Needs approval
              </th>
            </tr>
          </thead>
          <tbody className="divide-y divide-line">
            {buckets.map((bucket) => (
              <tr key={bucket.label}>
                <th scope="row" className="py-1 font-normal">
                  {bucket.label}
                </th>
                <td className="py-1 text-right">{bucket.permit}</td>
                <td className="py-1 text-right">{bucket.deny}</td>
                <td className="py-1 text-right">{bucket.approval}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  )
}

function Swatch({ className, children }: { className: string; children: string }) {
  return (
    <span className="flex items-center gap-1.5">
      <span aria-hidden className={`size-2.5 rounded-sm ${className}`} />
      {children}
    </span>
  )
}
