'use client'

import { Activity, Bot, RefreshCw, Unplug } from 'lucide-react'
import Link from 'next/link'
import { useId, useState } from 'react'
import type { ReactNode } from 'react'

import type { Action, ActionResult, ValueResult } from '@/components/action'
import { ConnectionTimeline, duration } from '@/components/pages/connection-timeline'
import type {
  AgentUse,
  ConnectionSummary,
  HistoryLine,
  RenewalFacts,
  ScopeLine,
  TestResult,
  TrapLine,
} from '@/components/pages/connection-types'
import { ScopeList } from '@/components/pages/scope-list'
import { Alert } from '@/components/ui/alert'
import { ConfirmDialog } from '@/components/ui/alert-dialog'
import { Badge } from '@/components/ui/badge'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { EmptyState } from '@/components/ui/empty-state'
import { KeyValueList } from '@/components/ui/key-value'
import type { KeyValue } from '@/components/ui/key-value'
import { PageHeader } from '@/components/ui/page-header'
import { ProviderMark } from '@/components/ui/provider-mark'
import { Loading, Skeleton } from '@/components/ui/skeleton'
import { ConnectionBadge, connectionMeaning } from '@/components/ui/status-badge'
import { Switch } from '@/components/ui/switch'
import { Ahead, Time } from '@/components/ui/time'
import { useAction } from '@/components/use-action'

export interface ConnectionDetailData extends ConnectionSummary {
  readonly connectedBy: string
  /** The provider's own id of the account. */
  readonly subjectId?: string | undefined
  /** Undefined until their words are known. */
  readonly scopes: { readonly granted: readonly ScopeLine[]; readonly missing: readonly ScopeLine[] } | undefined
  readonly agents: readonly AgentUse[]
  readonly renewal: RenewalFacts
  /** Newest first. */
  readonly history: readonly HistoryLine[]
  /** Undefined until the gateway has said. */
  readonly traps: readonly TrapLine[] | undefined
  /** How many warnings are likely to be among them: their place is kept until they are there. */
  readonly likelyWarnings: number
  /** Public sentence on why the state is what it is. */
  readonly stateReason?: string | undefined
  readonly stateSince?: string | undefined
}

/** States in which a missing permission is what stands between the person and the tools. */
const usable: readonly ConnectionSummary['state'][] = ['active', 'refreshing', 'degraded']

