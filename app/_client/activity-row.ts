/**
 * One entry of the activity as the API tells it, and as the table shows it. The page's first rows come from its server, the
 * later ones from the API; both go through here, so an entry never changes its words while it is watched.
 *
 * @module
 */
import type { ActivityRow } from '@/components/pages/activity-table'
import type { Decision, Outcome } from '@/components/ui/status-badge'

import { providerOfTool } from './providers'
import { reasonWords } from './reasons'

export interface ActivityItem {
  readonly id: string
  readonly kind: 'call' | 'event'
  readonly title: string
  readonly at: string
  readonly actor: string
  readonly actorKind: string
  readonly agentId: string | null
  readonly connectionLabel: string | null
  readonly tool: string | null
  readonly decision: string | null
  readonly outcome: string | null
  readonly reason: string | null
  readonly durationMs: number | null
}

export function toActivityRow(item: ActivityItem): ActivityRow {
  const isCall = item.kind === 'call'
  return {
    id: item.id,
    kind: item.kind,
    at: item.at,
    action: isCall ? (item.tool ?? 'unknown tool') : item.title,
    provider: item.tool === null ? undefined : providerOfTool(item.tool),
    account: item.connectionLabel ?? undefined,
    actor: item.actor,
    actorHref: item.actorKind === 'agent' && item.agentId !== null ? `/agents/${item.agentId}` : undefined,
    decision: isDecision(item.decision) ? item.decision : undefined,
    outcome: isOutcome(item.outcome) ? item.outcome : undefined,
    reason: item.reason === null ? undefined : reasonWords(item.reason),
    durationMs: item.durationMs ?? undefined,
  }
}

function isDecision(value: string | null): value is Decision {
  return value === 'permit' || value === 'deny' || value === 'approval_required'
}

const outcomes: readonly (string | null)[] = ['success', 'error', 'denied', 'cancelled', 'expired', 'unknown']

function isOutcome(value: string | null): value is Outcome {
  return outcomes.includes(value)
}
