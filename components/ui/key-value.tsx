import type { ReactNode } from 'react'

export interface KeyValue {
  readonly key: string
  readonly value: ReactNode
}

/** Facts about one thing. */
export function KeyValueList({ items }: { items: readonly KeyValue[] }) {
  return (
    <dl className="@container divide-y divide-line text-sm">
      {items.map((item) => (
        <div key={item.key} className="grid gap-x-6 gap-y-0.5 py-2.5 @sm:grid-cols-[11rem_1fr]">
          <dt className="text-muted">{item.key}</dt>
          <dd className="min-w-0 wrap-anywhere">{item.value}</dd>
        </div>
      ))}
    </dl>
  )
}
