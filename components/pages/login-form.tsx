'use client'

import { Fingerprint, MailCheck } from 'lucide-react'
import Link from 'next/link'
import { useState } from 'react'
import type { SyntheticEvent } from 'react'

import type { Action, ActionResult } from '@/components/action'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { PasswordInput } from '@/components/ui/password-input'
import { textField, useAction } from '@/components/use-action'

export interface LoginFormProps {
  readonly onPassword: Action<{ email: string; password: string }>
  readonly onMagicLink: Action<{ email: string }>
  /** The browser asks which passkey; no address is needed. */
  readonly onPasskey: () => Promise<ActionResult>
  readonly defaultEmail?: string
  /** Why the person is here, for example that the session has ended. */
  readonly notice?: string | undefined
  /** Where mails go when no mail server is set; shown on loopback installations only. */
  readonly mailHint?: string | undefined
}

/**
 * Password, or a link by mail. Both forms share the address that was typed. The answer about a link never tells whether
 * the address is known.
 */
export function LoginForm({ onPassword, onMagicLink, onPasskey, defaultEmail = '', notice, mailHint }: LoginFormProps) {
  const [mode, setMode] = useState<'password' | 'link'>('password')
  const [email, setEmail] = useState(defaultEmail)
  const [sentTo, setSentTo] = useState<string>()
  const password = useAction(onPassword)
  const link = useAction(onMagicLink)
  const passkey = useAction<undefined, { readonly ok: true }>(onPasskey)
  const current = mode === 'password' ? password : link

  if (sentTo !== undefined) {
    return <CheckMail email={sentTo} mailHint={mailHint} onAgain={() => setSentTo(undefined)} />
  }

  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    passkey.clear()
    if (mode === 'password') {
      await password.run({ email, password: textField(new FormData(event.currentTarget), 'password') })
    } else if (await link.run({ email })) {
      setSentTo(email)
    }
  }
  const error = passkey.error ?? current.formError('email', 'password')

  return (
    <form method="post" onSubmit={(event) => void submit(event)} className="space-y-4">
      {notice === undefined ? null : <Alert title={notice} />}
      {error === undefined ? null : <Alert tone="danger" title={error.message} />}
      <Field label="E-mail" required error={current.fieldError('email')}>
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
      {mode === 'password' ? (
        <Field
          label="Password"
          required
          error={password.fieldError('password')}
          aside={
            <Link href="/reset" className="link">
              Forgot it?
            </Link>
          }
        >
          {(control) => <PasswordInput {...control} name="password" required autoComplete="current-password" />}
        </Field>
      ) : null}
      <div className="space-y-2 pt-1">
        <Button type="submit" variant="primary" size="lg" block pending={current.pending}>
          {mode === 'password' ? 'Sign in' : 'Send me a sign-in link'}
        </Button>
        <Button
          variant="ghost"
          size="lg"
          block
          onClick={() => {
            password.clear()
            link.clear()
            passkey.clear()
            setMode(mode === 'password' ? 'link' : 'password')
          }}
        >
          {mode === 'password' ? 'Sign in with a link by mail' : 'Sign in with a password'}
        </Button>
        <Button
          size="lg"
          block
          pending={passkey.pending}
          onClick={() => {
            password.clear()
            link.clear()
            void passkey.run(undefined)
          }}
        >
          <Fingerprint aria-hidden /> Sign in with a passkey
        </Button>
      </div>
    </form>
  )
}

/** After a mail was asked for. The words are the same whether the address is known or not. */
export function CheckMail({
  email,
  mailHint,
  onAgain,
}: {
  email: string
  mailHint?: string | undefined
  onAgain?: () => void
}) {
  return (
    <div role="status" className="space-y-4">
      <MailCheck aria-hidden className="size-8 text-accent" />
      <div className="space-y-1.5">
        <p className="font-medium">Look into your mail</p>
        <p className="text-pretty text-muted">
          If <strong className="font-medium wrap-anywhere text-ink">{email}</strong> has an account here, a link is on
          its way. It works once and only for a short time; open it in this browser.
        </p>
      </div>
      {mailHint === undefined ? null : (
        <Alert title="This server sends no mail yet">
          Mails are written to <code className="font-mono text-[0.9em] wrap-anywhere">{mailHint}</code>
        </Alert>
      )}
      {onAgain === undefined ? null : <Button onClick={onAgain}>Use another address</Button>}
    </div>
  )
}
