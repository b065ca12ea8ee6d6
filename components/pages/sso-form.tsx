'use client'

import { KeyRound } from 'lucide-react'
import Link from 'next/link'
import { useState } from 'react'
import type { SyntheticEvent } from 'react'

import type { Action } from '@/components/action'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { useAction } from '@/components/use-action'

/**
 * Single sign-on: by the domain of an address, or by a link of the workspace. The answer depends on the domain alone, never
 * on whether the address has an account.
 */
export function SsoForm({
  workspace,
  problem,
  onStart,
}: {
  /** Named by the link that led here. */
  workspace: string | undefined
  problem: string | undefined
  onStart: Action<{ email: string } | { workspace: string }>
}) {
  const [email, setEmail] = useState('')
  const start = useAction(onStart)
  const submit = (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    void start.run(workspace === undefined ? { email } : { workspace })
  }
  const error = start.formError('email')
  return (
    <form method="post" onSubmit={submit} className="space-y-4">
      {problem === undefined || error !== undefined ? null : <Alert tone="danger" title={problem} />}
      {error === undefined ? null : <Alert tone="danger" title={error.message} />}
      {workspace === undefined ? (
        <Field label="Work e-mail" required error={start.fieldError('email')}>
          {(control) => (
            <Input
              {...control}
              name="email"
              type="email"
              required
              autoComplete="username"
              value={email}
              onChange={(event) => setEmail(event.target.value)}
            />
          )}
        </Field>
      ) : (
        <p className="text-pretty text-muted">
          Your organization asks who you are, on its own page, and sends you back here.
        </p>
      )}
      <div className="space-y-2 pt-1">
        <Button type="submit" variant="primary" size="lg" block pending={start.pending}>
          <KeyRound aria-hidden /> Continue with single sign-on
        </Button>
        <p className="pt-2 text-center text-sm">
          <Link href="/login" className="link">
            Sign in another way
          </Link>
        </p>
      </div>
    </form>
  )
}
