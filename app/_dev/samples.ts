/** Made-up data for the gallery: long names, every state, the awkward cases. */
import type { Action, ActionFailure, ValueAction } from '@/components/action'
import type { ActivityRow } from '@/components/pages/activity-table'
import type { AgentSummary, ToolGroup } from '@/components/pages/agent-types'
import type { BrowserSession } from '@/components/pages/account-settings'
import type { ProviderOffer } from '@/components/pages/connect-provider'
import type { ConnectionDetailData } from '@/components/pages/connection-detail'
import type { ConnectionSummary, HistoryLine, ScopeLine } from '@/components/pages/connection-types'
import type { ConsentRequest } from '@/components/pages/consent-request'
import type { NotificationRow } from '@/components/pages/notifications-list'
import type { DoctorDiagnosis, DoctorStep } from '@/components/pages/agent-doctor'
import type { SessionRow } from '@/components/pages/sessions-list'
import type { DeliveryRow, WebhookRow } from '@/components/pages/webhook-settings'
import type { Member } from '@/components/pages/people-settings'
import type { ProviderAppStatus } from '@/components/pages/workspace-settings'
import type { CallsBucket } from '@/components/ui/chart'

export const galleryNow = Date.UTC(2026, 10, 21, 9, 30)

export function ago(minutes: number): string {
  return new Date(galleryNow - minutes * 60_000).toISOString()
}

export function refuse(message: string, field?: string): Promise<ActionFailure> {
  return Promise.resolve({ ok: false, error: { code: 'gallery.refused', message, field } })
}

export const accept: Action<unknown> = () => Promise.resolve({ ok: true })

export function give<T>(value: T): ValueAction<unknown, T> {
  return () => Promise.resolve({ ok: true, value })
}

export const mcpUrl = 'http://localhost:3000/mcp/agt_01kd4m2v9wq7x3n5c8r6t0y2zb'

export const googleScopes: readonly ScopeLine[] = [
  {
    scope: 'openid',
    plain: 'See who you are',
    why: 'To name the account and to notice when it is another one.',
    access: 'read',
  },
  {
    scope: 'https://www.googleapis.com/auth/gmail.readonly',
    plain: 'Read your mail',
    why: 'So that agents can search and read messages.',
    access: 'read',
  },
  {
    scope: 'https://www.googleapis.com/auth/gmail.compose',
    plain: 'Write drafts',
    why: 'So that agents can prepare answers. They cannot send without you.',
    access: 'write',
  },
  {
    scope: 'https://www.googleapis.com/auth/calendar.events',
    plain: 'See and change events',
    why: 'So that agents can find free time and put meetings in.',
    access: 'write',
  },
]

export const providers: readonly ProviderOffer[] = [
  {
    id: 'google',
    name: 'Google',
    summary: 'Mail and calendar',
    connectedAccounts: ['ann@example.com'],
    isSandbox: true,
    scopes: googleScopes.map((scope, index) => ({ ...scope, isRequired: index === 0 })),
  },
  {
    id: 'github',
    name: 'GitHub',
    summary: 'Repositories and issues',
    connectedAccounts: [],
    isSandbox: true,
    scopes: [
      { scope: 'read:user', plain: 'See who you are', access: 'read', isRequired: true },
      {
        scope: 'repo',
        plain: 'Read and write repositories',
        why: 'To read files and to open issues.',
        access: 'write',
        isRequired: false,
      },
    ],
  },
  {
    id: 'slack',
    name: 'Slack',
    summary: 'Channels, people and messages',
    connectedAccounts: [],
    isSandbox: false,
    unavailableReason: 'Not set up on this server',
    scopes: [],
  },
]

