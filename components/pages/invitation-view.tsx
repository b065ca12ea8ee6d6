'use client'

import { useState } from 'react'
import type { ReactNode, SyntheticEvent } from 'react'

import type { Action, ActionResult } from '@/components/action'
import { NewPasswordField } from '@/components/pages/new-password-field'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { textField, useAction } from '@/components/use-action'

export interface ShownInvitation {
  readonly workspace: string
  readonly role: string
  readonly email: string
  /** Empty: the operator. */
  readonly inviter: string
  /** Whether the link came out of the invited mailbox. */
  readonly isMailed: boolean
  /** Known to the mailbox alone. */
  readonly hasAccount: boolean | undefined
  /** Who is signed in at this browser. */
  readonly viewerEmail: string | undefined
}

/** Says who invites into what, and offers the one way in that is open to whoever is looking. */
export function InvitationView({
  invitation,
  mailFolder,
  signIn,
  signOut,
  onAccept,
  onJoin,
  onMail,
}: {
  invitation: ShownInvitation
  /** Where mails lie on a server that sends none. */
  mailFolder: string | undefined
  signIn: ReactNode
  signOut: ReactNode
  onAccept: () => Promise<ActionResult>
  onJoin: Action<{ name: string; password: string }>
  onMail: () => Promise<ActionResult>
}) {
  const { workspace, role, email, inviter, isMailed, hasAccount, viewerEmail } = invitation
  const isViewer = viewerEmail?.toLowerCase() === email.toLowerCase()
  return (
    <div className="space-y-5">
      <p className="text-pretty text-muted">
        {inviter === '' ? 'You are' : <>{inviter} has</>} invited{' '}
        <strong className="font-medium wrap-anywhere text-ink">{email}</strong> to the workspace{' '}
        <strong className="font-medium wrap-anywhere text-ink">{workspace}</strong> as {role}.
      </p>
      {viewerEmail !== undefined && !isViewer ? (
        <div className="space-y-4">
          <Alert title={`You are signed in as ${viewerEmail}`}>
            The invitation is for another address. Sign out, then open the link again.
          </Alert>
          {signOut}
        </div>
      ) : isViewer || (isMailed && hasAccount === true) ? (
        <Press label="Accept invitation" onPress={onAccept} />
      ) : isMailed ? (
        <JoinForm email={email} onJoin={onJoin} />
      ) : (
        <FromTheInviter email={email} mailFolder={mailFolder} signIn={signIn} onMail={onMail} />
      )}
    </div>
  )
}

/** The link the inviter passed on: it proves nothing about the mailbox, and does not tell who has an account. */
function FromTheInviter({
  email,
  mailFolder,
  signIn,
  onMail,
}: {
  email: string
  mailFolder: string | undefined
  signIn: ReactNode
  onMail: () => Promise<ActionResult>
}) {
  const [isSent, setSent] = useState(false)
  return (
    <div className="space-y-5">
      <div className="space-y-3">
        <p className="text-sm text-pretty text-muted">
          With an account for this address: sign in, then open this link again in the same browser.
        </p>
        {signIn}
      </div>
      <div className="space-y-3 border-t border-line pt-5">
        <p className="text-sm text-pretty wrap-anywhere text-muted">
          Without one: make it by a link that is sent to {email}.
        </p>
        {isSent ? (
          <div role="status" className="space-y-4">
            <p className="text-pretty text-muted">A mail is on its way. Its link works once.</p>
            {mailFolder === undefined ? null : (
              <Alert title="This server sends no mail yet">
                Mails are written to <code className="font-mono text-[0.9em] wrap-anywhere">{mailFolder}</code>
              </Alert>
            )}
          </div>
        ) : (
          <Press
            label="Send the link"
            variant="secondary"
            onPress={async () => {
              const result = await onMail()
              if (result.ok) setSent(true)
              return result
            }}
          />
        )}
      </div>
    </div>
  )
}

function Press({
  label,
  onPress,
  variant = 'primary',
}: {
  label: string
  onPress: () => Promise<ActionResult>
  variant?: 'primary' | 'secondary'
}) {
  const action = useAction<undefined, { readonly ok: true }>(onPress)
  return (
    <form
      method="post"
      className="space-y-4"
      onSubmit={(event) => {
        event.preventDefault()
        void action.run(undefined)
      }}
    >
      {action.error === undefined ? null : <Alert tone="danger" title={action.error.message} />}
      <Button type="submit" variant={variant} size="lg" block pending={action.pending}>
        {label}
      </Button>
    </form>
  )
}

function JoinForm({ email, onJoin }: { email: string; onJoin: Action<{ name: string; password: string }> }) {
  const action = useAction(onJoin)
  const submit = (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    void action.run({ name: textField(form, 'name'), password: textField(form, 'password') })
  }
  const error = action.formError('name', 'password')
  return (
    <form method="post" onSubmit={submit} className="space-y-4">
      {error === undefined ? null : <Alert tone="danger" title={error.message} />}
      {/* Password managers file the new password under this name. */}
      <input type="hidden" name="username" autoComplete="username" value={email} readOnly />
      <Field label="Your name" required error={action.fieldError('name')}>
        {(control) => <Input {...control} name="name" required maxLength={80} autoComplete="name" />}
      </Field>
      <NewPasswordField label="Password" error={action.fieldError('password')} />
      <Button type="submit" variant="primary" size="lg" block pending={action.pending}>
        Join workspace
      </Button>
    </form>
  )
}
