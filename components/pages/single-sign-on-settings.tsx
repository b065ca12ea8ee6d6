'use client'

import { CircleAlert, CircleCheck, Globe, KeyRound, Plus, Trash2, Unlink, Users } from 'lucide-react'
import { useState } from 'react'
import type { SyntheticEvent } from 'react'

import type { Action, ActionResult, ValueAction, ValueResult } from '@/components/action'
import { SettingsNav } from '@/components/pages/settings-nav'
import { CONFIG_PROBLEMS } from '@/components/pages/sign-in-problems'
import { Alert } from '@/components/ui/alert'
import { ConfirmDialog } from '@/components/ui/alert-dialog'
import { Badge } from '@/components/ui/badge'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { CopyButton } from '@/components/ui/copy-button'
import { EmptyState } from '@/components/ui/empty-state'
import { ErrorState } from '@/components/ui/error-state'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { PageHeader } from '@/components/ui/page-header'
import { PasswordInput } from '@/components/ui/password-input'
import { Select } from '@/components/ui/select'
import { Loading, SkeletonRows } from '@/components/ui/skeleton'
import { Time } from '@/components/ui/time'
import { useToast } from '@/components/ui/toast'
import { textField, useAction } from '@/components/use-action'

export interface SsoConfig {
  readonly issuer: string
  readonly clientId: string
  readonly redirectUri: string
  readonly signInUrl: string
  readonly joinRole: string
  readonly isEnforced: boolean
  readonly signedInAt: string | undefined
}

export interface SsoDomain {
  readonly domain: string
  readonly recordName: string
  readonly recordValue: string
  readonly isVerified: boolean
  readonly missingSince: string | undefined
}

export interface SsoLink {
  readonly id: string
  readonly name: string
  readonly email: string
  readonly label: string
  readonly lastUsedAt: string
}

export interface SingleSignOnState {
  readonly config: SsoConfig | undefined
  readonly domains: readonly SsoDomain[]
  readonly links: readonly SsoLink[]
}

export interface CheckStep {
  readonly name: string
  readonly problem: string | undefined
  readonly detail: string | undefined
}

interface ConfigInput {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  readonly joinRole: string | null
}

export interface SingleSignOnSettingsProps {
  readonly state: SingleSignOnState | 'loading' | 'failed'
  readonly onRetry: () => void
  readonly onSave: Action<ConfigInput>
  readonly onCheck: () => Promise<ValueResult<readonly CheckStep[]>>
  readonly onTryIt: () => Promise<ActionResult>
  readonly onEnforce: Action<{ isEnforced: boolean }>
  readonly onRemove: () => Promise<ActionResult>
  readonly onAddDomain: Action<{ domain: string }>
  /** Gives what was found. */
  readonly onVerifyDomain: ValueAction<{ domain: string }, string>
  readonly onRemoveDomain: Action<{ domain: string }>
  readonly onUnlink: Action<{ id: string }>
}

/** Everything of a workspace's single sign-on: its issuer, whether that works, its domains, and who came through it. */
export function SingleSignOnSettings(props: SingleSignOnSettingsProps) {
  const { state } = props
  return (
    <>
      <PageHeader title="Settings" />
      <SettingsNav current="single-sign-on" />
      {state === 'loading' ? (
        <Card>
          <Loading label="Loading single sign-on">
            <SkeletonRows rows={4} />
          </Loading>
        </Card>
      ) : state === 'failed' ? (
        <Card>
          <ErrorState level={2} action={<Button onClick={props.onRetry}>Try again</Button>} />
        </Card>
      ) : (
        <div className="space-y-6">
          <IssuerCard key={state.config?.issuer ?? ''} config={state.config} onSave={props.onSave} />
          {state.config === undefined ? null : <ConnectionCard config={state.config} {...props} />}
          <DomainsCard domains={state.domains} {...props} />
          {state.config === undefined ? null : (
            <>
              <EnforcementCard config={state.config} domains={state.domains} onEnforce={props.onEnforce} />
              <LinksCard links={state.links} onUnlink={props.onUnlink} />
              <RemoveCard onRemove={props.onRemove} />
            </>
          )}
        </div>
      )}
    </>
  )
}

