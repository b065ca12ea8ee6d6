'use client'

import { KeyRound } from 'lucide-react'
import { useState } from 'react'
import type { SyntheticEvent } from 'react'

import type { ValueAction } from '@/components/action'
import { sessionKeyVariable } from '@/components/clients/guide'
import { ClientGuides } from '@/components/pages/client-guides'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { CodeBlock } from '@/components/ui/code-block'
import { Dialog, DialogClose, DialogContent, DialogTrigger } from '@/components/ui/dialog'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { SecretOnce } from '@/components/ui/secret-once'
import { Select } from '@/components/ui/select'
import { Time } from '@/components/ui/time'
import { textField, useAction } from '@/components/use-action'

export interface IssueSessionInput {
  readonly label: string
  readonly lifetimeDays: number
}

export interface IssuedSession {
  readonly sessionKey: string
  readonly expiresAt: string
}

export interface AgentConnectProps {
  readonly agentName: string
  readonly mcpUrl: string
  readonly isAgentEnabled: boolean
  readonly canIssue: boolean
  /** The guide to show first. */
  readonly client?: string | undefined
  readonly onIssue: ValueAction<IssueSessionInput, IssuedSession>
}

/** What a client needs: the URL, and for those that cannot sign in a key. */
export function AgentConnect({ agentName, mcpUrl, isAgentEnabled, canIssue, client, onIssue }: AgentConnectProps) {
  return (
    <div className="grid grid-cols-1 items-start gap-6 xl:grid-cols-[1fr_22rem]">
      <div className="min-w-0 space-y-6">
        <Card>
          <CardHeader
            title="The agent’s URL"
            description="One per agent. It is an address, not a secret. A client that can sign in needs nothing else."
          />
          <CardBody>
            <CodeBlock code={mcpUrl} what="agent URL" isWrapping />
          </CardBody>
        </Card>
        <Card>
          <CardHeader title="Your client" description="Pick yours and follow the steps." />
          <CardBody>
            <ClientGuides mcpUrl={mcpUrl} agentName={agentName} client={client} />
          </CardBody>
        </Card>
      </div>
      <div className="min-w-0 space-y-6">
        <Card>
          <CardHeader
            title="A session key"
            description="For clients that cannot sign in. It goes into the Authorization header, never into a URL."
          />
          <CardBody>
            <IssueSession agentName={agentName} isAgentEnabled={isAgentEnabled} canIssue={canIssue} onIssue={onIssue} />
          </CardBody>
        </Card>
        <Card>
          <CardHeader title="Good to know" />
          <CardBody>
            <ul className="list-disc space-y-2 pl-4 text-sm text-muted marker:text-line-strong">
              <li>The agent sees only the tools you ticked, and none whose account is missing.</li>
              <li>
                Keep a key in an environment variable such as{' '}
                <code className="font-mono text-[0.9em] wrap-anywhere">{sessionKeyVariable}</code>, not in a file that
                is shared.
              </li>
              <li>Revoking a session or disabling the agent is in force at the next call.</li>
              <li>A client does not get through? The Doctor tab shows what it sent and what it was told.</li>
            </ul>
          </CardBody>
        </Card>
      </div>
    </div>
  )
}

const lifetimes = [
  { value: '1', label: '1 day' },
  { value: '7', label: '7 days' },
  { value: '30', label: '30 days' },
  { value: '90', label: '90 days' },
] as const

export function IssueSession({
  agentName,
  isAgentEnabled,
  canIssue,
  onIssue,
}: Omit<AgentConnectProps, 'mcpUrl' | 'client'>) {
  const [isOpen, setOpen] = useState(false)
  const [issued, setIssued] = useState<IssuedSession>()
  const action = useAction(onIssue)
  const reason = !canIssue
    ? 'Your role may look at agents, not issue session keys.'
    : isAgentEnabled
      ? undefined
      : 'Enable the agent first.'
  if (reason !== undefined) {
    return (
      <Button variant="primary" disabledReason={reason}>
        <KeyRound aria-hidden /> New session key
      </Button>
    )
  }
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const result = await action.run({
      label: textField(form, 'label').trim(),
      lifetimeDays: Number(textField(form, 'lifetime')),
    })
    if (result !== undefined) setIssued(result.value)
  }
  const close = () => {
    setOpen(false)
    setIssued(undefined)
    action.clear()
  }
  const error = action.formError('label', 'lifetime')
  return (
    <Dialog
      open={isOpen}
      onOpenChange={(next) => {
        // A shown key is let go of only through “Done”.
        if (action.pending || issued !== undefined) return
        action.clear()
        setOpen(next)
      }}
    >
      <DialogTrigger asChild>
        <Button variant="primary">
          <KeyRound aria-hidden /> New session key
        </Button>
      </DialogTrigger>
      {issued === undefined ? (
        <DialogContent
          title={`New session key for ${agentName}`}
          description="Give each place that runs the agent a key of its own, so that you can end one without the others."
          footer={
            <>
              <DialogClose asChild>
                <Button>Cancel</Button>
              </DialogClose>
              <Button type="submit" form="issue-session" variant="primary" pending={action.pending}>
                Create key
              </Button>
            </>
          }
        >
          <form id="issue-session" className="space-y-4" onSubmit={(event) => void submit(event)}>
            {error === undefined ? null : <Alert tone="danger" title={error.message} />}
            <Field
              label="Where it will be used"
              hint="For example “laptop” or “build server”."
              required
              error={action.fieldError('label')}
            >
              {(control) => <Input {...control} name="label" required maxLength={80} autoComplete="off" />}
            </Field>
            <Field label="Works for" error={action.fieldError('lifetime')}>
              {(control) => <Select {...control} name="lifetime" defaultValue="30" options={lifetimes} />}
            </Field>
          </form>
        </DialogContent>
      ) : (
        <DialogContent
          title="Session key created"
          description={
            <>
              It ends <Time at={issued.expiresAt} />, or when you revoke it.
            </>
          }
          isDismissable={false}
        >
          <SecretOnce secret={issued.sessionKey} what="session key" onStored={close}>
            Put it into the environment variable <code className="font-mono text-[0.9em]">{sessionKeyVariable}</code>{' '}
            where the agent runs.
          </SecretOnce>
        </DialogContent>
      )}
    </Dialog>
  )
}
