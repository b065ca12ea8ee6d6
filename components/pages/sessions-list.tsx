'use client'

import { KeyRound, Unplug } from 'lucide-react'
import Link from 'next/link'
import { useState } from 'react'

import type { Action } from '@/components/action'
import { ConfirmDialog } from '@/components/ui/alert-dialog'
import { Button } from '@/components/ui/button'
import { Card } from '@/components/ui/card'
import { EmptyState } from '@/components/ui/empty-state'
import { PageHeader } from '@/components/ui/page-header'
import { CursorPagination } from '@/components/ui/pagination'
import { Select } from '@/components/ui/select'
import { SessionStateBadge } from '@/components/ui/status-badge'
import type { SessionState } from '@/components/ui/status-badge'
import { DataTable } from '@/components/ui/table'
import type { Column } from '@/components/ui/table'
import { Time } from '@/components/ui/time'

export interface SessionRow {
  readonly id: string
  readonly label: string
  readonly agentId: string
  readonly agentName: string
  readonly kind: 'session_key' | 'oauth'
  readonly state: SessionState
  readonly createdAt: string
  readonly expiresAt: string
  readonly lastUsedAt?: string | undefined
  /** What the client called itself when a person approved it, and where its answers go. */
  readonly clientName?: string | undefined
  readonly clientHost?: string | undefined
  /** Whose accounts it uses. Undefined: those of the workspace. */
  readonly person?: { readonly id: string; readonly name: string; readonly isYou: boolean } | undefined
  /** Program and network of the last use. */
  readonly lastClient?: string | undefined
  readonly lastNetwork?: string | undefined
}

export type RevokeAllInput = { readonly agentId: string } | { readonly personId: string }

export interface SessionsTableProps {
  readonly sessions: readonly SessionRow[]
  readonly canManage: boolean
  readonly onRevoke: Action<{ id: string }>
  readonly onRevokeAll: Action<RevokeAllInput>
  readonly newerHref?: string | undefined
  readonly olderHref?: string | undefined
  /** False on an agent's own page, where every row would name the same agent. */
  readonly isAgentShown?: boolean
}

/** What agents hold: each row can be ended on its own. */
export function SessionsList(props: SessionsTableProps) {
  return (
    <>
      <PageHeader
        title="Sessions"
        description="Every session an agent holds, by key or by signing in. Revoking is in force at the next call; calls under way are stopped within seconds."
        actions={<RevokeMany {...props} />}
      />
      <SessionsTable {...props} />
    </>
  )
}

export function SessionsTable({
  sessions,
  canManage,
  onRevoke,
  newerHref,
  olderHref,
  isAgentShown = true,
}: SessionsTableProps) {
  if (sessions.length === 0) {
    return (
      <Card>
        <EmptyState
          icon={KeyRound}
          title="No sessions"
          action={
            isAgentShown ? (
              <Button asChild>
                <Link href="/agents">Go to agents</Link>
              </Button>
            ) : undefined
          }
        >
          A session appears when you create a session key for an agent, or when an agent signs in.
        </EmptyState>
      </Card>
    )
  }
  const columns: readonly Column<SessionRow>[] = [
    {
      key: 'label',
      header: 'Session',
      isRowHeader: true,
      cell: (session) => (
        <div className="min-w-0">
          <p className="font-medium wrap-anywhere">{session.clientName ?? session.label}</p>
          <p className="text-sm wrap-anywhere text-muted">
            {session.kind === 'session_key'
              ? 'Session key'
              : `Signed in, answers go to ${session.clientHost ?? 'itself'}`}
          </p>
          {isAgentShown ? (
            <Link
              href={`/agents/${session.agentId}`}
              className="-my-2 inline-flex min-h-10 items-center text-sm text-muted hover:underline md:my-0 md:min-h-0"
            >
              {session.agentName}
            </Link>
          ) : null}
        </div>
      ),
    },
    {
      key: 'person',
      header: 'Acts for',
      cell: ({ person }) =>
        person === undefined ? (
          <span className="text-muted">The whole workspace</span>
        ) : (
          <span className="wrap-anywhere">{person.isYou ? 'You' : person.name}</span>
        ),
    },
    { key: 'state', header: 'State', cell: (session) => <SessionStateBadge state={session.state} /> },
    {
      key: 'used',
      header: 'Last used',
      cell: (session) =>
        session.lastUsedAt === undefined ? (
          <span className="text-muted">Never</span>
        ) : (
          <div className="min-w-0">
            <p>
              <Time at={session.lastUsedAt} />
            </p>
            {session.lastNetwork === undefined ? null : (
              <p className="text-sm wrap-anywhere text-muted">
                {session.lastClient === undefined ? '' : `${session.lastClient}, `}from {session.lastNetwork}
              </p>
            )}
          </div>
        ),
    },
    { key: 'created', header: 'Created', cell: (session) => <Time at={session.createdAt} /> },
    { key: 'expires', header: 'Ends', cell: (session) => <Time at={session.expiresAt} /> },
    {
      key: 'actions',
      header: 'Actions',
      isHeaderHidden: true,
      align: 'end',
      className: 'justify-end',
      cell: (session) =>
        session.state === 'active' ? (
          <ConfirmDialog
            title={`Revoke “${session.clientName ?? session.label}”?`}
            confirmLabel="Revoke session"
            onConfirm={() => onRevoke({ id: session.id })}
            trigger={
              <Button
                size="sm"
                variant="danger-quiet"
                aria-label={`Revoke ${session.clientName ?? session.label}`}
                disabledReason={canManage ? undefined : notYours}
              >
                <Unplug aria-hidden /> Revoke
              </Button>
            }
          >
            <p>
              {session.agentName} can no longer use this session: its next call is refused and open streams are closed.
              Its other sessions are not touched.
            </p>
          </ConfirmDialog>
        ) : null,
    },
  ]
  return (
    <Card>
      <DataTable caption="Sessions" columns={columns} rows={sessions} rowKey={(session) => session.id} />
      {newerHref === undefined && olderHref === undefined ? null : (
        <div className="border-t border-line">
          <CursorPagination newerHref={newerHref} olderHref={olderHref} />
        </div>
      )}
    </Card>
  )
}

