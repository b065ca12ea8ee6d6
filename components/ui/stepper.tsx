import { Check } from 'lucide-react'
import type { ReactNode } from 'react'

import { cn } from '@/components/cn'

export type StepState = 'done' | 'current' | 'upcoming'

export interface Step {
  readonly key: string
  readonly title: string
  readonly description?: ReactNode
  readonly state: StepState
  readonly content?: ReactNode
}

const spoken: Record<StepState, string> = { done: 'Done: ', current: 'Next: ', upcoming: 'Later: ' }

/** Steps in order; the state is said in words as well as drawn. */
export function Stepper({ steps, label }: { steps: readonly Step[]; label: string }) {
  return (
    <ol aria-label={label}>
      {steps.map((step, index) => (
        <li
          key={step.key}
          aria-current={step.state === 'current' ? 'step' : undefined}
          className="relative flex gap-4 pb-7 last:pb-0"
        >
          {index === steps.length - 1 ? null : (
            <span
              aria-hidden
              className={cn(
                'absolute top-9 bottom-1 left-4 w-px -translate-x-1/2',
                step.state === 'done' ? 'bg-accent' : 'bg-line',
              )}
            />
          )}
          <span
            aria-hidden
            className={cn(
              'grid size-8 shrink-0 place-items-center rounded-full border text-sm font-semibold tabular-nums',
              step.state === 'done' && 'border-accent bg-accent text-on-accent',
              step.state === 'current' && 'border-accent bg-accent-soft text-accent-ink',
              step.state === 'upcoming' && 'border-line bg-surface text-muted',
            )}
          >
            {step.state === 'done' ? <Check className="size-4" strokeWidth={2.5} /> : index + 1}
          </span>
          <div className="min-w-0 flex-1 pt-1">
            <h3 className={cn('font-medium', step.state === 'upcoming' && 'text-muted')}>
              <span className="sr-only">{spoken[step.state]}</span>
              {step.title}
            </h3>
            {step.description === undefined ? null : (
              <div className="mt-0.5 text-sm text-muted">{step.description}</div>
            )}
            {step.content === undefined ? null : <div className="mt-3">{step.content}</div>}
          </div>
        </li>
      ))}
    </ol>
  )
}
