'use client'

/**
 * Every page body and the parts of the design system with made-up data, for looking at and for the checks of `gallery.mjs`.
 * The folder's underscore keeps it out of routing: no build serves it.
 *
 * @module
 */
import { Bot } from 'lucide-react'
import type { ReactNode } from 'react'

import {
  accept,
  activity,
  agents,
  ago,
  browserSessions,
  calls,
  connectionDetail,
  connections,
  doctorReport,
  consentRequest,
  documentConsentRequest,
  galleryNow,
  give,
  googleScopes,
  mcpUrl,
  members,
  notifications,
  providerApps,
  providers,
  refuse,
  sessions,
  toolGroups,
  webhookActions,
  webhooks,
} from '@/app/_dev/samples'
import { NowProvider } from '@/components/now'
import { AccountSettings } from '@/components/pages/account-settings'
import { ActivityTable } from '@/components/pages/activity-table'
import { AgentConnect } from '@/components/pages/agent-connect'
import { AgentDetail } from '@/components/pages/agent-detail'
import type { AgentTab } from '@/components/pages/agent-detail'
import { AgentDoctor } from '@/components/pages/agent-doctor'
import { AgentTools } from '@/components/pages/agent-tools'
import { AgentsList } from '@/components/pages/agents-list'
import {
  ConsentAsk,
  ConsentFailed,
  ConsentLeaving,
  ConsentLoading,
  ConsentRefused,
} from '@/components/pages/consent-request'
import { ConnectProvider } from '@/components/pages/connect-provider'
import { ConnectResult } from '@/components/pages/connect-result'
import { ApiKeys } from '@/components/pages/api-keys'
import { ConnectionDetail } from '@/components/pages/connection-detail'
import type { TestResult } from '@/components/pages/connection-types'
import { ConnectionsList } from '@/components/pages/connections-list'
import { FirstRunGuide } from '@/components/pages/first-run-guide'
import { Home } from '@/components/pages/home'
import { LinkUnusable, MagicLinkConfirm, VerifyEmailConfirm } from '@/components/pages/link-confirm'
import { LinkedSignInsCard } from '@/components/pages/linked-sign-ins'
import { LoadFailed } from '@/components/pages/load-failed'
import { LoginForm } from '@/components/pages/login-form'
import { NotificationsList } from '@/components/pages/notifications-list'
import { PeopleSettings } from '@/components/pages/people-settings'
import { ResetConfirm, ResetRequest } from '@/components/pages/reset-forms'
import { SessionsList, SessionsTable } from '@/components/pages/sessions-list'
import { SignUpForm } from '@/components/pages/sign-up-form'
import { DetailPageSkeleton, FormPageSkeleton, ListPageSkeleton } from '@/components/pages/skeletons'
import { WebhookSettings } from '@/components/pages/webhook-settings'
import { WorkspaceSettings } from '@/components/pages/workspace-settings'
import { AppShell } from '@/components/shell/app-shell'
import { AuthShell } from '@/components/shell/auth-shell'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { Checkbox } from '@/components/ui/checkbox'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { SecretOnce } from '@/components/ui/secret-once'
import { Select } from '@/components/ui/select'
import { ConnectionBadge } from '@/components/ui/status-badge'
import { Switch } from '@/components/ui/switch'
import { Textarea } from '@/components/ui/textarea'

const outcome = {
  provider: 'google',
  providerName: 'Google',
  connectionId: 'con_1',
  account: 'ann@example.com',
} as const
const states = [
  'connecting',
  'active',
  'refreshing',
  'degraded',
  'reauthorization_required',
  'revoked',
  'disconnected',
  'suspended',
] as const

function agentPage(tab: AgentTab, body: ReactNode, isEnabled = true) {
  return (
    <AgentDetail
      agent={{
        id: 'agt_1',
        name: 'Claude on my laptop',
        description: 'Mail and calendar',
        isEnabled,
        toolCount: 4,
        activeSessionCount: 2,
      }}
      tab={tab}
      canManage
      onSetEnabled={accept}
    >
      {body}
    </AgentDetail>
  )
}

function connectionPage(state: (typeof states)[number], canManage = true) {
  return (
    <ConnectionDetail
      connection={connectionDetail(state)}
      canReconnect={canManage}
      canDisconnect={canManage}
      canTest={canManage}
      isShared={false}
      canChangeSharing={canManage}
      onShare={accept}
      onReconnect={() => refuse('Google is not answering. Try again in a minute.')}
      onDisconnect={() => refuse('The connection changed meanwhile. Load the page again.')}
      onTest={() => give<TestResult>({ isWorking: true, latencyMs: 214, isRenewed: true })(undefined)}
    />
  )
}

