'use client'

import { CircleCheck, Clock, Link2, ShieldCheck, Stamp } from 'lucide-react'
import { useId, useState } from 'react'
import type { SyntheticEvent } from 'react'

import type { ValueAction } from '@/components/action'
import { ActivityNav } from '@/components/pages/activity-nav'
import { Alert } from '@/components/ui/alert'
import { Badge } from '@/components/ui/badge'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { Dialog, DialogClose, DialogContent, DialogTrigger } from '@/components/ui/dialog'
import { EmptyState } from '@/components/ui/empty-state'
import { ErrorState } from '@/components/ui/error-state'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { KeyValueList } from '@/components/ui/key-value'
import { PageHeader } from '@/components/ui/page-header'
import { Progress } from '@/components/ui/progress'
import { Select } from '@/components/ui/select'
import { Loading, SkeletonRows } from '@/components/ui/skeleton'
import { Time } from '@/components/ui/time'
import { textField, useAction } from '@/components/use-action'

export interface Trail {
  /** Undefined keeps records for ever. */
  readonly retentionDays: number | undefined
  readonly position: number
  readonly hash: string | undefined
  readonly linkedAt: string | undefined
  readonly waiting: number
  readonly waitingSeconds: number
  readonly cutAt: number
  readonly cuts: readonly { readonly position: number; readonly cutAt: string; readonly keyId: string }[]
  readonly checkpoints: readonly { readonly sink: string; readonly position: number; readonly toldAt: string }[]
  readonly verification: Verification | undefined
}

export interface Verification {
  readonly status: 'queued' | 'running' | 'done' | 'failed'
  readonly done: number
  readonly total: number
  readonly endedAt: string | undefined
  readonly isTooLong: boolean
  readonly report: Report | undefined
}

interface Report {
  readonly ok: boolean
  readonly from: number
  readonly to: number
  readonly checked: number
  readonly vouchedTo: number
  readonly erased: number
  readonly problems: readonly Problem[]
}

interface Problem {
  readonly kind: string
  readonly position: number | undefined
  readonly recordId: string | undefined
  readonly detail: string
}

const fewestDays = 30
const mostDays = 3_650
/** As the API counts. */
const mostWaiting = 10_000
/** Links are made every few seconds; from here on somebody should look. */
const lateSeconds = 120

/** What was done, in the words of somebody who has to explain it. */
const attacks: Readonly<Record<string, string>> = {
  edited: 'A record was edited',
  deleted: 'A record was deleted',
  inserted: 'A record was inserted',
  reordered: 'Records were reordered',
  back_dated: 'A record was back-dated',
  post_dated: 'A record claims a later time than its link',
  truncated: 'The end was cut off, or an older state restored',
  rewritten: 'The chain was computed anew',
  gone: 'The whole record is gone',
  forged_checkpoint: 'A checkpoint is forged',
}

const places: Readonly<Record<string, string>> = {
  file: 'A file in the data folder',
  s3: 'S3-compatible storage',
  webhook: 'A webhook',
}

/** Whether the record is what was written, and what says so. */
export function AuditIntegrity({
  trail,
  canExport,
  canKeep,
  onRetry,
  onVerify,
  onKeep,
}: {
  trail: Trail | 'loading' | 'failed' | 'forbidden'
  canExport: boolean
  canKeep: boolean
  onRetry: () => void
  onVerify: ValueAction<undefined, Verification>
  onKeep: ValueAction<{ readonly days: number | undefined }, Trail>
}) {
  return (
    <>
      <PageHeader
        title="Integrity"
        description="Every record is linked to the one before it. A change to any of them, or to their order, shows."
      />
      {trail === 'forbidden' ? null : <ActivityNav current="integrity" canExport={canExport} />}
      {trail === 'forbidden' ? (
        <Card>
          <EmptyState icon={ShieldCheck} title="Only owners, admins and auditors verify the activity">
            The list of what happened is open to you.
          </EmptyState>
        </Card>
      ) : trail === 'loading' ? (
        <Card>
          <Loading label="Loading the integrity of the activity">
            <SkeletonRows rows={4} />
          </Loading>
        </Card>
      ) : trail === 'failed' ? (
        <Card>
          <ErrorState level={2} className="py-10" action={<Button onClick={onRetry}>Try again</Button>} />
        </Card>
      ) : (
        <div className="space-y-6">
          <Verify trail={trail} onVerify={onVerify} />
          <div className="grid items-start gap-6 lg:grid-cols-2">
            <Chain trail={trail} />
            <Checkpoints trail={trail} />
          </div>
          <Retention trail={trail} canKeep={canKeep} onKeep={onKeep} />
        </div>
      )}
    </>
  )
}

