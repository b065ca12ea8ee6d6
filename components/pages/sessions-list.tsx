'use client'

import { KeyRound, Unplug } from 'lucide-react'
import Link from 'next/link'

import type { Action } from '@/components/action'
import { ConfirmDialog } from '@/components/ui/alert-dialog'
import { Badge } from '@/components/ui/badge'
import { Button } from '@/components/ui/button'
import { Card } from '@/components/ui/card'
import { EmptyState } from '@/components/ui/empty-state'
import { PageHeader } from '@/components/ui/page-header'
import { CursorPagination } from '@/components/ui/pagination'
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
}

export interface SessionsTableProps {
  readonly sessions: readonly SessionRow[]
  readonly canManage: boolean
  readonly onRevoke: Action<{ id: string }>
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
        description="Every session an agent holds. Revoking one is in force at its next call."
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
          <p className="font-medium wrap-anywhere">{session.label}</p>
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
      key: 'kind',
      header: 'Kind',
      cell: (session) => <Badge>{session.kind === 'session_key' ? 'Session key' : 'Signed in (OAuth)'}</Badge>,
    },
    { key: 'state', header: 'State', cell: (session) => <SessionStateBadge state={session.state} /> },
    {
      key: 'used',
      header: 'Last used',
      cell: (session) =>
        session.lastUsedAt === undefined ? <span className="text-muted">Never</span> : <Time at={session.lastUsedAt} />,
    },
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
            title={`Revoke “${session.label}”?`}
            confirmLabel="Revoke session"
            onConfirm={() => onRevoke({ id: session.id })}
            trigger={
              <Button
                size="sm"
                variant="danger-quiet"
                aria-label={`Revoke ${session.label}`}
                disabledReason={canManage ? undefined : 'Your role may look at sessions, not revoke them.'}
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
