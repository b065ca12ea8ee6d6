'use client'

import { Fingerprint } from 'lucide-react'
import { useState } from 'react'
import type { SyntheticEvent } from 'react'

import type { Action } from '@/components/action'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { PasswordInput } from '@/components/ui/password-input'
import { textField, useAction } from '@/components/use-action'

/** In the order in which they are offered. `sign_in`: nothing can be asked for here, so the person signs in anew. */
export const proofMethods = ['passkey', 'code', 'password', 'recovery_code', 'sign_in'] as const
export type ProofMethod = (typeof proofMethods)[number]

export type Proof =
  | { readonly kind: 'passkey' }
  | { readonly kind: 'code'; readonly code: string }
  | { readonly kind: 'recovery_code'; readonly code: string }
  | { readonly kind: 'password'; readonly password: string }

export interface ProofFormProps {
  readonly methods: readonly ProofMethod[]
  readonly onProof: Action<Proof>
  /** Leaves for the sign-in page. */
  readonly onSignIn: () => void
  readonly submitLabel: string
}

const SWITCH: Readonly<Record<ProofMethod, string>> = {
  passkey: 'Use a passkey',
  code: 'Use a code from your app',
  password: 'Use your password',
  recovery_code: 'Use a recovery code',
  sign_in: 'Sign in again',
}

/** One proof of who somebody is, whichever they have at hand. The first that is possible is shown, the others are a press away. */
export function ProofForm({ methods, onProof, onSignIn, submitLabel }: ProofFormProps) {
  const offered = proofMethods.filter((method) => methods.includes(method))
  const [chosen, setChosen] = useState<ProofMethod>()
  const action = useAction(onProof)
  const method = chosen ?? offered[0] ?? 'sign_in'

  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const data = new FormData(event.currentTarget)
    if (method === 'sign_in') onSignIn()
    else if (method === 'passkey') await action.run({ kind: 'passkey' })
    else if (method === 'password') await action.run({ kind: 'password', password: textField(data, 'password') })
    else await action.run({ kind: method, code: textField(data, 'code') })
  }
  const error = action.formError('password', 'code')

  return (
    <form method="post" onSubmit={(event) => void submit(event)} className="space-y-4">
      {error === undefined ? null : <Alert tone="danger" title={error.message} />}
      {method === 'password' ? (
        <Field label="Your password" required error={action.fieldError('password')}>
          {(control) => (
            <PasswordInput
              {...control}
              key="password"
              name="password"
              required
              autoComplete="current-password"
              autoFocus
            />
          )}
        </Field>
      ) : null}
      {method === 'code' ? (
        <Field
          label="Code from your app"
          hint="Six digits. Each code works once."
          required
          error={action.fieldError('code')}
        >
          {(control) => (
            <Input
              {...control}
              key="code"
              name="code"
              required
              inputMode="numeric"
              autoComplete="one-time-code"
              maxLength={12}
              autoFocus
            />
          )}
        </Field>
      ) : null}
      {method === 'recovery_code' ? (
        <Field
          label="Recovery code"
          hint="One of those you stored. It works once."
          required
          error={action.fieldError('code')}
        >
          {(control) => (
            <Input
              {...control}
              key="recovery"
              name="code"
              required
              autoComplete="off"
              autoCapitalize="off"
              spellCheck={false}
              maxLength={40}
              autoFocus
            />
          )}
        </Field>
      ) : null}
      {method === 'passkey' ? (
        <p className="text-sm text-pretty text-muted">
          Your browser asks for your fingerprint, face, PIN or security key.
        </p>
      ) : null}
      {method === 'sign_in' ? (
        <p className="text-sm text-pretty text-muted">
          You signed in by a link, and there is nothing else to ask you for. Sign in again, then repeat what you did.
        </p>
      ) : null}
      <div className="space-y-2 pt-1">
        <Button type="submit" variant="primary" size="lg" block pending={action.pending}>
          {method === 'passkey' ? <Fingerprint aria-hidden /> : null}
          {method === 'sign_in' ? SWITCH.sign_in : method === 'passkey' ? SWITCH.passkey : submitLabel}
        </Button>
        {offered
          .filter((other) => other !== method)
          .map((other) => (
            <Button
              key={other}
              variant="ghost"
              size="lg"
              block
              onClick={() => {
                action.clear()
                setChosen(other)
              }}
            >
              {SWITCH[other]}
            </Button>
          ))}
      </div>
    </form>
  )
}
