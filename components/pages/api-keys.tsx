'use client'

import { KeyRound, Plus } from 'lucide-react'
import { useId, useState } from 'react'
import type { SyntheticEvent } from 'react'

import type { Action, ValueAction } from '@/components/action'
import { roleMeaning, roleName } from '@/components/pages/people-settings'
import type { MemberRole } from '@/components/pages/people-settings'
import { SettingsNav } from '@/components/pages/settings-nav'
import { Alert } from '@/components/ui/alert'
import { ConfirmDialog } from '@/components/ui/alert-dialog'
import { Badge } from '@/components/ui/badge'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { Checkbox } from '@/components/ui/checkbox'
import { Dialog, DialogClose, DialogContent, DialogTrigger } from '@/components/ui/dialog'
import { EmptyState } from '@/components/ui/empty-state'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { PageHeader } from '@/components/ui/page-header'
import { SecretOnce } from '@/components/ui/secret-once'
import { Select } from '@/components/ui/select'
import { Textarea } from '@/components/ui/textarea'
import { Time } from '@/components/ui/time'
import { textField, useAction } from '@/components/use-action'

export interface ApiKeyRow {
  readonly id: string
  readonly name: string
  readonly prefix: string
  readonly role: MemberRole
  /** Undefined: everything its role may do. */
  readonly scopes: readonly string[] | undefined
  /** Empty: from everywhere. */
  readonly ipRanges: readonly string[]
  readonly owner: string
  readonly createdAt: string
  readonly expiresAt: string
  readonly lastUsedAt: string | undefined
  readonly state: 'active' | 'expired' | 'revoked' | 'leaked'
}

export interface NewApiKey {
  readonly name: string
  readonly role: MemberRole
  readonly days: number
  /** Undefined: everything the role may do. */
  readonly scopes: readonly string[] | undefined
  readonly ipRanges: readonly string[]
}

export interface ApiKeysProps {
  readonly keys: readonly ApiKeyRow[]
  readonly canCreate: boolean
  /** Roles a key of the viewer may have, with what each may do by name. */
  readonly roles: readonly { readonly role: MemberRole; readonly scopes: readonly string[] }[]
  readonly onCreate: ValueAction<NewApiKey, string>
  readonly onRevoke: Action<{ id: string }>
}

/** Keys for programs: what each is for, from where, until when. */
export function ApiKeys({ keys, canCreate, roles, onCreate, onRevoke }: ApiKeysProps) {
  return (
    <>
      <PageHeader
        title="Settings"
        actions={
          <CreateKey
            roles={roles}
            onCreate={onCreate}
            disabledReason={canCreate ? undefined : 'Your role may not make API keys.'}
          />
        }
      />
      <SettingsNav current="api-keys" />
      <Card>
        <CardHeader
          title="API keys"
          description="For programs that use the REST API or the command line. A key never does more than its maker may do at that moment."
        />
        {keys.length === 0 ? (
          <EmptyState icon={KeyRound} level={3} title="No API keys" className="py-10">
            Make one for each program, with no more than it needs, so that each can be ended on its own.
          </EmptyState>
        ) : (
          <CardBody className="py-2 md:py-2">
            <ul className="divide-y divide-line">
              {keys.map((key) => (
                <KeyEntry key={key.id} apiKey={key} onRevoke={onRevoke} />
              ))}
            </ul>
          </CardBody>
        )}
      </Card>
    </>
  )
}

function KeyEntry({ apiKey, onRevoke }: { apiKey: ApiKeyRow; onRevoke: Action<{ id: string }> }) {
  const { name, prefix, role, scopes, ipRanges, owner, state } = apiKey
  return (
    <li className="flex flex-wrap items-start gap-x-3 gap-y-2 py-3">
      <div className="min-w-0 flex-1 basis-64">
        <p className="flex flex-wrap items-center gap-x-2 gap-y-1 font-medium">
          <span className="wrap-anywhere">{name}</span>
          <code className="font-mono text-sm text-muted">{prefix}…</code>
          <Badge>{roleName(role)}</Badge>
          <KeyState state={state} />
        </p>
        <p className="text-sm wrap-anywhere text-muted">
          {owner} ·{' '}
          {state === 'revoked' || state === 'leaked' ? null : (
            <>
              {state === 'active' ? 'ends' : 'ended'} <Time at={apiKey.expiresAt} /> ·{' '}
            </>
          )}
          {apiKey.lastUsedAt === undefined ? (
            'never used'
          ) : (
            <>
              used <Time at={apiKey.lastUsedAt} />
            </>
          )}
        </p>
        <p className="text-sm wrap-anywhere text-muted">
          {scopes === undefined ? 'Everything its role may do' : scopes.join(', ')}
          {ipRanges.length === 0 ? '' : ` · from ${ipRanges.join(', ')}`}
        </p>
      </div>
      {state === 'active' ? (
        <ConfirmDialog
          title={`Revoke “${name}”?`}
          confirmLabel="Revoke key"
          onConfirm={() => onRevoke({ id: apiKey.id })}
          trigger={
            <Button size="sm" variant="danger-quiet" aria-label={`Revoke ${name}`}>
              Revoke
            </Button>
          }
        >
          <p>The next request with this key is refused. It cannot be taken back.</p>
        </ConfirmDialog>
      ) : null}
    </li>
  )
}