function activityPage(props: Partial<Parameters<typeof ActivityTable>[0]>) {
  return (
    <ActivityTable
      rows={activity}
      filter={{}}
      agents={agents}
      accounts={connections.map(({ id, account }) => ({ id, name: account }))}
      people={[{ id: 'per_1', name: 'Ada Lovelace' }]}
      tools={['github_create_issue', 'slack_post_message']}
      live="live"
      heldCount={0}
      onTogglePause={() => undefined}
      onShowHeld={() => undefined}
      olderHref="?before=x"
      {...props}
    />
  )
}

const agentProgress = { id: 'agt_1', name: 'Claude on my laptop', mcpUrl }

/** Pages inside the shell. */
const inside: Readonly<Record<string, ReactNode>> = {
  parts: (
    <div className="space-y-6">
      <h1 className="text-2xl font-semibold">Parts</h1>
      <Card>
        <CardHeader title="Buttons" />
        <CardBody className="flex flex-wrap gap-2">
          <Button variant="primary">Primary</Button>
          <Button>Secondary</Button>
          <Button variant="ghost">Ghost</Button>
          <Button variant="danger">Danger</Button>
          <Button variant="danger-quiet">Quiet danger</Button>
          <Button variant="primary" pending>
            Pending
          </Button>
          <Button disabledReason="Because the gallery says so.">Unavailable</Button>
          <Button size="sm">Small</Button>
          <Button size="lg">Large</Button>
        </CardBody>
      </Card>
      <Card>
        <CardHeader title="Controls" />
        <CardBody className="max-w-md space-y-4">
          <Field label="Name" hint="A hint." required>
            {(control) => <Input {...control} placeholder="Placeholder" />}
          </Field>
          <Field label="With an error" error="This is not an address.">
            {(control) => <Input {...control} defaultValue="ann@" />}
          </Field>
          <Field label="Long text" optional>
            {(control) => <Textarea {...control} />}
          </Field>
          <Field label="Choice">
            {(control) => (
              <Select
                {...control}
                options={[
                  { value: 'a', label: 'First' },
                  { value: 'b', label: 'Second' },
                ]}
              />
            )}
          </Field>
          <div className="flex items-center gap-4">
            <Checkbox aria-label="Empty" />
            <Checkbox aria-label="Ticked" defaultChecked />
            <Checkbox aria-label="Partly" checked="indeterminate" />
            <Switch aria-label="Off" />
            <Switch aria-label="On" defaultChecked />
          </div>
        </CardBody>
      </Card>
      <div className="flex flex-wrap gap-2">
        {states.map((state) => (
          <ConnectionBadge key={state} state={state} />
        ))}
      </div>
      {(['info', 'success', 'warning', 'danger'] as const).map((tone) => (
        <Alert key={tone} tone={tone} title={`A ${tone} message`} action={<Button size="sm">Act</Button>}>
          With a second sentence.
        </Alert>
      ))}
      <Card>
        <CardBody>
          <SecretOnce secret="pcs_example0000000000000000" what="session key" onStored={() => undefined}>
            Where to put it.
          </SecretOnce>
        </CardBody>
      </Card>
    </div>
  ),
  'guide-start': <FirstRunGuide workspaceName="Example" isSandbox progress={{}} />,
  'guide-url': (
    <FirstRunGuide
      workspaceName="Example"
      isSandbox
      progress={{ connectedAccount: 'ann@example.com', agent: { ...agentProgress, toolCount: 4, hasSession: false } }}
    />
  ),
  'guide-done': (
    <FirstRunGuide
      workspaceName="Example"
      isSandbox
      progress={{
        connectedAccount: 'ann@example.com',
        agent: { ...agentProgress, toolCount: 4, hasSession: true },
        firstCall: { tool: 'google_search_mail', at: ago(0.2), isSuccess: true },
      }}
    />
  ),
  home: (
    <Home
      workspaceName="Example"
      connections={connections}
      agentCount={3}
      activeSessionCount={3}
      calls={calls}
      recent={activity.slice(0, 5)}
    />
  ),
  connections: <ConnectionsList connections={connections} />,
  'connections-empty': <ConnectionsList connections={[]} />,
  'connections-error': <LoadFailed what="Your connections" reference="req_01kd4m2v9wq7" />,
  'connections-loading': <ListPageSkeleton label="Loading connections" />,
  connect: (
    <ConnectProvider
      workspaceName="Example"
      providers={providers}
      onConnect={() => refuse('Google is not answering. Try again in a minute.')}
    />
  ),
  'connect-none': <ConnectProvider workspaceName="Example" providers={[]} onConnect={() => refuse('Unavailable.')} />,
  'connection-active': connectionPage('active'),
  'connection-reauthorization': connectionPage('reauthorization_required'),
  'connection-disconnected': connectionPage('disconnected'),
  'connection-auditor': connectionPage('degraded', false),
  'connection-loading': <DetailPageSkeleton label="Loading connection" />,
  'result-connected': <ConnectResult outcome={{ ...outcome, kind: 'connected' }} />,
  'result-partial': (
    <ConnectResult
      outcome={{ ...outcome, kind: 'partial', missing: googleScopes.slice(2) }}
      onRetry={() => refuse('Google is not answering. Try again in a minute.')}
    />
  ),
  'result-refused': <ConnectResult outcome={{ ...outcome, kind: 'refused' }} />,
  'result-failed': (
    <ConnectResult
      outcome={{
        ...outcome,
        kind: 'failed',
        message: 'The answer came to another browser than the one that asked.',
        reference: 'req_01kd4m2v9wq7',
      }}
    />
  ),
  'result-other': (
    <ConnectResult
      outcome={{
        ...outcome,
        kind: 'other_account',
        expectedAccount: 'ann@example.com',
        givenAccount: 'ann.private@example.org',
      }}
    />
  ),
  agents: <AgentsList agents={agents} canManage onCreate={() => refuse('This name is taken.', 'name')} />,
  'agents-empty': <AgentsList agents={[]} canManage onCreate={give({ id: 'agt_1' })} />,
  'agent-tools': agentPage('tools', <AgentTools groups={toolGroups} profileVersion={3} canManage onSave={accept} />),
  'agent-connect': agentPage(
    'connect',
    <AgentConnect
      agentName="Claude on my laptop"
      mcpUrl={mcpUrl}
      isAgentEnabled
      canIssue
      onIssue={give({ sessionKey: 'pcs_example00000000000000000000', expiresAt: ago(-60 * 24 * 30) })}
    />,
  ),
  'agent-sessions': agentPage(
    'sessions',
    <SessionsTable sessions={sessions} canManage onRevoke={accept} onRevokeAll={accept} isAgentShown={false} />,
  ),
  'agent-doctor': agentPage('doctor', <AgentDoctor agentId="agt_1" {...doctorReport} />),
  'agent-doctor-connected': agentPage(
    'doctor',
    <AgentDoctor
      agentId="agt_1"
      steps={doctorReport.steps.slice(2)}
      diagnosis={{
        state: 'connected',
        title: 'A client is connected',
        meaning: 'The last one that came got through.',
        advice: '',
      }}
    />,
  ),
  'agent-doctor-empty': agentPage(
    'doctor',
    <AgentDoctor
      agentId="agt_1"
      steps={[]}
      diagnosis={{
        state: 'nobody',
        title: 'No client has come yet',
        meaning: 'Nothing has reached this agent’s URL in the last two weeks.',
        advice: 'Connect a client. If one was connected and nothing shows here, its requests do not arrive.',
      }}
    />,
  ),
  'agent-disabled': agentPage(
    'tools',
    <AgentTools groups={toolGroups} profileVersion={3} canManage={false} onSave={accept} />,
    false,
  ),
  sessions: <SessionsList sessions={sessions} canManage onRevoke={accept} onRevokeAll={accept} olderHref="?before=x" />,
  'sessions-empty': <SessionsList sessions={[]} canManage onRevoke={accept} onRevokeAll={accept} />,
  activity: activityPage({ heldCount: 3 }),
  'activity-empty': activityPage({ rows: [] }),
  'activity-filtered': activityPage({ rows: [], filter: { decision: 'deny' }, live: 'reconnecting' }),
  account: (
    <AccountSettings
      email="ann@example.com"
      isEmailVerified={false}
      pendingEmail="ann.hoffmann@example.com"
      hasPassword
      sessions={browserSessions}
      onChangeEmail={() => refuse('The password is not right.', 'password')}
      onSendVerification={accept.bind(undefined, undefined)}
      onChangePassword={accept}
      onEndSession={accept}
      onEndOtherSessions={accept.bind(undefined, undefined)}
      linkedSignIns={
        <LinkedSignInsCard
          links={[
            { id: 'idn_1', provider: 'google', label: 'ann@example.com', lastUsedAt: '2026-01-01T10:00:00.000Z' },
          ]}
          linkable={[{ name: 'github', label: 'GitHub' }]}
          onRetry={() => undefined}
          onLink={accept}
          onUnlink={accept}
        />
      }
      workspaces={[
        { id: 'ten_1', name: 'Example', isCurrent: true },
        { id: 'ten_2', name: 'Second', isCurrent: false },
      ]}
      deletedWorkspaces={[{ id: 'ten_3', name: 'Old', purgeAt: '2026-01-08T10:00:00.000Z' }]}
      canCreateWorkspace
      onCreateWorkspace={accept}
      onOpenWorkspace={accept}
      onRestoreWorkspace={accept}
      onExport={accept.bind(undefined, undefined)}
    />
  ),
  workspace: (
    <WorkspaceSettings
      name="Example"
      canRename
      canDelete
      lifetimes={{ accessTokenMinutes: 15, sessionIdleDays: 30, sessionAbsoluteDays: 90 }}
      onLifetimes={accept}
      onDelete={() => refuse('The workspace was changed meanwhile. Load the page again.')}
      providerApps={providerApps}
      agentsSeeOwnerNames
      webhooks={<WebhookSettings {...webhookActions} webhooks={webhooks} />}
      onRename={accept}
      onShowNames={accept}
    />
  ),
  people: (
    <PeopleSettings
      workspace="Example"
      members={members}
      invitations={[
        {
          id: 'inv_1',
          email: 'grace@example.com',
          role: 'member',
          inviter: 'Ann Hoffmann',
          createdAt: '2026-01-01T10:00:00.000Z',
          expiresAt: '2026-01-08T10:00:00.000Z',
          state: 'open',
        },
      ]}
      canManage
      reachable={['owner', 'admin', 'member', 'auditor']}
      onChangeRole={accept}
      onRemove={accept}
      onInvite={() => refuse('This person is a member already.', 'email')}
      onWithdraw={accept}
    />
  ),
  'api-keys': (
    <ApiKeys
      keys={[
        {
          id: 'key_1',
          name: 'Nightly report',
          prefix: 'pck_a1b2',
          role: 'member',
          scopes: ['connection.read', 'agent.read'],
          ipRanges: ['192.0.2.0/24'],
          owner: 'You',
          createdAt: '2026-01-01T10:00:00.000Z',
          expiresAt: '2026-04-01T10:00:00.000Z',
          lastUsedAt: undefined,
          state: 'active',
        },
      ]}
      canCreate
      roles={[{ role: 'member', scopes: ['agent.read', 'connection.read'] }]}
      onCreate={() => refuse('A workspace has at most 200 API keys. Revoke one first.')}
      onRevoke={accept}
    />
  ),
  'workspace-member': (
    <WorkspaceSettings
      name="Example"
      canRename={false}
      canDelete={false}
      lifetimes={{ accessTokenMinutes: 15, sessionIdleDays: 30, sessionAbsoluteDays: 90 }}
      onLifetimes={accept}
      onDelete={() => refuse('Your role in this workspace does not allow this.')}
      providerApps="loading"
      agentsSeeOwnerNames={false}
      onRename={accept}
      onShowNames={accept}
    />
  ),
  'webhooks-empty': <WebhookSettings {...webhookActions} webhooks={[]} />,
  notifications: (
    <NotificationsList
      rows={notifications}
      unread={2}
      mail={{ kind: 'kept', folder: '/var/lib/portcullis/mail' }}
      onRead={() => undefined}
      onReadAll={accept}
      olderHref="?before=x"
    />
  ),
  'notifications-empty': (
    <NotificationsList rows={[]} unread={0} mail={{ kind: 'sent' }} onRead={() => undefined} onReadAll={accept} />
  ),
  'settings-loading': <FormPageSkeleton label="Loading settings" />,
}

