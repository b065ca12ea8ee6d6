'use client'

import { CircleAlert, CircleCheck, Clock, Download, FileDown, Trash2 } from 'lucide-react'
import { useId } from 'react'
import type { SyntheticEvent } from 'react'

import type { Action, ValueAction } from '@/components/action'
import { ActivityNav } from '@/components/pages/activity-nav'
import { Alert } from '@/components/ui/alert'
import { ConfirmDialog } from '@/components/ui/alert-dialog'
import { Badge } from '@/components/ui/badge'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { EmptyState } from '@/components/ui/empty-state'
import { ErrorState } from '@/components/ui/error-state'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { PageHeader } from '@/components/ui/page-header'
import { Progress } from '@/components/ui/progress'
import { Select } from '@/components/ui/select'
import { Loading, SkeletonRows } from '@/components/ui/skeleton'
import { Time } from '@/components/ui/time'
import { textField, useAction } from '@/components/use-action'

export interface ExportRow {
  readonly id: string
  readonly format: string
  readonly status: 'queued' | 'running' | 'ready' | 'failed' | 'expired'
  readonly done: number
  readonly total: number | undefined
  readonly bytes: number
  readonly isCut: boolean
  readonly createdAt: string
  readonly expiresAt: string
  readonly error: string | undefined
}

export interface WantedExport {
  readonly format: string
  readonly agentId?: string
  readonly personId?: string
  readonly tool?: string
  readonly outcome?: string
  readonly from?: string
  readonly to?: string
}

interface Choice {
  readonly id: string
  readonly name: string
}

const formats = [
  { value: 'jsonl', label: 'JSON Lines' },
  { value: 'csv', label: 'CSV, safe to open in a spreadsheet' },
  { value: 'cef', label: 'CEF, for a SIEM' },
] as const

const outcomes = ['success', 'error', 'denied', 'cancelled', 'expired', 'unknown', 'pending'] as const

/** Copies of the trail to take away: made in the background, fetched while they last. */
export function AuditExports({
  exports,
  agents,
  people,
  tools,
  onRetry,
  onCreate,
  onDownload,
  onDelete,
}: {
  exports: readonly ExportRow[] | 'loading' | 'failed' | 'forbidden'
  agents: readonly Choice[]
  people: readonly Choice[]
  tools: readonly string[]
  onRetry: () => void
  onCreate: ValueAction<WantedExport, string>
  onDownload: Action<{ id: string }>
  onDelete: Action<{ id: string }>
}) {
  return (
    <>
      <PageHeader
        title="Exports"
        description="Copies of the activity to take away. Each is itself on record, and deleted a day after it was made."
      />
      {exports === 'forbidden' ? null : <ActivityNav current="exports" />}
      {exports === 'forbidden' ? (
        <Card>
          <EmptyState icon={FileDown} title="Only owners and admins export the activity">
            Ask one of them for a copy. The list of what happened is open to you.
          </EmptyState>
        </Card>
      ) : (
        <div className="space-y-6">
          <NewExport agents={agents} people={people} tools={tools} onCreate={onCreate} />
          <Card>
            <CardHeader title="Exports" description="What is being made, and what can be fetched." />
            {exports === 'loading' ? (
              <Loading label="Loading exports">
                <SkeletonRows rows={2} />
              </Loading>
            ) : exports === 'failed' ? (
              <ErrorState level={3} className="py-10" action={<Button onClick={onRetry}>Try again</Button>} />
            ) : exports.length === 0 ? (
              <EmptyState icon={FileDown} level={3} title="No exports" className="py-10">
                Choose above what to take away.
              </EmptyState>
            ) : (
              <CardBody className="py-2 md:py-2">
                <ul className="divide-y divide-line">
                  {exports.map((one) => (
                    <Entry key={one.id} row={one} onDownload={onDownload} onDelete={onDelete} />
                  ))}
                </ul>
              </CardBody>
            )}
          </Card>
        </div>
      )}
    </>
  )
}

