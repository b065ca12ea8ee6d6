import type { LucideIcon } from 'lucide-react'
import type { ReactNode } from 'react'

import { cn } from '@/components/cn'

export type BadgeTone = 'neutral' | 'accent' | 'success' | 'warning' | 'danger' | 'info'

const tones = {
  neutral: 'border-line bg-sunken text-muted',
  accent: 'border-accent-line bg-accent-soft text-accent-ink',
  success: 'border-success-line bg-success-soft text-success-ink',
  warning: 'border-warning-line bg-warning-soft text-warning-ink',
  danger: 'border-danger-line bg-danger-soft text-danger-ink',
  info: 'border-info-line bg-info-soft text-info-ink',
} as const

/** A short state in words. The icon repeats it in shape, so that colour is never the only signal. */
export function Badge({
  tone = 'neutral',
  icon: Icon,
  spin = false,
  className,
  children,
}: {
  tone?: BadgeTone
  icon?: LucideIcon
  spin?: boolean
  className?: string
  children: ReactNode
}) {
  return (
    <span
      className={cn(
        'inline-flex h-6 shrink-0 items-center gap-1 rounded-full border px-2 text-xs font-medium whitespace-nowrap',
        tones[tone],
        className,
      )}
    >
      {Icon === undefined ? null : <Icon aria-hidden className={cn('size-3.5', spin && 'motion-safe:animate-spin')} />}
      {children}
    </span>
  )
}
