'use client'

import { Eye, EyeOff, KeyRound } from 'lucide-react'
import { useId, useState } from 'react'
import type { ReactNode } from 'react'

import { Button, IconButton } from '@/components/ui/button'
import { Checkbox } from '@/components/ui/checkbox'
import { CopyButton } from '@/components/ui/copy-button'

/**
 * Shows a secret that exists in readable form only now. It is masked until asked for, because screens are shared, and it
 * closes only after the person says that it is stored. The caller drops the value from its own state in `onStored`.
 */
export function SecretOnce({
  secret,
  what,
  children,
  onStored,
}: {
  secret: string
  /** “Session key”: used in the labels. */
  what: string
  /** Where to put it. */
  children?: ReactNode
  onStored: () => void
}) {
  const [isShown, setShown] = useState(false)
  const [isStored, setStored] = useState(false)
  const id = useId()
  return (
    <div className="space-y-4">
      <div className="rounded-lg border border-warning-line bg-warning-soft p-4">
        <p className="flex items-center gap-2 text-sm font-medium text-warning-ink">
          <KeyRound aria-hidden className="size-4 shrink-0" /> Copy it now. It is not shown again.
        </p>
        <div className="mt-3 flex items-center gap-1 rounded-md border border-line-strong bg-surface py-1 pr-1 pl-3">
          <code
            aria-label={isShown ? what : `${what}, hidden`}
            className="min-w-0 flex-1 overflow-hidden font-mono text-sm break-all"
          >
            {isShown ? secret : `${secret.slice(0, 4)}${'•'.repeat(20)}`}
          </code>
          <IconButton
            label={isShown ? `Hide ${what}` : `Show ${what}`}
            tooltip={false}
            onClick={() => setShown(!isShown)}
          >
            {isShown ? <EyeOff aria-hidden /> : <Eye aria-hidden />}
          </IconButton>
          <CopyButton text={secret} what={what} />
        </div>
      </div>
      {children === undefined ? null : <div className="text-sm text-muted">{children}</div>}
      <div className="flex flex-wrap items-center justify-between gap-3">
        <div className="flex min-h-10 items-center gap-3">
          <Checkbox id={id} checked={isStored} onCheckedChange={(checked) => setStored(checked === true)} />
          <label htmlFor={id} className="py-2.5 text-sm">
            I have stored it
          </label>
        </div>
        <Button
          variant="primary"
          disabledReason={isStored ? undefined : 'Tick “I have stored it” first: it cannot be shown again.'}
          onClick={onStored}
        >
          Done
        </Button>
      </div>
    </div>
  )
}
