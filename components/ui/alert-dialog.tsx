'use client'

import { AlertDialog as Radix } from 'radix-ui'
import { useId, useState } from 'react'
import type { ReactNode } from 'react'

import type { ActionResult } from '@/components/action'
import { cn } from '@/components/cn'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { DialogFooter, dialogPanelClass, overlayClass } from '@/components/ui/dialog'
import { Input } from '@/components/ui/input'
import { Label } from '@/components/ui/label'
import { useAction } from '@/components/use-action'

/**
 * Asks before something that cannot be taken back. The title names the object; with `typed` the person types that name,
 * which a stray click or a held Enter key cannot do. A refusal is shown inside and the dialog stays open.
 */
export function ConfirmDialog({
  open,
  onOpenChange,
  trigger,
  title,
  children,
  confirmLabel,
  cancelLabel = 'Cancel',
  tone = 'danger',
  typed,
  onConfirm,
}: {
  open?: boolean
  onOpenChange?: (open: boolean) => void
  trigger?: ReactNode
  title: ReactNode
  /** What will happen, in plain words. */
  children: ReactNode
  confirmLabel: string
  cancelLabel?: string
  tone?: 'danger' | 'primary'
  /** Text the person has to type, usually the object's name. */
  typed?: string
  onConfirm: () => Promise<ActionResult>
}) {
  const [isOwnOpen, setOwnOpen] = useState(false)
  const [entry, setEntry] = useState('')
  const action = useAction<undefined, { readonly ok: true }>(onConfirm)
  const inputId = useId()

  const isOpen = open ?? isOwnOpen
  const setOpen = (next: boolean) => {
    if (action.pending) return
    setEntry('')
    action.clear()
    setOwnOpen(next)
    onOpenChange?.(next)
  }
  const isMatching = typed === undefined || entry.trim() === typed
  const confirm = async () => {
    if (!isMatching) return
    if (await action.run(undefined)) {
      setEntry('')
      setOwnOpen(false)
      onOpenChange?.(false)
    }
  }

  return (
    <Radix.Root open={isOpen} onOpenChange={setOpen}>
      {trigger === undefined ? null : <Radix.Trigger asChild>{trigger}</Radix.Trigger>}
      <Radix.Portal>
        <Radix.Overlay className={overlayClass} />
        <Radix.Content className={cn(dialogPanelClass, 'md:max-w-md')}>
          <form
            className="flex min-h-0 flex-col"
            onSubmit={(event) => {
              event.preventDefault()
              void confirm()
            }}
          >
            <div className="min-h-0 flex-1 space-y-4 overflow-y-auto p-5">
              <div>
                <Radix.Title className="text-lg font-semibold text-balance">{title}</Radix.Title>
                <Radix.Description asChild>
                  <div className="mt-1.5 space-y-2 text-sm text-muted">{children}</div>
                </Radix.Description>
              </div>
              {typed === undefined ? null : (
                <div className="space-y-1.5">
                  <Label htmlFor={inputId}>
                    Type <span className="font-mono text-[0.9em] font-semibold select-all">{typed}</span> to confirm
                  </Label>
                  <Input
                    id={inputId}
                    value={entry}
                    onChange={(event) => setEntry(event.target.value)}
                    autoComplete="off"
                    autoCapitalize="off"
                    spellCheck={false}
                  />
                </div>
              )}
              {action.error === undefined ? null : <Alert tone="danger" title={action.error.message} />}
            </div>
            <DialogFooter>
              <Radix.Cancel asChild>
                <Button>{cancelLabel}</Button>
              </Radix.Cancel>
              <Button
                type="submit"
                variant={tone}
                pending={action.pending}
                disabledReason={isMatching ? undefined : `Type “${typed}” above first.`}
              >
                {confirmLabel}
              </Button>
            </DialogFooter>
          </form>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}
