import { ChevronDown } from 'lucide-react'
import type { ComponentProps } from 'react'

import { cn } from '@/components/cn'

export interface SelectOption {
  readonly value: string
  readonly label: string
  readonly disabled?: boolean
}

/**
 * The platform's own select: it opens the wheel on a phone, types ahead, works before hydration, and injects no style
 * element that a strict content security policy would refuse.
 */
export function Select({
  className,
  options,
  ...props
}: Omit<ComponentProps<'select'>, 'children'> & { options: readonly SelectOption[] }) {
  return (
    <span className={cn('relative block', className)}>
      <select className="control appearance-none pr-9" {...props}>
        {options.map((option) => (
          <option key={option.value} value={option.value} disabled={option.disabled}>
            {option.label}
          </option>
        ))}
      </select>
      <ChevronDown
        aria-hidden
        className="pointer-events-none absolute top-1/2 right-3 size-4 -translate-y-1/2 text-muted"
      />
    </span>
  )
}