export const connections: readonly ConnectionSummary[] = [
  {
    id: 'con_1',
    provider: 'google',
    providerName: 'Google',
    account: 'ann@example.com',
    state: 'active',
    connectedAt: ago(60 * 24 * 9),
    lastUsedAt: ago(3),
    nextRefreshAt: ago(-12),
    agentCount: 2,
    missingScopeCount: 0,
    isSandbox: true,
  },
  {
    id: 'con_2',
    provider: 'github',
    providerName: 'GitHub',
    account: 'ann-hoffmann-of-the-very-long-login-name',
    state: 'reauthorization_required',
    connectedAt: ago(60 * 24 * 40),
    lastUsedAt: ago(60 * 7),
    agentCount: 1,
    missingScopeCount: 0,
    isSandbox: false,
  },
  {
    id: 'con_3',
    provider: 'slack',
    providerName: 'Slack',
    account: 'ann',
    accountContext: 'Example Engineering',
    state: 'degraded',
    connectedAt: ago(60 * 24 * 2),
    lastUsedAt: ago(60),
    agentCount: 1,
    missingScopeCount: 1,
    isSandbox: false,
  },
  {
    id: 'con_4',
    provider: 'google',
    providerName: 'Google',
    account: 'ann.private@example.org',
    state: 'revoked',
    connectedAt: ago(60 * 24 * 90),
    agentCount: 0,
    missingScopeCount: 0,
    isSandbox: false,
  },
  {
    id: 'con_5',
    provider: 'github',
    providerName: 'GitHub',
    account: 'example-bot',
    state: 'connecting',
    connectedAt: ago(1),
    agentCount: 0,
    missingScopeCount: 0,
    isSandbox: true,
  },
  {
    id: 'con_6',
    provider: 'slack',
    providerName: 'Slack',
    account: 'ben',
    accountContext: 'Example Sales',
    state: 'suspended',
    connectedAt: ago(60 * 24 * 5),
    agentCount: 3,
    missingScopeCount: 0,
    isSandbox: false,
  },
]

const connectionHistory: readonly HistoryLine[] = Array.from({ length: 30 }, (_, index) => {
  const line = { id: `rfe_${index}`, at: ago(41 + index * 50) }
  if (index === 4)
    return {
      ...line,
      words: 'Renewal failed for now, on schedule',
      detail: 'The provider took too long.',
      tone: 'bad',
      latencyMs: 4_800,
    } as const
  if (index === 2) return { ...line, words: 'Works', tone: 'good' } as const
  if (index === 3)
    return {
      ...line,
      words: 'The provider is not answering as it should',
      detail: 'The provider took too long.',
      tone: 'bad',
    } as const
  return { ...line, words: 'Renewed, on schedule', tone: 'good', latencyMs: 140 + ((index * 37) % 190) } as const
})

export function connectionDetail(state: ConnectionSummary['state']): ConnectionDetailData {
  return {
    id: 'con_1',
    provider: 'google',
    providerName: 'Google',
    account: 'ann@example.com',
    state,
    connectedAt: ago(60 * 24 * 9),
    lastUsedAt: ago(3),
    agentCount: 2,
    missingScopeCount: 1,
    isSandbox: true,
    connectedBy: 'Ann Hoffmann',
    subjectId: '104873129845610293847',
    scopes: { granted: googleScopes.slice(0, 3), missing: googleScopes.slice(3) },
    agents: [
      { id: 'agt_1', name: 'Claude on my laptop', toolCount: 4, reach: 'uses' },
      { id: 'agt_2', name: 'Nightly triage', toolCount: 1, reach: 'could' },
    ],
    stateReason:
      state === 'reauthorization_required'
        ? 'The provider says that the consent has ended or was withdrawn.'
        : state === 'degraded'
          ? 'The provider took too long.'
          : undefined,
    stateSince: ago(90),
    renewal: {
      renews: true,
      lastAt: ago(41),
      nextAt: ago(-12),
      accessEndsAt: ago(-19),
      consentEndsAt: ago(-60 * 24 * 6),
      failures: state === 'degraded' ? 3 : 0,
      lastError: state === 'active' ? undefined : { words: 'The provider took too long.', at: ago(3) },
    },
    history: connectionHistory,
    likelyWarnings: 1,
    traps: [
      {
        code: 'google_testing',
        severity: 'warning',
        title: 'About this server’s Google app',
        words:
          'This server’s Google app is still in testing, so Google ends every consent seven days after it was given. Until its operator publishes it (Google Cloud console, Audience, “Publish app”), reconnect before that day; after publishing, reconnect once.',
        at: ago(-60 * 24 * 6),
      },
      {
        code: 'partial_consent',
        severity: 'warning',
        title: 'One permission was not granted',
        words: 'Tools that need what is missing refuse.',
        advice: 'Reconnect and tick them at Google, or take those tools from the agents.',
      },
      {
        code: 'idle',
        severity: 'info',
        title: 'Not used for long',
        words: 'Nobody has used this account for long, so its access is no longer kept fresh.',
        advice: 'The next call renews it, for as long as Google still accepts that. Disconnect it if it is not needed.',
        at: ago(60 * 24 * 3),
      },
    ],
  }
}

