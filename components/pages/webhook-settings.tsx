'use client'

import { CircleAlert, CircleCheck, Clock, Send, Trash2, Webhook } from 'lucide-react'

import type { Action, ValueAction } from '@/components/action'
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
import { Loading, SkeletonRows } from '@/components/ui/skeleton'
import { Time } from '@/components/ui/time'
import { useToast } from '@/components/ui/toast'
import { useAction } from '@/components/use-action'

export interface DeliveryRow {
  readonly id: string
  readonly isTest: boolean
  readonly itemCount: number
  readonly status: 'queued' | 'delivered' | 'failed'
  readonly attempts: number
  readonly at: string
  readonly nextAt: string | undefined
  readonly lastStatus: number | undefined
  readonly lastError: string | undefined
}

export interface WebhookRow {
  readonly id: string
  readonly url: string
  readonly disabledReason: string | undefined
  readonly failingSince: string | undefined
  /** Newest first. */
  readonly deliveries: readonly DeliveryRow[]
}

const most = 3
const shown = 5

/** Where the workspace is told by a signed call that a connection needs attention. */
export function WebhookSettings({
  webhooks,
  onRetry,
  onCreate,
  onTest,
  onDelete,
}: {
  webhooks: readonly WebhookRow[] | 'loading' | 'failed'
  onRetry: () => void
  /** Gives the signing secret. */
  onCreate: ValueAction<{ url: string }, string>
  onTest: Action<{ id: string }>
  onDelete: Action<{ id: string }>
}) {
  const isFull = typeof webhooks !== 'string' && webhooks.length >= most
  return (
    <Card>
      <CardHeader
        title="Webhooks"
        description="Called once, with a signature, when connections stop working. Standard Webhooks libraries check it."
        actions={
          <AddWebhook
            onCreate={onCreate}
            disabledReason={isFull ? `A workspace has at most ${most} webhooks. Remove one first.` : undefined}
          />
        }
      />
      {webhooks === 'loading' ? (
        <Loading label="Loading webhooks">
          <SkeletonRows rows={2} />
        </Loading>
      ) : webhooks === 'failed' ? (
        <ErrorState level={3} className="py-10" action={<Button onClick={onRetry}>Try again</Button>} />
      ) : webhooks.length === 0 ? (
        <EmptyState icon={Webhook} level={3} title="No webhooks" className="py-10">
          Add an address to hear of broken connections in a chat, a pager or a program of your own.
        </EmptyState>
      ) : (
        <CardBody className="py-2 md:py-2">
          <ul className="divide-y divide-line">
            {webhooks.map((webhook) => (
              <Entry key={webhook.id} webhook={webhook} onTest={onTest} onDelete={onDelete} />
            ))}
          </ul>
        </CardBody>
      )}
    </Card>
  )
}

function Entry({
  webhook,
  onTest,
  onDelete,
}: {
  webhook: WebhookRow
  onTest: Action<{ id: string }>
  onDelete: Action<{ id: string }>
}) {
  const test = useAction(onTest)
  const toast = useToast()
  const { id, url, disabledReason, deliveries } = webhook
  const tryIt = async () => {
    if (await test.run({ id })) toast({ tone: 'success', title: 'A test call is on its way' })
  }
  return (
    <li className="space-y-3 py-4">
      <div className="flex flex-wrap items-start justify-between gap-x-4 gap-y-3">
        <div className="min-w-0 flex-1 basis-64">
          <p className="font-mono text-sm wrap-anywhere">{url}</p>
          <p className="mt-1.5 flex flex-wrap gap-2">
            <WebhookState webhook={webhook} />
          </p>
        </div>
        <div className="flex flex-wrap gap-2">
          <Button
            size="sm"
            pending={test.pending}
            aria-label={`Send a test call to ${url}`}
            disabledReason={disabledReason === undefined ? undefined : 'It was stopped. Remove it and add it again.'}
            onClick={() => void tryIt()}
          >
            <Send aria-hidden /> Test
          </Button>
          <ConfirmDialog
            title="Remove this webhook?"
            confirmLabel="Remove webhook"
            onConfirm={() => onDelete({ id })}
            trigger={
              <Button size="sm" variant="danger-quiet" aria-label={`Remove ${url}`}>
                <Trash2 aria-hidden /> Remove
              </Button>
            }
          >
            <p className="wrap-anywhere">
              Nothing is sent to {url} any more, and its signing secret is forgotten. What waits for it is dropped.
            </p>
          </ConfirmDialog>
        </div>
      </div>
      {test.error === undefined ? null : <Alert tone="danger" title={test.error.message} />}
      {disabledReason === undefined ? null : (
        <Alert tone="warning" title="Nothing is sent here any more">
          {stoppedWords(disabledReason)} Repair the receiver, remove this entry, and add the address again.
        </Alert>
      )}
      {deliveries.length === 0 ? (
        <p className="text-sm text-muted">Nothing was sent yet.</p>
      ) : (
        <ul aria-label={`Last deliveries to ${url}`} className="space-y-1.5">
          {deliveries.slice(0, shown).map((delivery) => (
            <li key={delivery.id} className="flex flex-wrap items-center gap-x-3 gap-y-1 text-sm">
              <DeliveryState delivery={delivery} />
              <span className="min-w-0 flex-1">
                {delivery.isTest
                  ? 'Test'
                  : `${delivery.itemCount} ${delivery.itemCount === 1 ? 'connection' : 'connections'}`}
                <span className="text-muted"> · {outcomeWords(delivery)}</span>
              </span>
              <Time at={delivery.at} className="text-muted" />
            </li>
          ))}
        </ul>
      )}
    </li>
  )
}

