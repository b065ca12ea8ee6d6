'use client'

import { Power, PowerOff } from 'lucide-react'
import type { ReactNode } from 'react'

import type { Action, ActionResult } from '@/components/action'
import { Alert } from '@/components/ui/alert'
import { ConfirmDialog } from '@/components/ui/alert-dialog'
import { Button } from '@/components/ui/button'
import { PageHeader } from '@/components/ui/page-header'
import { AgentStateBadge } from '@/components/ui/status-badge'
import { TabNav } from '@/components/ui/tab-nav'
import { useAction } from '@/components/use-action'

export type AgentTab = 'tools' | 'connect' | 'sessions' | 'doctor'

export function isAgentTab(value: unknown): value is AgentTab {
  return value === 'tools' || value === 'connect' || value === 'sessions' || value === 'doctor'
}

/**
 * The frame of an agent's page. The tab is in the address; its body is AgentTools, AgentConnect, SessionsTable or AgentDoctor.
 */
export function AgentDetail({
  agent,
  tab,
  canManage,
  onSetEnabled,
  children,
}: {
  agent: {
    readonly id: string
    readonly name: string
    readonly description?: string | undefined
    readonly isEnabled: boolean
    readonly toolCount: number
    readonly activeSessionCount: number
  }
  tab: AgentTab
  canManage: boolean
  onSetEnabled: Action<{ isEnabled: boolean }>
  children: ReactNode
}) {
  const enable = useAction(onSetEnabled)
  const notYours = canManage ? undefined : 'Your role may look at agents, not change them.'
  const here = `/agents/${agent.id}`
  const disable = (): Promise<ActionResult> => onSetEnabled({ isEnabled: false })
  return (
    <>
      <PageHeader
        crumbs={[{ label: 'Agents', href: '/agents' }, { label: agent.name }]}
        title={agent.name}
        badge={<AgentStateBadge isEnabled={agent.isEnabled} />}
        description={agent.description}
        actions={
          agent.isEnabled ? (
            <ConfirmDialog
              title={`Disable ${agent.name}?`}
              confirmLabel="Disable agent"
              onConfirm={disable}
              trigger={
                <Button variant="danger-quiet" disabledReason={notYours}>
                  <PowerOff aria-hidden /> Disable
                </Button>
              }
            >
              <p>
                Every call it makes is refused from now on, open streams are closed, and calls under way are stopped.
                Its tools and sessions are kept; you can enable it again.
              </p>
            </ConfirmDialog>
          ) : (
            <Button
              variant="primary"
              disabledReason={notYours}
              pending={enable.pending}
              onClick={() => void enable.run({ isEnabled: true })}
            >
              <Power aria-hidden /> Enable
            </Button>
          )
        }
      />
      {enable.error === undefined ? null : <Alert tone="danger" title={enable.error.message} className="mb-4" />}
      {agent.isEnabled ? null : (
        <Alert tone="warning" title="This agent is disabled" className="mb-4">
          All its calls are refused. Enable it to let it work again.
        </Alert>
      )}
      <TabNav
        label={`Parts of ${agent.name}`}
        tabs={[
          {
            href: `${here}?tab=tools`,
            label: <Counted label="Tools" count={agent.toolCount} />,
            isCurrent: tab === 'tools',
          },
          { href: `${here}?tab=connect`, label: 'Connect', isCurrent: tab === 'connect' },
          {
            href: `${here}?tab=sessions`,
            label: <Counted label="Sessions" count={agent.activeSessionCount} />,
            isCurrent: tab === 'sessions',
          },
          { href: `${here}?tab=doctor`, label: 'Doctor', isCurrent: tab === 'doctor' },
        ]}
      />
      {children}
    </>
  )
}

function Counted({ label, count }: { label: string; count: number }) {
  return (
    <>
      {label}
      <span className="rounded-full bg-sunken px-1.5 text-xs leading-5 text-muted tabular-nums">{count}</span>
    </>
  )
}
