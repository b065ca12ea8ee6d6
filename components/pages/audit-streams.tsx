'use client'

import { CircleAlert, CircleCheck, Play, Send, Trash2 } from 'lucide-react'
import { useState } from 'react'

import type { Action, ValueAction } from '@/components/action'
import { ActivityNav } from '@/components/pages/activity-nav'
import { AddWithSecret } from '@/components/pages/add-with-secret'
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
import { PasswordInput } from '@/components/ui/password-input'
import { Select } from '@/components/ui/select'
import { Loading, SkeletonRows } from '@/components/ui/skeleton'
import { Time } from '@/components/ui/time'
import { useAction } from '@/components/use-action'

type Kind = 'webhook' | 'syslog' | 's3'

export interface StreamRow {
  readonly id: string
  readonly kind: Kind
  readonly destination: string
  readonly delivered: number
  readonly lastDeliveredAt: string | undefined
  readonly failingSince: string | undefined
  readonly lastError: string | undefined
  readonly disabledReason: string | undefined
}

export interface NewStream {
  readonly target: Readonly<Record<string, string | number | boolean>>
  readonly secretAccessKey: string | undefined
  readonly fromStart: boolean
}

const most = 5
const kinds = [
  { value: 'webhook', label: 'Webhook' },
  { value: 'syslog', label: 'Syslog (RFC 5424)' },
  { value: 's3', label: 'S3-compatible storage' },
] as const

/** Where every record is sent as it is made. */
export function AuditStreams({
  streams,
  onRetry,
  onCreate,
  onResume,
  onDelete,
}: {
  streams: readonly StreamRow[] | 'loading' | 'failed' | 'forbidden'
  onRetry: () => void
  /** Gives the signing secret of a webhook. */
  onCreate: ValueAction<NewStream, string | null>
  onResume: Action<{ id: string }>
  onDelete: Action<{ id: string }>
}) {
  const isFull = typeof streams !== 'string' && streams.length >= most
  return (
    <>
      <PageHeader
        title="Streams"
        description="Sends every record on to another system within seconds, in order and at least once."
      />
      {streams === 'forbidden' ? null : <ActivityNav current="streams" />}
      <Card>
        {streams === 'forbidden' ? (
          <EmptyState icon={Send} title="Only owners and admins send the activity elsewhere">
            The list of what happened is open to you.
          </EmptyState>
        ) : (
          <>
            <CardHeader
              title="Destinations"
              description="What is not taken is tried again for five days; then the stream stops and waits at its place."
              actions={
                <AddStream
                  onCreate={onCreate}
                  disabledReason={isFull ? `A workspace has at most ${most} streams. Remove one first.` : undefined}
                />
              }
            />
            {streams === 'loading' ? (
              <Loading label="Loading streams">
                <SkeletonRows rows={2} />
              </Loading>
            ) : streams === 'failed' ? (
              <ErrorState level={3} className="py-10" action={<Button onClick={onRetry}>Try again</Button>} />
            ) : streams.length === 0 ? (
              <EmptyState icon={Send} level={3} title="No streams" className="py-10">
                Add one to keep the trail in your SIEM or in a store of your own.
              </EmptyState>
            ) : (
              <CardBody className="py-2 md:py-2">
                <ul className="divide-y divide-line">
                  {streams.map((stream) => (
                    <Entry key={stream.id} stream={stream} onResume={onResume} onDelete={onDelete} />
                  ))}
                </ul>
              </CardBody>
            )}
          </>
        )}
      </Card>
    </>
  )
}

function Entry({
  stream,
  onResume,
  onDelete,
}: {
  stream: StreamRow
  onResume: Action<{ id: string }>
  onDelete: Action<{ id: string }>
}) {
  const resume = useAction(onResume)
  const { id, destination, disabledReason, failingSince, lastError, lastDeliveredAt } = stream
  return (
    <li className="space-y-3 py-4">
      <div className="flex flex-wrap items-start justify-between gap-x-4 gap-y-3">
        <div className="min-w-0 flex-1 basis-64">
          <p className="font-mono text-sm wrap-anywhere">{destination}</p>
          <p className="mt-1.5 flex flex-wrap items-center gap-2 text-sm text-muted">
            <State stream={stream} />
            {kinds.find((kind) => kind.value === stream.kind)?.label} · {stream.delivered.toLocaleString('en')} records
            {lastDeliveredAt === undefined ? null : (
              <>
                {' '}
                · last <Time at={lastDeliveredAt} />
              </>
            )}
          </p>
        </div>
        <div className="flex flex-wrap gap-2">
          {disabledReason === undefined ? null : (
            <Button size="sm" pending={resume.pending} onClick={() => void resume.run({ id })}>
              <Play aria-hidden /> Start again
            </Button>
          )}
          <ConfirmDialog
            title="Remove this stream?"
            confirmLabel="Remove stream"
            onConfirm={() => onDelete({ id })}
            trigger={
              <Button size="sm" variant="danger-quiet" aria-label={`Remove ${destination}`}>
                <Trash2 aria-hidden /> Remove
              </Button>
            }
          >
            <p className="wrap-anywhere">
              Nothing is sent to {destination} any more, and its secret is forgotten. What was sent stays there.
            </p>
          </ConfirmDialog>
        </div>
      </div>
      {resume.error === undefined ? null : <Alert tone="danger" title={resume.error.message} />}
      {disabledReason !== undefined ? (
        <Alert tone="warning" title="Nothing is sent here any more">
          {disabledReason === 'gone'
            ? 'The receiver answered that it is gone for good (410).'
            : `It was not taken for days: ${errorWords(lastError)}.`}{' '}
          Repair the receiver and start it again; it goes on where it stopped.
        </Alert>
      ) : failingSince !== undefined ? (
        <Alert tone="warning" title="What is sent is not taken at the moment">
          {capitalised(errorWords(lastError))}. It is tried again by itself; nothing is lost.
        </Alert>
      ) : null}
    </li>
  )
}

