'use client'

import { Fingerprint, KeyRound, Smartphone } from 'lucide-react'
import { useState } from 'react'
import type { ReactNode, SyntheticEvent } from 'react'

import type { Action, ActionResult, ValueAction, ValueResult } from '@/components/action'
import { Alert } from '@/components/ui/alert'
import { ConfirmDialog } from '@/components/ui/alert-dialog'
import { Badge } from '@/components/ui/badge'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { CopyButton } from '@/components/ui/copy-button'
import { Checkbox } from '@/components/ui/checkbox'
import { Dialog, DialogContent } from '@/components/ui/dialog'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { Time } from '@/components/ui/time'
import { useToast } from '@/components/ui/toast'
import { textField, useAction } from '@/components/use-action'

export interface ShownPasskey {
  readonly id: string
  readonly name: string
  readonly isSynced: boolean
  readonly createdAt: string
  readonly lastUsedAt: string | null
}

export interface ShownSignInMethods {
  readonly hasPassword: boolean
  readonly totpSince: string | null
  readonly passkeys: readonly ShownPasskey[]
  readonly recoveryCodesLeft: number
}

export interface TotpSetup {
  readonly secret: string
  /** Rows of 0 and 1. */
  readonly qr: readonly string[]
}

/** Codes to show once; null where the person has some already. */
export interface Added {
  readonly recoveryCodes: readonly string[] | null
}

export interface SignInMethodsProps {
  readonly methods: ShownSignInMethods
  readonly onAddPasskey: ValueAction<{ name: string }, Added>
  readonly onRenamePasskey: Action<{ id: string; name: string }>
  readonly onRemovePasskey: Action<{ id: string }>
  readonly onBeginTotp: () => Promise<ValueResult<TotpSetup>>
  readonly onConfirmTotp: ValueAction<{ code: string }, Added>
  readonly onRemoveTotp: () => Promise<ActionResult>
  readonly onNewRecoveryCodes: () => Promise<ValueResult<{ readonly recoveryCodes: readonly string[] }>>
}

/** Passkeys, the authenticator app and recovery codes. */
export function SignInMethods(props: SignInMethodsProps) {
  const { methods } = props
  const [codes, setCodes] = useState<readonly string[]>()
  const hasSecondFactor = methods.passkeys.length > 0 || methods.totpSince !== null
  const show = (added: Added) => setCodes(added.recoveryCodes ?? undefined)

  return (
    <Card>
      <CardHeader
        title="Passkeys and second factor"
        description={
          hasSecondFactor
            ? 'A password alone does not sign you in.'
            : 'Add one, and a password that somebody got hold of opens nothing.'
        }
      />
      <CardBody className="divide-y divide-line py-0 md:py-0">
        <Passkeys {...props} onAdded={show} />
        <App {...props} onAdded={show} />
        {hasSecondFactor ? <RecoveryCodes {...props} onMade={setCodes} /> : null}
      </CardBody>
      <Dialog open={codes !== undefined}>
        {codes === undefined ? null : (
          <DialogContent
            title="Your recovery codes"
            description="Each signs you in once when your passkeys and your app are not at hand. They are not shown again."
            isDismissable={false}
          >
            <CodesOnce codes={codes} onStored={() => setCodes(undefined)} />
          </DialogContent>
        )}
      </Dialog>
    </Card>
  )
}

function Row({
  icon,
  title,
  detail,
  actions,
  children,
}: {
  icon: ReactNode
  title: ReactNode
  detail: ReactNode
  actions?: ReactNode
  children?: ReactNode
}) {
  return (
    <div className="py-4">
      <div className="flex flex-wrap items-center gap-3">
        {icon}
        <div className="min-w-0 flex-1 basis-52">
          <p className="flex flex-wrap items-center gap-x-2 gap-y-1 font-medium">{title}</p>
          <p className="text-sm text-pretty text-muted">{detail}</p>
        </div>
        {actions === undefined ? null : <div className="flex flex-wrap gap-2">{actions}</div>}
      </div>
      {children}
    </div>
  )
}

const iconClass = 'size-5 shrink-0 text-muted'

