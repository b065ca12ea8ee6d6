import { ArrowRight, PartyPopper } from 'lucide-react'
import Link from 'next/link'

import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { Card, CardBody } from '@/components/ui/card'
import { CodeBlock } from '@/components/ui/code-block'
import { PageHeader } from '@/components/ui/page-header'
import { Progress } from '@/components/ui/progress'
import { Spinner } from '@/components/ui/spinner'
import { Stepper } from '@/components/ui/stepper'
import type { Step, StepState } from '@/components/ui/stepper'
import { Time } from '@/components/ui/time'

export interface FirstRunProgress {
  /** The first account connected, as its owner knows it. */
  readonly connectedAccount?: string | undefined
  readonly agent?: {
    readonly id: string
    readonly name: string
    readonly mcpUrl: string
    readonly toolCount: number
    readonly hasSession: boolean
  }
  readonly firstCall?: { readonly tool: string; readonly at: string; readonly isSuccess: boolean } | undefined
}

/** From nothing to the first brokered call, in four steps; each one turns to done by itself as it happens. */
export function FirstRunGuide({
  workspaceName,
  progress,
  isSandbox,
}: {
  workspaceName: string
  progress: FirstRunProgress
  isSandbox: boolean
}) {
  const { connectedAccount, agent, firstCall } = progress
  const done = [
    connectedAccount !== undefined,
    agent !== undefined && agent.toolCount > 0,
    agent?.hasSession === true,
    firstCall !== undefined,
  ]
  const current = done.indexOf(false)
  const state = (index: number): StepState =>
    done[index] === true ? 'done' : index === current ? 'current' : 'upcoming'
  const doneCount = done.filter(Boolean).length

  const steps: readonly Step[] = [
    {
      key: 'connect',
      title: 'Connect an account',
      state: state(0),
      description:
        connectedAccount === undefined
          ? `An account of a provider, for agents to use.${isSandbox ? ' In the sandbox you sign in as a made-up person; nothing leaves this machine.' : ''}`
          : `${connectedAccount} is connected.`,
      content:
        state(0) === 'current' ? (
          <Button asChild variant="primary">
            <Link href="/connections/new">
              Connect an account <ArrowRight aria-hidden />
            </Link>
          </Button>
        ) : undefined,
    },
    {
      key: 'agent',
      title: 'Create an agent and tick its tools',
      state: state(1),
      description:
        agent === undefined
          ? 'It can do what you tick and nothing else.'
          : agent.toolCount === 0
            ? `${agent.name} has no tools yet.`
            : `${agent.name} has ${agent.toolCount === 1 ? '1 tool' : `${agent.toolCount} tools`}.`,
      content:
        state(1) === 'current' ? (
          <Button asChild variant="primary">
            <Link href={agent === undefined ? '/agents' : `/agents/${agent.id}?tab=tools`}>
              {agent === undefined ? 'Create an agent' : 'Tick tools'} <ArrowRight aria-hidden />
            </Link>
          </Button>
        ) : undefined,
    },
    {
      key: 'url',
      title: 'Give your client the URL and a session key',
      state: state(2),
      description: 'The key stands for this agent. It opens none of your accounts by itself.',
      content:
        agent !== undefined && state(2) !== 'upcoming' ? (
          <div className="space-y-3">
            <CodeBlock code={agent.mcpUrl} what="agent URL" isWrapping />
            {state(2) === 'current' ? (
              <Button asChild variant="primary">
                <Link href={`/agents/${agent.id}?tab=connect`}>
                  Get a session key <ArrowRight aria-hidden />
                </Link>
              </Button>
            ) : null}
          </div>
        ) : undefined,
    },
    {
      key: 'call',
      title: 'See the first call',
      state: state(3),
      description:
        firstCall === undefined ? (
          state(3) === 'current' ? (
            <span role="status" className="inline-flex items-center gap-2">
              <Spinner /> Waiting for the first call. Ask your agent to list its tools and use one.
            </span>
          ) : (
            'It appears here the moment it arrives.'
          )
        ) : (
          <>
            <code className="font-mono text-[0.9em]">{firstCall.tool}</code>, <Time at={firstCall.at} />
          </>
        ),
    },
  ]

  return (
    <>
      <PageHeader
        title={`Welcome to ${workspaceName}`}
        description="Four steps to an agent that works with your accounts and never holds their keys."
      />
      {firstCall === undefined ? null : (
        <Alert
          tone={firstCall.isSuccess ? 'success' : 'warning'}
          className="mb-4"
          title={
            <span className="inline-flex items-center gap-2">
              {firstCall.isSuccess ? 'The first call went through' : 'The first call arrived, but did not succeed'}
              {firstCall.isSuccess ? <PartyPopper aria-hidden className="size-4" /> : null}
            </span>
          }
          action={
            <Button size="sm" asChild>
              <Link href="/activity">See it in the activity</Link>
            </Button>
          }
        >
          {firstCall.isSuccess
            ? 'It was written down before it ran, and the agent never saw a token.'
            : 'The activity says why.'}
        </Alert>
      )}
      <Card>
        <div className="px-4 pt-4 md:px-6 md:pt-5">
          <div className="mb-2 flex items-baseline justify-between gap-4 text-sm">
            <h2 className="font-medium">Getting started</h2>
            <span className="text-muted tabular-nums">
              {doneCount} of {steps.length}
            </span>
          </div>
          <Progress value={doneCount} max={steps.length} label={`${doneCount} of ${steps.length} steps done`} />
        </div>
        <CardBody className="pt-6 md:px-6 md:pt-7 md:pb-6">
          <Stepper steps={steps} label="Getting started" />
        </CardBody>
      </Card>
    </>
  )
}