/** Pages in front of the shell. */
const consentShell = (name: string, children: ReactNode) => (
  <AuthShell title={`Let “${name}” use the agent Dispatch bot?`} isWide isSandbox>
    {children}
  </AuthShell>
)
const consentActions = {
  onApprove: () => refuse('What this page showed is not what would be granted. Load it again.'),
  onDeny: () => refuse('The server could not be reached.'),
  onSwitchPerson: () => refuse('The server could not be reached.'),
}

const consents: Record<string, ReactNode> = {
  consent: consentShell(
    consentRequest.client.name,
    <ConsentAsk request={consentRequest} connectHref={() => '/gallery/connect'} {...consentActions} />,
  ),
  'consent-document': consentShell(
    'Claude',
    <ConsentAsk request={documentConsentRequest} connectHref={undefined} {...consentActions} />,
  ),
  'consent-empty': consentShell(
    'Claude',
    <ConsentAsk request={{ ...documentConsentRequest, providers: [] }} connectHref={undefined} {...consentActions} />,
  ),
  'consent-refused': (
    <AuthShell title="You cannot use this agent">
      <ConsentRefused
        reason="no_access"
        client={consentRequest.client}
        person="ann@example.com"
        onDeny={consentActions.onDeny}
        onSwitchPerson={consentActions.onSwitchPerson}
      />
    </AuthShell>
  ),
  'consent-loading': (
    <AuthShell title="An application asks for an agent" isWide>
      <ConsentLoading />
    </AuthShell>
  ),
  'consent-over': (
    <AuthShell title="This request is over">
      <ConsentFailed error={{ code: 'resource.not_found', message: '' }} resumeHref="/" onRetry={() => {}} />
    </AuthShell>
  ),
  'consent-answered': (
    <AuthShell title="You have answered already">
      <ConsentFailed error={{ code: 'resource.conflict', message: '' }} resumeHref="/" onRetry={() => {}} />
    </AuthShell>
  ),
  'consent-unreachable': (
    <AuthShell title="The request could not be loaded">
      <ConsentFailed
        error={{ code: 'unreachable', message: 'The server could not be reached.' }}
        resumeHref="/"
        onRetry={() => {}}
      />
    </AuthShell>
  ),
  'consent-leaving': (
    <AuthShell title="Back to the application">
      <ConsentLeaving decision="approve" />
    </AuthShell>
  ),
}