function Passkeys({
  methods,
  onAddPasskey,
  onRenamePasskey,
  onRemovePasskey,
  onAdded,
}: SignInMethodsProps & { onAdded: (added: Added) => void }) {
  const [isAdding, setAdding] = useState(false)
  return (
    <Row
      icon={<Fingerprint aria-hidden className={iconClass} />}
      title="Passkeys"
      detail="Your finger, face or PIN on this device, or a security key. A whole sign-in in one step."
      actions={<Button onClick={() => setAdding(true)}>Add a passkey</Button>}
    >
      {methods.passkeys.length === 0 ? null : (
        <ul className="mt-3 divide-y divide-line rounded-lg border border-line">
          {methods.passkeys.map((passkey) => (
            <li key={passkey.id} className="flex flex-wrap items-center gap-3 px-4 py-3">
              <div className="min-w-0 flex-1 basis-48">
                <p className="flex flex-wrap items-center gap-2 font-medium">
                  <span className="wrap-anywhere">{passkey.name}</span>
                  {passkey.isSynced ? <Badge>Synced</Badge> : null}
                </p>
                <p className="text-sm text-muted">
                  added <Time at={passkey.createdAt} />
                  {passkey.lastUsedAt === null ? (
                    ', never used'
                  ) : (
                    <>
                      , used <Time at={passkey.lastUsedAt} />
                    </>
                  )}
                </p>
              </div>
              <div className="flex gap-2">
                <RenamePasskey passkey={passkey} onRename={onRenamePasskey} />
                <ConfirmDialog
                  title={`Remove the passkey “${passkey.name}”?`}
                  confirmLabel="Remove"
                  onConfirm={() => onRemovePasskey({ id: passkey.id })}
                  trigger={
                    <Button size="sm" variant="danger-quiet" aria-label={`Remove the passkey ${passkey.name}`}>
                      Remove
                    </Button>
                  }
                >
                  <p>It no longer signs you in here. Delete it on your device too.</p>
                </ConfirmDialog>
              </div>
            </li>
          ))}
        </ul>
      )}
      <Dialog open={isAdding} onOpenChange={setAdding}>
        {isAdding ? (
          <DialogContent title="Add a passkey" description="Name it after the device, so that you know it again.">
            <NameForm
              label="Name"
              initial="My device"
              submit="Go on"
              onName={async (name) => {
                const added = await onAddPasskey({ name })
                if (!added.ok) return added
                setAdding(false)
                onAdded(added.value)
                return { ok: true }
              }}
            />
          </DialogContent>
        ) : null}
      </Dialog>
    </Row>
  )
}

function RenamePasskey({
  passkey,
  onRename,
}: {
  passkey: ShownPasskey
  onRename: SignInMethodsProps['onRenamePasskey']
}) {
  const [isOpen, setOpen] = useState(false)
  return (
    <>
      <Button size="sm" aria-label={`Rename the passkey ${passkey.name}`} onClick={() => setOpen(true)}>
        Rename
      </Button>
      <Dialog open={isOpen} onOpenChange={setOpen}>
        {isOpen ? (
          <DialogContent title={`Rename “${passkey.name}”`}>
            <NameForm
              label="Name"
              initial={passkey.name}
              submit="Rename"
              onName={async (name) => {
                const renamed = await onRename({ id: passkey.id, name })
                if (renamed.ok) setOpen(false)
                return renamed
              }}
            />
          </DialogContent>
        ) : null}
      </Dialog>
    </>
  )
}

function NameForm({
  label,
  initial,
  submit,
  onName,
}: {
  label: string
  initial: string
  submit: string
  onName: (name: string) => Promise<ActionResult>
}) {
  const action = useAction(onName)
  const error = action.formError('name')
  const onSubmit = (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    void action.run(textField(new FormData(event.currentTarget), 'name'))
  }
  return (
    <form method="post" className="space-y-4" onSubmit={onSubmit}>
      {error === undefined ? null : <Alert tone="danger" title={error.message} />}
      <Field label={label} required error={action.fieldError('name')}>
        {(control) => <Input {...control} name="name" required maxLength={80} defaultValue={initial} />}
      </Field>
      <Button type="submit" variant="primary" pending={action.pending}>
        {submit}
      </Button>
    </form>
  )
}

function App({
  methods,
  onBeginTotp,
  onConfirmTotp,
  onRemoveTotp,
  onAdded,
}: SignInMethodsProps & { onAdded: (added: Added) => void }) {
  const [setup, setSetup] = useState<TotpSetup>()
  const begin = useAction<undefined, { readonly ok: true; readonly value: TotpSetup }>(onBeginTotp)
  return (
    <Row
      icon={<Smartphone aria-hidden className={iconClass} />}
      title={<>Authenticator app {methods.totpSince === null ? null : <Badge tone="success">On</Badge>}</>}
      detail={
        methods.totpSince === null ? (
          'Six digits from an app on your phone, after your password.'
        ) : (
          <>
            Six digits after your password, since <Time at={methods.totpSince} />.
          </>
        )
      }
      actions={
        methods.totpSince === null ? (
          <Button
            pending={begin.pending}
            onClick={() =>
              void begin.run(undefined).then((made) => {
                if (made) setSetup(made.value)
              })
            }
          >
            Set up
          </Button>
        ) : (
          <ConfirmDialog
            title="Remove the authenticator app?"
            confirmLabel="Remove"
            onConfirm={onRemoveTotp}
            trigger={<Button variant="danger-quiet">Remove</Button>}
          >
            <p>
              {methods.passkeys.length === 0
                ? 'Your password alone signs you in then, and your recovery codes are gone.'
                : 'Your passkeys remain.'}
            </p>
          </ConfirmDialog>
        )
      }
    >
      {begin.error === undefined ? null : <Alert tone="danger" title={begin.error.message} className="mt-3" />}
      <Dialog open={setup !== undefined} onOpenChange={(next) => (next ? undefined : setSetup(undefined))}>
        {setup === undefined ? null : (
          <DialogContent
            title="Set up an authenticator app"
            description="Scan this with the app, then type the six digits it shows."
          >
            <SetUpApp
              setup={setup}
              onConfirm={async (code) => {
                const confirmed = await onConfirmTotp({ code })
                if (!confirmed.ok) return confirmed
                setSetup(undefined)
                onAdded(confirmed.value)
                return { ok: true }
              }}
            />
          </DialogContent>
        )}
      </Dialog>
    </Row>
  )
}

