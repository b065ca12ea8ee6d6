'use client'

import { Ban, Building2, ExternalLink, KeyRound, ShieldCheck } from 'lucide-react'
import Link from 'next/link'
import { useState } from 'react'

import type { ValueAction } from '@/components/action'
import type { ScopeLine } from '@/components/pages/connection-types'
import { Alert } from '@/components/ui/alert'
import { Badge } from '@/components/ui/badge'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardFooter, CardHeader } from '@/components/ui/card'
import { Checkbox } from '@/components/ui/checkbox'
import { EmptyState } from '@/components/ui/empty-state'
import { PageHeader } from '@/components/ui/page-header'
import { ProviderMark } from '@/components/ui/provider-mark'
import { RadioCard, RadioGroup } from '@/components/ui/radio-group'
import { EffectBadge } from '@/components/ui/status-badge'
import { useAction } from '@/components/use-action'

export interface ScopeOffer extends ScopeLine {
  /** Without it the connection cannot exist at all, for example the identity. */
  readonly isRequired: boolean
}

export interface ProviderOffer {
  readonly id: string
  readonly name: string
  /** “Mail and calendar”. */
  readonly summary?: string | undefined
  readonly scopes: readonly ScopeOffer[]
  /** Accounts of this provider that are connected already. */
  readonly connectedAccounts: readonly string[]
  readonly isSandbox: boolean
  /** Public reason why it cannot be connected, for example that no app is configured. */
  readonly unavailableReason?: string | undefined
}

/**
 * Says which workspace, which provider, which permissions and why, before anything is sent. The flow begins with a POST whose
 * answer names the provider's page; the browser then goes there by itself, because a form's redirect to another site would
 * be refused by `form-action 'self'`.
 */