const notYours = 'Your role may look at sessions, not revoke them.'

/** All sessions of one agent, on its own page. */
export function RevokeAllOfAgent({
  sessions,
  canManage,
  onRevokeAll,
  agentId,
}: Pick<SessionsTableProps, 'sessions' | 'canManage' | 'onRevokeAll'> & { agentId: string }) {
  const live = sessions.filter(({ state }) => state === 'active')
  const [first] = live
  if (first === undefined || live.length < 2) return null
  return (
    <div className="mb-4 flex justify-end">
      <ConfirmDialog
        title={`Revoke all sessions of ${first.agentName}?`}
        confirmLabel={`Revoke ${live.length} sessions`}
        onConfirm={() => onRevokeAll({ agentId })}
        trigger={
          <Button variant="danger-quiet" disabledReason={canManage ? undefined : notYours}>
            <Unplug aria-hidden /> Revoke all
          </Button>
        }
      >
        <p>Every client of this agent is cut off. The agent and its tools stay; clients can sign in again.</p>
      </ConfirmDialog>
    </div>
  )
}

/** All sessions of an agent or of a person at once: when a device is lost, or somebody should not have signed in. */
function RevokeMany({ sessions, canManage, onRevokeAll }: SessionsTableProps) {
  const live = sessions.filter(({ state }) => state === 'active')
  const choices = [
    ...choicesOf(live, ({ agentId, agentName }) => ({ value: `agent ${agentId}`, label: `Agent: ${agentName}` })),
    ...choicesOf(live, ({ person }) =>
      person === undefined
        ? undefined
        : { value: `person ${person.id}`, label: `Person: ${person.isYou ? `${person.name} (you)` : person.name}` },
    ),
  ]
  const [chosen, setChosen] = useState<string>()
  const [first] = choices
  if (first === undefined) return null
  const current = choices.find(({ value }) => value === chosen) ?? first
  const [kind, id = ''] = current.value.split(' ')
  return (
    <ConfirmDialog
      title="Revoke all sessions of an agent or a person?"
      confirmLabel={`Revoke ${current.count} ${current.count === 1 ? 'session' : 'sessions'}`}
      onConfirm={() => onRevokeAll(kind === 'agent' ? { agentId: id } : { personId: id })}
      trigger={
        <Button variant="danger-quiet" disabledReason={canManage ? undefined : notYours}>
          <Unplug aria-hidden /> Revoke all of…
        </Button>
      }
    >
      <p>Keys and sign-ins alike stop working at the next call. Other sessions are not touched.</p>
      <Select
        aria-label="Whose sessions"
        value={current.value}
        onChange={(event) => setChosen(event.target.value)}
        options={choices.map(({ value, label, count }) => ({ value, label: `${label} (${count})` }))}
      />
    </ConfirmDialog>
  )
}

interface Choice {
  readonly value: string
  readonly label: string
}

function choicesOf(
  sessions: readonly SessionRow[],
  choiceOf: (session: SessionRow) => Choice | undefined,
): readonly (Choice & { readonly count: number })[] {
  const found = new Map<string, Choice & { readonly count: number }>()
  for (const session of sessions) {
    const choice = choiceOf(session)
    if (choice !== undefined) found.set(choice.value, { ...choice, count: (found.get(choice.value)?.count ?? 0) + 1 })
  }
  return [...found.values()].toSorted((a, b) => a.label.localeCompare(b.label))
}
