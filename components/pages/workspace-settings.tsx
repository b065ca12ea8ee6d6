'use client'

import { CircleAlert, CircleCheck, CircleSlash, FlaskConical, Trash2 } from 'lucide-react'
import { useId } from 'react'
import type { ReactNode, SyntheticEvent } from 'react'

import type { Action, ActionResult } from '@/components/action'
import { SettingsNav } from '@/components/pages/settings-nav'
import { Alert } from '@/components/ui/alert'
import { ConfirmDialog } from '@/components/ui/alert-dialog'
import { Badge } from '@/components/ui/badge'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { CopyButton } from '@/components/ui/copy-button'
import { ErrorState } from '@/components/ui/error-state'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { PageHeader } from '@/components/ui/page-header'
import { ProviderMark } from '@/components/ui/provider-mark'
import { Loading, SkeletonRows } from '@/components/ui/skeleton'
import { Switch } from '@/components/ui/switch'
import { useToast } from '@/components/ui/toast'
import { textField, useAction } from '@/components/use-action'

export interface Lifetimes {
  readonly accessTokenMinutes: number
  readonly sessionIdleDays: number
  readonly sessionAbsoluteDays: number
}

export interface ProviderAppStatus {
  readonly provider: string
  readonly name: string
  readonly status: 'ready' | 'sandbox' | 'not_configured' | 'failing'
  /** Public sentence, for example which variables are missing. */
  readonly detail?: string | undefined
  /** To be entered at the provider, exactly. */
  readonly redirectUri: string
}

export function WorkspaceSettings({
  name,
  canRename,
  lifetimes,
  providerApps,
  agentsSeeOwnerNames,
  webhooks,
  onRetryProviders,
  canDelete,
  onRename,
  onShowNames,
  onLifetimes,
  onDelete,
}: {
  name: string
  canRename: boolean
  lifetimes: Lifetimes
  providerApps: readonly ProviderAppStatus[] | 'loading' | 'failed'
  agentsSeeOwnerNames: boolean
  /** Who may not see them gets none. */
  webhooks?: ReactNode
  onRetryProviders?: (() => void) | undefined
  onRename: Action<{ name: string }>
  canDelete: boolean
  onShowNames: Action<{ agentsSeeOwnerNames: boolean }>
  onLifetimes: Action<Lifetimes>
  onDelete: () => Promise<ActionResult>
}) {
  const action = useAction(onRename)
  const toast = useToast()
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const wanted = textField(new FormData(event.currentTarget), 'name').trim()
    if (await action.run({ name: wanted })) toast({ tone: 'success', title: `The workspace is now “${wanted}”` })
  }
  const error = action.formError('name')
  return (
    <>
      <PageHeader title="Settings" />
      <SettingsNav current="workspace" />
      <div className="space-y-6">
        <Card>
          <CardHeader title="Name" />
          <CardBody>
            <form onSubmit={(event) => void submit(event)} className="max-w-md space-y-4">
              {error === undefined ? null : <Alert tone="danger" title={error.message} />}
              <Field label="Workspace name" required error={action.fieldError('name')}>
                {(control) => (
                  <Input
                    {...control}
                    name="name"
                    required
                    maxLength={80}
                    defaultValue={name}
                    readOnly={!canRename}
                    autoComplete="off"
                  />
                )}
              </Field>
              <Button
                type="submit"
                pending={action.pending}
                disabledReason={canRename ? undefined : 'Only owners and admins may rename the workspace.'}
              >
                Rename
              </Button>
            </form>
          </CardBody>
        </Card>
        <NamesForAgents isOn={agentsSeeOwnerNames} canChange={canRename} onChange={onShowNames} />
        <LifetimesCard lifetimes={lifetimes} canChange={canRename} onChange={onLifetimes} />
        {webhooks}
        <Card>
          <CardHeader
            title="Provider apps"
            description="Set by whoever runs this server, through its environment. The redirect URI has to be entered at the provider exactly as it stands here."
          />
          <ProviderApps apps={providerApps} onRetry={onRetryProviders} />
        </Card>
        {canDelete ? <DeleteCard name={name} onDelete={onDelete} /> : null}
      </div>
    </>
  )
}

/** What an agent may say when an account is stuck. */
function NamesForAgents({
  isOn,
  canChange,
  onChange,
}: {
  isOn: boolean
  canChange: boolean
  onChange: Action<{ agentsSeeOwnerNames: boolean }>
}) {
  const action = useAction(onChange)
  const id = useId()
  return (
    <Card>
      <CardHeader title="What agents are told" />
      <CardBody className="space-y-3">
        {action.error === undefined ? null : <Alert tone="danger" title={action.error.message} />}
        <div className="flex items-start justify-between gap-4">
          <div className="min-w-0">
            <label htmlFor={id} className="font-medium">
              Whom to ask, by name
            </label>
            <p id={`${id}-hint`} className="mt-0.5 max-w-prose text-sm text-pretty text-muted">
              When an account stops working, its agent is told what happened and where to put it right. With this it may
              also say who connected the account: the name, never the e-mail address.
              {canChange ? null : ' Only owners and admins may change this.'}
            </p>
          </div>
          <Switch
            id={id}
            checked={isOn}
            disabled={!canChange || action.pending}
            aria-describedby={`${id}-hint`}
            onCheckedChange={(agentsSeeOwnerNames) => void action.run({ agentsSeeOwnerNames })}
          />
        </div>
      </CardBody>
    </Card>
  )
}