export const agents: readonly AgentSummary[] = [
  {
    id: 'agt_1',
    name: 'Claude on my laptop',
    description: 'Mail and calendar',
    isEnabled: true,
    toolCount: 9,
    activeSessionCount: 2,
    lastCallAt: ago(3),
  },
  {
    id: 'agt_2',
    name: 'Nightly triage',
    isEnabled: true,
    toolCount: 3,
    activeSessionCount: 1,
    lastCallAt: ago(60 * 8),
  },
  {
    id: 'agt_3',
    name: 'Cursor',
    description: 'Trial, not in use',
    isEnabled: false,
    toolCount: 0,
    activeSessionCount: 0,
  },
]

export const toolGroups: readonly ToolGroup[] = [
  {
    provider: 'google',
    providerName: 'Google',
    accounts: ['ann@example.com'],
    tools: [
      {
        name: 'google_search_mail',
        title: 'Search mail',
        description: 'Finds messages by words, sender, label or date.',
        effect: 'read',
        isAllowed: true,
      },
      {
        name: 'google_read_mail',
        title: 'Read mail',
        description: 'Opens one message.',
        effect: 'read',
        isAllowed: true,
      },
      {
        name: 'google_create_draft',
        title: 'Create draft',
        description: 'Writes a draft. It is not sent.',
        effect: 'write',
        isAllowed: false,
      },
      {
        name: 'google_create_event',
        title: 'Create event',
        description: 'Puts an event into a calendar and may invite people to it.',
        effect: 'write',
        isAllowed: true,
        blockedReason: 'the account has not granted “See and change events”.',
      },
    ],
  },
  {
    provider: 'github',
    providerName: 'GitHub',
    accounts: [],
    tools: [
      {
        name: 'github_search_repositories',
        title: 'Search repositories',
        description: 'Finds repositories by name, topic or language.',
        effect: 'read',
        isAllowed: true,
      },
      {
        name: 'github_delete_branch',
        title: 'Delete branch',
        description: 'Deletes a branch for good.',
        effect: 'destructive',
        isAllowed: false,
      },
    ],
  },
]

export const doctorReport: { readonly diagnosis: DoctorDiagnosis; readonly steps: readonly DoctorStep[] } = {
  diagnosis: {
    state: 'failed',
    title: 'The PKCE verifier does not fit',
    meaning: 'Whoever redeems the code is not who asked for it, or the client mixed up two sign-ins.',
    advice: 'Start again in the client, with one window only.',
  },
  steps: [
    doctorStep(1, {
      title: 'Asked for tokens',
      status: 400,
      isRefused: true,
      isHarmless: false,
      words: {
        title: 'The PKCE verifier does not fit',
        meaning: 'Whoever redeems the code is not who asked for it, or the client mixed up two sign-ins.',
        advice: 'Start again in the client, with one window only.',
      },
      facts: [
        { label: 'Client id', value: 'cli_01kakr2v9e3m4n5p6q7r8s9t0v' },
        { label: 'Grant', value: 'authorization_code' },
        { label: 'Told', value: 'invalid_grant' },
      ],
    }),
    doctorStep(2, { title: 'A person answered', client: 'A browser', network: '198.51.100.20', status: 303 }),
    doctorStep(3, {
      title: 'Sent a person here to approve',
      client: 'A browser',
      network: '198.51.100.20',
      status: 303,
      facts: [
        { label: 'Resource', value: 'https://portcullis.example.com/mcp/agt_01kakr2v9e3m4n5p6q7r8s9t0v' },
        { label: 'Client id', value: 'cli_01kakr2v9e3m4n5p6q7r8s9t0v' },
        { label: 'Returns to', value: '127.0.0.1:33418' },
        { label: 'Scopes', value: 'mcp:read mcp:write' },
      ],
    }),
    doctorStep(3, { title: 'Asked to be registered as a client', status: 201 }),
    doctorStep(4, { title: 'Read how to sign in here' }),
    doctorStep(4, { title: 'Read what the agent’s URL says about itself' }),
    doctorStep(5, {
      title: 'Called the agent’s URL',
      status: 401,
      repeats: 2,
      isRefused: true,
      words: {
        title: 'No credential was sent',
        meaning:
          'The request had no Authorization header. For a client that signs in this is how it begins: it is told where.',
        advice: '',
      },
      facts: [
        { label: 'Method', value: 'initialize' },
        { label: 'Protocol version', value: '2025-11-25' },
      ],
    }),
  ],
}

