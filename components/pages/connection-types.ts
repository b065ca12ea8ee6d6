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
