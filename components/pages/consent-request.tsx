'use client'

import { ChevronDown, CircleAlert, ExternalLink } from 'lucide-react'
import { useCallback, useEffect, useRef, useState } from 'react'
import type { ReactNode } from 'react'

import type { Action, ActionError } from '@/components/action'
import { Alert } from '@/components/ui/alert'
import { Badge } from '@/components/ui/badge'
import { Button } from '@/components/ui/button'
import { KeyValueList } from '@/components/ui/key-value'
import { ProviderMark } from '@/components/ui/provider-mark'
import { Loading, Skeleton } from '@/components/ui/skeleton'
import { EffectBadge } from '@/components/ui/status-badge'
import { useAction } from '@/components/use-action'

export interface ConsentClient {
  /** What it calls itself. */
  readonly name: string
  /** Host of the address its description comes from. */
  readonly idHost: string | null
  readonly source: 'document' | 'registered' | 'manual'
  readonly redirectUri: string
  readonly redirectHost: string
  readonly isLocalOnly: boolean
}

export interface ConsentProvider {
  readonly provider: string
  readonly name: string
  readonly accounts: readonly { readonly label: string; readonly isUsable: boolean }[]
  readonly tools: readonly { readonly name: string; readonly title: string; readonly isReadOnly: boolean }[]
  /** No account that the tools could work on. */
  readonly isMissing: boolean
}

export interface ConsentRequest {
  readonly client: ConsentClient
  readonly person: { readonly name: string; readonly email: string }
  readonly workspace: string
  readonly agent: string
  /** Nothing that changes anything was asked for. */
  readonly isReadOnly: boolean
  readonly providers: readonly ConsentProvider[]
  readonly idleDays: number
  readonly absoluteDays: number
}

export type ConsentRefusal = 'no_agent' | 'several_agents' | 'no_access' | 'role' | 'foreign_client'

/** Above this many of one provider the tools are folded; their number and kind stay in sight. */
const FOLD_ABOVE = 6
/** A click that was meant for a window above this one must not approve anything. */
const SETTLE_MS = 600

/**
 * Who asks, for what, on whose behalf and for how long; then two buttons. Nothing is ticked, folded or chosen beforehand
 * that would widen what is given, and nothing here leads to a provider but the links that say so.
 */
