'use client'

import { CircleAlert, CircleCheck, CircleSlash, FlaskConical } from 'lucide-react'
import { useId } from 'react'
import type { ReactNode, SyntheticEvent } from 'react'

import type { Action } from '@/components/action'
import { SettingsNav } from '@/components/pages/settings-nav'
import { Alert } from '@/components/ui/alert'
import { Avatar } from '@/components/ui/avatar'
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
import { Time } from '@/components/ui/time'
import { useToast } from '@/components/ui/toast'
import { textField, useAction } from '@/components/use-action'

export type MemberRole = 'owner' | 'admin' | 'member' | 'auditor'

export interface Member {
  readonly id: string
  readonly name: string
  readonly email: string
  readonly role: MemberRole
  readonly joinedAt: string
  readonly isYou: boolean
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

const roleMeaning: Record<MemberRole, string> = {
  owner: 'Everything, deleting the workspace included',
  admin: 'Manages connections, agents and people',
  member: 'Connects own accounts and runs agents',
  auditor: 'Reads everything, changes nothing',
}

export function WorkspaceSettings({
  name,
  canRename,
  members,
  providerApps,
  agentsSeeOwnerNames,
  webhooks,
  onRetryProviders,
  onRename,
  onShowNames,
}: {
  name: string
  canRename: boolean
  members: readonly Member[]
  providerApps: readonly ProviderAppStatus[] | 'loading' | 'failed'
  agentsSeeOwnerNames: boolean
  /** Who may not see them gets none. */
  webhooks?: ReactNode
  onRetryProviders?: (() => void) | undefined
  onRename: Action<{ name: string }>
  onShowNames: Action<{ agentsSeeOwnerNames: boolean }>
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
        <Card>
          <CardHeader title="Members" description="Who may do what in this workspace." />
          <CardBody className="py-2 md:py-2">
            <ul className="divide-y divide-line">
              {members.map((member) => (
                <li key={member.id} className="flex items-center gap-3 py-3">
                  <Avatar name={member.name} className="size-9" />
                  <div className="min-w-0 flex-1">
                    <p className="flex flex-wrap items-center gap-x-2 gap-y-1 font-medium">
                      <span className="wrap-anywhere">{member.name}</span>
                      {member.isYou ? <Badge tone="accent">You</Badge> : null}
                    </p>
                    <p className="text-sm wrap-anywhere text-muted">
                      {member.email} · since <Time at={member.joinedAt} />
                    </p>
                  </div>
                  <div className="text-right">
                    <Badge>{member.role.charAt(0).toUpperCase() + member.role.slice(1)}</Badge>
                    <p className="mt-1 hidden text-xs text-muted md:block">{roleMeaning[member.role]}</p>
                  </div>
                </li>
              ))}
            </ul>
          </CardBody>
        </Card>
        <NamesForAgents isOn={agentsSeeOwnerNames} canChange={canRename} onChange={onShowNames} />
        {webhooks}
        <Card>
          <CardHeader
            title="Provider apps"
            description="Set by whoever runs this server, through its environment. The redirect URI has to be entered at the provider exactly as it stands here."
          />
          <ProviderApps apps={providerApps} onRetry={onRetryProviders} />
        </Card>
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
