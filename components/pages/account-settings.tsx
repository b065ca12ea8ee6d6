'use client'

import { Download, Monitor, Plus } from 'lucide-react'
import { useRef, useState } from 'react'
import type { ReactNode, SyntheticEvent } from 'react'

import type { Action, ActionResult } from '@/components/action'
import { DeletedWorkspaces } from '@/components/pages/deleted-workspaces'
import type { DeletedWorkspace } from '@/components/pages/deleted-workspaces'
import { SettingsNav } from '@/components/pages/settings-nav'
import { NewPasswordField } from '@/components/pages/new-password-field'
import { Alert } from '@/components/ui/alert'
import { ConfirmDialog } from '@/components/ui/alert-dialog'
import { Badge } from '@/components/ui/badge'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { Dialog, DialogClose, DialogContent, DialogTrigger } from '@/components/ui/dialog'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { PageHeader } from '@/components/ui/page-header'
import { PasswordInput } from '@/components/ui/password-input'
import { Time } from '@/components/ui/time'
import { useToast } from '@/components/ui/toast'
import { textField, useAction } from '@/components/use-action'

export interface BrowserSession {
  readonly id: string
  /** “Firefox on Linux”. */
  readonly device: string
  readonly address?: string | undefined
  readonly startedAt: string
  readonly lastSeenAt: string
  readonly isCurrent: boolean
}

export interface AccountSettingsProps {
  readonly email: string
  readonly isEmailVerified: boolean
  /** Address that waits for its confirmation. */
  readonly pendingEmail?: string | undefined
  /** People who sign in by link only set their first password here. */
  readonly hasPassword: boolean
  readonly sessions: readonly BrowserSession[]
  /** Passkeys and second factor. */
  readonly signInMethods?: ReactNode
  readonly onChangeEmail: Action<{ email: string; password: string }>
  readonly onSendVerification: () => Promise<ActionResult>
  readonly onChangePassword: Action<{ current: string; next: string }>
  readonly onEndSession: Action<{ id: string }>
  readonly onEndOtherSessions: () => Promise<ActionResult>
  /** Where else the person signs in. */
  readonly linkedSignIns?: ReactNode
  readonly workspaces: readonly { readonly id: string; readonly name: string; readonly isCurrent: boolean }[]
  /** Deleted ones that the person, an owner, may take back still. */
  readonly deletedWorkspaces: readonly DeletedWorkspace[]
  readonly canCreateWorkspace: boolean
  readonly onCreateWorkspace: Action<{ name: string }>
  readonly onOpenWorkspace: Action<{ id: string }>
  readonly onRestoreWorkspace: Action<{ id: string }>
  /** Hands the file to the browser. */
  readonly onExport: () => Promise<ActionResult>
}

export function AccountSettings(props: AccountSettingsProps) {
  return (
    <>
      <PageHeader title="Settings" />
      <SettingsNav current="account" />
      <div className="space-y-6">
        <EmailCard {...props} />
        <PasswordCard {...props} />
        {props.signInMethods}
        {props.linkedSignIns}
        <SessionsCard {...props} />
        <WorkspacesCard {...props} />
        <DataCard onExport={props.onExport} />
      </div>
    </>
  )
}

