'use client'

import type { SyntheticEvent } from 'react'

import type { Action } from '@/components/action'
import { NewPasswordField } from '@/components/pages/new-password-field'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { textField, useAction } from '@/components/use-action'

export interface SignUpInput {
  readonly workspaceName: string
  readonly name: string
  readonly email: string
  readonly password: string
}

/** Makes a person and, unless the link already belongs to a workspace, the workspace. */
export function SignUpForm({
  onSubmit,
  fixedEmail,
  fixedWorkspaceName,
}: {
  onSubmit: Action<SignUpInput>
  /** The address the link was sent to. */
  fixedEmail?: string
  /** The workspace the link invites into. */
  fixedWorkspaceName?: string
}) {
  const action = useAction(onSubmit)
  const submit = (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    void action.run({
      workspaceName: fixedWorkspaceName ?? textField(form, 'workspaceName'),
      name: textField(form, 'name'),
      email: fixedEmail ?? textField(form, 'email'),
      password: textField(form, 'password'),
    })
  }
  const error = action.formError('workspaceName', 'name', 'email', 'password')
  return (
    <form method="post" onSubmit={submit} className="space-y-4">
      {error === undefined ? null : <Alert tone="danger" title={error.message} />}
      {fixedWorkspaceName === undefined ? (
        <Field
          label="Workspace"
          hint="Usually your team or company. You can rename it later."
          required
          error={action.fieldError('workspaceName')}
        >
          {(control) => <Input {...control} name="workspaceName" required maxLength={80} autoComplete="organization" />}
        </Field>
      ) : null}
      <Field label="Your name" required error={action.fieldError('name')}>
        {(control) => <Input {...control} name="name" required maxLength={80} autoComplete="name" />}
      </Field>
      <Field label="E-mail" required error={action.fieldError('email')}>
        {(control) => (
          <Input
            {...control}
            name="email"
            type="email"
            required
            autoComplete="username"
            defaultValue={fixedEmail}
            readOnly={fixedEmail !== undefined}
          />
        )}
      </Field>
      <NewPasswordField label="Password" error={action.fieldError('password')} />
      <Button type="submit" variant="primary" size="lg" block pending={action.pending}>
        {fixedWorkspaceName === undefined ? 'Create workspace' : 'Join workspace'}
      </Button>
    </form>
  )
}
