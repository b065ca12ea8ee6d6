'use client'

import { cva } from 'class-variance-authority'
import type { VariantProps } from 'class-variance-authority'
import { Slot } from 'radix-ui'
import { useId, useState } from 'react'
import type { ComponentProps, MouseEvent, ReactNode } from 'react'

import { cn } from '@/components/cn'
import { Spinner } from '@/components/ui/spinner'
import { Tooltip } from '@/components/ui/tooltip'

export const buttonClass = cva(
  [
    'relative inline-flex shrink-0 items-center justify-center gap-2 rounded-md border font-medium whitespace-nowrap select-none',
    'transition-colors aria-disabled:cursor-not-allowed aria-disabled:opacity-55 aria-busy:opacity-85',
    '[&_svg]:pointer-events-none [&_svg:not([class*=size-])]:size-4',
  ],
  {
    variants: {
      variant: {
        primary: 'border-transparent bg-accent text-on-accent hover:bg-accent-hover',
        secondary: 'border-line-strong/60 bg-surface text-ink shadow-card hover:bg-hover',
        ghost: 'border-transparent bg-transparent text-ink hover:bg-hover',
        danger: 'border-transparent bg-danger text-on-danger hover:bg-danger-hover',
        'danger-quiet': 'border-danger-line bg-surface text-danger-ink hover:bg-danger-soft',
      },
      /* 40 px on touch widths, denser where there is a pointer. */
      size: {
        sm: 'h-10 px-3 text-sm md:h-8',
        md: 'h-10 px-4 text-[0.9375rem] md:h-9 md:text-sm',
        lg: 'h-11 px-5 text-[0.9375rem]',
        icon: 'size-10 p-0 md:size-9',
      },
      block: { true: 'w-full', false: '' },
    },
    defaultVariants: { variant: 'secondary', size: 'md', block: false },
  },
)

export interface ButtonProps extends ComponentProps<'button'>, VariantProps<typeof buttonClass> {
  asChild?: boolean
  /** Shows progress, keeps the width, and ignores presses. */
  pending?: boolean
  /** Read out while pending; the visible label stays. */
  pendingLabel?: string
  /** Makes the button unavailable and says why, to the pointer, the keyboard, touch and screen readers alike. */
  disabledReason?: string | undefined
}

/**
 * A button. It stays focusable when it is unavailable (`aria-disabled`), because a control that vanishes from the tab order
 * cannot say why it does nothing.
 */
export function Button({
  className,
  variant,
  size,
  block,
  asChild = false,
  pending = false,
  pendingLabel = 'Working…',
  disabledReason,
  children,
  onClick,
  type = 'button',
  ...props
}: ButtonProps) {
  const reasonId = useId()
  const [isReasonOpen, setReasonOpen] = useState(false)
  const classes = cn(buttonClass({ variant, size, block }), className)

  if (asChild) {
    return (
      <Slot.Root className={classes} {...props}>
        {children}
      </Slot.Root>
    )
  }

  const inert = pending || disabledReason !== undefined
  const press = (event: MouseEvent<HTMLButtonElement>) => {
    if (!inert) {
      onClick?.(event)
      return
    }
    event.preventDefault()
    event.stopPropagation()
    // Touch has no hover: the press itself asks why.
    if (disabledReason !== undefined) setReasonOpen(true)
  }

  const button = (
    <button
      type={type}
      className={classes}
      aria-disabled={inert || undefined}
      aria-busy={pending || undefined}
      aria-describedby={disabledReason === undefined ? undefined : reasonId}
      onClick={press}
      {...props}
    >
      {pending ? (
        <span className="absolute inset-0 grid place-items-center">
          <Spinner />
        </span>
      ) : null}
      <span className={cn('inline-flex items-center gap-2', pending && 'opacity-0')}>{children}</span>
      {pending ? (
        <span role="status" className="sr-only">
          {pendingLabel}
        </span>
      ) : null}
    </button>
  )

  if (disabledReason === undefined) return button
  return (
    <>
      <Tooltip content={disabledReason} open={isReasonOpen} onOpenChange={setReasonOpen}>
        {button}
      </Tooltip>
      <span id={reasonId} hidden>
        {disabledReason}
      </span>
    </>
  )
}

/** A square button whose only content is an icon: the name is required. */
export function IconButton({
  label,
  children,
  tooltip = true,
  ...props
}: Omit<ButtonProps, 'size' | 'asChild'> & { label: string; children: ReactNode; tooltip?: boolean }) {
  const button = (
    <Button variant="ghost" {...props} size="icon" aria-label={label}>
      {children}
    </Button>
  )
  return tooltip && props.disabledReason === undefined ? <Tooltip content={label}>{button}</Tooltip> : button
}
