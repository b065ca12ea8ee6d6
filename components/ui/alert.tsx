import { CircleAlert, CircleCheck, Info, TriangleAlert } from 'lucide-react'
import type { ReactNode } from 'react'

import { cn } from '@/components/cn'

export type AlertTone = 'info' | 'success' | 'warning' | 'danger'

const tones = {
  info: { Icon: Info, box: 'border-info-line bg-info-soft', ink: 'text-info-ink' },
  success: { Icon: CircleCheck, box: 'border-success-line bg-success-soft', ink: 'text-success-ink' },
  warning: { Icon: TriangleAlert, box: 'border-warning-line bg-warning-soft', ink: 'text-warning-ink' },
  danger: { Icon: CircleAlert, box: 'border-danger-line bg-danger-soft', ink: 'text-danger-ink' },
} as const

/** A message in the page. Danger interrupts a screen reader; the others wait. */
export function Alert({
  tone = 'info',
  title,
  children,
  action,
  className,
}: {
  tone?: AlertTone
  title: ReactNode
  children?: ReactNode
  action?: ReactNode
  className?: string
}) {
  const { Icon, box, ink } = tones[tone]
  return (
    <div
      role={tone === 'danger' ? 'alert' : 'status'}
      className={cn('flex flex-wrap items-start gap-x-4 gap-y-3 rounded-lg border px-4 py-3 text-sm', box, className)}
    >
      <div className="flex min-w-0 flex-1 basis-64 items-start gap-3">
        <Icon aria-hidden className={cn('mt-0.5 size-4 shrink-0', ink)} />
        <div className="min-w-0 space-y-1">
          <p className={cn('font-medium', ink)}>{title}</p>
          {children === undefined ? null : <div className="text-ink">{children}</div>}
        </div>
      </div>
      {action === undefined ? null : <div className="flex flex-wrap gap-2">{action}</div>}
    </div>
  )
}