function Verify({ trail, onVerify }: { trail: Trail; onVerify: ValueAction<undefined, Verification> }) {
  const action = useAction(onVerify)
  const { verification } = trail
  const isBusy = verification?.status === 'queued' || verification?.status === 'running'
  return (
    <Card>
      <CardHeader
        title="Verification"
        description="Computes every link again from its record, and compares the chain with its signed checkpoints."
        actions={
          <Button variant="primary" pending={action.pending || isBusy} onClick={() => void action.run(undefined)}>
            <ShieldCheck aria-hidden /> Verify now
          </Button>
        }
      />
      <CardBody className="space-y-4">
        {action.error === undefined ? null : <Alert tone="danger" title={action.error.message} />}
        {verification === undefined ? (
          <p className="text-sm text-muted">Nobody asked for this yet.</p>
        ) : isBusy ? (
          <UnderWay verification={verification} />
        ) : (
          <Found verification={verification} />
        )}
      </CardBody>
    </Card>
  )
}

function UnderWay({ verification: { status, done, total } }: { verification: Verification }) {
  const percent = Math.min(99, Math.floor((100 * done) / Math.max(total, 1)))
  return (
    <div className="space-y-1.5">
      <Progress value={done} max={Math.max(total, 1)} label="Progress of the verification" />
      <p role="status" className="text-sm text-muted tabular-nums">
        {status === 'queued' || total === 0 ? 'Waiting to begin' : `${percent} % computed again`}
      </p>
    </div>
  )
}

function Found({ verification: { endedAt, isTooLong, report } }: { verification: Verification }) {
  if (report === undefined)
    return (
      <Alert tone="warning" title="It cannot be said whether the record is intact">
        {isTooLong ? (
          <p>
            There are more records than are verified here. <Command /> on the server has no such limit.
          </p>
        ) : (
          <p>The records or their checkpoints could not be read. The log of the worker says why.</p>
        )}
      </Alert>
    )
  const when = endedAt === undefined ? null : <Time at={endedAt} />
  if (report.ok)
    return (
      <Alert tone="success" title="The record is intact">
        {report.checked === 0 ? (
          <p>There was nothing to verify yet, {when}.</p>
        ) : (
          <p>
            Verified {when}: {number(report.checked)} {report.checked === 1 ? 'record' : 'records'}, from{' '}
            {number(report.from)} to {number(report.to)}, {report.checked === 1 ? 'is' : 'are'} what was written.{' '}
            {report.vouchedTo === 0
              ? 'No checkpoint speaks of them yet.'
              : `A signed checkpoint vouches for them up to ${number(report.vouchedTo)}.`}
            {report.erased === 0
              ? ''
              : ` In ${number(report.erased)}, what was about a person who was erased is gone, as it should be.`}
          </p>
        )}
        <p className="mt-1 text-muted">
          This compares with the checkpoints that lie beside the product. <Command /> compares with copies you keep
          elsewhere.
        </p>
      </Alert>
    )
  const [first, ...others] = report.problems
  return (
    <Alert tone="danger" title="The record is not what was written">
      {first === undefined ? null : <Finding problem={first} />}
      {others.length === 0 ? null : (
        <ul className="mt-3 space-y-3">
          {others.map((problem) => (
            <li key={`${problem.kind} ${problem.position ?? ''} ${problem.recordId ?? ''}`}>
              <Finding problem={problem} />
            </li>
          ))}
        </ul>
      )}
      <p className="mt-3">
        Found {when}. Keep a copy of the database as it is and of the checkpoints, before anything else is changed.
      </p>
    </Alert>
  )
}

