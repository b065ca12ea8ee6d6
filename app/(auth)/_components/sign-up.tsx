'use client'

import { useState } from 'react'
import type { SyntheticEvent } from 'react'

import { askByMail } from '@/app/(auth)/_components/ask-by-mail'
import { signInWith } from '@/app/(auth)/_components/finish-sign-in'
import { LinkGate } from '@/app/(auth)/_components/link-gate'
import { SignUpForm } from '@/components/pages/sign-up-form'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { textField, useAction } from '@/components/use-action'

/** The first workspace by the link a new server prints, later ones by a link sent by mail where the server allows it. */
export function SignUp({ isOpen }: { isOpen: boolean }) {
  return (
    <LinkGate
      purposes={['setup', 'sign_up']}
      retryHref={isOpen ? '/sign-up' : '/login'}
      retryLabel={isOpen ? 'Ask for a new link' : 'Go to the sign-in page'}
      without={isOpen ? <AskToSignUp /> : <Closed />}
    >
      {(link) =>
        link.purpose === 'setup' ? (
          <SignUpForm onSubmit={(input) => signInWith('/signin/setup', { secret: link.secret, ...input })} />
        ) : (
          <SignUpForm
            {...(link.email === undefined ? {} : { fixedEmail: link.email })}
            onSubmit={({ workspaceName, name, password }) =>
              signInWith('/signin/sign-up/confirm', { secret: link.secret, workspaceName, name, password })
            }
          />
        )
      }
    </LinkGate>
  )
}

function Closed() {
  return (
    <p className="text-pretty text-muted">
      Accounts on this server are made by its administrator. If it was just started for the first time, open the
      one-time link that it printed.
    </p>
  )
}

function AskToSignUp() {
  const [mailFolder, setMailFolder] = useState<string>()
  const [sentTo, setSentTo] = useState<string>()
  const action = useAction(({ email }: { readonly email: string }) =>
    askByMail('/signin/sign-up', email, setMailFolder),
  )
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const email = textField(new FormData(event.currentTarget), 'email')
    if (await action.run({ email })) setSentTo(email)
  }
  if (sentTo !== undefined)
    return (
      <div role="status" className="space-y-4">
        <p className="text-pretty text-muted">
          A mail is on its way to <strong className="font-medium wrap-anywhere text-ink">{sentTo}</strong>. Its link
          works once, for an hour.
        </p>
        {mailFolder === undefined ? null : (
          <Alert title="This server sends no mail yet">
            Mails are written to <code className="font-mono text-[0.9em] wrap-anywhere">{mailFolder}</code>
          </Alert>
        )}
      </div>
    )
  const error = action.formError('email')
  return (
    <form method="post" onSubmit={(event) => void submit(event)} className="space-y-4">
      {error === undefined ? null : <Alert tone="danger" title={error.message} />}
      <Field label="E-mail" required error={action.fieldError('email')}>
        {(control) => <Input {...control} name="email" type="email" required autoComplete="email" />}
      </Field>
      <Button type="submit" variant="primary" size="lg" block pending={action.pending}>
        Send me a link
      </Button>
    </form>
  )
}
