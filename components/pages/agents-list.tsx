'use client'

import { Bot, Plus } from 'lucide-react'
import Link from 'next/link'
import { useRouter } from 'next/navigation'
import { useState } from 'react'
import type { SyntheticEvent } from 'react'

import type { ValueAction } from '@/components/action'
import type { AgentSummary } from '@/components/pages/agent-types'
import { Alert } from '@/components/ui/alert'
import { AgentStateBadge } from '@/components/ui/status-badge'
import { Button } from '@/components/ui/button'
import { Card } from '@/components/ui/card'
import { Dialog, DialogClose, DialogContent, DialogTrigger } from '@/components/ui/dialog'
import { EmptyState } from '@/components/ui/empty-state'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { PageHeader } from '@/components/ui/page-header'
import { DataTable } from '@/components/ui/table'
import type { Column } from '@/components/ui/table'
import { Time } from '@/components/ui/time'
import { textField, useAction } from '@/components/use-action'

export interface NewAgentInput {
  readonly name: string
  readonly description: string
}

const columns: readonly Column<AgentSummary>[] = [
  {
    key: 'name',
    header: 'Agent',
    isRowHeader: true,
    className: 'md:max-w-sm',
    cell: (agent) => (
      <div className="flex items-center gap-3">
        <span className="grid size-9 shrink-0 place-items-center rounded-md border border-line bg-sunken text-muted">
          <Bot aria-hidden className="size-4" />
        </span>
        <div className="min-w-0">
          <Link
            href={`/agents/${agent.id}`}
            className="-my-2 inline-flex min-h-10 items-center rounded-sm font-medium hover:underline md:my-0 md:min-h-0"
          >
            <span className="wrap-anywhere">{agent.name}</span>
          </Link>
          {agent.description === undefined ? null : <p className="truncate text-sm text-muted">{agent.description}</p>}
        </div>
      </div>
    ),
  },
  { key: 'state', header: 'State', cell: (agent) => <AgentStateBadge isEnabled={agent.isEnabled} /> },
  {
    key: 'tools',
    header: 'Tools',
    align: 'end',
    cell: (agent) =>
      agent.toolCount === 0 ? (
        <span className="text-muted">None</span>
      ) : (
        <span className="tabular-nums">{agent.toolCount}</span>
      ),
  },
  {
    key: 'sessions',
    header: 'Active sessions',
    align: 'end',
    cell: (agent) =>
      agent.activeSessionCount === 0 ? (
        <span className="text-muted">None</span>
      ) : (
        <span className="tabular-nums">{agent.activeSessionCount}</span>
      ),
  },
  {
    key: 'last',
    header: 'Last call',
    cell: (agent) =>
      agent.lastCallAt === undefined ? <span className="text-muted">Never</span> : <Time at={agent.lastCallAt} />,
  },
]

export function AgentsList({
  agents,
  canManage,
  onCreate,
}: {
  agents: readonly AgentSummary[]
  canManage: boolean
  onCreate: ValueAction<NewAgentInput, { id: string }>
}) {
  const create = <CreateAgent canManage={canManage} onCreate={onCreate} />
  return (
    <>
      <PageHeader
        title="Agents"
        description="Each agent gets one URL and the tools you tick, and nothing else."
        actions={agents.length === 0 ? undefined : create}
      />
      <Card>
        {agents.length === 0 ? (
          <EmptyState icon={Bot} title="No agent yet" action={create}>
            An agent is one program that acts for you: Claude, Cursor, a script. Create one to get its URL.
          </EmptyState>
        ) : (
          <DataTable caption="Agents" columns={columns} rows={agents} rowKey={(agent) => agent.id} />
        )}
      </Card>
    </>
  )
}

function CreateAgent({
  canManage,
  onCreate,
}: {
  canManage: boolean
  onCreate: ValueAction<NewAgentInput, { id: string }>
}) {
  const router = useRouter()
  const [isOpen, setOpen] = useState(false)
  const action = useAction(onCreate)
  if (!canManage) {
    return (
      <Button variant="primary" disabledReason="Your role may look at agents, not create them.">
        <Plus aria-hidden /> Create agent
      </Button>
    )
  }
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const result = await action.run({
      name: textField(form, 'name').trim(),
      description: textField(form, 'description').trim(),
    })
    if (result === undefined) return
    setOpen(false)
    router.push(`/agents/${result.value.id}?tab=tools`)
  }
  const error = action.formError('name', 'description')
  return (
    <Dialog
      open={isOpen}
      onOpenChange={(next) => {
        if (action.pending) return
        action.clear()
        setOpen(next)
      }}
    >
      <DialogTrigger asChild>
        <Button variant="primary">
          <Plus aria-hidden /> Create agent
        </Button>
      </DialogTrigger>
      <DialogContent
        title="Create an agent"
        description="It starts without any tool. You tick those next."
        footer={
          <>
            <DialogClose asChild>
              <Button>Cancel</Button>
            </DialogClose>
            <Button type="submit" form="create-agent" variant="primary" pending={action.pending}>
              Create agent
            </Button>
          </>
        }
      >
        <form id="create-agent" className="space-y-4" onSubmit={(event) => void submit(event)}>
          {error === undefined ? null : <Alert tone="danger" title={error.message} />}
          <Field
            label="Name"
            hint="So that you recognise it in the activity, for example “Claude on my laptop”."
            required
            error={action.fieldError('name')}
          >
            {(control) => <Input {...control} name="name" required maxLength={80} autoComplete="off" />}
          </Field>
          <Field label="What it is for" optional error={action.fieldError('description')}>
            {(control) => <Input {...control} name="description" maxLength={200} autoComplete="off" />}
          </Field>
        </form>
      </DialogContent>
    </Dialog>
  )
}