function Finding({ problem: { kind, position, recordId, detail } }: { problem: Problem }) {
  return (
    <div className="space-y-1">
      <p className="font-medium">
        {attacks[kind] ?? kind}
        {position === undefined ? '' : `, at position ${number(position)}`}
      </p>
      {recordId === undefined ? null : (
        <p>
          Record <code className="font-mono wrap-anywhere">{recordId}</code>
        </p>
      )}
      <p className="wrap-anywhere">{sentence(detail)}</p>
    </div>
  )
}

const Command = () => <code className="font-mono whitespace-nowrap">portcullis audit verify</code>

function Chain({ trail }: { trail: Trail }) {
  const { position, hash, linkedAt, waiting, waitingSeconds } = trail
  const isLate = waitingSeconds > lateSeconds
  return (
    <Card>
      <CardHeader title="The chain" description="Records are sealed into it within seconds of being made." />
      {position === 0 ? (
        <EmptyState icon={Link2} level={3} title="Nothing is sealed yet" className="py-10">
          {waiting === 0 ? 'The first record begins the chain.' : `${number(waiting)} wait to be.`}
        </EmptyState>
      ) : (
        <CardBody>
          <KeyValueList
            items={[
              { key: 'Newest position', value: <span className="tabular-nums">{number(position)}</span> },
              { key: 'Last sealed', value: linkedAt === undefined ? 'Unknown' : <Time at={linkedAt} /> },
              {
                key: 'Not yet sealed',
                value:
                  waiting === 0 ? (
                    'Nothing'
                  ) : (
                    <span className="inline-flex flex-wrap items-center gap-2">
                      {waiting >= mostWaiting ? `${number(waiting)} or more` : number(waiting)}{' '}
                      {waiting === 1 ? 'record' : 'records'}
                      {isLate ? (
                        <Badge tone="warning" icon={Clock}>
                          Waiting for {Math.round(waitingSeconds / 60)} min
                        </Badge>
                      ) : null}
                    </span>
                  ),
              },
              { key: 'Hash there', value: <code className="font-mono text-xs wrap-anywhere">{hash}</code> },
            ]}
          />
        </CardBody>
      )}
    </Card>
  )
}

function Checkpoints({ trail: { checkpoints, position } }: { trail: Trail }) {
  return (
    <Card>
      <CardHeader
        title="Signed checkpoints"
        description="Said outside the database, so that a chain computed anew does not fit."
      />
      {checkpoints.length === 0 ? (
        <EmptyState icon={Stamp} level={3} title="No checkpoint yet" className="py-10">
          The first one follows the first sealed records within a minute or so.
        </EmptyState>
      ) : (
        <CardBody className="py-2 md:py-2">
          <ul className="divide-y divide-line">
            {checkpoints.map((one) => (
              <li key={one.sink} className="flex flex-wrap items-center justify-between gap-x-4 gap-y-1.5 py-3 text-sm">
                <div className="min-w-0">
                  <p className="font-medium">{places[one.sink] ?? one.sink}</p>
                  <p className="text-muted">
                    Position {number(one.position)}, <Time at={one.toldAt} />
                  </p>
                </div>
                {one.position >= position ? (
                  <Badge tone="success" icon={CircleCheck}>
                    Up to date
                  </Badge>
                ) : (
                  <Badge tone="neutral" icon={Clock}>
                    {number(position - one.position)} behind
                  </Badge>
                )}
              </li>
            ))}
          </ul>
        </CardBody>
      )}
    </Card>
  )
}