export function ConnectionDetail({
  connection,
  canReconnect,
  canDisconnect,
  canTest,
  isShared,
  canChangeSharing,
  onReconnect,
  onDisconnect,
  onTest,
  onShare,
}: {
  connection: ConnectionDetailData
  /** Only the account's owner can consent again. */
  canReconnect: boolean
  /** False for roles that may look but not touch. */
  canDisconnect: boolean
  canTest: boolean
  /** With the agents of everybody in the workspace. */
  isShared: boolean
  canChangeSharing: boolean
  onReconnect: () => Promise<ValueResult<{ redirectTo: string }>>
  onDisconnect: () => Promise<ActionResult>
  onTest: () => Promise<ValueResult<TestResult>>
  onShare: Action<{ isShared: boolean }>
}) {
  const reconnect = useAction<undefined, { readonly ok: true; readonly value: { redirectTo: string } }>(onReconnect)
  const test = useAction<undefined, { readonly ok: true; readonly value: TestResult }>(onTest)
  const [tested, setTested] = useState<TestResult>()
  const [isLeaving, setLeaving] = useState(false)
  const isUsable = usable.includes(connection.state)
  const notYours = canDisconnect ? undefined : 'Your role may look at connections, not change them.'
  const traps = connection.traps ?? []
  const warnings = traps.filter(({ severity }) => severity !== 'info')
  const notes = traps.filter(({ severity }) => severity === 'info')

  const goReconnect = async () => {
    const result = await reconnect.run(undefined)
    if (result === undefined) return
    setLeaving(true)
    window.location.assign(result.value.redirectTo)
  }
  const goTest = async () => {
    setTested(undefined)
    const result = await test.run(undefined)
    if (result !== undefined) setTested(result.value)
  }
  const reconnectButton = (variant: 'primary' | 'secondary') => (
    <Button
      variant={variant}
      pending={reconnect.pending || isLeaving}
      pendingLabel={`Going to ${connection.providerName}…`}
      disabledReason={canReconnect ? undefined : 'Only the person who connected this account can reconnect it.'}
      onClick={() => void goReconnect()}
    >
      <RefreshCw aria-hidden /> Reconnect
    </Button>
  )

  return (
    <>
      <PageHeader
        crumbs={[{ label: 'Connections', href: '/connections' }, { label: connection.account }]}
        media={<ProviderMark provider={connection.provider} className="size-12" />}
        title={connection.account}
        badge={<ConnectionBadge state={connection.state} />}
        description={
          connection.accountContext === undefined
            ? connection.providerName
            : `${connection.providerName} · ${connection.accountContext}`
        }
        actions={
          connection.state === 'disconnected' ? undefined : (
            <>
              {connection.state === 'connecting' ? null : (
                <Button
                  pending={test.pending}
                  pendingLabel={`Asking ${connection.providerName}…`}
                  disabledReason={
                    canTest ? undefined : 'Only the account’s owner or an administrator can test this connection.'
                  }
                  onClick={() => void goTest()}
                >
                  <Activity aria-hidden /> Test now
                </Button>
              )}
              {isUsable ? reconnectButton('secondary') : null}
              <ConfirmDialog
                title={`Disconnect ${connection.account}?`}
                confirmLabel="Disconnect"
                typed={connection.account}
                onConfirm={onDisconnect}
                trigger={
                  <Button variant="danger-quiet" disabledReason={notYours}>
                    <Unplug aria-hidden /> Disconnect
                  </Button>
                }
              >
                <p>
                  {connection.agentCount === 0
                    ? 'No agent uses it at the moment.'
                    : `${connection.agentCount === 1 ? 'One agent loses its' : `${connection.agentCount} agents lose their`} tools for this account at once.`}{' '}
                  We withdraw our access at {connection.providerName} and destroy the stored credential. This cannot be
                  undone; you can connect the account again later.
                </p>
              </ConfirmDialog>
            </>
          )
        }
      />
      <div className="space-y-4">
        {reconnect.error === undefined ? null : <Alert tone="danger" title={reconnect.error.message} />}
        <StateNotice connection={connection} action={reconnectButton('primary')} />
        {test.error === undefined ? null : <Alert tone="danger" title={test.error.message} />}
        {tested === undefined ? null : (
          <Tested result={tested} connection={connection} action={reconnectButton('secondary')} />
        )}
        {connection.traps !== undefined || connection.likelyWarnings === 0 ? null : (
          <Loading label="Looking for known problems">
            <div className="space-y-4">
              {Array.from({ length: connection.likelyWarnings }, (_, index) => (
                // As high as a warning of three or four lines.
                <Skeleton key={index} className="h-44 rounded-lg sm:h-32 lg:h-28" />
              ))}
            </div>
          </Loading>
        )}
        {warnings.map((trap) => (
          <Alert key={trap.code} tone={trap.severity} title={trap.title}>
            <TrapWords trap={trap} />
          </Alert>
        ))}
      </div>
      <div className="mt-4 grid grid-cols-1 items-start gap-6 lg:grid-cols-[2fr_1fr]">
        <div className="min-w-0 space-y-6 lg:order-last">
          <Card>
            <CardHeader title="Details" />
            <CardBody className="pt-2 md:pt-2">
              <KeyValueList
                items={[
                  { key: 'State', value: connectionMeaning[connection.state] },
                  ...(connection.stateReason === undefined ? [] : [{ key: 'Why', value: connection.stateReason }]),
                  ...(connection.stateSince === undefined
                    ? []
                    : [{ key: 'Since', value: <Time at={connection.stateSince} /> }]),
                  ...renewalItems(connection),
                  { key: 'Connected', value: <Time at={connection.connectedAt} /> },
                  { key: 'Owner', value: connection.connectedBy },
                  ...(connection.lastUsedAt === undefined
                    ? []
                    : [{ key: 'Last used', value: <Time at={connection.lastUsedAt} /> }]),
                  ...(connection.subjectId === undefined
                    ? []
                    : [
                        {
                          key: 'Id at provider',
                          value: <code className="font-mono text-[0.9em]">{connection.subjectId}</code>,
                        },
                      ]),
                  ...(connection.isSandbox ? [{ key: 'Kind', value: <Badge tone="info">Sandbox</Badge> }] : []),
                ]}
              />
            </CardBody>
          </Card>
          <SharingCard isShared={isShared} canChange={canChangeSharing} onShare={onShare} />
          {notes.length === 0 ? null : (
            <Card>
              <CardHeader title="Good to know" />
              <CardBody className="space-y-4 text-sm">
                {notes.map((trap) => (
                  <div key={trap.code} className="space-y-1">
                    <h3 className="font-medium">{trap.title}</h3>
                    <TrapWords trap={trap} />
                  </div>
                ))}
              </CardBody>
            </Card>
          )}
        </div>
        <div className="min-w-0 space-y-6">
          <ConnectionTimeline history={connection.history} providerName={connection.providerName} />
          <Card>
            <CardHeader title="Permissions" description="What the provider lets us do with this account." />
            <CardBody>
              <Permissions scopes={connection.scopes} />
            </CardBody>
          </Card>
          <Card>
            <CardHeader title="Agents that may use it" />
            {connection.agents.length === 0 ? (
              <EmptyState
                icon={Bot}
                title="No agent has tools for this account"
                level={3}
                className="py-10"
                action={
                  <Button asChild>
                    <Link href="/agents">Go to agents</Link>
                  </Button>
                }
              >
                Tick {connection.providerName} tools on an agent to let it use this account.
              </EmptyState>
            ) : (
              <CardBody className="py-2">
                <ul className="divide-y divide-line">
                  {connection.agents.map((agent) => (
                    <li key={agent.id} className="flex min-h-12 items-center justify-between gap-3">
                      <Link href={`/agents/${agent.id}`} className="link inline-flex min-h-10 items-center">
                        {agent.name}
                      </Link>
                      <span className="text-right text-sm text-muted">
                        {agent.toolCount === 1 ? '1 tool' : `${agent.toolCount} tools`}
                        {reachWords[agent.reach]}
                      </span>
                    </li>
                  ))}
                </ul>
              </CardBody>
            )}
          </Card>
        </div>
      </div>
    </>
  )
}

