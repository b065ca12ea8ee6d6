'use client'

import { Mail, UserMinus, UserPlus } from 'lucide-react'
import { useState } from 'react'
import type { SyntheticEvent } from 'react'

import type { Action, ValueAction } from '@/components/action'
import { SettingsNav } from '@/components/pages/settings-nav'
import { Alert } from '@/components/ui/alert'
import { ConfirmDialog } from '@/components/ui/alert-dialog'
import { Avatar } from '@/components/ui/avatar'
import { Badge } from '@/components/ui/badge'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { Dialog, DialogClose, DialogContent, DialogTrigger } from '@/components/ui/dialog'
import { EmptyState } from '@/components/ui/empty-state'
import { Field } from '@/components/ui/field'
import { Input } from '@/components/ui/input'
import { PageHeader } from '@/components/ui/page-header'
import { SecretOnce } from '@/components/ui/secret-once'
import { Select } from '@/components/ui/select'
import { Time } from '@/components/ui/time'
import { useToast } from '@/components/ui/toast'
import { textField, useAction } from '@/components/use-action'

export type MemberRole = 'owner' | 'admin' | 'member' | 'auditor'

export interface Member {
  readonly id: string
  readonly name: string
  readonly email: string
  readonly role: MemberRole
  readonly joinedAt: string
  readonly isYou: boolean
}

export interface InvitationRow {
  readonly id: string
  readonly email: string
  readonly role: MemberRole
  readonly inviter: string
  readonly createdAt: string
  readonly expiresAt: string
  readonly state: 'open' | 'expired' | 'accepted' | 'withdrawn'
}

export interface PeopleSettingsProps {
  readonly workspace: string
  readonly members: readonly Member[]
  /** Undefined for who may not see them. */
  readonly invitations?: readonly InvitationRow[] | undefined
  readonly canManage: boolean
  /** Roles that the viewer may give and take: never above their own. */
  readonly reachable: readonly MemberRole[]
  readonly onChangeRole: Action<{ id: string; role: MemberRole }>
  readonly onRemove: Action<{ id: string }>
  /** Gives the link. */
  readonly onInvite: ValueAction<{ email: string; role: MemberRole; days: number }, string>
  readonly onWithdraw: Action<{ id: string }>
}

export const roleMeaning: Record<MemberRole, string> = {
  owner: 'Everything, deleting the workspace included',
  admin: 'Manages connections, agents and people',
  member: 'Connects own accounts and runs agents',
  auditor: 'Reads everything, changes nothing',
}
export const roleName = (role: MemberRole): string => role.charAt(0).toUpperCase() + role.slice(1)

/** Who belongs to the workspace, in which role, and who is invited. */
export function PeopleSettings(props: PeopleSettingsProps) {
  const { members, invitations, canManage } = props
  const owners = members.filter(({ role }) => role === 'owner').length
  return (
    <>
      <PageHeader
        title="Settings"
        actions={canManage ? <InviteDialog reachable={props.reachable} onInvite={props.onInvite} /> : undefined}
      />
      <SettingsNav current="people" />
      <div className="space-y-6">
        <Card>
          <CardHeader
            title="Members"
            description={
              canManage
                ? 'Who may do what in this workspace. Nobody gives or takes a role above their own.'
                : 'Who may do what in this workspace. Owners and admins change it.'
            }
          />
          <CardBody className="py-2 md:py-2">
            <ul className="divide-y divide-line">
              {members.map((member) => (
                <MemberEntry
                  key={member.id}
                  member={member}
                  isLastOwner={member.role === 'owner' && owners === 1}
                  {...props}
                />
              ))}
            </ul>
          </CardBody>
        </Card>
        {invitations === undefined ? null : <Invitations invitations={invitations} onWithdraw={props.onWithdraw} />}
      </div>
    </>
  )
}

