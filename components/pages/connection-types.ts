import type { ConnectionState, ToolEffect } from '@/components/ui/status-badge'

/** One permission in plain words. */
export interface ScopeLine {
  /** As the provider spells it. */
  readonly scope: string
  /** “Read your mail”. */
  readonly plain: string
  /** “So that agents can search and summarise messages”. */
  readonly why?: string | undefined
  readonly access: ToolEffect
}

export interface ConnectionSummary {
  readonly id: string
  readonly provider: string
  readonly providerName: string
  /** Account as its owner knows it: an address, a login. */
  readonly account: string
  /** What the account belongs to, for example a Slack workspace. */
  readonly accountContext?: string | undefined
  readonly state: ConnectionState
  readonly connectedAt: string
  readonly lastUsedAt?: string | undefined
  readonly nextRefreshAt?: string | undefined
  /** Agents with tools for it and a live session that reaches it. */
  readonly agentCount: number
  readonly missingScopeCount: number
  readonly isSandbox: boolean
}

/** Does the person have to do something about it? */
export function needsAttention(connection: Pick<ConnectionSummary, 'state'>): boolean {
  return (
    connection.state === 'reauthorization_required' ||
    connection.state === 'revoked' ||
    connection.state === 'suspended'
  )
}

/** One line of a connection's history. */
export interface HistoryLine {
  readonly id: string
  readonly at: string
  /** “Renewed, on schedule”, “Reconnect needed”. */
  readonly words: string
  /** Why, when it went wrong. */
  readonly detail?: string | undefined
  readonly tone: 'good' | 'bad' | 'plain'
  /** Of an attempt to renew: how long the provider took. */
  readonly latencyMs?: number | undefined
}

/** What is known of the life of the credential. */
export interface RenewalFacts {
  /** Undefined where not known yet. */
  readonly renews?: boolean | undefined
  readonly lastAt?: string | undefined
  readonly nextAt?: string | undefined
  readonly accessEndsAt?: string | undefined
  /** When the provider ends the consent itself. */
  readonly consentEndsAt?: string | undefined
  readonly failures: number
  /** The last failure, when nothing has succeeded since. */
  readonly lastError?: { readonly words: string; readonly at: string } | undefined
}

/** Something that is going to go wrong, or surprises people. */
export interface TrapLine {
  readonly code: string
  readonly severity: 'danger' | 'warning' | 'info'
  readonly title: string
  readonly words: string
  readonly advice?: string | undefined
  readonly at?: string | undefined
}

/** What came of a test. */
export interface TestResult {
  readonly isWorking: boolean
  readonly latencyMs?: number | undefined
  readonly isRenewed: boolean
  readonly failure?: { readonly words: string; readonly action: 'reconnect' | 'wait' | 'operator' } | undefined
}

export interface AgentUse {
  readonly id: string
  readonly name: string
  readonly toolCount: number
  /** `uses`: it has a live session that reaches this account; `could`: only its tools would. */
  readonly reach: 'uses' | 'could' | 'disabled'
}
