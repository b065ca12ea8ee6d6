'use client'

import { ChevronsUpDown, LogOut, UserRound } from 'lucide-react'

import { Avatar } from '@/components/ui/avatar'
import { MenuButton } from '@/components/ui/menu-button'

export interface SignedInPerson {
  readonly name: string
  readonly email: string
}

export const accountHref = '/settings/account'

export function UserMenu({ person, onSignOut }: { person: SignedInPerson; onSignOut: () => void }) {
  return (
    <MenuButton
      label={`Account of ${person.name}`}
      className="flex h-11 w-full items-center gap-2.5 rounded-md px-1.5 text-left hover:bg-hover"
      side="top"
      entries={[
        { kind: 'label', text: person.email },
        { kind: 'link', text: 'Your account', href: accountHref, icon: UserRound },
        { kind: 'separator' },
        { kind: 'action', text: 'Sign out', onSelect: onSignOut, icon: LogOut },
      ]}
    >
      <Avatar name={person.name} />
      <span className="min-w-0 flex-1 leading-tight">
        <span className="block truncate text-sm font-medium">{person.name}</span>
        <span className="block truncate text-xs text-muted">{person.email}</span>
      </span>
      <ChevronsUpDown aria-hidden className="size-4 shrink-0 text-muted" />
    </MenuButton>
  )
}