function EmailCard({
  email,
  isEmailVerified,
  pendingEmail,
  hasPassword,
  onChangeEmail,
  onSendVerification,
}: AccountSettingsProps) {
  const change = useAction(onChangeEmail)
  const verify = useAction<undefined, { readonly ok: true }>(onSendVerification)
  const toast = useToast()
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    const data = new FormData(form)
    const address = textField(data, 'email')
    if ((await change.run({ email: address, password: textField(data, 'password') })) === undefined) return
    form.reset()
    toast({ tone: 'success', title: 'Confirmation sent', description: `Open the link in the mail to ${address}.` })
  }
  const error = change.formError('email', 'password')
  return (
    <Card>
      <CardHeader
        title="E-mail"
        description={
          <span className="flex flex-wrap items-center gap-2">
            <span className="wrap-anywhere">{email}</span>
            {isEmailVerified ? <Badge tone="success">Confirmed</Badge> : <Badge tone="warning">Not confirmed</Badge>}
          </span>
        }
        actions={
          isEmailVerified ? undefined : (
            <Button
              pending={verify.pending}
              onClick={() =>
                void verify.run(undefined).then((result) => {
                  if (result) toast({ tone: 'success', title: 'Confirmation sent' })
                })
              }
            >
              Send confirmation
            </Button>
          )
        }
      />
      <CardBody>
        {verify.error === undefined ? null : <Alert tone="danger" title={verify.error.message} className="mb-4" />}
        {pendingEmail === undefined ? null : (
          <Alert title={`Waiting for ${pendingEmail}`} className="mb-4">
            The address changes when the link in that mail is opened. Until then you sign in with the old one.
          </Alert>
        )}
        <form method="post" onSubmit={(event) => void submit(event)} className="max-w-md space-y-4">
          {error === undefined ? null : <Alert tone="danger" title={error.message} />}
          <Field
            label="New address"
            hint="We send a link to the new address and a notice to the old one."
            required
            error={change.fieldError('email')}
          >
            {(control) => <Input {...control} name="email" type="email" required autoComplete="email" />}
          </Field>
          {hasPassword ? (
            <Field label="Your password" required error={change.fieldError('password')}>
              {(control) => <PasswordInput {...control} name="password" required autoComplete="current-password" />}
            </Field>
          ) : null}
          <Button type="submit" pending={change.pending}>
            Change address
          </Button>
        </form>
      </CardBody>
    </Card>
  )
}

function PasswordCard({ hasPassword, onChangePassword, email }: AccountSettingsProps) {
  const action = useAction(onChangePassword)
  const toast = useToast()
  const form = useRef<HTMLFormElement>(null)
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const data = new FormData(event.currentTarget)
    const result = await action.run({ current: textField(data, 'current'), next: textField(data, 'next') })
    if (result === undefined) return
    form.current?.reset()
    toast({ tone: 'success', title: 'Password changed', description: 'Your other sessions have ended.' })
  }
  const error = action.formError('current', 'next')
  return (
    <Card>
      <CardHeader
        title="Password"
        description="Changing it ends your other sessions and those of your agents. Connected accounts stay connected."
      />
      <CardBody>
        <form ref={form} method="post" onSubmit={(event) => void submit(event)} className="max-w-md space-y-4">
          {error === undefined ? null : <Alert tone="danger" title={error.message} />}
          {/* Password managers file the new password under this name. */}
          <input type="hidden" name="username" autoComplete="username" value={email} readOnly />
          {hasPassword ? (
            <Field label="Current password" required error={action.fieldError('current')}>
              {(control) => <PasswordInput {...control} name="current" required autoComplete="current-password" />}
            </Field>
          ) : null}
          <NewPasswordField label="New password" name="next" error={action.fieldError('next')} />
          <Button type="submit" pending={action.pending}>
            {hasPassword ? 'Change password' : 'Set password'}
          </Button>
        </form>
      </CardBody>
    </Card>
  )
}

function SessionsCard({ sessions, onEndSession, onEndOtherSessions }: AccountSettingsProps) {
  const others = sessions.filter((session) => !session.isCurrent)
  return (
    <Card>
      <CardHeader
        title="Where you are signed in"
        description="Ending a session is in force at its next request."
        actions={
          others.length === 0 ? undefined : (
            <ConfirmDialog
              title="End all other sessions?"
              confirmLabel="End them"
              onConfirm={onEndOtherSessions}
              trigger={<Button variant="danger-quiet">End all others</Button>}
            >
              <p>You stay signed in here. Every other browser has to sign in again.</p>
            </ConfirmDialog>
          )
        }
      />
      <CardBody className="py-2 md:py-2">
        <ul className="divide-y divide-line">
          {sessions.map((session) => (
            <li key={session.id} className="flex items-center gap-3 py-3">
              <Monitor aria-hidden className="size-5 shrink-0 text-muted" />
              <div className="min-w-0 flex-1">
                <p className="flex flex-wrap items-center gap-x-2 gap-y-1 font-medium">
                  <span className="wrap-anywhere">{session.device}</span>
                  {session.isCurrent ? <Badge tone="accent">This browser</Badge> : null}
                </p>
                <p className="text-sm text-muted">
                  {session.address === undefined ? null : `${session.address} · `}seen <Time at={session.lastSeenAt} />{' '}
                  · since <Time at={session.startedAt} />
                </p>
              </div>
              {session.isCurrent ? null : (
                <ConfirmDialog
                  title={`End the session “${session.device}”?`}
                  confirmLabel="End session"
                  onConfirm={() => onEndSession({ id: session.id })}
                  trigger={
                    <Button size="sm" variant="danger-quiet" aria-label={`End session ${session.device}`}>
                      End
                    </Button>
                  }
                >
                  <p>That browser has to sign in again.</p>
                </ConfirmDialog>
              )}
            </li>
          ))}
        </ul>
      </CardBody>
    </Card>
  )
}

