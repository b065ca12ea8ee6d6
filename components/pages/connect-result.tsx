'use client'

import { CircleCheck, CircleSlash, CloudAlert, TriangleAlert, UsersRound } from 'lucide-react'
import Link from 'next/link'
import { useState } from 'react'
import type { ReactNode } from 'react'

import type { ValueResult } from '@/components/action'
import type { ScopeLine } from '@/components/pages/connection-types'
import { newConnectionHref } from '@/components/pages/connections-list'
import { ScopeList } from '@/components/pages/scope-list'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardFooter } from '@/components/ui/card'
import { ProviderMark } from '@/components/ui/provider-mark'
import { Spinner } from '@/components/ui/spinner'
import { useAction } from '@/components/use-action'

interface Base {
  readonly provider: string
  readonly providerName: string
}

export type ConnectOutcome =
  | (Base & { readonly kind: 'pending' })
  | (Base & { readonly kind: 'connected'; readonly connectionId: string; readonly account: string })
  | (Base & {
      readonly kind: 'partial'
      readonly connectionId: string
      readonly account: string
      readonly missing: readonly ScopeLine[]
    })
  | (Base & { readonly kind: 'refused' })
  | (Base & { readonly kind: 'failed'; readonly message: string; readonly reference?: string | undefined })
  | (Base & {
      readonly kind: 'other_account'
      readonly connectionId: string
      readonly expectedAccount: string
      readonly givenAccount: string
    })

/** Where the person lands when the provider sends them back. Every end of the flow says what happened and what is next. */
export function ConnectResult({
  outcome,
  onRetry,
}: {
  outcome: ConnectOutcome
  /** Starts the flow again with the missing permissions. */
  onRetry?: (() => Promise<ValueResult<{ redirectTo: string }>>) | undefined
}) {
  const tryAgain =
    outcome.provider === ''
      ? newConnectionHref
      : `${newConnectionHref}?provider=${encodeURIComponent(outcome.provider)}`
  switch (outcome.kind) {
    case 'pending':
      return (
        <Frame
          outcome={outcome}
          icon={<Spinner className="size-6 text-muted" />}
          title="Almost there"
          footer={
            <Button asChild>
              <Link href="/connections">Back to connections</Link>
            </Button>
          }
        >
          <p role="status">
            {outcome.providerName} has answered and the credential is being put away. This page goes on by itself.
          </p>
        </Frame>
      )
    case 'connected':
      return (
        <Frame
          outcome={outcome}
          icon={<CircleCheck aria-hidden className="size-7 text-success" />}
          title={`${outcome.account} is connected`}
          footer={
            <>
              <Button asChild>
                <Link href={`/connections/${outcome.connectionId}`}>See the connection</Link>
              </Button>
              <Button asChild variant="primary">
                <Link href="/agents">Choose tools for an agent</Link>
              </Button>
            </>
          }
        >
          <p>An agent can use it once you have ticked the tools it may have.</p>
        </Frame>
      )
    case 'partial':
      return (
        <Frame
          outcome={outcome}
          icon={<TriangleAlert aria-hidden className="size-7 text-warning" />}
          title={`${outcome.account} is connected, with less than asked for`}
          footer={
            <>
              <Button asChild>
                <Link href={`/connections/${outcome.connectionId}`}>Keep it like this</Link>
              </Button>
              {onRetry === undefined ? null : <RetryButton name={outcome.providerName} onRetry={onRetry} />}
            </>
          }
        >
          <p>
            These permissions were not ticked at {outcome.providerName}. Everything else works; tools that need them
            stay hidden from agents.
          </p>
          <div className="rounded-lg border border-line p-3">
            <ScopeList scopes={outcome.missing} isGranted={false} />
          </div>
        </Frame>
      )
    case 'refused':
      return (
        <Frame
          outcome={outcome}
          icon={<CircleSlash aria-hidden className="size-7 text-muted" />}
          title="Nothing was connected"
          footer={
            <>
              <Button asChild>
                <Link href="/connections">Back to connections</Link>
              </Button>
              <Button asChild variant="primary">
                <Link href={tryAgain}>Try again</Link>
              </Button>
            </>
          }
        >
          <p>
            You, or an administrator at {outcome.providerName}, refused. We hold no access to the account and nothing
            was stored.
          </p>
        </Frame>
      )
    case 'failed':
      return (
        <Frame
          outcome={outcome}
          icon={<CloudAlert aria-hidden className="size-7 text-danger" />}
          title="The account could not be connected"
          footer={
            <>
              <Button asChild>
                <Link href="/connections">Back to connections</Link>
              </Button>
              <Button asChild variant="primary">
                <Link href={tryAgain}>Try again</Link>
              </Button>
            </>
          }
        >
          <p>{outcome.message}</p>
          {outcome.reference === undefined ? null : (
            <p className="text-xs">
              Reference <code className="font-mono select-all">{outcome.reference}</code>
            </p>
          )}
        </Frame>
      )
    case 'other_account':
      return (
        <Frame
          outcome={outcome}
          icon={<UsersRound aria-hidden className="size-7 text-warning" />}
          title="That was another account"
          footer={
            <>
              <Button asChild>
                <Link href={`/connections/${outcome.connectionId}`}>Change nothing</Link>
              </Button>
              <Button asChild variant="primary">
                <Link href={tryAgain}>Connect it as well</Link>
              </Button>
            </>
          }
        >
          <p>
            You were reconnecting{' '}
            <strong className="font-medium wrap-anywhere text-ink">{outcome.expectedAccount}</strong>, but signed in at{' '}
            {outcome.providerName} as{' '}
            <strong className="font-medium wrap-anywhere text-ink">{outcome.givenAccount}</strong>.
          </p>
          <p>
            Agents that work with the first would not notice the difference, so nothing was changed and nothing of the
            other account was kept. You can connect it as an account of its own.
          </p>
        </Frame>
      )
  }
}

function RetryButton({ name, onRetry }: { name: string; onRetry: () => Promise<ValueResult<{ redirectTo: string }>> }) {
  const action = useAction<undefined, { readonly ok: true; readonly value: { redirectTo: string } }>(onRetry)
  const [isLeaving, setLeaving] = useState(false)
  const go = async () => {
    const result = await action.run(undefined)
    if (result === undefined) return
    setLeaving(true)
    window.location.assign(result.value.redirectTo)
  }
  return (
    <>
      <Button variant="primary" pending={action.pending || isLeaving} onClick={() => void go()}>
        Ask {name} again
      </Button>
      {action.error === undefined ? null : (
        <Alert tone="danger" title={action.error.message} className="order-first w-full" />
      )}
    </>
  )
}

function Frame({
  outcome,
  icon,
  title,
  children,
  footer,
}: {
  outcome: Base
  icon: ReactNode
  title: string
  children: ReactNode
  footer: ReactNode
}) {
  return (
    <Card className="mx-auto max-w-xl">
      <CardBody className="p-5 md:p-7">
        <div className="flex items-center gap-3">
          <ProviderMark provider={outcome.provider} className="size-11" />
          {icon}
        </div>
        <h1 className="mt-4 text-xl font-semibold tracking-tight text-balance wrap-anywhere">{title}</h1>
        <div className="mt-2 space-y-3 text-pretty text-muted">{children}</div>
      </CardBody>
      <CardFooter>{footer}</CardFooter>
    </Card>
  )
}