function NewExport({
  agents,
  people,
  tools,
  onCreate,
}: {
  agents: readonly Choice[]
  people: readonly Choice[]
  tools: readonly string[]
  onCreate: ValueAction<WantedExport, string>
}) {
  const action = useAction(onCreate)
  const id = useId()
  const submit = (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const days = { from: textField(form, 'from'), to: textField(form, 'to') }
    const given = Object.fromEntries(
      ['agentId', 'personId', 'tool', 'outcome'].flatMap((name) => {
        const value = textField(form, name)
        return value === '' ? [] : [[name, value]]
      }),
    )
    void action.run({
      format: textField(form, 'format'),
      ...given,
      ...(days.from === '' ? {} : { from: `${days.from}T00:00:00Z` }),
      // The last day is meant whole.
      ...(days.to === '' ? {} : { to: new Date(Date.parse(days.to) + 86_400_000).toISOString() }),
    })
  }
  const named = (all: readonly Choice[]) => all.map((one) => ({ value: one.id, label: one.name }))
  const fields = [
    { name: 'format', label: 'Format', options: formats },
    { name: 'agentId', label: 'Agent', options: [{ value: '', label: 'Any agent' }, ...named(agents)] },
    { name: 'personId', label: 'Person', options: [{ value: '', label: 'Anybody' }, ...named(people)] },
    {
      name: 'tool',
      label: 'Tool',
      options: [{ value: '', label: 'Any tool' }, ...tools.map((tool) => ({ value: tool, label: tool }))],
    },
    {
      name: 'outcome',
      label: 'Outcome',
      options: [{ value: '', label: 'Any outcome' }, ...outcomes.map((one) => ({ value: one, label: one }))],
    },
  ]
  return (
    <Card>
      <CardHeader title="New export" description="Without a choice it holds everything there is." />
      <CardBody>
        <form aria-labelledby={id} onSubmit={submit} className="space-y-4">
          <h3 id={id} className="sr-only">
            New export
          </h3>
          {action.error === undefined ? null : <Alert tone="danger" title={action.error.message} />}
          <div className="grid gap-4 sm:grid-cols-2 lg:grid-cols-3">
            {fields.map((field) => (
              <Field key={field.name} label={field.label}>
                {(control) => <Select {...control} name={field.name} options={field.options} />}
              </Field>
            ))}
            <Field label="From day (UTC)">{(control) => <Input {...control} name="from" type="date" />}</Field>
            <Field label="To day (UTC)">{(control) => <Input {...control} name="to" type="date" />}</Field>
          </div>
          <Button type="submit" variant="primary" pending={action.pending}>
            <FileDown aria-hidden /> Start export
          </Button>
        </form>
      </CardBody>
    </Card>
  )
}

function Entry({
  row,
  onDownload,
  onDelete,
}: {
  row: ExportRow
  onDownload: Action<{ id: string }>
  onDelete: Action<{ id: string }>
}) {
  const download = useAction(onDownload)
  const { id, format, status, done, total, bytes } = row
  const label = formats.find((one) => one.value === format)?.label.split(',')[0] ?? format
  return (
    <li className="space-y-3 py-4">
      <div className="flex flex-wrap items-start justify-between gap-x-4 gap-y-3">
        <div className="min-w-0 flex-1 basis-64 space-y-1.5">
          <p className="flex flex-wrap items-center gap-2 font-medium">
            {label} <State status={status} />
          </p>
          <p className="text-sm text-muted">
            Asked for <Time at={row.createdAt} />
            {status === 'ready' ? (
              <>
                {' '}
                · {done.toLocaleString('en')} records looked through, {sizeOf(bytes)} · deleted{' '}
                <Time at={row.expiresAt} />
              </>
            ) : null}
          </p>
        </div>
        <div className="flex flex-wrap gap-2">
          {status === 'ready' ? (
            <Button size="sm" pending={download.pending} onClick={() => void download.run({ id })}>
              <Download aria-hidden /> Download
            </Button>
          ) : null}
          <ConfirmDialog
            title="Delete this export?"
            confirmLabel="Delete export"
            onConfirm={() => onDelete({ id })}
            trigger={
              <Button size="sm" variant="danger-quiet" aria-label={`Delete the ${label} export`}>
                <Trash2 aria-hidden /> Delete
              </Button>
            }
          >
            <p>The file is deleted. The records it was made of stay where they are.</p>
          </ConfirmDialog>
        </div>
      </div>
      {status === 'queued' || status === 'running' ? (
        <div className="space-y-1.5">
          <Progress value={done} max={Math.max(total ?? 1, 1)} label={`Progress of the ${label} export`} />
          <p role="status" className="text-sm text-muted tabular-nums">
            {total === undefined
              ? 'Waiting to begin'
              : `${done.toLocaleString('en')} of ${total.toLocaleString('en')} records`}
          </p>
        </div>
      ) : null}
      {status === 'failed' ? (
        <Alert tone="danger" title="This export could not be made">
          Start another one. If it fails again, the log of the worker says why.
        </Alert>
      ) : null}
      {row.isCut ? (
        <Alert tone="warning" title="This export is not whole">
          There is more than one export may hold. Take the rest with a later first day.
        </Alert>
      ) : null}
      {download.error === undefined ? null : <Alert tone="danger" title={download.error.message} />}
    </li>
  )
}

function State({ status }: { status: ExportRow['status'] }) {
  switch (status) {
    case 'ready':
      return (
        <Badge tone="success" icon={CircleCheck}>
          Ready
        </Badge>
      )
    case 'failed':
      return (
        <Badge tone="danger" icon={CircleAlert}>
          Failed
        </Badge>
      )
    case 'queued':
    case 'running':
    case 'expired':
      return (
        <Badge tone="neutral" icon={Clock}>
          {status === 'running' ? 'Being made' : status === 'queued' ? 'Waiting' : 'Expired'}
        </Badge>
      )
  }
}

function sizeOf(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`
  if (bytes < 1_000_000) return `${(bytes / 1_000).toFixed(0)} kB`
  return `${(bytes / 1_000_000).toFixed(1)} MB`
}