export function ConsentAsk({
  request,
  connectHref,
  onApprove,
  onDeny,
  onSwitchPerson,
}: {
  request: ConsentRequest
  /** Where a missing account is connected; undefined where that is not in the workspace the person is in now. */
  connectHref: ((provider: string) => string) | undefined
  onApprove: Action<undefined>
  onDeny: Action<undefined>
  onSwitchPerson: Action<undefined>
}) {
  const { client, person } = request
  const approve = useAction(onApprove)
  const deny = useAction(onDeny)
  const switchPerson = useAction(onSwitchPerson)
  const { isSettled, isSettledNow } = useSettled()
  const error = approve.error ?? deny.error ?? switchPerson.error
  const isBusy = approve.pending || deny.pending
  const missing = request.providers.filter((one) => one.isMissing)
  const given = request.providers.filter((one) => !one.isMissing)

  return (
    <div className="space-y-6">
      {client.isLocalOnly ? (
        <Alert tone="warning" title="This application says that it runs on your computer">
          Any program there can take the answer, and nobody can check which one does. Go on only if you started this
          yourself, on this computer, a moment ago.
        </Alert>
      ) : null}

      <Part title="Who asks">
        <KeyValueList
          items={[
            {
              key: 'Calls itself',
              value: (
                <>
                  <p className="font-semibold">{client.name}</p>
                  {client.source === 'manual' ? null : (
                    <p className="text-muted">These are its own words. Nobody has checked them.</p>
                  )}
                </>
              ),
            },
            { key: 'Described by', value: <Source client={client} /> },
            {
              key: 'Answer goes to',
              value: (
                <>
                  <p className="font-semibold">{destination(client)}</p>
                  <p className="mt-0.5 font-mono text-xs text-muted">{client.redirectUri}</p>
                </>
              ),
            },
          ]}
        />
      </Part>

      <Part title="What it gets">
        <KeyValueList
          items={[
            { key: 'Agent', value: <span className="font-semibold">{request.agent}</span> },
            { key: 'Workspace', value: request.workspace },
            {
              key: 'On behalf of',
              value: (
                <div className="flex flex-wrap items-center justify-between gap-x-3 gap-y-1">
                  <span className="min-w-0">
                    {person.name} <span className="text-muted">{person.email}</span>
                  </span>
                  <Button
                    size="sm"
                    variant="ghost"
                    className="-mx-3 underline"
                    pending={switchPerson.pending}
                    onClick={() => void switchPerson.run(undefined)}
                  >
                    Not you?
                  </Button>
                </div>
              ),
            },
            {
              key: 'For how long',
              value: `Until you end it under Sessions; by itself after ${request.idleDays} days without use, and after ${request.absoluteDays} days in any case`,
            },
          ]}
        />
      </Part>

      <Part title="Accounts and tools">
        {request.providers.length === 0 ? (
          <p className="text-sm text-muted">
            This agent has no tool that was asked for. The application could connect and would find nothing to call,
            until somebody ticks tools on the agent’s page.
          </p>
        ) : (
          <ul className="space-y-3">
            {given.map((one) => (
              <ProviderAccess key={one.provider} access={one} />
            ))}
            {missing.map((one) => (
              <ProviderAccess key={one.provider} access={one}>
                <MissingAccount access={one} href={connectHref?.(one.provider)} workspace={request.workspace} />
              </ProviderAccess>
            ))}
          </ul>
        )}
        <p className="mt-3 text-sm text-pretty text-muted">
          {request.isReadOnly ? 'It asked to read only: tools that change something stay closed to it. ' : null}
          It uses these accounts through Portcullis and never receives a password or a token of theirs.
        </p>
      </Part>

      {error === undefined ? null : <Alert tone="danger" title={error.message} />}

      <div className="flex flex-col-reverse gap-2 border-t border-line pt-5 sm:flex-row sm:justify-end">
        <Button
          size="lg"
          pending={deny.pending}
          pendingLabel="Refusing…"
          onClick={() => {
            if (!isBusy) void deny.run(undefined)
          }}
        >
          Deny
        </Button>
        <Button
          size="lg"
          variant="primary"
          pending={approve.pending}
          pendingLabel="Approving…"
          {...(isSettled ? {} : { 'aria-disabled': true })}
          onClick={() => {
            if (!isBusy && isSettledNow()) void approve.run(undefined)
          }}
        >
          Approve
        </Button>
      </div>
    </div>
  )
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section>
      <h2 className="mb-1.5 text-sm font-semibold">{title}</h2>
      {children}
    </section>
  )
}

function Source({ client }: { client: ConsentClient }) {
  if (client.idHost !== null)
    return (
      <>
        <p className="font-semibold">{client.idHost}</p>
        <p className="text-muted">Its description lies there; whoever holds that host says what it is.</p>
      </>
    )
  return client.source === 'manual'
    ? 'A member of this workspace, who registered it'
    : 'Itself. It registered a moment ago or earlier, and no address stands for it'
}

function destination({ redirectHost, isLocalOnly }: ConsentClient): string {
  if (redirectHost.endsWith(':')) return `An application on this device (${redirectHost})`
  return isLocalOnly ? `${redirectHost}, which is this computer` : redirectHost
}