function WebhookState({ webhook }: { webhook: WebhookRow }) {
  if (webhook.disabledReason !== undefined)
    return (
      <Badge tone="danger" icon={CircleAlert}>
        Stopped
      </Badge>
    )
  if (webhook.failingSince !== undefined)
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

function DeliveryState({ delivery }: { delivery: DeliveryRow }) {
  switch (delivery.status) {
    case 'delivered':
      return (
        <Badge tone="success" icon={CircleCheck}>
          Delivered
        </Badge>
      )
    case 'failed':
      return (
        <Badge tone="danger" icon={CircleAlert}>
          Given up
        </Badge>
      )
    case 'queued':
      return (
        <Badge tone={delivery.attempts === 0 ? 'neutral' : 'warning'} icon={Clock}>
          {delivery.attempts === 0 ? 'Waiting' : 'Tried'}
        </Badge>
      )
  }
}

const errors: Readonly<Record<string, string>> = {
  redirect: 'it answered with a redirect, which is not followed',
  refused: 'the address is not allowed or does not answer',
  timeout: 'it did not answer in time',
  too_large: 'its answer was too large',
  gone: 'it answered that it is gone for good',
  key_unavailable: 'the signing secret could not be opened at the moment',
  secret_unreadable: 'the signing secret could not be read',
  stopped: 'the webhook was stopped',
}

function outcomeWords({ status, attempts, lastStatus, lastError, nextAt }: DeliveryRow): string {
  const tries = attempts === 1 ? 'one try' : `${attempts} tries`
  if (attempts === 0) return 'not sent yet'
  if (status === 'delivered') return `answered ${lastStatus ?? 200} after ${tries}`
  const why = (lastError === undefined ? undefined : errors[lastError]) ?? `answered ${lastStatus ?? 'nothing'}`
  return `${why}; ${tries}${nextAt === undefined ? '' : ', tried again later'}`
}

function stoppedWords(reason: string): string {
  switch (reason) {
    case 'gone':
      return 'The address answered that it is gone for good (410).'
    case 'failing':
      return 'It failed for days without a single success.'
    default:
      return 'Its signing secret could not be read.'
  }
}

function AddWebhook({
  onCreate,
  disabledReason,
}: {
  onCreate: ValueAction<{ url: string }, string>
  disabledReason: string | undefined
}) {
  return (
    <AddWithSecret
      label="Add webhook"
      title="Add a webhook"
      disabledReason={disabledReason}
      shownFields={['url']}
      read={(field) => ({ url: field('url') })}
      onCreate={onCreate}
    >
      {({ errorOf }) => (
        <Field
          label="Address"
          required
          hint="It begins with https:// and can be reached from the internet."
          error={errorOf('url')}
        >
          {(control) => (
            <Input
              {...control}
              name="url"
              type="url"
              inputMode="url"
              required
              maxLength={2048}
              placeholder="https://example.com/hooks/portcullis"
              autoComplete="off"
            />
          )}
        </Field>
      )}
    </AddWithSecret>
  )
}