/** For who may not set it. */
export function SingleSignOnClosed() {
  return (
    <>
      <PageHeader title="Settings" />
      <SettingsNav current="single-sign-on" />
      <Card>
        <EmptyState icon={KeyRound} level={2} title="Set by owners and admins">
          How the people of this workspace sign in is for its owners and admins to say.
        </EmptyState>
      </Card>
    </>
  )
}

const roles = [
  { value: 'none', label: 'Nobody joins by signing in' },
  { value: 'member', label: 'They join as member' },
  { value: 'auditor', label: 'They join as auditor' },
  { value: 'admin', label: 'They join as admin' },
]

function IssuerCard({ config, onSave }: { config: SsoConfig | undefined; onSave: Action<ConfigInput> }) {
  const save = useAction(onSave)
  const toast = useToast()
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    const data = new FormData(form)
    const joinRole = textField(data, 'joinRole')
    const input = {
      issuer: textField(data, 'issuer').trim(),
      clientId: textField(data, 'clientId').trim(),
      clientSecret: textField(data, 'clientSecret'),
      joinRole: joinRole === 'none' ? null : joinRole,
    }
    if (!(await save.run(input))) return
    // What was typed lies in no page any longer than it has to.
    const typed = form.elements.namedItem('clientSecret')
    if (typed instanceof HTMLInputElement) typed.value = ''
    toast({ tone: 'success', title: 'Single sign-on is saved' })
  }
  const error = save.formError('issuer', 'clientId', 'clientSecret', 'joinRole')
  return (
    <Card>
      <CardHeader
        title="Issuer"
        description="An OpenID Connect application that you register at Okta, Entra ID, Google Workspace, Keycloak, Auth0 or another issuer."
      />
      <CardBody>
        <form method="post" onSubmit={(event) => void submit(event)} className="max-w-xl space-y-4">
          {error === undefined ? null : <Alert tone="danger" title={error.message} />}
          <Field
            label="Issuer address"
            required
            error={save.fieldError('issuer')}
            hint="As the issuer calls itself, for example https://example.okta.com or https://login.microsoftonline.com/<directory id>/v2.0."
          >
            {(control) => (
              <Input
                {...control}
                name="issuer"
                type="url"
                required
                maxLength={500}
                defaultValue={config?.issuer ?? ''}
                autoComplete="off"
              />
            )}
          </Field>
          <Field label="Client id" required error={save.fieldError('clientId')}>
            {(control) => (
              <Input
                {...control}
                name="clientId"
                required
                maxLength={300}
                defaultValue={config?.clientId ?? ''}
                autoComplete="off"
              />
            )}
          </Field>
          <Field
            label="Client secret"
            required={config === undefined}
            error={save.fieldError('clientSecret')}
            hint={
              config === undefined
                ? 'Kept sealed, and never shown again.'
                : 'Leave it empty to keep the one that is stored. Another issuer or client needs its own.'
            }
          >
            {(control) => (
              <PasswordInput
                {...control}
                name="clientSecret"
                required={config === undefined}
                autoComplete="off"
                maxLength={1_000}
              />
            )}
          </Field>
          <Field
            label="Who is not a member yet"
            error={save.fieldError('joinRole')}
            hint="Only with an address that the issuer has verified, in a domain that is proven below."
          >
            {(control) => (
              <Select {...control} name="joinRole" defaultValue={config?.joinRole ?? 'member'} options={roles} />
            )}
          </Field>
          <Button type="submit" variant={config === undefined ? 'primary' : 'secondary'} pending={save.pending}>
            Save
          </Button>
        </form>
      </CardBody>
    </Card>
  )
}

const stepTitles: Readonly<Record<string, string>> = {
  discovery: 'The issuer describes itself',
  keys: 'Its signing keys can be read',
  client: 'It knows this client and its secret',
  domain: 'A domain is proven',
}

