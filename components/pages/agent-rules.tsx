'use client'

import { ListFilter, Plus, Trash2 } from 'lucide-react'
import { useId, useState } from 'react'
import type { SyntheticEvent } from 'react'

import type { Action } from '@/components/action'
import { Alert } from '@/components/ui/alert'
import { ConfirmDialog } from '@/components/ui/alert-dialog'
import { Badge } from '@/components/ui/badge'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { Dialog, DialogClose, DialogContent, DialogTrigger } from '@/components/ui/dialog'
import { EmptyState } from '@/components/ui/empty-state'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { Select } from '@/components/ui/select'
import { Textarea } from '@/components/ui/textarea'
import { useToast } from '@/components/ui/toast'
import { textField, useAction } from '@/components/use-action'

/** A rule as the profile has it. */
export interface RuleEntry {
  readonly id: string
  readonly description?: string | undefined
  readonly tools?: readonly string[] | undefined
  readonly resource?: string | undefined
  readonly argument?: string | undefined
  readonly not?: boolean | undefined
  /** Name of each condition with what it compares to. */
  readonly conditions: readonly (readonly [name: string, value: string])[]
}

export interface RuleDraft {
  readonly id: string
  readonly resource: string
  readonly not: boolean
  readonly condition: string
  readonly values: readonly string[]
}

const CONDITIONS: Readonly<Record<string, string>> = {
  equals: 'is',
  oneOf: 'is one of',
  glob: 'is like',
  prefix: 'begins with',
  matches: 'matches the expression',
  min: 'is at least',
  max: 'is at most',
  maxItems: 'has at most so many elements:',
  emailDomain: 'is an address at',
  inside: 'is in the folder',
}

interface ResourceChoice {
  readonly value: string
  readonly label: string
  readonly example: string
  readonly conditions: readonly string[]
  /** Its provider knows it by several names, so only permitting is safe. */
  readonly isAliased?: boolean
}

const RESOURCES: readonly ResourceChoice[] = [
  { value: 'repository', label: 'Repository', example: 'acme/api', conditions: ['oneOf', 'glob'] },
  { value: 'path', label: 'File or folder in a repository', example: 'docs', conditions: ['inside', 'oneOf', 'glob'] },
  { value: 'ref', label: 'Branch, tag or commit', example: 'main', conditions: ['oneOf', 'glob'], isAliased: true },
  { value: 'label', label: 'Label of an issue', example: 'bug', conditions: ['oneOf', 'glob'] },
  { value: 'login', label: 'Assignee', example: 'octocat', conditions: ['oneOf'] },
  { value: 'recipient', label: 'Recipient or guest', example: 'acme.com', conditions: ['emailDomain', 'oneOf'] },
  { value: 'calendar', label: 'Calendar', example: 'team@acme.com', conditions: ['oneOf'], isAliased: true },
  { value: 'channel', label: 'Slack channel', example: 'C012AB3CD', conditions: ['oneOf'] },
]

/** What calls may be about. Every rule that applies has to hold; each is in force from the next call on. */
export function AgentRules({
  rules,
  canManage,
  onAdd,
  onRemove,
}: {
  rules: readonly RuleEntry[]
  canManage: boolean
  onAdd: Action<RuleDraft>
  onRemove: Action<{ id: string }>
}) {
  return (
    <Card>
      <CardHeader
        title="Rules on arguments"
        description="What calls may be about. A call that breaks one is refused, and the agent is told which."
        actions={canManage ? <AddRule onAdd={onAdd} /> : undefined}
      />
      {rules.length === 0 ? (
        <EmptyState icon={ListFilter} level={3} title="No rules" className="py-10">
          The tools below may be called with any arguments.
        </EmptyState>
      ) : (
        <CardBody className="py-2 md:py-2">
          <ul className="divide-y divide-line">
            {rules.map((rule) => (
              <li key={rule.id} className="flex flex-wrap items-start justify-between gap-x-4 gap-y-2 py-3">
                <div className="min-w-0 flex-1 basis-64 space-y-1">
                  <p className="flex flex-wrap items-center gap-2">
                    <span className="font-mono text-sm wrap-anywhere">{rule.id}</span>
                    {rule.not === true ? (
                      <Badge tone="warning">forbids</Badge>
                    ) : (
                      <Badge tone="neutral">permits only</Badge>
                    )}
                  </p>
                  <p className="text-sm wrap-anywhere">{wordsOf(rule)}</p>
                  <p className="text-sm text-muted wrap-anywhere">
                    {rule.tools === undefined ? `Every tool with a ${rule.resource ?? ''}` : rule.tools.join(', ')}
                  </p>
                </div>
                {canManage ? (
                  <ConfirmDialog
                    title="Remove this rule?"
                    confirmLabel="Remove rule"
                    onConfirm={() => onRemove({ id: rule.id })}
                    trigger={
                      <Button size="sm" variant="danger-quiet" aria-label={`Remove the rule ${rule.id}`}>
                        <Trash2 aria-hidden /> Remove
                      </Button>
                    }
                  >
                    <p>The agent may do more from its next call on: what only this rule refused is permitted then.</p>
                  </ConfirmDialog>
                ) : null}
              </li>
            ))}
          </ul>
        </CardBody>
      )}
    </Card>
  )
}