function Retention({
  trail,
  canKeep,
  onKeep,
}: {
  trail: Trail
  canKeep: boolean
  onKeep: ValueAction<{ readonly days: number | undefined }, Trail>
}) {
  const { retentionDays, cuts } = trail
  return (
    <Card>
      <CardHeader
        title="Retention"
        description="What is older is removed from the beginning of the chain, behind a signed cut; the rest stays verifiable."
        actions={canKeep ? <ChangeRetention days={retentionDays} onKeep={onKeep} /> : undefined}
      />
      <CardBody>
        <KeyValueList
          items={[
            {
              key: 'Records are kept',
              value: retentionDays === undefined ? 'For ever' : `${number(retentionDays)} days`,
            },
            {
              key: 'Signed cuts',
              value:
                cuts.length === 0 ? (
                  'None: nothing was removed'
                ) : (
                  <ul className="space-y-1">
                    {cuts.map((cut) => (
                      <li key={cut.position}>
                        Up to position {number(cut.position)}, <Time at={cut.cutAt} />, by key{' '}
                        <code className="font-mono text-xs">{cut.keyId}</code>
                      </li>
                    ))}
                  </ul>
                ),
            },
          ]}
        />
        {canKeep ? null : <p className="mt-3 text-sm text-muted">Owners change how long records are kept.</p>}
      </CardBody>
    </Card>
  )
}

function ChangeRetention({
  days,
  onKeep,
}: {
  days: number | undefined
  onKeep: ValueAction<{ readonly days: number | undefined }, Trail>
}) {
  const [isOpen, setOpen] = useState(false)
  const [isForEver, setForEver] = useState(days === undefined)
  const action = useAction(onKeep)
  const formId = useId()
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const wanted = textField(new FormData(event.currentTarget), 'days')
    const kept = await action.run({ days: isForEver ? undefined : Number(wanted) })
    if (kept !== undefined) setOpen(false)
  }
  const other = action.formError('retentionDays')
  return (
    <Dialog
      open={isOpen}
      onOpenChange={(open) => {
        setOpen(open)
        setForEver(days === undefined)
        action.clear()
      }}
    >
      <DialogTrigger asChild>
        <Button size="sm">Change retention</Button>
      </DialogTrigger>
      <DialogContent
        title="How long records are kept"
        description="What is removed is gone. Take an export first if you may need it."
        footer={
          <>
            <DialogClose asChild>
              <Button>Cancel</Button>
            </DialogClose>
            <Button type="submit" form={formId} variant="primary" pending={action.pending}>
              Save
            </Button>
          </>
        }
      >
        <form id={formId} onSubmit={(event) => void submit(event)} className="space-y-4">
          {other === undefined ? null : <Alert tone="danger" title={other.message} />}
          <Field label="Keep records">
            {(control) => (
              <Select
                {...control}
                name="kind"
                value={isForEver ? 'ever' : 'days'}
                onChange={(event) => setForEver(event.target.value === 'ever')}
                options={[
                  { value: 'ever', label: 'For ever' },
                  { value: 'days', label: 'For a number of days' },
                ]}
              />
            )}
          </Field>
          {isForEver ? null : (
            <Field
              label="Days"
              required
              hint={`${fewestDays} to ${number(mostDays)}.`}
              error={action.fieldError('retentionDays')}
            >
              {(control) => (
                <Input
                  {...control}
                  name="days"
                  type="number"
                  required
                  min={fewestDays}
                  max={mostDays}
                  step={1}
                  defaultValue={String(days ?? 365)}
                />
              )}
            </Field>
          )}
        </form>
      </DialogContent>
    </Dialog>
  )
}

const number = (value: number) => value.toLocaleString('en')
const sentence = (words: string) => `${words.charAt(0).toUpperCase()}${words.slice(1)}.`
