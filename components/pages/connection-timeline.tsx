'use client'

import { ChevronRight, CircleAlert, CircleCheck, CircleDot, History } from 'lucide-react'
import { lazy, Suspense, useId, useState } from 'react'

import type { HistoryLine } from '@/components/pages/connection-types'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { EmptyState } from '@/components/ui/empty-state'
import { formatAbsolute } from '@/components/ui/relative-time'
import { Skeleton } from '@/components/ui/skeleton'
import { Time } from '@/components/ui/time'
import { usePainted } from '@/components/use-painted'

const RenewalBars = lazy(async () => import('@/components/ui/chart-renewals'))

const shownAtFirst = 6
const drawn = 60

const looks = {
  good: { Icon: CircleCheck, ink: 'text-success' },
  bad: { Icon: CircleAlert, ink: 'text-danger' },
  plain: { Icon: CircleDot, ink: 'text-muted' },
} as const

/** What happened to the access, newest first, and how long the provider took each time. */
export function ConnectionTimeline({
  history,
  providerName,
}: {
  history: readonly HistoryLine[]
  providerName: string
}) {
  const [isOpen, setOpen] = useState(false)
  const listId = useId()
  const lines = isOpen ? history : history.slice(0, shownAtFirst)
  return (
    <Card>
      <CardHeader
        title="Renewals and changes"
        description={`How the access was kept fresh at ${providerName}, and what changed.`}
      />
      {history.length === 0 ? (
        <EmptyState icon={History} title="Nothing has happened yet" level={3} className="py-10">
          The first renewal, and whatever goes wrong, will be written down here.
        </EmptyState>
      ) : (
        <CardBody className="space-y-4">
          <LatencyChart history={history} />
          <ol id={listId} className="divide-y divide-line text-sm">
            {lines.map((line) => {
              const { Icon, ink } = looks[line.tone]
              return (
                <li key={line.id} className="flex gap-3 py-2.5">
                  <Icon aria-hidden className={`mt-0.5 size-4 shrink-0 ${ink}`} />
                  <div className="min-w-0 flex-1">
                    <p className="font-medium">{line.words}</p>
                    {line.detail === undefined ? null : <p className="text-muted">{line.detail}</p>}
                  </div>
                  <div className="shrink-0 text-right text-muted">
                    <Time at={line.at} />
                    {line.latencyMs === undefined ? null : (
                      <p className="text-xs tabular-nums">{duration(line.latencyMs)}</p>
                    )}
                  </div>
                </li>
              )
            })}
          </ol>
          {history.length <= shownAtFirst ? null : (
            <Button size="sm" aria-expanded={isOpen} aria-controls={listId} onClick={() => setOpen(!isOpen)}>
              {isOpen ? 'Show fewer' : `Show all ${history.length}`}
            </Button>
          )}
        </CardBody>
      )}
    </Card>
  )
}

type Attempt = HistoryLine & { readonly latencyMs: number }

function LatencyChart({ history }: { history: readonly HistoryLine[] }) {
  const isPainted = usePainted()
  const attempts = history.filter((line): line is Attempt => line.latencyMs !== undefined)
  if (attempts.length === 0) return null
  const bars = attempts
    .slice(0, drawn)
    .reverse()
    .map((line, index, all) => ({
      id: line.id,
      label: shortLabel(line.at, all[index - 1]?.at),
      title: `${formatAbsolute(line.at) ?? ''}: ${line.words}`,
      latencyMs: line.latencyMs,
      isGood: line.tone === 'good',
    }))
  const placeholder = <Skeleton className="h-40" />
  const caption = 'How long each renewal took, oldest first'
  return (
    <figure>
      <div aria-hidden className="h-40">
        {isPainted ? (
          <Suspense fallback={placeholder}>
            <RenewalBars bars={bars} />
          </Suspense>
        ) : (
          placeholder
        )}
      </div>
      <figcaption className="mt-2 flex flex-wrap items-center gap-x-5 gap-y-1 text-xs text-muted">
        <Swatch className="bg-chart-permit">Renewed</Swatch>
        <Swatch className="bg-chart-deny">Failed</Swatch>
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
                <th scope="col" className="py-1 font-medium">
                  When
                </th>
                <th scope="col" className="py-1 font-medium">
                  What
                </th>
                <th scope="col" className="py-1 text-right font-medium">
                  Took
                </th>
              </tr>
            </thead>
            <tbody className="divide-y divide-line">
              {[...attempts].reverse().map((line) => (
                <tr key={line.id}>
                  <th scope="row" className="py-1 pr-3 font-normal">
                    {formatAbsolute(line.at)}
                  </th>
                  <td className="py-1 pr-3">{line.words}</td>
                  <td className="py-1 text-right whitespace-nowrap">{duration(line.latencyMs)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
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

/** The time of day; where the day changes, the day. */
function shortLabel(at: string, before: string | undefined): string {
  const text = formatAbsolute(at) ?? ''
  return before === undefined || before.slice(0, 10) === at.slice(0, 10) ? text.slice(11, 16) : text.slice(5, 10)
}

export function duration(ms: number): string {
  return ms < 1_000 ? `${ms} ms` : `${(ms / 1_000).toFixed(1)} s`
}