function ConnectionCard({
  config,
  onCheck,
  onTryIt,
}: {
  config: SsoConfig
  onCheck: () => Promise<ValueResult<readonly CheckStep[]>>
  onTryIt: () => Promise<ActionResult>
}) {
  const check = useAction(onCheck)
  const tryIt = useAction(onTryIt)
  const [steps, setSteps] = useState<readonly CheckStep[]>()
  const run = async () => {
    const result = await check.run(undefined)
    if (result) setSteps(result.value)
  }
  const error = check.error ?? tryIt.error
  return (
    <Card>
      <CardHeader
        title="Connection"
        description="Enter the first at the issuer, exactly. Give the second to your people."
      />
      <CardBody className="space-y-5">
        <Address label="Redirect URI" value={config.redirectUri} />
        <Address label="Sign-in link" value={config.signInUrl} />
        <div className="flex flex-wrap gap-2">
          <Button pending={check.pending} onClick={() => void run()}>
            Test the connection
          </Button>
          <Button pending={tryIt.pending} onClick={() => void tryIt.run(undefined)}>
            Sign in through it and link yourself
          </Button>
        </div>
        {error === undefined ? null : <Alert tone="danger" title={error.message} />}
        <div aria-live="polite">{steps === undefined ? null : <Steps steps={steps} />}</div>
        <p className="text-sm text-muted">
          {config.signedInAt === undefined ? (
            'Nobody has come through it yet.'
          ) : (
            <>
              Somebody last came through it <Time at={config.signedInAt} />.
            </>
          )}
        </p>
      </CardBody>
    </Card>
  )
}

function Address({ label, value }: { label: string; value: string }) {
  return (
    <div className="space-y-1">
      <p className="text-sm font-medium">{label}</p>
      <div className="flex items-start gap-2">
        <code className="min-w-0 flex-1 rounded-md border border-line bg-sunken px-3 py-2 font-mono text-xs wrap-anywhere">
          {value}
        </code>
        <CopyButton text={value} what={label} />
      </div>
    </div>
  )
}

function Steps({ steps }: { steps: readonly CheckStep[] }) {
  return (
    <ol className="space-y-2 text-sm">
      {steps.map(({ name, problem, detail }) => (
        <li key={name} className="flex gap-2">
          {problem === undefined ? (
            <CircleCheck aria-label="Works" className="mt-0.5 size-4 shrink-0 text-success" />
          ) : (
            <CircleAlert aria-label="Does not work" className="mt-0.5 size-4 shrink-0 text-danger" />
          )}
          <span className="min-w-0 wrap-anywhere">
            {stepTitles[name] ?? name}
            {problem === undefined ? null : (
              <span className="block text-muted">{CONFIG_PROBLEMS[problem] ?? 'It does not answer as it should.'}</span>
            )}
            {detail === undefined || detail === '' ? null : (
              <code className="block font-mono text-xs text-muted">{detail}</code>
            )}
          </span>
        </li>
      ))}
    </ol>
  )
}

const findings: Readonly<Record<string, string>> = {
  record_missing: 'There is no such record yet. It can take an hour until a new one is seen everywhere.',
  record_other: 'There is a record of that name, with another value.',
  no_answer: 'The name servers of the domain do not answer. Try again later.',
  taken: 'Another workspace of this server has proven this domain.',
}

