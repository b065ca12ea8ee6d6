import type { ToolEffect } from '@/components/ui/status-badge'

export interface AgentSummary {
  readonly id: string
  readonly name: string
  readonly description?: string | undefined
  readonly isEnabled: boolean
  readonly toolCount: number
  readonly activeSessionCount: number
  readonly lastCallAt?: string | undefined
}

export interface ToolOffer {
  readonly name: string
  readonly title: string
  readonly description: string
  readonly effect: ToolEffect
  /** In the agent's profile now. */
  readonly isAllowed: boolean
  /** Why it would be hidden from the agent although it is ticked, for example that a permission is missing. */
  readonly blockedReason?: string | undefined
}

export interface ToolGroup {
  readonly provider: string
  readonly providerName: string
  /** Accounts these tools would use. Empty: none is connected. */
  readonly accounts: readonly string[]
  readonly tools: readonly ToolOffer[]
}
