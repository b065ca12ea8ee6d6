'use client'

import { CircleAlert, CircleCheck, CircleDot, History } from 'lucide-react'
import { lazy, useId, useState } from 'react'

import type { HistoryLine } from '@/components/pages/connection-types'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { ChartFigure } from '@/components/ui/chart-figure'
import { EmptyState } from '@/components/ui/empty-state'
import { formatAbsolute } from '@/components/ui/relative-time'
import { Time } from '@/components/ui/time'

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
  const attempts = history.filter((line): line is Attempt => line.latencyMs !== undefined).reverse()
  if (attempts.length === 0) return null
  const bars = attempts.slice(-drawn).map((line, index, all) => ({
    id: line.id,
    label: shortLabel(line.at, all[index - 1]?.at),
    title: `${formatAbsolute(line.at) ?? ''}: ${line.words}`,
    latencyMs: line.latencyMs,
    isGood: line.tone === 'good',
  }))
  return (
    <ChartFigure
      height="h-40"
      drawing={<RenewalBars bars={bars} />}
      legend={[
        { className: 'bg-chart-permit', label: 'Renewed' },
        { className: 'bg-chart-deny', label: 'Failed' },
      ]}
      caption="How long each renewal took, oldest first"
      columns={[{ title: 'When' }, { title: 'What' }, { title: 'Took', isNumber: true }]}
      rows={attempts.map(({ id, at, words, latencyMs }) => ({
        id,
        cells: [formatAbsolute(at), words, duration(latencyMs)],
      }))}
    />
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
