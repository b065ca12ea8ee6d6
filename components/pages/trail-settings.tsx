'use client'

import { useState } from 'react'
import type { SyntheticEvent } from 'react'

import type { Action } from '@/components/action'
import { Alert } from '@/components/ui/alert'
import { ConfirmDialog } from '@/components/ui/alert-dialog'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { ErrorState } from '@/components/ui/error-state'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { Loading, SkeletonRows } from '@/components/ui/skeleton'
import { Time } from '@/components/ui/time'
import { useToast } from '@/components/ui/toast'
import { textField, useAction } from '@/components/use-action'

export interface Trail {
  /** Undefined: for ever. */
  readonly retentionDays: number | undefined
  /** How many records the chain holds so far. */
  readonly position: number
  readonly recordedTo: string | undefined
  readonly checkpoints: readonly { readonly sink: string; readonly position: number; readonly toldAt: string }[]
}

const bounds = { least: 30, most: 3_650 } as const
const sinks: Readonly<Record<string, string>> = { file: 'a file', s3: 'a store', webhook: 'a webhook' }

/** How far the workspace’s trail is protected, and how long it is kept. */
export function TrailSettings({
  trail,
  canChange,
  onRetry,
  onKeep,
}: {
  trail: Trail | 'loading' | 'failed'
  canChange: boolean
  onRetry: () => void
  onKeep: Action<{ retentionDays: number | null }>
}) {
  return (
    <Card>
      <CardHeader
        title="Activity records"
        description="Each is chained to the one before it, so that a change, a gap or an end cut off is found."
      />
      {trail === 'loading' ? (
        <Loading label="Loading how the activity is kept">
          <SkeletonRows rows={2} />
        </Loading>
      ) : trail === 'failed' ? (
        <ErrorState level={3} className="py-10" action={<Button onClick={onRetry}>Try again</Button>} />
      ) : (
        <CardBody className="space-y-5">
          <Protection trail={trail} />
          <Retention key={trail.retentionDays} kept={trail.retentionDays} canChange={canChange} onKeep={onKeep} />
        </CardBody>
      )}
    </Card>
  )
}

function Protection({ trail: { position, recordedTo, checkpoints } }: { trail: Trail }) {
  return (
    <div className="space-y-1 text-sm text-muted">
      <p>
        {recordedTo === undefined ? (
          'Nothing is in the chain yet.'
        ) : (
          <>
            {position.toLocaleString('en')} {position === 1 ? 'record is' : 'records are'} in the chain, the newest of{' '}
            <Time at={recordedTo} />.
          </>
        )}
      </p>
      {checkpoints.map(({ sink, position: told, toldAt }) => (
        <p key={sink}>
          Signed and told to {sinks[sink] ?? sink} up to record {told.toLocaleString('en')}, <Time at={toldAt} />.
        </p>
      ))}
    </div>
  )
}

function Retention({
  kept,
  canChange,
  onKeep,
}: {
  kept: number | undefined
  canChange: boolean
  onKeep: Action<{ retentionDays: number | null }>
}) {
  const action = useAction(onKeep)
  const toast = useToast()
  /** Days that would remove records, until the person says that they mean it. */
  const [asked, setAsked] = useState<number>()
  const said = (days: number | undefined) =>
    toast({
      tone: 'success',
      title: days === undefined ? 'Records are kept for ever' : `Records are kept for ${days} days`,
    })
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const typed = textField(new FormData(event.currentTarget), 'retentionDays').trim()
    const days = typed === '' ? undefined : Number(typed)
    if (days !== undefined && (kept === undefined || days < kept)) setAsked(days)
    else if (await action.run({ retentionDays: days ?? null })) said(days)
  }
  const error = action.formError('retentionDays')
  return (
    <>
      <form onSubmit={(event) => void submit(event)} className="max-w-md space-y-4">
        {error === undefined ? null : <Alert tone="danger" title={error.message} />}
        <Field
          label="Keep records for, in days"
          hint={`Empty: for ever. From ${bounds.least} to ${bounds.most}. What is left can be verified as before.`}
          error={action.fieldError('retentionDays')}
        >
          {(control) => (
            <Input
              {...control}
              name="retentionDays"
              type="number"
              inputMode="numeric"
              min={bounds.least}
              max={bounds.most}
              readOnly={!canChange}
              defaultValue={kept}
              autoComplete="off"
            />
          )}
        </Field>
        <Button
          type="submit"
          pending={action.pending}
          disabledReason={canChange ? undefined : 'Only owners may change this.'}
        >
          Save
        </Button>
      </form>
      <ConfirmDialog
        open={asked !== undefined}
        onOpenChange={(open) => {
          if (!open) setAsked(undefined)
        }}
        title={`Remove records after ${asked ?? 0} days?`}
        confirmLabel="Remove older records"
        onConfirm={async () => {
          const result = await onKeep({ retentionDays: asked ?? null })
          if (result.ok) said(asked)
          return result
        }}
      >
        <p>
          Records that are older are removed within the hour, and cannot be had again. Take an export first if you may
          need them.
        </p>
      </ConfirmDialog>
    </>
  )
}