function doctorStep(minutes: number, fields: Partial<DoctorStep>): DoctorStep {
  return {
    id: `dst_${minutes}_${fields.title ?? ''}`,
    at: ago(minutes),
    repeats: 0,
    title: '',
    status: 200,
    isRefused: false,
    isHarmless: true,
    words: undefined,
    client: 'Cursor/1.7.2',
    network: '203.0.113.7',
    facts: [],
    ...fields,
  }
}

export const sessions: readonly SessionRow[] = [
  {
    id: 'ses_1',
    label: 'laptop',
    agentId: 'agt_1',
    agentName: 'Claude on my laptop',
    kind: 'session_key',
    state: 'active',
    createdAt: ago(60 * 24 * 3),
    expiresAt: ago(-60 * 24 * 27),
    lastUsedAt: ago(3),
    person: { id: 'per_1', name: 'Ann Example', isYou: true },
    lastClient: 'Cursor/1.7.2',
    lastNetwork: '203.0.113.7',
  },
  {
    id: 'ses_2',
    label: 'Claude Desktop',
    agentId: 'agt_1',
    agentName: 'Claude on my laptop',
    kind: 'oauth',
    state: 'active',
    createdAt: ago(60 * 5),
    expiresAt: ago(-60 * 24 * 9),
    clientName: 'Claude',
    clientHost: 'claude.ai',
    person: { id: 'per_2', name: 'Bob Builder', isYou: false },
    lastClient: 'Claude-User/1.0',
    lastNetwork: '160.79.104.10',
    lastUsedAt: ago(12),
  },
  {
    id: 'ses_3',
    label: 'build server',
    agentId: 'agt_2',
    agentName: 'Nightly triage',
    kind: 'session_key',
    state: 'revoked',
    createdAt: ago(60 * 24 * 20),
    expiresAt: ago(-60 * 24),
    lastUsedAt: ago(60 * 24 * 4),
  },
  {
    id: 'ses_4',
    label: 'old laptop',
    agentId: 'agt_2',
    agentName: 'Nightly triage',
    kind: 'session_key',
    state: 'expired',
    createdAt: ago(60 * 24 * 60),
    expiresAt: ago(60 * 24 * 30),
  },
]

export const activity: readonly ActivityRow[] = [
  {
    id: 'cal_1',
    kind: 'call',
    at: ago(0.4),
    action: 'google_search_mail',
    provider: 'google',
    account: 'ann@example.com',
    actor: 'Claude on my laptop',
    actorHref: '/agents/agt_1',
    decision: 'permit',
  },
  {
    id: 'cal_2',
    kind: 'call',
    at: ago(3),
    action: 'google_read_mail',
    provider: 'google',
    account: 'ann@example.com',
    actor: 'Claude on my laptop',
    actorHref: '/agents/agt_1',
    decision: 'permit',
    outcome: 'success',
    durationMs: 84,
  },
  {
    id: 'cal_3',
    kind: 'call',
    at: ago(4),
    action: 'google_create_draft',
    provider: 'google',
    account: 'ann@example.com',
    actor: 'Claude on my laptop',
    actorHref: '/agents/agt_1',
    decision: 'deny',
    outcome: 'denied',
    reason: 'The tool is not in the agent’s profile.',
  },
  {
    id: 'cal_4',
    kind: 'call',
    at: ago(55),
    action: 'github_create_issue',
    provider: 'github',
    account: 'ann-hoffmann-of-the-very-long-login-name',
    actor: 'Nightly triage',
    actorHref: '/agents/agt_2',
    decision: 'permit',
    outcome: 'error',
    reason: 'GitHub answered that the account must reconnect.',
    durationMs: 1240,
  },
  {
    id: 'cal_5',
    kind: 'call',
    at: ago(61),
    action: 'slack_post_message',
    provider: 'slack',
    account: 'ann · Example Engineering',
    actor: 'Nightly triage',
    actorHref: '/agents/agt_2',
    decision: 'approval_required',
  },
  {
    id: 'cal_6',
    kind: 'call',
    at: ago(60 * 20),
    action: 'slack_read_history',
    provider: 'slack',
    account: 'ann · Example Engineering',
    actor: 'Nightly triage',
    actorHref: '/agents/agt_2',
    decision: 'permit',
    outcome: 'unknown',
    reason: 'The process ended before the answer arrived.',
  },
  {
    id: 'aud_7',
    kind: 'event',
    at: ago(60 * 24 * 2),
    action: 'An agent was created',
    actor: 'Ann Hoffmann',
  },
]