const outside: Readonly<Record<string, ReactNode>> = {
  ...consents,
  login: (
    <AuthShell title="Sign in" description="Welcome back." isSandbox>
      <LoginForm
        onPassword={() => refuse('The address or the password is not right.')}
        onMagicLink={accept}
        onPasskey={() => refuse('No passkey was used.')}
        notice="Your session has ended. Sign in again."
        mailHint="/var/lib/portcullis/mail"
      />
    </AuthShell>
  ),
  'sign-up': (
    <AuthShell title="Create your workspace" description="This link works once. You become the owner.">
      <SignUpForm onSubmit={() => refuse('This password is too well known.', 'password')} />
    </AuthShell>
  ),
  'magic-link': (
    <AuthShell title="Sign in to Portcullis">
      <MagicLinkConfirm onConfirm={() => refuse('This link was used already, or is too old.')} />
    </AuthShell>
  ),
  'link-unusable': (
    <AuthShell title="This link does not work any more">
      <LinkUnusable retryHref="/login" retryLabel="Ask for a new link" />
    </AuthShell>
  ),
  reset: (
    <AuthShell title="Reset your password" description="We send you a link.">
      <ResetRequest onSubmit={accept} />
    </AuthShell>
  ),
  'reset-confirm': (
    <AuthShell title="Choose a new password">
      <ResetConfirm onSubmit={accept} />
    </AuthShell>
  ),
  verify: (
    <AuthShell title="Confirm your address">
      <VerifyEmailConfirm email="ann@example.com" onConfirm={accept.bind(undefined, undefined)} />
    </AuthShell>
  ),
}

