import { ArrowRight, ListTree } from 'lucide-react'
import Link from 'next/link'

import { cn } from '@/components/cn'
import type { ActivityRow } from '@/components/pages/activity-table'
import { needsAttention } from '@/components/pages/connection-types'
import type { ConnectionSummary } from '@/components/pages/connection-types'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { CallsChart } from '@/components/ui/chart'
import type { CallsBucket } from '@/components/ui/chart'
import { EmptyState } from '@/components/ui/empty-state'
import { PageHeader } from '@/components/ui/page-header'
import { DecisionBadge, OutcomeBadge } from '@/components/ui/status-badge'
import { Time } from '@/components/ui/time'

/** The start page once the guide is done: what needs a person, then what has been going on. */
export function Home({
  workspaceName,
  connections,
  agentCount,
  activeSessionCount,
  calls,
  recent,
}: {
  workspaceName: string
  connections: readonly Pick<ConnectionSummary, 'id' | 'account' | 'providerName' | 'state'>[]
  agentCount: number
  activeSessionCount: number
  /** Calls of the last days, oldest first. */
  calls: readonly CallsBucket[]
  recent: readonly ActivityRow[]
}) {
  const waiting = connections.filter(needsAttention)
  return (
    <>
      <PageHeader title={workspaceName} description="What your agents are doing with your accounts." />
      <div className="space-y-6">
        {waiting.map((connection) => (
          <Alert
            key={connection.id}
            tone="warning"
            title={`${connection.providerName} account ${connection.account} needs you`}
            action={
              <Button size="sm" asChild>
                <Link href={`/connections/${connection.id}`}>Have a look</Link>
              </Button>
            }
          >
            Agents cannot use it until it is connected again.
          </Alert>
        ))}
        <ul className="grid grid-cols-3 gap-3 md:gap-4">
          <Figure href="/connections" label="Connections" value={connections.length} />
          <Figure href="/agents" label="Agents" value={agentCount} />
          <Figure href="/sessions" label="Active sessions" value={activeSessionCount} />
        </ul>
        <div className="grid grid-cols-1 items-start gap-6 lg:grid-cols-2">
          <Card>
            <CardHeader title="Calls" description="The last days, by decision" />
            <CardBody>
              <CallsChart buckets={calls} caption="Calls over the last days by decision" />
            </CardBody>
          </Card>
          <Card>
            <CardHeader
              title="Latest"
              actions={
                <Button size="sm" variant="ghost" asChild>
                  <Link href="/activity">
                    All activity <ArrowRight aria-hidden />
                  </Link>
                </Button>
              }
            />
            {recent.length === 0 ? (
              <EmptyState icon={ListTree} title="Nothing yet" level={3} className="py-10" />
            ) : (
              <CardBody className="pt-1 pb-2 md:pt-1">
                <ul className="divide-y divide-line">
                  {recent.map((row) => (
                    <li key={row.id} className="flex items-center justify-between gap-3 py-2.5">
                      <div className="min-w-0">
                        <p className={cn('truncate font-medium', row.kind === 'call' && 'font-mono text-[0.8125rem]')}>
                          {row.action}
                        </p>
                        <p className="truncate text-sm text-muted">
                          {row.actor} · <Time at={row.at} />
                        </p>
                      </div>
                      {row.decision !== undefined && row.decision !== 'permit' ? (
                        <DecisionBadge decision={row.decision} />
                      ) : row.kind === 'call' || row.outcome !== undefined ? (
                        <OutcomeBadge outcome={row.outcome} />
                      ) : null}
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

function Figure({ href, label, value }: { href: string; label: string; value: number }) {
  return (
    <li className="min-w-0">
      <Link
        href={href}
        className="flex h-full flex-col-reverse justify-end rounded-lg border border-line bg-surface p-3 shadow-card transition-colors hover:border-line-strong md:p-5"
      >
        <span className="text-xs text-muted md:text-sm">{label}</span>
        <span className="text-2xl font-semibold tracking-tight tabular-nums">{value}</span>
      </Link>
    </li>
  )
}