/** How long what an OAuth client was given lasts, at most. */
function LifetimesCard({
  lifetimes,
  canChange,
  onChange,
}: {
  lifetimes: Lifetimes
  canChange: boolean
  onChange: Action<Lifetimes>
}) {
  const action = useAction(onChange)
  const toast = useToast()
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const wanted = {
      accessTokenMinutes: Number(textField(form, 'accessTokenMinutes')),
      sessionIdleDays: Number(textField(form, 'sessionIdleDays')),
      sessionAbsoluteDays: Number(textField(form, 'sessionAbsoluteDays')),
    }
    if (await action.run(wanted)) toast({ tone: 'success', title: 'The limits are saved' })
  }
  const error = action.formError(...limits.map(({ name }) => name))
  return (
    <Card>
      <CardHeader
        title="Sessions of applications"
        description="How long an application that signed in for an agent keeps its access. What is there already follows when it is renewed next."
      />
      <CardBody>
        <form onSubmit={(event) => void submit(event)} className="max-w-md space-y-4">
          {error === undefined ? null : <Alert tone="danger" title={error.message} />}
          {limits.map(({ name, label, hint, most }) => (
            <Field key={name} label={label} hint={hint} required error={action.fieldError(name)}>
              {(control) => (
                <Input
                  {...control}
                  name={name}
                  type="number"
                  inputMode="numeric"
                  min={1}
                  max={most}
                  required
                  readOnly={!canChange}
                  defaultValue={lifetimes[name]}
                  autoComplete="off"
                />
              )}
            </Field>
          ))}
          <Button
            type="submit"
            pending={action.pending}
            disabledReason={canChange ? undefined : 'Only owners and admins may change this.'}
          >
            Save limits
          </Button>
        </form>
      </CardBody>
    </Card>
  )
}

const limits = [
  { name: 'accessTokenMinutes', label: 'Access, in minutes', hint: 'Renewed by itself. At most 15.', most: 15 },
  { name: 'sessionIdleDays', label: 'Unused, in days', hint: 'Then it has to sign in again. At most 30.', most: 30 },
  { name: 'sessionAbsoluteDays', label: 'In all, in days', hint: 'Used or not. At most 90.', most: 90 },
] as const

function DeleteCard({ name, onDelete }: { name: string; onDelete: () => Promise<ActionResult> }) {
  return (
    <Card>
      <CardHeader
        title="Delete this workspace"
        description="Nobody enters it any more at once, and nothing of it is called. After seven days everything is destroyed; until then an owner may take it back."
      />
      <CardBody>
        <ConfirmDialog
          title={`Delete “${name}”?`}
          confirmLabel="Delete workspace"
          typed={name}
          onConfirm={onDelete}
          trigger={
            <Button variant="danger-quiet">
              <Trash2 aria-hidden /> Delete workspace
            </Button>
          }
        >
          <p>
            Every agent loses its access now, for everybody in it. In seven days the connected accounts are ended at
            their providers, and what is stored here is destroyed.
          </p>
        </ConfirmDialog>
      </CardBody>
    </Card>
  )
}

function ProviderApps({
  apps,
  onRetry,
}: {
  apps: readonly ProviderAppStatus[] | 'loading' | 'failed'
  onRetry: (() => void) | undefined
}) {
  if (apps === 'loading') {
    return (
      <Loading label="Loading provider apps">
        <SkeletonRows rows={3} />
      </Loading>
    )
  }
  if (apps === 'failed') {
    return <ErrorState level={3} className="py-10" action={<Button onClick={onRetry}>Try again</Button>} />
  }
  return (
    <CardBody className="py-2 md:py-2">
      <ul className="divide-y divide-line">
        {apps.map((app) => (
          <li key={app.provider} className="flex items-start gap-3 py-3">
            <ProviderMark provider={app.provider} />
            <div className="min-w-0 flex-1">
              <p className="flex flex-wrap items-center gap-2 font-medium">
                {app.name} <AppStatus status={app.status} />
              </p>
              {app.detail === undefined ? null : <p className="text-sm text-muted">{app.detail}</p>}
              <p className="font-mono text-xs wrap-anywhere text-muted">{app.redirectUri}</p>
            </div>
            <CopyButton text={app.redirectUri} what={`${app.name} redirect URI`} />
          </li>
        ))}
      </ul>
    </CardBody>
  )
}

function AppStatus({ status }: { status: ProviderAppStatus['status'] }) {
  switch (status) {
    case 'ready':
      return (
        <Badge tone="success" icon={CircleCheck}>
          Ready
        </Badge>
      )
    case 'sandbox':
      return (
        <Badge tone="info" icon={FlaskConical}>
          Sandbox
        </Badge>
      )
    case 'failing':
      return (
        <Badge tone="danger" icon={CircleAlert}>
          Refused by the provider
        </Badge>
      )
    case 'not_configured':
      return <Badge icon={CircleSlash}>Not set up</Badge>
  }
}