export const screens: readonly string[] = [...Object.keys(inside), ...Object.keys(outside)]

export function GalleryScreen({ name }: { name: string }) {
  const page = inside[name]
  if (page === undefined) return outside[name] ?? <Index />
  return (
    <NowProvider initialNow={galleryNow}>
      <AppShell
        person={{ name: 'Ann Hoffmann', email: 'ann@example.com' }}
        workspace={{ id: 'ten_1', name: 'Example' }}
        workspaces={[
          { id: 'ten_1', name: 'Example' },
          { id: 'ten_2', name: 'Example Research and Development' },
        ]}
        theme="system"
        isSandbox
        unread={name === 'notifications' ? 2 : name === 'connections' ? 128 : 0}
        notReadyReason={name === 'connections-error' ? 'the key file is missing.' : undefined}
        onSwitchWorkspace={() => undefined}
        onSignOut={() => undefined}
      >
        {page}
      </AppShell>
    </NowProvider>
  )
}

function Index() {
  return (
    <main className="p-6">
      <h1 className="flex items-center gap-2 text-xl font-semibold">
        <Bot aria-hidden /> Gallery
      </h1>
      <ul className="mt-4 space-y-1">
        {screens.map((name) => (
          <li key={name}>
            <a className="link" href={`/gallery/${name}`}>
              {name}
            </a>
          </li>
        ))}
      </ul>
    </main>
  )
}