function DomainsCard({
  domains,
  onAddDomain,
  onVerifyDomain,
  onRemoveDomain,
}: {
  domains: readonly SsoDomain[]
  onAddDomain: Action<{ domain: string }>
  onVerifyDomain: ValueAction<{ domain: string }, string>
  onRemoveDomain: Action<{ domain: string }>
}) {
  const add = useAction(onAddDomain)
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    if (await add.run({ domain: textField(new FormData(form), 'domain') })) form.reset()
  }
  const error = add.formError('domain')
  return (
    <Card>
      <CardHeader
        title="Domains"
        description="Addresses in a proven domain lead here from the sign-in page, and may join. The record is looked at again every day."
      />
      <CardBody className="space-y-5">
        {domains.length === 0 ? (
          <EmptyState icon={Globe} level={3} title="No domains" className="py-8">
            Add the domain of your people’s addresses, and prove that it is yours.
          </EmptyState>
        ) : (
          <ul className="divide-y divide-line">
            {domains.map((domain) => (
              <DomainEntry key={domain.domain} domain={domain} onVerify={onVerifyDomain} onRemove={onRemoveDomain} />
            ))}
          </ul>
        )}
        <form
          method="post"
          onSubmit={(event) => void submit(event)}
          className="flex max-w-xl flex-wrap items-end gap-2 border-t border-line pt-5"
        >
          <Field label="Add a domain" className="min-w-0 flex-1 basis-52" error={add.fieldError('domain')}>
            {(control) => (
              <Input {...control} name="domain" required maxLength={240} placeholder="example.com" autoComplete="off" />
            )}
          </Field>
          <Button type="submit" pending={add.pending}>
            <Plus aria-hidden /> Add
          </Button>
          {error === undefined ? null : <Alert tone="danger" title={error.message} className="basis-full" />}
        </form>
      </CardBody>
    </Card>
  )
}

function DomainEntry({
  domain: { domain, recordName, recordValue, isVerified, missingSince },
  onVerify,
  onRemove,
}: {
  domain: SsoDomain
  onVerify: ValueAction<{ domain: string }, string>
  onRemove: Action<{ domain: string }>
}) {
  const verify = useAction(onVerify)
  const [finding, setFinding] = useState<string>()
  const look = async () => {
    const result = await verify.run({ domain })
    if (result) setFinding(findings[result.value])
  }
  return (
    <li className="space-y-3 py-4 first:pt-0">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <p className="flex min-w-0 flex-wrap items-center gap-2 font-medium wrap-anywhere">
          {domain}
          {!isVerified ? (
            <Badge tone="warning">Not proven</Badge>
          ) : missingSince === undefined ? (
            <Badge tone="success">Proven</Badge>
          ) : (
            <Badge tone="warning">Record is gone</Badge>
          )}
        </p>
        <div className="flex flex-wrap gap-2">
          {isVerified && missingSince === undefined ? null : (
            <Button
              size="sm"
              pending={verify.pending}
              onClick={() => void look()}
              aria-label={`Look for the record of ${domain}`}
            >
              Look for the record
            </Button>
          )}
          <ConfirmDialog
            title={`Give up ${domain}?`}
            confirmLabel="Remove domain"
            onConfirm={() => onRemove({ domain })}
            trigger={
              <Button size="sm" variant="danger-quiet" aria-label={`Remove ${domain}`}>
                <Trash2 aria-hidden /> Remove
              </Button>
            }
          >
            <p>Its addresses no longer lead here, and nobody joins by one. Who is linked already goes on signing in.</p>
          </ConfirmDialog>
        </div>
      </div>
      {isVerified && missingSince === undefined ? null : (
        <>
          {missingSince === undefined ? (
            <p className="text-sm text-muted">Make this TXT record at whoever runs the domain’s names:</p>
          ) : (
            <Alert tone="warning" title="The record was not found again">
              Since <Time at={missingSince} />. A week after that the domain is no longer yours here.
            </Alert>
          )}
          <Address label="Name" value={recordName} />
          <Address label="Value" value={recordValue} />
        </>
      )}
      <div aria-live="polite">
        {finding === undefined ? null : <Alert tone="warning" title={finding} />}
        {verify.error === undefined ? null : <Alert tone="danger" title={verify.error.message} />}
      </div>
    </li>
  )
}

