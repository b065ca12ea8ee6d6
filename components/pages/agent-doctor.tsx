'use client'

import { CircleAlert, CircleCheck, CircleDot, Plug, Stethoscope } from 'lucide-react'
import Link from 'next/link'

import { Alert, type AlertTone } from '@/components/ui/alert'
import { Badge } from '@/components/ui/badge'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { EmptyState } from '@/components/ui/empty-state'
import { Time } from '@/components/ui/time'

interface Words {
  readonly title: string
  readonly meaning: string
  readonly advice: string
}

export interface DoctorDiagnosis extends Words {
  readonly state: 'nobody' | 'connected' | 'waiting' | 'failed'
}

export interface DoctorStep {
  readonly id: string
  readonly at: string
  readonly repeats: number
  readonly title: string
  readonly status: number
  readonly isRefused: boolean
  /** Part of the way: nothing that has to be mended. */
  readonly isHarmless: boolean
  readonly words: Words | undefined
  readonly client: string | undefined
  readonly network: string
  readonly facts: readonly { readonly label: string; readonly value: string }[]
}

const tones: Readonly<Record<DoctorDiagnosis['state'], AlertTone>> = {
  nobody: 'info',
  connected: 'success',
  waiting: 'warning',
  failed: 'danger',
}

/** How far the clients of an agent got, and why no further. Steps come newest first. */
export function AgentDoctor({
  agentId,
  diagnosis,
  steps,
}: {
  agentId: string
  diagnosis: DoctorDiagnosis
  steps: readonly DoctorStep[]
}) {
  if (steps.length === 0) {
    return (
      <Card>
        <EmptyState
          icon={Stethoscope}
          title={diagnosis.title}
          action={
            <Button asChild>
              <Link href={`/agents/${agentId}?tab=connect`}>
                <Plug aria-hidden /> Connect a client
              </Link>
            </Button>
          }
        >
          <p>{diagnosis.meaning}</p>
          <p className="mt-2">{diagnosis.advice}</p>
        </EmptyState>
      </Card>
    )
  }
  return (
    <div className="space-y-6">
      <Alert tone={tones[diagnosis.state]} title={diagnosis.title}>
        <p>{diagnosis.meaning}</p>
        {diagnosis.state === 'connected' ? null : <p className="mt-1 font-medium">{diagnosis.advice}</p>}
      </Alert>
      <Card>
        <CardHeader
          title="Step by step"
          description="What clients fetched, sent and were told, newest first. Keys, tokens and codes are never kept. Older than two weeks, or than the newest 200, is forgotten."
        />
        <CardBody>
          <ol className="divide-y divide-line text-sm">
            {steps.map((step) => (
              <StepRow key={step.id} step={step} />
            ))}
          </ol>
        </CardBody>
      </Card>
    </div>
  )
}

function StepRow({ step }: { step: DoctorStep }) {
  const look = !step.isRefused ? looks.good : step.isHarmless ? looks.plain : looks.bad
  return (
    <li className="flex gap-3 py-3 first:pt-0 last:pb-0">
      <look.Icon aria-label={look.label} className={`mt-0.5 size-4 shrink-0 ${look.ink}`} />
      <div className="min-w-0 flex-1 space-y-1">
        <div className="flex flex-wrap items-baseline gap-x-2 gap-y-1">
          <p className="font-medium">{step.title}</p>
          <Badge tone={step.isRefused && !step.isHarmless ? 'danger' : 'neutral'} className="font-mono">
            {step.status}
          </Badge>
          {step.repeats === 0 ? null : <span className="text-muted">{step.repeats + 1} times</span>}
        </div>
        <p className="wrap-anywhere text-muted">
          <Time at={step.at} /> · {step.client ?? 'A client that does not say its name'} · from {step.network}
        </p>
        {step.words === undefined ? null : (
          <div className={step.isHarmless ? 'text-muted' : 'rounded-lg bg-danger-soft px-3 py-2'}>
            <p className={step.isHarmless ? '' : 'font-medium text-danger-ink'}>
              {step.words.title}
              {step.isHarmless ? `. ${step.words.meaning}` : ''}
            </p>
            {step.isHarmless ? null : (
              <>
                <p>{step.words.meaning}</p>
                <p className="mt-1">{step.words.advice}</p>
              </>
            )}
          </div>
        )}
        {step.facts.length === 0 ? null : (
          <dl className="flex flex-wrap gap-x-4 gap-y-0.5 text-xs text-muted">
            {step.facts.map(({ label, value }) => (
              <div key={label} className="flex min-w-0 gap-1">
                <dt className="shrink-0">{label}:</dt>
                <dd className="min-w-0 font-mono wrap-anywhere">{value}</dd>
              </div>
            ))}
          </dl>
        )}
      </div>
    </li>
  )
}

const looks = {
  good: { Icon: CircleCheck, ink: 'text-success', label: 'Went well' },
  bad: { Icon: CircleAlert, ink: 'text-danger', label: 'Refused' },
  plain: { Icon: CircleDot, ink: 'text-muted', label: 'Part of the way' },
} as const
