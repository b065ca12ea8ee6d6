'use client'

import { useState } from 'react'
import type { SyntheticEvent } from 'react'

import type { Action } from '@/components/action'
import { CheckMail } from '@/components/pages/login-form'
import { NewPasswordField } from '@/components/pages/new-password-field'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { textField, useAction } from '@/components/use-action'

export function ResetRequest({
  onSubmit,
  mailHint,
}: {
  onSubmit: Action<{ email: string }>
  mailHint?: string | undefined
}) {
  const action = useAction(onSubmit)
  const [sentTo, setSentTo] = useState<string>()
  if (sentTo !== undefined) return <CheckMail email={sentTo} mailHint={mailHint} onAgain={() => setSentTo(undefined)} />
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const email = textField(new FormData(event.currentTarget), 'email')
    if (await action.run({ email })) setSentTo(email)
  }
  const error = action.formError('email')
  return (
    <form method="post" onSubmit={(event) => void submit(event)} className="space-y-4">
      {error === undefined ? null : <Alert tone="danger" title={error.message} />}
      <Field label="E-mail" required error={action.fieldError('email')}>
        {(control) => <Input {...control} name="email" type="email" required autoComplete="username" />}
      </Field>
      <Button type="submit" variant="primary" size="lg" block pending={action.pending}>
        Send a reset link
      </Button>
    </form>
  )
}

/** A new password. It also ends every session of the person and of their agents, and says so before. */
export function ResetConfirm({ onSubmit }: { onSubmit: Action<{ password: string }> }) {
  const action = useAction(onSubmit)
  const error = action.formError('password')
  return (
    <form
      method="post"
      className="space-y-4"
      onSubmit={(event) => {
        event.preventDefault()
        void action.run({ password: textField(new FormData(event.currentTarget), 'password') })
      }}
    >
      {error === undefined ? null : <Alert tone="danger" title={error.message} />}
      <NewPasswordField label="New password" error={action.fieldError('password')} />
      <p className="text-sm text-muted">
        Saving it signs you out everywhere and ends the sessions of your agents. Connected accounts stay connected.
      </p>
      <Button type="submit" variant="primary" size="lg" block pending={action.pending}>
        Save password
      </Button>
    </form>
  )
}