function ProviderAccess({ access, children }: { access: ConsentProvider; children?: ReactNode }) {
  const usable = access.accounts.filter((account) => account.isUsable)
  const broken = access.accounts.filter((account) => !account.isUsable)
  return (
    <li className="overflow-clip rounded-lg border border-line">
      <div className="flex items-start gap-3 p-3">
        <ProviderMark provider={access.provider} />
        <div className="min-w-0 flex-1">
          <h3 className="font-medium">{access.name}</h3>
          {usable.length === 0 ? null : (
            <p className="text-sm wrap-anywhere text-muted">{usable.map(({ label }) => label).join(', ')}</p>
          )}
          {broken.map(({ label }) => (
            <p key={label} className="text-sm wrap-anywhere text-muted">
              {label} – has to be reconnected first
            </p>
          ))}
        </div>
        {access.isMissing ? (
          <Badge tone="warning" icon={CircleAlert}>
            No account
          </Badge>
        ) : null}
      </div>
      <div className="border-t border-line px-3 py-2">
        <Tools tools={access.tools} />
      </div>
      {children}
    </li>
  )
}

function Tools({ tools }: { tools: ConsentProvider['tools'] }) {
  const list = (
    <ul className="divide-y divide-line">
      {tools.map((tool) => (
        <li key={tool.name} className="flex items-center justify-between gap-3 py-1.5 text-sm">
          <span className="min-w-0 wrap-anywhere">{tool.title}</span>
          <EffectBadge effect={tool.isReadOnly ? 'read' : 'write'} />
        </li>
      ))}
    </ul>
  )
  if (tools.length <= FOLD_ABOVE) return list
  const reads = tools.filter((tool) => tool.isReadOnly).length
  return (
    <details className="group">
      <summary className="flex min-h-10 cursor-pointer list-none items-center justify-between gap-3 text-sm [&::-webkit-details-marker]:hidden">
        <span>
          {tools.length} tools: {reads} read, {tools.length - reads} write
        </span>
        <ChevronDown aria-hidden className="size-4 shrink-0 text-muted group-open:rotate-180" />
      </summary>
      {list}
    </details>
  )
}

function MissingAccount({
  access,
  href,
  workspace,
}: {
  access: ConsentProvider
  href: string | undefined
  workspace: string
}) {
  return (
    <div className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2 border-t border-line bg-sunken px-3 py-2.5 text-sm">
      <p className="min-w-0 flex-1 basis-56 text-pretty">
        These tools do nothing until an account is connected. That is a step of its own, before or after this one.
        {href === undefined ? ` To take it, switch the dashboard to the workspace ${workspace}.` : null}
      </p>
      {href === undefined ? null : (
        <Button size="sm" asChild>
          {/* In a tab of its own, so that this question stays and neither leads into the other. */}
          <a href={href} target="_blank" rel="noopener">
            Connect {access.name} <ExternalLink aria-hidden />
            <span className="sr-only">(opens a new tab)</span>
          </a>
        </Button>
      )}
    </div>
  )
}

const refusals: Readonly<Record<ConsentRefusal, { readonly title: string; readonly words: string }>> = {
  no_agent: {
    title: 'There is no agent to connect to',
    words: 'The application did not say which agent it is for, and you have none. Make one, then give it its address.',
  },
  several_agents: {
    title: 'Which agent?',
    words:
      'The application did not say which agent it is for, and you have several. In the application, use the full address from the agent’s page.',
  },
  no_access: {
    title: 'You cannot use this agent',
    words:
      'Either there is no such agent, or it belongs to a workspace that you are not a member of, or it is switched off.',
  },
  role: {
    title: 'Your role does not allow this',
    words: 'You may look at the agents of this workspace, not connect applications to them. Ask an administrator.',
  },
  foreign_client: {
    title: 'This application belongs to another workspace',
    words: 'It was registered for the agents of one workspace, and the agent it asked for is not among them.',
  },
}

export const refusalTitle = (reason: ConsentRefusal): string => refusals[reason].title

