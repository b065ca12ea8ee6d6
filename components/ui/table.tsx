import type { ReactNode } from 'react'

import { cn } from '@/components/cn'

export interface Column<Row> {
  readonly key: string
  readonly header: string
  /** Null where there is nothing to say: a card then leaves the line out. */
  readonly cell: (row: Row) => ReactNode
  /** The cell that names the row: a row header, and the card's title on a phone. Exactly one column. */
  readonly isRowHeader?: boolean
  readonly align?: 'start' | 'end'
  /** Hides the header's text where the content speaks for itself (actions); screen readers still hear it. */
  readonly isHeaderHidden?: boolean
  readonly className?: string
}

/**
 * A table that becomes stacked cards below 768 px. The roles are written out because browsers drop table semantics as
 * soon as a stylesheet changes `display`.
 */
export function DataTable<Row>({
  caption,
  columns,
  rows,
  rowKey,
  isBusy = false,
  className,
}: {
  /** Read to screen readers only. */
  caption: string
  columns: readonly Column<Row>[]
  rows: readonly Row[]
  rowKey: (row: Row) => string
  isBusy?: boolean
  className?: string
}) {
  return (
    <div className={cn('overflow-x-auto', className)}>
      <table role="table" aria-busy={isBusy || undefined} className="block w-full text-sm md:table">
        <caption className="sr-only">{caption}</caption>
        <thead role="rowgroup" className="sr-only md:not-sr-only md:table-header-group">
          <tr role="row" className="border-b border-line bg-sunken">
            {columns.map((column) => (
              <th
                key={column.key}
                role="columnheader"
                scope="col"
                className={cn(
                  'h-9 px-4 text-left text-xs font-medium whitespace-nowrap text-muted first:md:pl-5 last:md:pr-5',
                  column.align === 'end' && 'text-right',
                )}
              >
                {column.isHeaderHidden === true ? <span className="sr-only">{column.header}</span> : column.header}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup" className={cn('block divide-y divide-line md:table-row-group', isBusy && 'opacity-60')}>
          {rows.map((row) => (
            <tr key={rowKey(row)} role="row" className="block px-4 py-3 md:table-row md:p-0 md:hover:bg-hover/50">
              {columns.map((column) => {
                const isHeader = column.isRowHeader === true
                const Cell = isHeader ? 'th' : 'td'
                const content = column.cell(row)
                return (
                  <Cell
                    key={column.key}
                    role={isHeader ? 'rowheader' : 'cell'}
                    {...(isHeader ? { scope: 'row' } : {})}
                    className={cn(
                      'flex min-w-0 items-center justify-between gap-4 py-1 text-left font-normal md:table-cell md:px-4 md:py-3 md:align-middle first:md:pl-5 last:md:pr-5',
                      isHeader && 'pb-2 md:pb-3',
                      // A card need not say what is not there; a column must keep its place.
                      content === null && 'hidden',
                      column.align === 'end' && 'md:text-right',
                      column.className,
                    )}
                  >
                    {isHeader || column.isHeaderHidden === true ? null : (
                      <span aria-hidden className="shrink-0 text-muted md:hidden">
                        {column.header}
                      </span>
                    )}
                    <div
                      className={cn(
                        'min-w-0',
                        isHeader && 'flex-1',
                        !isHeader && 'text-right md:text-left',
                        column.align === 'end' && 'md:text-right',
                      )}
                    >
                      {content}
                    </div>
                  </Cell>
                )
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
