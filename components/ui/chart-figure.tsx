'use client'

import { ChevronRight } from 'lucide-react'
import { Suspense, type ReactNode } from 'react'

import { Skeleton } from '@/components/ui/skeleton'
import { usePainted } from '@/components/use-painted'

export interface ChartColumn {
  readonly title: string
  readonly isNumber?: boolean
}

export interface ChartRow {
  readonly id: string
  /** One per column; the first names the row. */
  readonly cells: readonly (string | number | undefined)[]
}

/**
 * A drawing, its legend, and its numbers as a table, for screen readers and for who prefers reading.
 *
 * recharts is about as large as everything else together: give the drawing as `lazy`, and it is asked for only after the
 * page has been painted.
 */
export function ChartFigure({
  height,
  drawing,
  legend,
  caption,
  columns,
  rows,
}: {
  /** A class, such as `h-48`. */
  height: string
  drawing: ReactNode
  legend: readonly { readonly className: string; readonly label: string }[]
  caption: string
  columns: readonly ChartColumn[]
  rows: readonly ChartRow[]
}) {
  const isPainted = usePainted()
  const placeholder = <Skeleton className={height} />
  return (
    <figure>
      <div aria-hidden className={height}>
        {isPainted ? <Suspense fallback={placeholder}>{drawing}</Suspense> : placeholder}
      </div>
      <figcaption className="mt-3 flex flex-wrap items-center gap-x-5 gap-y-1 text-xs text-muted">
        {legend.map(({ className, label }) => (
          <span key={label} className="flex items-center gap-1.5">
            <span aria-hidden className={`size-2.5 rounded-sm ${className}`} />
            {label}
          </span>
        ))}
        <span className="sr-only">{caption}</span>
      </figcaption>
      <details className="group mt-1">
        <summary className="flex min-h-10 w-fit cursor-pointer items-center gap-1 rounded-sm text-xs text-muted hover:text-ink md:min-h-7">
          <ChevronRight aria-hidden className="size-3.5 transition-transform group-open:rotate-90" />
          Show the numbers
        </summary>
        <div className="max-h-72 overflow-y-auto" tabIndex={0} role="region" aria-label={caption}>
          <table className="mt-1 w-full text-left text-xs tabular-nums">
            <caption className="sr-only">{caption}</caption>
            <thead className="text-muted">
              <tr>
                {columns.map(({ title, isNumber }) => (
                  <th key={title} scope="col" className={`py-1 pr-3 font-medium ${aligned(isNumber)}`}>
                    {title}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody className="divide-y divide-line">
              {rows.map(({ id, cells: [name, ...others] }) => (
                <tr key={id}>
                  <th scope="row" className="py-1 pr-3 font-normal">
                    {name}
                  </th>
                  {others.map((cell, index) => (
                    <td
                      key={columns[index + 1]?.title}
                      className={`py-1 pr-3 ${aligned(columns[index + 1]?.isNumber)}`}
                    >
                      {cell}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  )
}

const aligned = (isNumber: boolean | undefined) => (isNumber === true ? 'text-right whitespace-nowrap' : '')