function SetUpApp({ setup, onConfirm }: { setup: TotpSetup; onConfirm: (code: string) => Promise<ActionResult> }) {
  const action = useAction(onConfirm)
  const error = action.formError('code')
  const onSubmit = (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    void action.run(textField(new FormData(event.currentTarget), 'code'))
  }
  return (
    <form method="post" className="space-y-4" onSubmit={onSubmit}>
      {error === undefined ? null : <Alert tone="danger" title={error.message} />}
      <QrCode rows={setup.qr} label="QR code for your authenticator app" />
      <div className="text-sm">
        <p className="text-muted">Or type this into the app:</p>
        <p className="mt-1 flex items-center gap-1 rounded-md border border-line-strong bg-surface py-1 pr-1 pl-3">
          <code className="min-w-0 flex-1 font-mono break-all">{setup.secret.match(/.{1,4}/g)?.join(' ')}</code>
          <CopyButton text={setup.secret} what="Secret" />
        </p>
      </div>
      <Field label="Code from your app" required error={action.fieldError('code')}>
        {(control) => (
          <Input {...control} name="code" required inputMode="numeric" autoComplete="one-time-code" maxLength={12} />
        )}
      </Field>
      <Button type="submit" variant="primary" pending={action.pending}>
        Turn on
      </Button>
    </form>
  )
}

/** Dark on white whatever the theme: phones read it so. */
function QrCode({ rows, label }: { rows: readonly string[]; label: string }) {
  const size = rows.length
  const path = rows
    .flatMap((row, y) => Array.from(row, (cell, x) => (cell === '1' ? `M${x} ${y}h1v1h-1z` : '')))
    .join('')
  return (
    <svg
      role="img"
      aria-label={label}
      viewBox={`0 0 ${size} ${size}`}
      shapeRendering="crispEdges"
      className="mx-auto size-52 rounded-md"
    >
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  )
}

function RecoveryCodes({
  methods,
  onNewRecoveryCodes,
  onMade,
}: SignInMethodsProps & { onMade: (codes: readonly string[]) => void }) {
  const toast = useToast()
  return (
    <Row
      icon={<KeyRound aria-hidden className={iconClass} />}
      title={
        <>
          Recovery codes{' '}
          {methods.recoveryCodesLeft > 2 ? null : <Badge tone="warning">{methods.recoveryCodesLeft} left</Badge>}
        </>
      }
      detail={`For the day your device is gone. ${methods.recoveryCodesLeft} of them can still be used.`}
      actions={
        <ConfirmDialog
          title="Make new recovery codes?"
          tone="primary"
          confirmLabel="Make new codes"
          onConfirm={async () => {
            const made = await onNewRecoveryCodes()
            if (!made.ok) return made
            onMade(made.value.recoveryCodes)
            toast({ tone: 'success', title: 'New codes made', description: 'Those before no longer work.' })
            return { ok: true }
          }}
          trigger={<Button>New codes</Button>}
        >
          <p>Those you have stored no longer work.</p>
        </ConfirmDialog>
      }
    />
  )
}

function CodesOnce({ codes, onStored }: { codes: readonly string[]; onStored: () => void }) {
  const [isStored, setStored] = useState(false)
  return (
    <div className="space-y-4">
      <div className="rounded-lg border border-warning-line bg-warning-soft p-4">
        <ul aria-label="Recovery codes" className="grid grid-cols-1 gap-x-6 gap-y-1 font-mono text-sm sm:grid-cols-2">
          {codes.map((code) => (
            <li key={code} className="break-all">
              {code}
            </li>
          ))}
        </ul>
        <div className="mt-3 flex justify-end">
          <CopyButton text={codes.join('\n')} what="Recovery codes" />
        </div>
      </div>
      <div className="flex flex-wrap items-center justify-between gap-3">
        <div className="flex min-h-10 items-center gap-3">
          <Checkbox
            id="recovery-codes-stored"
            checked={isStored}
            onCheckedChange={(checked) => setStored(checked === true)}
          />
          <label htmlFor="recovery-codes-stored" className="py-2.5 text-sm">
            I have stored them
          </label>
        </div>
        <Button
          variant="primary"
          disabledReason={isStored ? undefined : 'Tick “I have stored them” first: they cannot be shown again.'}
          onClick={onStored}
        >
          Done
        </Button>
      </div>
    </div>
  )
}