/** What cannot be approved. The application is told so when the person goes back. */
export function ConsentRefused({
  reason,
  client,
  person,
  onDeny,
  onSwitchPerson,
}: {
  reason: ConsentRefusal
  client: ConsentClient
  /** Undefined for somebody without a workspace. */
  person: string | undefined
  onDeny: Action<undefined>
  onSwitchPerson: Action<undefined>
}) {
  const deny = useAction(onDeny)
  const switchPerson = useAction(onSwitchPerson)
  const error = deny.error ?? switchPerson.error
  return (
    <div className="space-y-5">
      <p className="text-pretty text-muted">{refusals[reason].words}</p>
      <KeyValueList
        items={[
          { key: 'Application', value: client.name },
          { key: 'Answer goes to', value: destination(client) },
          ...(person === undefined ? [] : [{ key: 'Signed in as', value: person }]),
        ]}
      />
      {error === undefined ? null : <Alert tone="danger" title={error.message} />}
      <div className="flex flex-col-reverse gap-2 sm:flex-row sm:justify-end">
        <Button size="lg" pending={switchPerson.pending} onClick={() => void switchPerson.run(undefined)}>
          Sign in as somebody else
        </Button>
        <Button size="lg" variant="primary" pending={deny.pending} onClick={() => void deny.run(undefined)}>
          Back to the application
        </Button>
      </div>
    </div>
  )
}

export function ConsentLoading() {
  return (
    <Loading label="Loading the request…">
      <div className="space-y-5">
        {['w-1/3', 'w-1/4', 'w-2/5'].map((width) => (
          <div key={width} className="space-y-2.5">
            <Skeleton className={`h-4 ${width}`} />
            <Skeleton className="h-16 w-full" />
          </div>
        ))}
        <Skeleton className="ml-auto h-11 w-full sm:w-40" />
      </div>
    </Loading>
  )
}

/** The answer was given; the browser is on its way, or an application on this device took over and this tab stays. */
export function ConsentLeaving({ decision }: { decision: 'approve' | 'deny' }) {
  return (
    <p role="status" className="text-pretty text-muted">
      {decision === 'approve'
        ? 'You approved. The application goes on by itself; if this page stays, you can close it.'
        : 'You refused, and nothing was given. The application is told so; if this page stays, you can close it.'}
    </p>
  )
}

/** Of what is over, was answered, or could not be loaded. */
export function ConsentFailed({
  error,
  resumeHref,
  onRetry,
}: {
  error: ActionError
  /** Of a request that was answered already. */
  resumeHref: string
  onRetry: () => void
}) {
  if (error.code === 'resource.not_found')
    return (
      <p role="alert" className="text-pretty text-muted">
        It took too long, was answered before, or began in another browser. Nothing was given. Start again in the
        application.
      </p>
    )
  if (error.code === 'resource.conflict')
    return (
      <div className="space-y-5">
        <p role="alert" className="text-pretty text-muted">
          You answered this request a moment ago. The application is waiting for you to come back.
        </p>
        <Button size="lg" variant="primary" block asChild>
          <a href={resumeHref}>Go on to the application</a>
        </Button>
      </div>
    )
  return (
    <div className="space-y-5">
      <Alert tone="danger" title={error.message}>
        Nothing was given.
      </Alert>
      <Button size="lg" block onClick={onRetry}>
        Try again
      </Button>
    </div>
  )
}

export function failureTitle({ code }: ActionError): string {
  if (code === 'resource.not_found') return 'This request is over'
  return code === 'resource.conflict' ? 'You have answered already' : 'The request could not be loaded'
}

/**
 * True once the page has been in front for a moment. A page of somebody else's can have a person double-click something
 * in a window above this one and close it in between; the second click then lands here.
 */
function useSettled(): { readonly isSettled: boolean; readonly isSettledNow: () => boolean } {
  const [isSettled, setSettled] = useState(false)
  // The click may come before the button is drawn anew.
  const now = useRef(false)
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    const settle = (value: boolean) => {
      now.current = value
      setSettled(value)
    }
    const wait = () => {
      clearTimeout(timer)
      timer = setTimeout(() => settle(document.visibilityState === 'visible'), SETTLE_MS)
    }
    const begin = () => {
      settle(false)
      wait()
    }
    wait()
    window.addEventListener('focus', begin)
    document.addEventListener('visibilitychange', begin)
    return () => {
      clearTimeout(timer)
      window.removeEventListener('focus', begin)
      document.removeEventListener('visibilitychange', begin)
    }
  }, [])
  return { isSettled, isSettledNow: useCallback(() => now.current, []) }
}