export const calls: readonly CallsBucket[] = [
  { label: '15 Nov', permit: 12, deny: 0, approval: 0 },
  { label: '16 Nov', permit: 30, deny: 2, approval: 0 },
  { label: '17 Nov', permit: 44, deny: 1, approval: 3 },
  { label: '18 Nov', permit: 21, deny: 0, approval: 1 },
  { label: '19 Nov', permit: 65, deny: 7, approval: 2 },
  { label: '20 Nov', permit: 38, deny: 1, approval: 0 },
  { label: '21 Nov', permit: 9, deny: 1, approval: 0 },
]

export const browserSessions: readonly BrowserSession[] = [
  {
    id: 'web_1',
    device: 'Firefox on Linux',
    address: '203.0.113.7',
    startedAt: ago(60 * 3),
    lastSeenAt: ago(0),
    isCurrent: true,
  },
  {
    id: 'web_2',
    device: 'Safari on iPhone',
    address: '2001:db8::42',
    startedAt: ago(60 * 24 * 4),
    lastSeenAt: ago(60 * 5),
    isCurrent: false,
  },
]

export const members: readonly Member[] = [
  {
    id: 'usr_1',
    name: 'Ann Hoffmann',
    email: 'ann@example.com',
    role: 'owner',
    joinedAt: ago(60 * 24 * 90),
    isYou: true,
  },
  {
    id: 'usr_2',
    name: 'Ben Adeyemi',
    email: 'ben.adeyemi@engineering.example.com',
    role: 'member',
    joinedAt: ago(60 * 24 * 5),
    isYou: false,
  },
  { id: 'usr_3', name: 'Cleo', email: 'cleo@example.com', role: 'auditor', joinedAt: ago(60 * 24), isYou: false },
]

export const providerApps: readonly ProviderAppStatus[] = [
  {
    provider: 'google',
    name: 'Google',
    status: 'ready',
    redirectUri: 'https://gate.example.com/connect/callback/google',
  },
  {
    provider: 'github',
    name: 'GitHub',
    status: 'failing',
    detail: 'GitHub does not accept the client secret.',
    redirectUri: 'https://gate.example.com/connect/callback/github',
  },
  { provider: 'slack', name: 'Slack', status: 'sandbox', redirectUri: 'http://localhost:3000/connect/callback/slack' },
]

export const notifications: readonly NotificationRow[] = [
  {
    id: 'ntf_4',
    kind: 'reauthorization_required',
    title: 'The GitHub account “ann-hoffmann” has to be connected again',
    body: 'Agents cannot use it until then. The reason: it answered that the permission it gave has expired or was withdrawn. Connect it again; permissions and agents stay as they are.',
    href: '/connections/con_1',
    provider: 'github',
    at: ago(4),
    isRead: false,
  },
  {
    id: 'ntf_3',
    kind: 'degraded',
    title:
      'The Google account “ann.hoffmann+a-very-long-address-that-does-not-end@research.example.com” is not being renewed',
    body: 'Google does not answer when the access is renewed. It is tried again and again, and you hear of it when that is not enough. Agents may find the account unusable until then.',
    href: '/connections/con_2',
    provider: 'google',
    at: ago(40),
    isRead: false,
  },
  {
    id: 'ntf_2',
    kind: 'recovered',
    title: 'The Slack account “Ann (Example)” works again',
    body: 'Its access was renewed. There is nothing to do.',
    href: '/connections/con_3',
    provider: 'slack',
    at: ago(26 * 60),
    isRead: true,
  },
  {
    id: 'ntf_1',
    kind: 'webhook_disabled',
    title: 'Nothing is sent to hooks.example.com any more',
    body: 'Deliveries were stopped because it failed for days. Repair the receiver, then add the address again.',
    href: '/settings',
    provider: undefined,
    at: ago(20 * 24 * 60),
    isRead: true,
  },
]