/** The workspaces the person belongs to, and those that can be taken back. */
function WorkspacesCard({
  workspaces,
  deletedWorkspaces,
  canCreateWorkspace,
  onCreateWorkspace,
  onOpenWorkspace,
  onRestoreWorkspace,
}: AccountSettingsProps) {
  const open = useAction(onOpenWorkspace)
  return (
    <Card>
      <CardHeader
        title="Workspaces"
        description="Agents, accounts and people of one workspace are nothing to another."
        actions={
          <NewWorkspace
            onCreate={onCreateWorkspace}
            disabledReason={canCreateWorkspace ? undefined : 'Your role may look, not make.'}
          />
        }
      />
      <CardBody className="py-2 md:py-2">
        {open.error === undefined ? null : <Alert tone="danger" title={open.error.message} className="my-3" />}
        <ul className="divide-y divide-line">
          {workspaces.map((workspace) => (
            <li key={workspace.id} className="flex min-h-14 flex-wrap items-center justify-between gap-3 py-2">
              <p className="flex min-w-0 flex-wrap items-center gap-2 font-medium wrap-anywhere">
                {workspace.name}
                {workspace.isCurrent ? <Badge tone="accent">Open now</Badge> : null}
              </p>
              {workspace.isCurrent ? null : (
                <Button
                  size="sm"
                  pending={open.pending}
                  aria-label={`Open ${workspace.name}`}
                  onClick={() => void open.run({ id: workspace.id })}
                >
                  Open
                </Button>
              )}
            </li>
          ))}
        </ul>
        {deletedWorkspaces.length === 0 ? null : (
          <div className="border-t border-line py-3">
            <DeletedWorkspaces workspaces={deletedWorkspaces} onRestore={onRestoreWorkspace} />
          </div>
        )}
      </CardBody>
    </Card>
  )
}

function NewWorkspace({
  onCreate,
  disabledReason,
}: {
  onCreate: Action<{ name: string }>
  disabledReason: string | undefined
}) {
  const [isOpen, setOpen] = useState(false)
  const action = useAction(onCreate)
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    await action.run({ name: textField(new FormData(event.currentTarget), 'name').trim() })
  }
  const error = action.formError('name')
  return (
    <Dialog
      open={isOpen}
      onOpenChange={(next) => {
        setOpen(next)
        action.clear()
      }}
    >
      <DialogTrigger asChild>
        <Button disabledReason={disabledReason}>
          <Plus aria-hidden /> New workspace
        </Button>
      </DialogTrigger>
      <DialogContent title="New workspace" description="You become its owner, and it opens at once.">
        <form onSubmit={(event) => void submit(event)} className="space-y-4">
          {error === undefined ? null : <Alert tone="danger" title={error.message} />}
          <Field label="Name" hint="Usually a team or a company." required error={action.fieldError('name')}>
            {(control) => <Input {...control} name="name" required maxLength={80} autoComplete="organization" />}
          </Field>
          <div className="flex flex-wrap justify-end gap-2">
            <DialogClose asChild>
              <Button>Cancel</Button>
            </DialogClose>
            <Button type="submit" variant="primary" pending={action.pending}>
              Make workspace
            </Button>
          </div>
        </form>
      </DialogContent>
    </Dialog>
  )
}

function DataCard({ onExport }: { onExport: () => Promise<ActionResult> }) {
  const action = useAction<undefined, { readonly ok: true }>(onExport)
  return (
    <Card>
      <CardHeader
        title="Your data"
        description="What is stored about you, in every workspace you belong to, as one JSON file. It holds no secret. Taking it is recorded."
      />
      <CardBody className="space-y-4">
        {action.error === undefined ? null : <Alert tone="danger" title={action.error.message} />}
        <Button pending={action.pending} onClick={() => void action.run(undefined)}>
          <Download aria-hidden /> Download
        </Button>
      </CardBody>
    </Card>
  )
}