function State({ stream }: { stream: StreamRow }) {
  if (stream.disabledReason !== undefined)
    return (
      <Badge tone="danger" icon={CircleAlert}>
        Stopped
      </Badge>
    )
  if (stream.failingSince !== undefined)
    return (
      <Badge tone="warning" icon={CircleAlert}>
        Failing
      </Badge>
    )
  return (
    <Badge tone="success" icon={CircleCheck}>
      On
    </Badge>
  )
}

const errors: Readonly<Record<string, string>> = {
  refused: 'the address is not allowed or does not answer',
  timeout: 'it did not answer in time',
  too_large: 'its answer was too large',
  redirect: 'it answered with a redirect, which is not followed',
  secret_unreadable: 'its secret could not be read',
}

function errorWords(error: string | undefined): string {
  if (error === undefined) return 'nobody answered'
  const status = /^status_(\d+)$/.exec(error)?.[1]
  return errors[error] ?? (status === undefined ? 'it could not be sent' : `it answered ${status}`)
}

const capitalised = (words: string) => words.slice(0, 1).toUpperCase() + words.slice(1)

function AddStream({
  onCreate,
  disabledReason,
}: {
  onCreate: ValueAction<NewStream, string | null>
  disabledReason: string | undefined
}) {
  const [kind, setKind] = useState<Kind>('webhook')
  return (
    <AddWithSecret
      label="Add stream"
      title="Add a stream"
      disabledReason={disabledReason}
      shownFields={SHOWN}
      read={(field) => ({
        target: targetOf(kind, field),
        secretAccessKey: kind === 's3' ? field('secretAccessKey') : undefined,
        fromStart: field('start') === 'all',
      })}
      onCreate={onCreate}
    >
      {({ errorOf, clear }) => (
        <>
          <Field label="Kind">
            {(control) => (
              <Select
                {...control}
                name="kind"
                options={kinds}
                value={kind}
                onChange={(event) => {
                  const wanted = event.target.value
                  setKind(wanted === 'syslog' || wanted === 's3' ? wanted : 'webhook')
                  clear()
                }}
              />
            )}
          </Field>
          <KindFields kind={kind} errorOf={errorOf} />
          <Field label="Begin with">
            {(control) => (
              <Select
                {...control}
                name="start"
                options={[
                  { value: 'now', label: 'What happens from now on' },
                  { value: 'all', label: 'Everything there is' },
                ]}
              />
            )}
          </Field>
        </>
      )}
    </AddWithSecret>
  )
}

const SHOWN: readonly string[] = ['url', 'endpoint', 'isTls', 'secretAccessKey']

function KindFields({ kind, errorOf }: { kind: Kind; errorOf: (name: string) => string | undefined }) {
  switch (kind) {
    case 'webhook':
      return (
        <Field label="Address" required hint="It begins with https://." error={errorOf('url')}>
          {(control) => (
            <Input
              {...control}
              name="url"
              type="url"
              required
              maxLength={2048}
              placeholder="https://siem.example.com/in"
            />
          )}
        </Field>
      )
    case 'syslog':
      return (
        <>
          <Field label="Host" required>
            {(control) => <Input {...control} name="host" required maxLength={253} placeholder="logs.example.com" />}
          </Field>
          <Field label="Port" required>
            {(control) => (
              <Input {...control} name="port" type="number" required min={1} max={65535} defaultValue="6514" />
            )}
          </Field>
          <Field label="Transport" error={errorOf('isTls')}>
            {(control) => (
              <Select
                {...control}
                name="transport"
                options={[
                  { value: 'tls', label: 'TLS' },
                  { value: 'tcp', label: 'Plain TCP, where the operator opened it' },
                ]}
              />
            )}
          </Field>
        </>
      )
    case 's3':
      return (
        <>
          <Field label="Endpoint" optional hint="Empty for Amazon S3." error={errorOf('endpoint')}>
            {(control) => (
              <Input
                {...control}
                name="endpoint"
                type="url"
                maxLength={2048}
                placeholder="https://storage.example.com"
              />
            )}
          </Field>
          <div className="grid gap-4 sm:grid-cols-2">
            <Field label="Region" required>
              {(control) => <Input {...control} name="region" required maxLength={64} defaultValue="us-east-1" />}
            </Field>
            <Field label="Bucket" required>
              {(control) => <Input {...control} name="bucket" required minLength={3} maxLength={63} />}
            </Field>
          </div>
          <Field label="Prefix" optional>
            {(control) => <Input {...control} name="prefix" maxLength={200} placeholder="portcullis" />}
          </Field>
          <Field label="Access key id" required>
            {(control) => <Input {...control} name="accessKeyId" required maxLength={128} autoComplete="off" />}
          </Field>
          <Field
            label="Secret access key"
            required
            hint="It is sealed and never shown again."
            error={errorOf('secretAccessKey')}
          >
            {(control) => <PasswordInput {...control} name="secretAccessKey" required autoComplete="off" />}
          </Field>
        </>
      )
  }
}

function targetOf(kind: Kind, field: (name: string) => string): NewStream['target'] {
  switch (kind) {
    case 'webhook':
      return { kind, url: field('url') }
    case 'syslog':
      return { kind, host: field('host'), port: Number(field('port')), isTls: field('transport') !== 'tcp' }
    case 's3': {
      const endpoint = field('endpoint')
      return {
        kind,
        region: field('region'),
        bucket: field('bucket'),
        prefix: field('prefix'),
        accessKeyId: field('accessKeyId'),
        ...(endpoint === '' ? {} : { endpoint }),
      }
    }
  }
}