function EnforcementCard({
  config,
  domains,
  onEnforce,
}: {
  config: SsoConfig
  domains: readonly SsoDomain[]
  onEnforce: Action<{ isEnforced: boolean }>
}) {
  const reason =
    config.signedInAt === undefined
      ? 'First sign in through it once.'
      : domains.some(({ isVerified }) => isVerified)
        ? undefined
        : 'First prove a domain.'
  const action = config.isEnforced ? (
    <ConfirmDialog
      title="Allow other ways in again?"
      confirmLabel="Allow other ways"
      tone="primary"
      onConfirm={() => onEnforce({ isEnforced: false })}
      trigger={<Button>Allow other ways in</Button>}
    >
      <p>Members can enter this workspace with a password, a link by mail or another account again.</p>
    </ConfirmDialog>
  ) : reason === undefined ? (
    <ConfirmDialog
      title="Make single sign-on the only way in?"
      confirmLabel="Make it the only way"
      tone="primary"
      onConfirm={() => onEnforce({ isEnforced: true })}
      trigger={<Button>Make it the only way in</Button>}
    >
      <p>
        Members with an address in a proven domain, and everybody who is linked, enter this workspace through the issuer
        alone. Sessions they have by other ways lose it at once.
      </p>
      <p>Owners keep one way back: their own password or passkey. Each time one is used it is recorded.</p>
    </ConfirmDialog>
  ) : (
    <Button disabledReason={reason}>Make it the only way in</Button>
  )
  return (
    <Card>
      <CardHeader
        title="The only way in"
        description={
          config.isEnforced
            ? 'The people of your domains enter this workspace through the issuer alone. Owners keep their own password or passkey as a way back.'
            : 'Members may still enter with a password, a link by mail or another account.'
        }
        actions={<Badge tone={config.isEnforced ? 'success' : 'neutral'}>{config.isEnforced ? 'On' : 'Off'}</Badge>}
      />
      <CardBody>{action}</CardBody>
    </Card>
  )
}

function LinksCard({ links, onUnlink }: { links: readonly SsoLink[]; onUnlink: Action<{ id: string }> }) {
  return (
    <Card>
      <CardHeader
        title="Linked people"
        description="Who a member is at the issuer. Unlink somebody whom the issuer names anew; then they link again."
      />
      {links.length === 0 ? (
        <EmptyState icon={Users} level={3} title="Nobody is linked yet" className="py-8">
          Members link themselves in their account, or when they come through the issuer for the first time.
        </EmptyState>
      ) : (
        <CardBody className="py-2 md:py-2">
          <ul className="divide-y divide-line">
            {links.map(({ id, name, email, label, lastUsedAt }) => (
              <li key={id} className="flex flex-wrap items-center justify-between gap-3 py-3">
                <div className="min-w-0 flex-1 basis-56 text-sm">
                  <p className="font-medium wrap-anywhere">{name === '' ? email : name}</p>
                  <p className="text-muted wrap-anywhere">
                    {label === '' ? email : label}, last <Time at={lastUsedAt} />
                  </p>
                </div>
                <ConfirmDialog
                  title={`Unlink ${name === '' ? email : name}?`}
                  confirmLabel="Unlink"
                  onConfirm={() => onUnlink({ id })}
                  trigger={
                    <Button size="sm" variant="danger-quiet" aria-label={`Unlink ${email}`}>
                      <Unlink aria-hidden /> Unlink
                    </Button>
                  }
                >
                  <p>Their sessions that came through the issuer end. They stay a member, and can link again.</p>
                </ConfirmDialog>
              </li>
            ))}
          </ul>
        </CardBody>
      )}
    </Card>
  )
}

function RemoveCard({ onRemove }: { onRemove: () => Promise<ActionResult> }) {
  return (
    <Card>
      <CardHeader title="Remove single sign-on" />
      <CardBody className="space-y-4">
        <p className="text-sm text-muted">
          Every session that came through the issuer ends at once, and all links are forgotten. Members sign in another
          way.
        </p>
        <ConfirmDialog
          title="Remove single sign-on?"
          confirmLabel="Remove"
          typed="remove"
          onConfirm={onRemove}
          trigger={
            <Button variant="danger-quiet">
              <Trash2 aria-hidden /> Remove single sign-on
            </Button>
          }
        >
          <p>
            Every session that came through it ends, yours too if you came that way. Linked people have to link again.
          </p>
        </ConfirmDialog>
      </CardBody>
    </Card>
  )
}