function MemberEntry({
  member,
  isLastOwner,
  workspace,
  canManage,
  reachable,
  onChangeRole,
  onRemove,
}: { member: Member; isLastOwner: boolean } & PeopleSettingsProps) {
  const action = useAction(onChangeRole)
  const toast = useToast()
  const isReachable = canManage && reachable.includes(member.role)
  const change = async (role: MemberRole) => {
    if (await action.run({ id: member.id, role }))
      toast({ tone: 'success', title: `${member.name} is now ${article(role)} ${role}` })
  }
  return (
    <li className="py-3">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
        <Avatar name={member.name} className="size-9" />
        <div className="min-w-0 flex-1 basis-48">
          <p className="flex flex-wrap items-center gap-x-2 gap-y-1 font-medium">
            <span className="wrap-anywhere">{member.name}</span>
            {member.isYou ? <Badge tone="accent">You</Badge> : null}
          </p>
          <p className="text-sm wrap-anywhere text-muted">
            {member.email} · since <Time at={member.joinedAt} />
          </p>
        </div>
        <div className="flex flex-wrap items-center gap-2">
          {isReachable && !isLastOwner ? (
            <Select
              aria-label={`Role of ${member.name}`}
              className="w-32"
              value={member.role}
              disabled={action.pending}
              onChange={(event) => {
                const role = reachable.find((one) => one === event.target.value)
                if (role !== undefined) void change(role)
              }}
              options={reachable.map((role) => ({ value: role, label: roleName(role) }))}
            />
          ) : (
            <div className="text-right">
              <Badge>{roleName(member.role)}</Badge>
              <p className="mt-1 hidden text-xs text-muted md:block">
                {isLastOwner && canManage ? 'The only owner stays one' : roleMeaning[member.role]}
              </p>
            </div>
          )}
          {(isReachable || member.isYou) && !isLastOwner ? (
            <ConfirmDialog
              title={member.isYou ? `Leave “${workspace}”?` : `Remove ${member.name}?`}
              confirmLabel={member.isYou ? 'Leave workspace' : 'Remove from workspace'}
              onConfirm={() => onRemove({ id: member.id })}
              trigger={
                <Button
                  size="sm"
                  variant="danger-quiet"
                  aria-label={member.isYou ? 'Leave this workspace' : `Remove ${member.name}`}
                >
                  <UserMinus aria-hidden /> {member.isYou ? 'Leave' : 'Remove'}
                </Button>
              }
            >
              <p>
                {member.isYou ? 'Your' : 'Their'} API keys and the sessions of {member.isYou ? 'your' : 'their'} agents
                here end at once, and accounts {member.isYou ? 'you' : 'they'} shared are no longer shared.
              </p>
            </ConfirmDialog>
          ) : null}
        </div>
      </div>
      {action.error === undefined ? null : <Alert tone="danger" title={action.error.message} className="mt-3" />}
    </li>
  )
}