/** What the name of an agent does not say: whether it reaches this account today. */
const reachWords: Readonly<Record<AgentUse['reach'], string>> = {
  uses: '',
  could: ' · no key that reaches it',
  disabled: ' · disabled',
}

function renewalItems({ renewal, state }: ConnectionDetailData): KeyValue[] {
  const isUsable = usable.includes(state)
  const items: KeyValue[] = []
  if (renewal.lastError !== undefined)
    items.push({
      key: 'Last error',
      value: (
        <>
          {renewal.lastError.words} <Time at={renewal.lastError.at} className="text-muted" />
          {renewal.failures < 2 ? null : (
            <span className="block text-muted">{renewal.failures} renewals in a row have failed.</span>
          )}
        </>
      ),
    })
  if (renewal.lastAt !== undefined) items.push({ key: 'Last renewed', value: <Time at={renewal.lastAt} /> })
  if (isUsable && renewal.renews === true)
    items.push({
      key: 'Next renewal',
      value:
        renewal.nextAt === undefined ? (
          'Before the next call that needs it'
        ) : (
          <Ahead at={renewal.nextAt} due="Due now" />
        ),
    })
  if (isUsable && renewal.renews === false)
    items.push({
      key: 'Access ends',
      value: renewal.accessEndsAt === undefined ? 'Never by itself' : <Time at={renewal.accessEndsAt} />,
    })
  if (isUsable && renewal.consentEndsAt !== undefined)
    items.push({ key: 'Consent ends', value: <Time at={renewal.consentEndsAt} /> })
  return items
}

function Tested({
  result,
  connection,
  action,
}: {
  result: TestResult
  connection: ConnectionDetailData
  action: ReactNode
}) {
  const { failure, latencyMs } = result
  if (failure !== undefined)
    return (
      <Alert
        tone={failure.action === 'reconnect' ? 'danger' : 'warning'}
        title="The test failed"
        // Where the state says the same, its own notice has the button.
        action={failure.action === 'reconnect' && usable.includes(connection.state) ? action : undefined}
      >
        {failure.words}
      </Alert>
    )
  return (
    <Alert tone="success" title="It works">
      {result.isRenewed ? 'The access was renewed. ' : ''}
      {connection.providerName} knows it as {connection.account}
      {latencyMs === undefined ? '' : ` and answered in ${duration(latencyMs)}`}.
    </Alert>
  )
}