function wordsOf({ resource, argument, conditions }: RuleEntry): string {
  const what = conditions.map(([name, value]) => `${CONDITIONS[name] ?? name} ${value}`).join(' and ')
  return `${resource ?? argument ?? ''} ${what}`
}

function AddRule({ onAdd }: { onAdd: Action<RuleDraft> }) {
  const [isOpen, setOpen] = useState(false)
  const [resource, setResource] = useState('repository')
  const action = useAction(onAdd)
  const toast = useToast()
  const formId = useId()
  const chosen = RESOURCES.find(({ value }) => value === resource)
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const values = textField(form, 'values')
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '')
    const draft = {
      id: textField(form, 'id').trim(),
      resource,
      not: textField(form, 'effect') === 'forbid',
      condition: textField(form, 'condition'),
      values,
    }
    if (await action.run(draft)) {
      setOpen(false)
      toast({ tone: 'success', title: 'Rule added', description: 'It is in force for the next call.' })
    }
  }
  const formError = action.formError('id', 'resource', 'effect', 'condition', 'values')
  return (
    <Dialog
      open={isOpen}
      onOpenChange={(open) => {
        setOpen(open)
        action.clear()
      }}
    >
      <DialogTrigger asChild>
        <Button size="sm">
          <Plus aria-hidden /> Add rule
        </Button>
      </DialogTrigger>
      <DialogContent
        title="Add a rule"
        description="It holds for every tool of this agent that has such a thing, whatever the tool calls it."
        footer={
          <>
            <DialogClose asChild>
              <Button>Cancel</Button>
            </DialogClose>
            <Button type="submit" form={formId} variant="primary" pending={action.pending}>
              Add rule
            </Button>
          </>
        }
      >
        <form id={formId} className="space-y-4" onSubmit={(event) => void submit(event)}>
          <Field label="Name" hint="Shown in refusals and in the activity." error={action.fieldError('id')} required>
            {(control) => (
              <Input {...control} name="id" maxLength={40} placeholder="our-repositories" autoComplete="off" />
            )}
          </Field>
          <Field label="What it is about" error={action.fieldError('resource')}>
            {(control) => (
              <Select
                {...control}
                name="resource"
                value={resource}
                onChange={(event) => setResource(event.target.value)}
                options={RESOURCES}
              />
            )}
          </Field>
          <div className="grid gap-4 sm:grid-cols-2">
            <Field label="Effect" error={action.fieldError('effect')}>
              {(control) => (
                <Select
                  {...control}
                  name="effect"
                  options={[
                    { value: 'permit', label: 'Permit only what' },
                    { value: 'forbid', label: 'Forbid what', disabled: chosen?.isAliased === true },
                  ]}
                />
              )}
            </Field>
            <Field label="Condition" error={action.fieldError('condition')}>
              {(control) => (
                <Select
                  {...control}
                  key={resource}
                  name="condition"
                  options={(chosen?.conditions ?? []).map((value) => ({ value, label: CONDITIONS[value] ?? value }))}
                />
              )}
            </Field>
          </div>
          <Field label="Values" hint="One a line." error={action.fieldError('values')} required>
            {(control) => (
              <Textarea {...control} name="values" rows={4} className="font-mono" placeholder={chosen?.example} />
            )}
          </Field>
          {formError === undefined ? null : <Alert tone="danger" title={formError.message} />}
        </form>
      </DialogContent>
    </Dialog>
  )
}