export function ConnectProvider({
  workspaceName,
  providers,
  initialProvider,
  canConnect = true,
  onConnect,
}: {
  workspaceName: string
  providers: readonly ProviderOffer[]
  initialProvider?: string | undefined
  /** False for roles that may look but not touch. */
  canConnect?: boolean
  onConnect: ValueAction<{ provider: string; scopes: readonly string[] }, { redirectTo: string }>
}) {
  const usable = providers.filter((provider) => provider.unavailableReason === undefined)
  const [chosenId, setChosenId] = useState(
    usable.find((provider) => provider.id === initialProvider)?.id ?? usable[0]?.id ?? '',
  )
  const [declined, setDeclined] = useState<ReadonlySet<string>>(new Set())
  const [isLeaving, setLeaving] = useState(false)
  const action = useAction(onConnect)
  const chosen = usable.find((provider) => provider.id === chosenId)

  const connect = async () => {
    if (chosen === undefined) return
    const scopes = chosen.scopes.filter((one) => one.isRequired || !declined.has(one.scope)).map((one) => one.scope)
    const result = await action.run({ provider: chosen.id, scopes })
    if (result === undefined) return
    setLeaving(true)
    window.location.assign(result.value.redirectTo)
  }

  return (
    <>
      <PageHeader
        title="Connect an account"
        description="You sign in at the provider. Portcullis keeps the credential sealed; agents never receive it."
        crumbs={[{ label: 'Connections', href: '/connections' }, { label: 'Connect an account' }]}
      />
      {usable.length === 0 ? (
        <Card>
          <EmptyState icon={Ban} title="No provider is available">
            No provider app is configured on this server, and the sandbox is off. Whoever runs this server can set one
            up.
          </EmptyState>
        </Card>
      ) : (
        <form
          className="grid grid-cols-1 items-start gap-6 lg:grid-cols-[20rem_1fr]"
          onSubmit={(event) => {
            event.preventDefault()
            void connect()
          }}
        >
          <fieldset className="min-w-0">
            <legend className="mb-2 text-sm font-medium">Provider</legend>
            <RadioGroup value={chosenId} onValueChange={setChosenId} aria-label="Provider">
              {providers.map((provider) => (
                <RadioCard
                  key={provider.id}
                  value={provider.id}
                  media={<ProviderMark provider={provider.id} />}
                  disabled={provider.unavailableReason !== undefined}
                  label={
                    <span className="flex items-center gap-2">
                      {provider.name}
                      {provider.isSandbox ? <Badge tone="info">Sandbox</Badge> : null}
                    </span>
                  }
                  description={provider.unavailableReason ?? provider.summary}
                />
              ))}
            </RadioGroup>
          </fieldset>
          {chosen === undefined ? null : (
            <Card className="lg:mt-7">
              <CardHeader
                title={`What agents could do with ${chosen.name}`}
                description="This is the most any agent can get. Each agent’s own tools narrow it further."
              />
              <CardBody className="space-y-5">
                <ul className="divide-y divide-line rounded-lg border border-line">
                  {chosen.scopes.map((scope) => (
                    <ScopeTick
                      key={`${chosen.id} ${scope.scope}`}
                      scope={scope}
                      isTicked={scope.isRequired || !declined.has(scope.scope)}
                      onTick={(isTicked) => {
                        const next = new Set(declined)
                        if (isTicked) next.delete(scope.scope)
                        else next.add(scope.scope)
                        setDeclined(next)
                      }}
                    />
                  ))}
                </ul>
                <ul className="space-y-2.5 text-sm text-muted">
                  <li className="flex gap-2.5">
                    <Building2 aria-hidden className="mt-0.5 size-4 shrink-0" />
                    <span>
                      It is connected to the workspace <strong className="font-medium text-ink">{workspaceName}</strong>
                      .
                      {chosen.connectedAccounts.length === 0
                        ? null
                        : ` Already connected: ${chosen.connectedAccounts.join(', ')}. You may connect another account.`}
                    </span>
                  </li>
                  <li className="flex gap-2.5">
                    <KeyRound aria-hidden className="mt-0.5 size-4 shrink-0" />
                    <span>
                      {chosen.name} asks you which account to use, and you can refuse single permissions there too.
                    </span>
                  </li>
                  <li className="flex gap-2.5">
                    <ShieldCheck aria-hidden className="mt-0.5 size-4 shrink-0" />
                    <span>You can disconnect at any time; the stored credential is then destroyed.</span>
                  </li>
                </ul>
                {action.error === undefined ? null : <Alert tone="danger" title={action.error.message} />}
              </CardBody>
              <CardFooter>
                <Button asChild>
                  <Link href="/connections">Cancel</Link>
                </Button>
                <Button
                  type="submit"
                  variant="primary"
                  pending={action.pending || isLeaving}
                  pendingLabel={`Going to ${chosen.name}…`}
                  disabledReason={canConnect ? undefined : 'Your role may look at connections, not make them.'}
                >
                  Continue to {chosen.name} <ExternalLink aria-hidden />
                </Button>
              </CardFooter>
            </Card>
          )}
        </form>
      )}
    </>
  )
}

function ScopeTick({
  scope,
  isTicked,
  onTick,
}: {
  scope: ScopeOffer
  isTicked: boolean
  onTick: (isTicked: boolean) => void
}) {
  const id = `scope-${scope.scope.replace(/[^a-zA-Z0-9]+/g, '-')}`
  return (
    <li className="relative flex items-start gap-3 p-3">
      <Checkbox
        id={id}
        checked={isTicked}
        disabled={scope.isRequired}
        onCheckedChange={(checked) => onTick(checked === true)}
        aria-describedby={`${id}-why`}
        className="mt-0.5"
      />
      <div className="min-w-0 flex-1">
        <label htmlFor={id} className="font-medium after:absolute after:inset-0 after:cursor-pointer">
          {scope.plain}
          {scope.isRequired ? <span className="ml-2 text-sm font-normal text-muted">always needed</span> : null}
        </label>
        <div id={`${id}-why`}>
          {scope.why === undefined ? null : <p className="text-sm text-muted">{scope.why}</p>}
          <p className="mt-0.5 font-mono text-xs wrap-anywhere text-muted">{scope.scope}</p>
        </div>
      </div>
      <EffectBadge effect={scope.access} />
    </li>
  )
}
