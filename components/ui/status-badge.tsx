import {
  Ban,
  CircleCheck,
  CircleDashed,
  CircleHelp,
  CircleSlash,
  CircleX,
  Clock,
  Eye,
  Hand,
  LoaderCircle,
  Pause,
  PencilLine,
  Trash2,
  TriangleAlert,
  Unplug,
} from 'lucide-react'
import type { LucideIcon } from 'lucide-react'

import { Badge } from '@/components/ui/badge'
import type { BadgeTone } from '@/components/ui/badge'

export type ConnectionState =
  | 'connecting'
  | 'active'
  | 'refreshing'
  | 'degraded'
  | 'reauthorization_required'
  | 'revoked'
  | 'disconnected'
  | 'suspended'

interface Look {
  readonly label: string
  readonly tone: BadgeTone
  readonly icon: LucideIcon
}

const connectionLooks: Record<ConnectionState, Look> = {
  connecting: { label: 'Connecting', tone: 'info', icon: LoaderCircle },
  active: { label: 'Active', tone: 'success', icon: CircleCheck },
  // A refresh is routine: the account works meanwhile, so it looks like an active one.
  refreshing: { label: 'Active', tone: 'success', icon: CircleCheck },
  degraded: { label: 'Degraded', tone: 'warning', icon: TriangleAlert },
  reauthorization_required: { label: 'Reconnect needed', tone: 'warning', icon: Unplug },
  revoked: { label: 'Revoked', tone: 'danger', icon: CircleX },
  disconnected: { label: 'Disconnected', tone: 'neutral', icon: CircleSlash },
  suspended: { label: 'Suspended', tone: 'danger', icon: Pause },
}

export function ConnectionBadge({ state }: { state: ConnectionState }) {
  const { label, tone, icon } = connectionLooks[state]
  return (
    <Badge tone={tone} icon={icon} spin={state === 'connecting'}>
      {label}
    </Badge>
  )
}

/** How a state is called. Two that make no difference to a person share a name. */
export function connectionLabel(state: ConnectionState): string {
  return connectionLooks[state].label
}

/** What each connection state means for the person who looks at it. */
export const connectionMeaning: Record<ConnectionState, string> = {
  connecting: 'Waiting for you to finish at the provider.',
  active: 'Agents that are allowed to can use this account.',
  refreshing: 'Agents that are allowed to can use this account.',
  degraded: 'The provider is not answering as it should. We keep trying; calls may fail meanwhile.',
  reauthorization_required:
    'The provider no longer accepts our access. Reconnect to let agents use this account again.',
  revoked: 'Access was withdrawn. No agent can use this account.',
  disconnected: 'You disconnected this account. Its stored credential is destroyed.',
  suspended: 'An administrator suspended this account. No agent can use it until it is resumed.',
}

export type Decision = 'permit' | 'deny' | 'approval_required'

const decisionLooks: Record<Decision, Look> = {
  permit: { label: 'Permitted', tone: 'neutral', icon: CircleCheck },
  deny: { label: 'Denied', tone: 'danger', icon: Ban },
  approval_required: { label: 'Needs approval', tone: 'warning', icon: Hand },
}

export function DecisionBadge({ decision }: { decision: Decision }) {
  const { label, tone, icon } = decisionLooks[decision]
  return (
    <Badge tone={tone} icon={icon}>
      {label}
    </Badge>
  )
}

export type Outcome = 'success' | 'error' | 'denied' | 'cancelled' | 'expired' | 'unknown'

const outcomeLooks: Record<Outcome | 'pending', Look> = {
  success: { label: 'Success', tone: 'success', icon: CircleCheck },
  error: { label: 'Error', tone: 'danger', icon: CircleX },
  denied: { label: 'Denied', tone: 'danger', icon: Ban },
  cancelled: { label: 'Cancelled', tone: 'neutral', icon: CircleSlash },
  expired: { label: 'Expired', tone: 'neutral', icon: Clock },
  unknown: { label: 'Unknown', tone: 'warning', icon: CircleHelp },
  pending: { label: 'Running', tone: 'info', icon: CircleDashed },
}

/** @param outcome  undefined while the call has not ended */
export function OutcomeBadge({ outcome }: { outcome: Outcome | undefined }) {
  const { label, tone, icon } = outcomeLooks[outcome ?? 'pending']
  return (
    <Badge tone={tone} icon={icon}>
      {label}
    </Badge>
  )
}

export type ToolEffect = 'read' | 'write' | 'destructive'

const effectLooks: Record<ToolEffect, Look> = {
  read: { label: 'Read', tone: 'neutral', icon: Eye },
  write: { label: 'Write', tone: 'warning', icon: PencilLine },
  destructive: { label: 'Destructive', tone: 'danger', icon: Trash2 },
}

export function EffectBadge({ effect }: { effect: ToolEffect }) {
  const { label, tone, icon } = effectLooks[effect]
  return (
    <Badge tone={tone} icon={icon}>
      {label}
    </Badge>
  )
}

export type SessionState = 'active' | 'expired' | 'revoked'

const sessionLooks: Record<SessionState, Look> = {
  active: { label: 'Active', tone: 'success', icon: CircleCheck },
  expired: { label: 'Expired', tone: 'neutral', icon: Clock },
  revoked: { label: 'Revoked', tone: 'danger', icon: CircleX },
}

export function SessionStateBadge({ state }: { state: SessionState }) {
  const { label, tone, icon } = sessionLooks[state]
  return (
    <Badge tone={tone} icon={icon}>
      {label}
    </Badge>
  )
}

export function AgentStateBadge({ isEnabled }: { isEnabled: boolean }) {
  return isEnabled ? (
    <Badge tone="success" icon={CircleCheck}>
      Enabled
    </Badge>
  ) : (
    <Badge tone="neutral" icon={Pause}>
      Disabled
    </Badge>
  )
}
