'use client'

import { Plus } from 'lucide-react'
import { useId, useState } from 'react'
import type { ReactNode, SyntheticEvent } from 'react'

import type { ValueAction } from '@/components/action'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { Dialog, DialogClose, DialogContent, DialogTrigger } from '@/components/ui/dialog'
import { SecretOnce } from '@/components/ui/secret-once'
import { textField, useAction } from '@/components/use-action'

export interface AddForm {
  readonly errorOf: (field: string) => string | undefined
  readonly clear: () => void
}

/** Adds a place that is called with a signature: its form, then the secret that checks the signature, once. */
export function AddWithSecret<Input>({
  label,
  title,
  disabledReason,
  shownFields,
  children,
  read,
  onCreate,
}: {
  label: string
  title: string
  disabledReason: string | undefined
  /** Fields of the form that show what is wrong with them themselves. */
  shownFields: readonly string[]
  children: (form: AddForm) => ReactNode
  /** Makes of the form, field by field and trimmed, what is to be added. */
  read: (field: (name: string) => string) => Input
  /** Gives the signing secret; null where nothing is signed. */
  onCreate: ValueAction<Input, string | null>
}) {
  const action = useAction(onCreate)
  const formId = useId()
  const [isOpen, setOpen] = useState(false)
  const [secret, setSecret] = useState<string>()
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const made = await action.run(read((name) => textField(form, name).trim()))
    if (made === undefined) return
    if (made.value === null) setOpen(false)
    else setSecret(made.value)
  }
  const error = action.formError(...shownFields)
  const button = (
    <Button size="sm" disabledReason={disabledReason}>
      <Plus aria-hidden /> {label}
    </Button>
  )
  return (
    <Dialog
      open={isOpen}
      onOpenChange={(open) => {
        // The secret cannot be had again: only saying that it is stored closes.
        if (!open && secret !== undefined) return
        setOpen(open)
        action.clear()
      }}
    >
      {disabledReason === undefined ? <DialogTrigger asChild>{button}</DialogTrigger> : button}
      <DialogContent
        title={secret === undefined ? title : 'The signing secret'}
        isDismissable={secret === undefined}
        footer={
          secret === undefined ? (
            <>
              <DialogClose asChild>
                <Button>Cancel</Button>
              </DialogClose>
              <Button type="submit" form={formId} variant="primary" pending={action.pending}>
                {label}
              </Button>
            </>
          ) : undefined
        }
      >
        {secret === undefined ? (
          <form id={formId} onSubmit={(event) => void submit(event)} className="space-y-4">
            {error === undefined ? null : <Alert tone="danger" title={error.message} />}
            {children({ errorOf: action.fieldError, clear: action.clear })}
          </form>
        ) : (
          <SecretOnce
            secret={secret}
            what="Signing secret"
            onStored={() => {
              setSecret(undefined)
              setOpen(false)
            }}
          >
            <p>
              Give it to the receiver. It checks the header <code className="font-mono">webhook-signature</code> of
              every call with it, as the Standard Webhooks libraries do.
            </p>
          </SecretOnce>
        )}
      </DialogContent>
    </Dialog>
  )
}
