'use client'

import { Field } from '@/components/ui/field'
import { PasswordInput } from '@/components/ui/password-input'

const minPasswordLength = 10

/** Where somebody chooses a password: the same rule and the same advice wherever that is. */
export function NewPasswordField({
  label,
  name = 'password',
  error,
}: {
  label: string
  name?: string
  error: string | undefined
}) {
  return (
    <Field
      label={label}
      hint={`At least ${minPasswordLength} characters. A sentence is easier to remember than signs.`}
      required
      error={error}
    >
      {(control) => (
        <PasswordInput {...control} name={name} required minLength={minPasswordLength} autoComplete="new-password" />
      )}
    </Field>
  )
}