function Invitations({
  invitations,
  onWithdraw,
}: {
  invitations: readonly InvitationRow[]
  onWithdraw: Action<{ id: string }>
}) {
  return (
    <Card>
      <CardHeader title="Invitations" description="Each is for one address, works once, and ends by itself." />
      {invitations.length === 0 ? (
        <EmptyState icon={Mail} level={3} title="Nobody is invited" className="py-10">
          Invite somebody by their e-mail address. They make an account, or accept with the one they have.
        </EmptyState>
      ) : (
        <CardBody className="py-2 md:py-2">
          <ul className="divide-y divide-line">
            {invitations.map((invitation) => (
              <li key={invitation.id} className="flex flex-wrap items-center gap-x-3 gap-y-2 py-3">
                <div className="min-w-0 flex-1 basis-48">
                  <p className="flex flex-wrap items-center gap-x-2 gap-y-1 font-medium">
                    <span className="wrap-anywhere">{invitation.email}</span>
                    <Badge>{roleName(invitation.role)}</Badge>
                    <InvitationState state={invitation.state} />
                  </p>
                  <p className="text-sm wrap-anywhere text-muted">
                    by {invitation.inviter} · <Time at={invitation.createdAt} />
                    {invitation.state === 'open' ? (
                      <>
                        {' '}
                        · ends <Time at={invitation.expiresAt} />
                      </>
                    ) : null}
                  </p>
                </div>
                {invitation.state === 'open' ? (
                  <ConfirmDialog
                    title={`Withdraw the invitation to ${invitation.email}?`}
                    confirmLabel="Withdraw invitation"
                    onConfirm={() => onWithdraw({ id: invitation.id })}
                    trigger={
                      <Button
                        size="sm"
                        variant="danger-quiet"
                        aria-label={`Withdraw the invitation to ${invitation.email}`}
                      >
                        Withdraw
                      </Button>
                    }
                  >
                    <p>Its links open nothing from then on.</p>
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

function InvitationState({ state }: { state: InvitationRow['state'] }) {
  switch (state) {
    case 'open':
      return <Badge tone="info">Open</Badge>
    case 'accepted':
      return <Badge tone="success">Accepted</Badge>
    case 'expired':
      return <Badge>Expired</Badge>
    case 'withdrawn':
      return <Badge>Withdrawn</Badge>
  }
}

function InviteDialog({ reachable, onInvite }: Pick<PeopleSettingsProps, 'reachable' | 'onInvite'>) {
  const [isOpen, setOpen] = useState(false)
  const [made, setMade] = useState<{ readonly email: string; readonly url: string }>()
  const action = useAction(onInvite)
  const close = () => {
    setOpen(false)
    setMade(undefined)
    action.clear()
  }
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const email = textField(form, 'email').trim()
    const role = reachable.find((one) => one === textField(form, 'role')) ?? 'member'
    const result = await action.run({ email, role, days: Number(textField(form, 'days')) })
    if (result !== undefined) setMade({ email, url: result.value })
  }
  const error = action.formError('email')
  return (
    <Dialog open={isOpen} onOpenChange={(next) => (next ? setOpen(true) : close())}>
      <DialogTrigger asChild>
        <Button variant="primary">
          <UserPlus aria-hidden /> Invite
        </Button>
      </DialogTrigger>
      {made === undefined ? (
        <DialogContent title="Invite somebody" description="They get a mail with a link that works once.">
          <form onSubmit={(event) => void submit(event)} className="space-y-4">
            {error === undefined ? null : <Alert tone="danger" title={error.message} />}
            <Field label="E-mail" required error={action.fieldError('email')}>
              {(control) => <Input {...control} name="email" type="email" required autoComplete="off" />}
            </Field>
            <Field label="Role" hint="Changed later on this page.">
              {(control) => (
                <Select
                  {...control}
                  name="role"
                  defaultValue="member"
                  options={reachable.map((role) => ({ value: role, label: `${roleName(role)}: ${roleMeaning[role]}` }))}
                />
              )}
            </Field>
            <Field label="Open for">
              {(control) => (
                <Select
                  {...control}
                  name="days"
                  defaultValue="7"
                  options={[
                    { value: '1', label: 'A day' },
                    { value: '7', label: 'A week' },
                    { value: '30', label: '30 days' },
                  ]}
                />
              )}
            </Field>
            <div className="flex flex-wrap justify-end gap-2">
              <DialogClose asChild>
                <Button>Cancel</Button>
              </DialogClose>
              <Button type="submit" variant="primary" pending={action.pending}>
                Send invitation
              </Button>
            </div>
          </form>
        </DialogContent>
      ) : (
        <DialogContent title={`${made.email} is invited`} isDismissable={false}>
          <SecretOnce secret={made.url} what="Invitation link" onStored={close}>
            <p>
              A mail with a link is on its way. This one is for you to pass on, should the mail not arrive: whoever
              opens it still has to be the owner of that address.
            </p>
          </SecretOnce>
        </DialogContent>
      )}
    </Dialog>
  )
}

const article = (role: MemberRole): string => (role === 'member' ? 'a' : 'an')