function TrapWords({ trap }: { trap: TrapLine }) {
  return (
    <>
      <p>
        {trap.words}
        {trap.advice === undefined ? null : ` ${trap.advice}`}
      </p>
      {trap.at === undefined ? null : (
        <p className="mt-0.5 text-muted">
          {trap.code === 'idle' || trap.code === 'app_incident' ? 'Since ' : 'When: '}
          <Time at={trap.at} />
        </p>
      )}
    </>
  )
}

function Permissions({ scopes }: { scopes: ConnectionDetailData['scopes'] }) {
  if (scopes === undefined) {
    return (
      <Loading label="Loading permissions">
        <div className="space-y-4">
          <Skeleton className="h-10" />
          <Skeleton className="h-10" />
          <Skeleton className="h-10" />
        </div>
      </Loading>
    )
  }
  const { granted, missing } = scopes
  if (granted.length === 0 && missing.length === 0)
    return <p className="text-sm text-muted">None: the provider has not answered yet, or access has ended.</p>
  return (
    <>
      <ScopeList scopes={granted} />
      {missing.length === 0 ? null : (
        <div className="mt-4 border-t border-line pt-4">
          <h3 className="mb-3 text-sm font-medium text-muted">Asked for and not granted</h3>
          <ScopeList scopes={missing} isGranted={false} />
        </div>
      )}
    </>
  )
}

function StateNotice({ connection, action }: { connection: ConnectionDetailData; action: ReactNode }) {
  const reason = connection.stateReason
  switch (connection.state) {
    case 'active':
    case 'refreshing':
      return null
    case 'connecting':
      return (
        <Alert title="Not finished yet" action={action}>
          {reason ?? connectionMeaning.connecting}
        </Alert>
      )
    case 'degraded':
      return (
        <Alert tone="warning" title={`${connection.providerName} is not answering as it should`}>
          {reason === undefined ? connectionMeaning.degraded : `${reason} We keep trying; calls may fail meanwhile.`}
        </Alert>
      )
    case 'reauthorization_required':
      return (
        <Alert tone="warning" title="Reconnect this account" action={action}>
          {reason ?? connectionMeaning.reauthorization_required}
        </Alert>
      )
    case 'revoked':
      return (
        <Alert tone="danger" title="Access was withdrawn" action={action}>
          {reason ?? connectionMeaning.revoked}
        </Alert>
      )
    case 'suspended':
      return (
        <Alert tone="danger" title="Suspended">
          {reason ?? connectionMeaning.suspended}
        </Alert>
      )
    case 'disconnected':
      return (
        <Alert title="Disconnected" action={action}>
          {reason ?? connectionMeaning.disconnected}
        </Alert>
      )
  }
}

/** Whose agents may use the account. */
function SharingCard({
  isShared,
  canChange,
  onShare,
}: {
  isShared: boolean
  canChange: boolean
  onShare: Action<{ isShared: boolean }>
}) {
  const action = useAction(onShare)
  const id = useId()
  return (
    <Card>
      <CardHeader title="Who may use it" />
      <CardBody className="space-y-3">
        {action.error === undefined ? null : <Alert tone="danger" title={action.error.message} />}
        <div className="flex items-start justify-between gap-4">
          <div className="min-w-0">
            <label htmlFor={id} className="font-medium">
              Shared with the workspace
            </label>
            <p id={`${id}-hint`} className="mt-0.5 text-sm text-pretty text-muted">
              {isShared
                ? 'The agents of everybody in this workspace may use the account, as far as their permissions go.'
                : 'Only the agents of the person who connected it may use the account.'}
              {canChange ? null : ' Its owner changes this; administrators may take it back.'}
            </p>
          </div>
          <Switch
            id={id}
            checked={isShared}
            disabled={!canChange || action.pending}
            aria-describedby={`${id}-hint`}
            onCheckedChange={(next) => void action.run({ isShared: next })}
          />
        </div>
      </CardBody>
    </Card>
  )
}