function KeyState({ state }: { state: ApiKeyRow['state'] }) {
  switch (state) {
    case 'active':
      return null
    case 'expired':
      return <Badge>Expired</Badge>
    case 'revoked':
      return <Badge>Revoked</Badge>
    case 'leaked':
      return <Badge tone="danger">Reported as leaked</Badge>
  }
}

function CreateKey({
  roles,
  onCreate,
  disabledReason,
}: Pick<ApiKeysProps, 'roles' | 'onCreate'> & { disabledReason: string | undefined }) {
  const [isOpen, setOpen] = useState(false)
  const [secret, setSecret] = useState<string>()
  const close = () => {
    setOpen(false)
    setSecret(undefined)
  }
  return (
    <Dialog open={isOpen} onOpenChange={(next) => (next ? setOpen(true) : close())}>
      <DialogTrigger asChild>
        <Button variant="primary" disabledReason={disabledReason}>
          <Plus aria-hidden /> New key
        </Button>
      </DialogTrigger>
      {secret === undefined ? (
        <DialogContent title="New API key" description="Give it no more than the program needs.">
          <KeyForm roles={roles} onCreate={onCreate} onMade={setSecret} />
        </DialogContent>
      ) : (
        <DialogContent title="The key" isDismissable={false}>
          <SecretOnce secret={secret} what="API key" onStored={close}>
            <p>
              Sent as <code className="font-mono text-[0.9em]">Authorization: Bearer …</code>. Should it ever be seen by
              others, revoke it here.
            </p>
          </SecretOnce>
        </DialogContent>
      )}
    </Dialog>
  )
}

function KeyForm({
  roles,
  onCreate,
  onMade,
}: Pick<ApiKeysProps, 'roles' | 'onCreate'> & { onMade: (secret: string) => void }) {
  const action = useAction(onCreate)
  const [role, setRole] = useState<MemberRole>(roles.find((one) => one.role === 'member')?.role ?? 'auditor')
  const [isLimited, setLimited] = useState(true)
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const available = roles.find((one) => one.role === role)?.scopes ?? []
  const scopes = available.filter((scope) => chosen.has(scope))
  const id = useId()
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const result = await action.run({
      name: textField(form, 'name').trim(),
      role,
      days: Number(textField(form, 'days')),
      scopes: isLimited ? scopes : undefined,
      ipRanges: textField(form, 'ipRanges')
        .split(/[\s,]+/)
        .filter((one) => one !== ''),
    })
    if (result !== undefined) onMade(result.value)
  }
  const error = action.formError('name', 'ipRanges')
  return (
    <form onSubmit={(event) => void submit(event)} className="space-y-4">
      {error === undefined ? null : <Alert tone="danger" title={error.message} />}
      <Field label="Name" hint="Where it will be used." required error={action.fieldError('name')}>
        {(control) => <Input {...control} name="name" required maxLength={80} autoComplete="off" />}
      </Field>
      <Field label="Role" hint="The most it can ever do.">
        {(control) => (
          <Select
            {...control}
            value={role}
            onChange={(event) => {
              const next = roles.find((one) => one.role === event.target.value)
              if (next !== undefined) setRole(next.role)
            }}
            options={roles.map((one) => ({
              value: one.role,
              label: `${roleName(one.role)}: ${roleMeaning[one.role]}`,
            }))}
          />
        )}
      </Field>
      <fieldset className="space-y-2">
        <legend className="text-sm font-medium">What it is for</legend>
        <div className="flex min-h-10 items-center gap-3">
          <Checkbox id={`${id}-all`} checked={!isLimited} onCheckedChange={(all) => setLimited(all !== true)} />
          <label htmlFor={`${id}-all`} className="py-2 text-sm">
            Everything its role may do
          </label>
        </div>
        {isLimited ? (
          <ul className="max-h-56 overflow-y-auto rounded-md border border-line px-3 py-1" aria-label="Scopes">
            {available.map((scope) => (
              <li key={scope} className="flex min-h-10 items-center gap-3">
                <Checkbox
                  id={`${id}-${scope}`}
                  checked={chosen.has(scope)}
                  onCheckedChange={(on) => {
                    const next = new Set(chosen)
                    if (on === true) next.add(scope)
                    else next.delete(scope)
                    setChosen(next)
                  }}
                />
                <label htmlFor={`${id}-${scope}`} className="py-2 font-mono text-sm wrap-anywhere">
                  {scope}
                </label>
              </li>
            ))}
          </ul>
        ) : null}
      </fieldset>
      <Field label="Ends after">
        {(control) => (
          <Select
            {...control}
            name="days"
            defaultValue="90"
            options={[
              { value: '7', label: 'A week' },
              { value: '30', label: '30 days' },
              { value: '90', label: '90 days' },
              { value: '365', label: 'A year' },
            ]}
          />
        )}
      </Field>
      <Field
        label="From where"
        hint="Addresses or ranges such as 192.0.2.0/24, one a line. Empty: from everywhere."
        optional
        error={action.fieldError('ipRanges')}
      >
        {(control) => <Textarea {...control} name="ipRanges" rows={2} spellCheck={false} className="font-mono" />}
      </Field>
      <div className="flex flex-wrap justify-end gap-2">
        <DialogClose asChild>
          <Button>Cancel</Button>
        </DialogClose>
        <Button
          type="submit"
          variant="primary"
          pending={action.pending}
          disabledReason={isLimited && scopes.length === 0 ? 'Choose at least one scope, or everything.' : undefined}
        >
          Make key
        </Button>
      </div>
    </form>
  )
}