const delivery: DeliveryRow = {
  id: 'dlv_1',
  isTest: false,
  itemCount: 12,
  status: 'delivered',
  attempts: 1,
  at: ago(3),
  nextAt: undefined,
  lastStatus: 204,
  lastError: undefined,
}

export const webhooks: readonly WebhookRow[] = [
  {
    id: 'whk_1',
    url: 'https://hooks.example.com/services/T000/B000/portcullis',
    disabledReason: undefined,
    failingSince: undefined,
    deliveries: [delivery, { ...delivery, id: 'dlv_2', isTest: true, at: ago(60) }],
  },
  {
    id: 'whk_2',
    url: `https://pager.example.org/${'long/'.repeat(14)}inbound`,
    disabledReason: undefined,
    failingSince: ago(120),
    deliveries: [
      {
        ...delivery,
        id: 'dlv_3',
        status: 'queued',
        attempts: 3,
        nextAt: ago(-10),
        lastStatus: 307,
        lastError: 'redirect',
      },
      { ...delivery, id: 'dlv_4', isTest: true, status: 'queued', attempts: 0, lastStatus: undefined },
    ],
  },
  {
    id: 'whk_3',
    url: 'https://old.example.net/in',
    disabledReason: 'gone',
    failingSince: ago(24 * 60),
    deliveries: [{ ...delivery, id: 'dlv_5', status: 'failed', lastStatus: 410, lastError: 'gone' }],
  },
]

export const webhookActions = {
  onRetry: () => undefined,
  onCreate: give('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw0000000000w='),
  onTest: accept,
  onDelete: accept,
} as const

export const consentRequest: ConsentRequest = {
  client: {
    name: 'MCP CLI Proxy of a desktop application with a rather long name of its own',
    idHost: null,
    source: 'registered',
    redirectUri: 'http://localhost:19220/oauth/callback',
    redirectHost: 'localhost:19220',
    isLocalOnly: true,
  },
  person: { name: 'Ana Ribeiro', email: 'ana.ribeiro.de.oliveira@juniperfreight.example' },
  workspace: 'Juniper Freight',
  agent: 'Dispatch bot',
  isReadOnly: false,
  providers: [
    {
      provider: 'github',
      name: 'GitHub',
      isMissing: false,
      accounts: [
        { label: 'ana-ribeiro', isUsable: true },
        { label: 'juniper-freight-bot', isUsable: false },
      ],
      tools: [
        { name: 'github_list_issues', title: 'List issues', isReadOnly: true },
        { name: 'github_create_issue', title: 'Create an issue', isReadOnly: false },
      ],
    },
    {
      provider: 'google',
      name: 'Google',
      isMissing: true,
      accounts: [],
      tools: [
        'Search mail',
        'Read a message',
        'List events',
        'Find free time',
        'List files',
        'Read a file',
        'Create a draft',
      ].map((title, index) => ({ name: `google_${index}`, title, isReadOnly: index < 6 })),
    },
  ],
  idleDays: 30,
  absoluteDays: 90,
}

export const documentConsentRequest: ConsentRequest = {
  ...consentRequest,
  client: {
    name: 'Claude',
    idHost: 'claude.ai',
    source: 'document',
    redirectUri: 'https://claude.ai/api/mcp/auth_callback',
    redirectHost: 'claude.ai',
    isLocalOnly: false,
  },
  isReadOnly: true,
  providers: consentRequest.providers.map((one) => ({ ...one, tools: one.tools.filter((tool) => tool.isReadOnly) })),
}
